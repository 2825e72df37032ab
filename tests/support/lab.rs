//! The lab's side: a client that sends commands and collects what it sees.

use super::contract;
use jouled::units::MonoNs;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Filter, Packet, Publish, PublishProperties};
use rumqttc::v5::{Client, Event, MqttOptions};
use serde_json::Value;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longest time that anything may take on a loaded machine before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone)]
pub struct Seen {
    pub topic: String,
    pub text: String,
    pub retained: bool,
    pub correlation: Option<Vec<u8>>,
    /// When it arrived.
    pub at: MonoNs,
}

impl Seen {
    /// What has just arrived.
    pub fn of(publish: Publish) -> Self {
        let properties = publish.properties.unwrap_or_default();
        Self {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            text: String::from_utf8_lossy(&publish.payload).into_owned(),
            retained: publish.retain,
            correlation: properties.correlation_data.map(|data| data.to_vec()),
            at: jouled::clock::now(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

pub struct Lab {
    client: Client,
    inbox: Receiver<Seen>,
    /// Everything that arrived, in order.
    pub seen: Vec<Seen>,
}

impl Lab {
    /// Connects and subscribes; returns once the broker has confirmed.
    pub fn connect(port: u16, filters: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lab-{}-{number}", std::process::id());
        let mut options = MqttOptions::new(name, "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(60));
        let mut properties = ConnectProperties::new();
        properties.max_packet_size = Some(1024 * 1024);
        options.set_connect_properties(properties);
        let (client, mut connection) = Client::new(options, 1000);
        let (out, inbox) = channel();
        let (subscribed, confirmed) = channel();
        std::thread::spawn(move || {
            for event in connection.iter() {
                let packet = match event {
                    Ok(Event::Incoming(packet)) => packet,
                    Ok(Event::Outgoing(_)) => continue,
                    Err(_) => return,
                };
                match packet {
                    Packet::SubAck(_) => {
                        let _ = subscribed.send(());
                    }
                    Packet::Publish(publish) => {
                        let seen = Seen::of(publish);
                        if out.send(seen).is_err() {
                            return;
                        }
                    }
                    _ => {}
                }
            }
        });
        if !filters.is_empty() {
            let filters = filters
                .iter()
                .map(|filter| Filter::new(*filter, QoS::AtLeastOnce));
            client.subscribe_many(filters).expect("the client runs");
            confirmed
                .recv_timeout(PATIENCE)
                .expect("the broker confirms");
        }
        Self {
            client,
            inbox,
            seen: Vec::new(),
        }
    }

    pub fn publish(&self, topic: &str, payload: &str) {
        self.publish_with(topic, payload, false, PublishProperties::default());
    }

    pub fn publish_retained(&self, topic: &str, payload: &str) {
        self.publish_with(topic, payload, true, PublishProperties::default());
    }

    /// A command that asks for an answer.
    pub fn ask(&self, topic: &str, payload: &str, response_topic: &str, correlation: &str) {
        let properties = PublishProperties {
            response_topic: Some(response_topic.to_owned()),
            correlation_data: Some(correlation.to_owned().into()),
            ..PublishProperties::default()
        };
        self.publish_with(topic, payload, false, properties);
    }

    pub fn publish_with(
        &self,
        topic: &str,
        payload: impl Into<Vec<u8>>,
        retain: bool,
        with: PublishProperties,
    ) {
        self.client
            .publish_with_properties(topic, QoS::AtLeastOnce, retain, payload.into(), with)
            .expect("the client runs");
    }

    /// The first message that fits, of those that came and those to come.
    pub fn wait(&mut self, what: &str, fits: impl Fn(&Seen) -> bool) -> Seen {
        if let Some(seen) = self.seen.iter().find(|seen| fits(seen)) {
            return seen.clone();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(seen) => {
                    contract::check(&seen);
                    self.seen.push(seen.clone());
                    if fits(&seen) {
                        return seen;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {what}; seen: {:#?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("no {what}: the lab lost its broker; seen: {:#?}", self.seen)
                }
            }
        }
    }

    pub fn wait_topic(&mut self, topic: &str) -> Seen {
        self.wait(topic, |seen| seen.topic == topic)
    }

    /// The answer to the command with this correlation data.
    pub fn wait_answer(&mut self, correlation: &str) -> Value {
        self.wait(&format!("answer {correlation}"), |seen| {
            seen.topic.starts_with("answers/")
                && seen.correlation.as_deref() == Some(correlation.as_bytes())
        })
        .json()
    }

    pub fn wait_event(&mut self, code: &str) -> Value {
        self.wait(&format!("event {code}"), |seen| {
            seen.topic.ends_with("/events") && seen.json()["code"] == code
        })
        .json()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        contract::check_rest(self.inbox.try_iter());
    }
}
