//! The way to the broker, for as long as somebody watches: it comes back by itself, and says
//! why it is gone.

use super::super::LabError;
use super::super::client::{self, Message, random_hex};
use super::super::target::{Address, Target};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    Filter, Packet, PublishProperties, RetainForwardRule, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A dead network is noticed within one and a half times this.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// What comes faster than it is shown waits at the broker.
const ARRIVALS: usize = 1_024;

#[derive(Debug)]
pub enum Arrival {
    Message(Message),
    Connected,
    /// The connection is lost or could not be made again.
    Lost(String),
    /// The broker does not let this user read something.
    Refused,
}

/// Dropping it disconnects.
pub struct Link {
    mqtt: AsyncClient,
    pub arrivals: mpsc::Receiver<Arrival>,
    filters: Arc<Mutex<Vec<Filter>>>,
    always: Vec<Filter>,
    /// Topics that are read for a while.
    wanted: BTreeSet<String>,
    pub answers: String,
}

impl Link {
    /// Connects and subscribes to what all boards below `prefix` publish, or the one of that
    /// name.
    ///
    /// Errors: the first connection can't be had. Later ones are tried until there is one.
    pub async fn connect(target: &Target, device: Option<&str>) -> Result<Self, LabError> {
        let address = target.address()?;
        let name = format!("joulectl-{}", random_hex(8));
        let mut options = client::options(&name, &address);
        options.set_keep_alive(KEEP_ALIVE);
        let (mqtt, mut events) = AsyncClient::new(options, 64);
        let connected = timeout(CONNECT_WITHIN, async {
            loop {
                if let Event::Incoming(Packet::ConnAck(_)) = events.poll().await? {
                    return Ok(());
                }
            }
        });
        match connected.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(client::no_connection(&address, &error)),
            Err(_) => return Err(client::no_answer(&address, CONNECT_WITHIN)),
        }
        let answers = format!("answers/{name}/watch");
        let always = always(&target.prefix, device.unwrap_or("+"), &answers);
        let filters = Arc::new(Mutex::new(always.clone()));
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        let subscribed = mqtt.try_subscribe_many(always.clone());
        subscribed.map_err(|error| LabError::Failed(error.to_string()))?;
        let poller = Poller {
            events,
            mqtt: mqtt.clone(),
            filters: Arc::clone(&filters),
            sender,
            address,
        };
        tokio::spawn(poller.run());
        Ok(Self {
            mqtt,
            arrivals,
            filters,
            always,
            wanted: BTreeSet::new(),
            answers,
        })
    }

    /// Reads these topics too, and no longer those that were wanted before.
    pub fn want(&mut self, wanted: BTreeSet<String>) {
        if wanted == self.wanted {
            return;
        }
        let filter = |topic: &String| Filter::new(topic.clone(), QoS::AtMostOnce);
        let new: Vec<Filter> = wanted.difference(&self.wanted).map(filter).collect();
        // A full queue of requests: the next look tries again.
        if !new.is_empty() && self.mqtt.try_subscribe_many(new).is_err() {
            return;
        }
        for old in self.wanted.difference(&wanted) {
            // At worst something comes that nobody needs.
            let _ = self.mqtt.try_unsubscribe(old.clone());
        }
        let all = self.always.iter().cloned();
        let all = all.chain(wanted.iter().map(filter)).collect();
        *self.filters.lock().expect("no holder of this lock panics") = all;
        self.wanted = wanted;
    }

    /// Sends a command, to be answered on [`Self::answers`].
    ///
    /// Errors: too much waits to be sent, as without a connection.
    pub fn command(&self, topic: String, payload: String, correlation: Vec<u8>) -> Result<(), ()> {
        let properties = PublishProperties {
            response_topic: Some(self.answers.clone()),
            correlation_data: Some(correlation.into()),
            content_type: Some("application/json".to_owned()),
            ..PublishProperties::default()
        };
        self.mqtt
            .try_publish_with_properties(topic, QoS::AtLeastOnce, false, payload, properties)
            .map_err(|_| ())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Ends the polling task too. If it can't be sent, the broker notices the closed socket.
        let _ = self.mqtt.try_disconnect();
    }
}

fn always(prefix: &str, device: &str, answers: &str) -> Vec<Filter> {
    let below = |rest: &str, qos| Filter::new(format!("{prefix}/{device}/{rest}"), qos);
    let mut results = below("jobs/+/result", QoS::AtLeastOnce);
    // The broker keeps those of a week; of old ones the newest is asked for by its name.
    results.retain_forward_rule = RetainForwardRule::Never;
    vec![
        below("status", QoS::AtLeastOnce),
        below("info", QoS::AtLeastOnce),
        below("events", QoS::AtLeastOnce),
        below("jobs/+/state", QoS::AtLeastOnce),
        results,
        below("health", QoS::AtMostOnce),
        below("rails/+", QoS::AtMostOnce),
        Filter::new(answers, QoS::AtLeastOnce),
    ]
}

struct Poller {
    events: EventLoop,
    mqtt: AsyncClient,
    filters: Arc<Mutex<Vec<Filter>>>,
    sender: mpsc::Sender<Arrival>,
    address: Address,
}

impl Poller {
    /// Until the link is dropped.
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let arrival = match self.events.poll().await {
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    Arrival::Message(client::message(&publish))
                }
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    pause = FIRST_PAUSE;
                    let filters = self.filters.lock().expect("no holder of this lock panics");
                    // A full request queue already holds newer subscriptions.
                    let _ = self.mqtt.try_subscribe_many(filters.clone());
                    drop(filters);
                    Arrival::Connected
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    let granted = |code: &_| matches!(code, SubscribeReasonCode::Success(_));
                    if ack.return_codes.iter().all(granted) {
                        continue;
                    }
                    Arrival::Refused
                }
                Ok(_) if self.sender.is_closed() => return,
                Ok(_) => continue,
                Err(error) => {
                    let reason = client::reason(&self.address, &error);
                    if self.sender.send(Arrival::Lost(reason)).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
            };
            // Nobody listens once the watch is over; the disconnect is still to be sent.
            let _ = self.sender.send(arrival).await;
        }
    }
}
