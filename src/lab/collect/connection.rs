//! One connection to the broker. What arrives is acknowledged by whoever has kept it, not here.
//!
//! Each connection has a client of its own: packet ids begin anew, and an acknowledgement that
//! was meant for the last connection would take away a message that nobody has kept. The library
//! must not be raced against a timer (its `poll` loses packets then), so a task does nothing else.

use crate::lab::target::{Address, OPTIONS};
use crate::mqtt::reason::Tried;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectProperties, ConnectReturnCode, DisconnectReasonCode, Filter, Packet, Publish,
    PublishProperties, RetainForwardRule, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Messages that the broker may send before the first is acknowledged; many brokers allow
/// themselves less.
const IN_FLIGHT: u16 = 512;
/// Requests that wait for the polling task.
const REQUESTS: usize = 4 * IN_FLIGHT as usize;
const EVENTS: usize = 256;
/// Our own publishes: questions to boards.
const QUESTIONS: u16 = 32;
/// The contract caps a record at 128 KiB. The broker is told, and drops what is larger.
const LARGEST_PACKET: u32 = 256 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// To be greeted, and to be heard when saying goodbye.
const PATIENCE: Duration = Duration::from_secs(10);

/// A message that arrived over the connection of this number.
#[derive(Debug)]
pub struct Arrival {
    pub connection: u64,
    pub publish: Publish,
}

impl Arrival {
    /// Whether the broker keeps it until it is acknowledged.
    pub fn must_be_acknowledged(&self) -> bool {
        self.publish.qos != QoS::AtMostOnce
    }

    pub fn bytes(&self) -> usize {
        self.publish.topic.len() + self.publish.payload.len()
    }
}

/// A question to a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub topic: String,
    pub payload: String,
    pub response_topic: String,
    pub correlation: String,
}

/// What is subscribed to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub filter: String,
    /// Whether the broker keeps messages while nobody is here.
    pub waits: bool,
    /// Whether what the broker retains is wanted each time, or for new subscriptions alone.
    pub retained_each_time: bool,
}

#[derive(Debug)]
pub enum Heard {
    Message(Arrival),
    /// Of a subscription that was not granted, its place and the broker's word.
    Subscribed(Option<(usize, String)>),
    Acknowledged,
    /// The connection is gone, for this reason.
    Lost(String),
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The settings have to change first.
    Settled(String),
    /// It may come back.
    Passing(String),
}

impl Refusal {
    pub fn text(&self) -> &str {
        let (Self::Settled(text) | Self::Passing(text)) = self;
        text
    }
}

/// Nothing can be sent any more: [`Connection::why_stuck`].
#[derive(Debug)]
pub struct Stuck;

/// A connection that the broker accepted.
pub struct Connection {
    pub number: u64,
    /// Whether the broker has kept the session, and sends again what was not acknowledged.
    pub is_resumed: bool,
    client: AsyncClient,
    polled: mpsc::Receiver<Result<Event, String>>,
    poller: JoinHandle<()>,
    /// Acknowledgements for which the polling task has had no room yet: a mosquitto 2.0 sends a
    /// session that returns all that has waited for it, whatever may be in flight.
    waiting_acks: VecDeque<Publish>,
    unsent_acks: usize,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

impl Connection {
    /// Connects as `client_id` and takes up its session, which the broker keeps for `expiry`.
    pub async fn open(
        number: u64,
        address: &Address,
        client_id: &str,
        expiry: Duration,
    ) -> Result<Self, Refusal> {
        let options = options(address, client_id, expiry);
        let (client, mut events) = AsyncClient::new(options, REQUESTS);
        let tried = |accepted| Tried {
            names: &OPTIONS,
            tls: address.tls.is_some(),
            user: address.user.as_deref(),
            accepted,
        };
        let greeted = timeout(PATIENCE, async {
            loop {
                if let Event::Incoming(Packet::ConnAck(ack)) = events.poll().await? {
                    return Ok(ack.session_present);
                }
            }
        });
        let place = format!("{}:{}", address.host, address.port);
        let is_resumed = match greeted.await {
            Ok(Ok(is_resumed)) => is_resumed,
            Ok(Err(error)) => {
                let reason = format!("{place}: {}", tried(false).reason(&error));
                return Err(match is_settled(&error) {
                    true => Refusal::Settled(reason),
                    false => Refusal::Passing(reason),
                });
            }
            Err(_) => {
                let reason = format!("{place}: the broker does not answer");
                return Err(Refusal::Passing(reason));
            }
        };
        let (out, polled) = mpsc::channel(EVENTS);
        let user = address.user.clone();
        let tls = address.tls.is_some();
        let reason = move |error: &ConnectionError| match error {
            ConnectionError::MqttState(StateError::ServerDisconnect {
                reason_code: DisconnectReasonCode::SessionTakenOver,
                ..
            }) => "another collector of this --name has connected; give each its own".to_owned(),
            error => Tried {
                names: &OPTIONS,
                tls,
                user: user.as_deref(),
                accepted: true,
            }
            .reason(error),
        };
        Ok(Self {
            number,
            is_resumed,
            client,
            polled,
            poller: tokio::spawn(poll(events, out, reason)),
            waiting_acks: VecDeque::new(),
            unsent_acks: 0,
        })
    }

    /// The broker answers with [`Heard::Subscribed`].
    pub fn subscribe(&self, subscriptions: &[Subscription]) -> Result<(), Stuck> {
        let filters = subscriptions.iter().map(|subscription| {
            let qos = match subscription.waits {
                true => QoS::AtLeastOnce,
                false => QoS::AtMostOnce,
            };
            let mut filter = Filter::new(&subscription.filter, qos);
            filter.retain_forward_rule = match subscription.retained_each_time {
                true => RetainForwardRule::OnEverySubscribe,
                false => RetainForwardRule::OnNewSubscribe,
            };
            filter
        });
        let filters: Vec<Filter> = filters.collect();
        self.client.try_subscribe_many(filters).map_err(|_| Stuck)
    }

    pub fn unsubscribe(&self, filter: &str) -> Result<(), Stuck> {
        self.client.try_unsubscribe(filter).map_err(|_| Stuck)
    }

    /// Asks a board, if it is there within `expiry_s`.
    pub fn ask(&self, question: &Question, expiry_s: u32) -> Result<(), Stuck> {
        let properties = PublishProperties {
            response_topic: Some(question.response_topic.clone()),
            correlation_data: Some(question.correlation.clone().into()),
            message_expiry_interval: Some(expiry_s),
            content_type: Some("application/json".to_owned()),
            ..PublishProperties::default()
        };
        self.client
            .try_publish_with_properties(
                question.topic.clone(),
                QoS::AtLeastOnce,
                false,
                question.payload.clone(),
                properties,
            )
            .map_err(|_| Stuck)
    }

    /// Tells the broker that these need not be sent again. Those of another connection are left
    /// out: the broker sends them again by itself.
    pub fn acknowledge(&mut self, kept: Vec<Arrival>) {
        let ours = kept
            .into_iter()
            .filter(|arrival| arrival.connection == self.number && arrival.must_be_acknowledged());
        for arrival in ours {
            self.waiting_acks.push_back(Publish {
                payload: Default::default(),
                ..arrival.publish
            });
            self.unsent_acks += 1;
        }
        self.hand_over_acks();
    }

    fn hand_over_acks(&mut self) {
        while let Some(publish) = self.waiting_acks.front()
            && self.client.try_ack(publish).is_ok()
        {
            self.waiting_acks.pop_front();
        }
    }

    /// The next event. It may be raced against a timer.
    pub async fn next(&mut self) -> Heard {
        loop {
            match self.polled.recv().await {
                Some(Ok(event)) => {
                    if let Some(heard) = self.understand(event) {
                        return heard;
                    }
                }
                Some(Err(reason)) => return Heard::Lost(reason),
                None => return Heard::Lost("the connection is closed".to_owned()),
            }
        }
    }

    /// An event that is there already.
    pub fn ready(&mut self) -> Option<Heard> {
        loop {
            match self.polled.try_recv().ok()? {
                Ok(event) => {
                    if let Some(heard) = self.understand(event) {
                        return Some(heard);
                    }
                }
                Err(reason) => return Some(Heard::Lost(reason)),
            }
        }
    }

    /// What ended the connection, unless it is there and takes nothing.
    pub fn why_stuck(&mut self) -> String {
        while let Some(heard) = self.ready() {
            if let Heard::Lost(reason) = heard {
                return reason;
            }
        }
        "the broker does not read what is sent".to_owned()
    }

    fn understand(&mut self, event: Event) -> Option<Heard> {
        match event {
            Event::Incoming(Packet::Publish(publish)) => Some(Heard::Message(Arrival {
                connection: self.number,
                publish,
            })),
            Event::Incoming(Packet::SubAck(ack)) => {
                let granted = |code: &_| matches!(code, SubscribeReasonCode::Success(_));
                let refused = ack.return_codes.iter().position(|code| !granted(code));
                Some(Heard::Subscribed(refused.map(|place| {
                    (place, format!("{:?}", ack.return_codes[place]))
                })))
            }
            Event::Outgoing(Outgoing::PubAck(_)) => {
                self.unsent_acks = self.unsent_acks.saturating_sub(1);
                self.hand_over_acks();
                Some(Heard::Acknowledged)
            }
            _ => None,
        }
    }

    /// Lets acknowledgements leave, and says goodbye; the broker keeps the session.
    pub async fn close(mut self) {
        let _ = timeout(PATIENCE, async {
            while self.unsent_acks > 0 {
                if let Heard::Lost(_) = self.next().await {
                    return;
                }
            }
            if self.client.try_disconnect().is_ok() {
                // The broker closes once it has read everything.
                while !matches!(self.next().await, Heard::Lost(_)) {}
            }
        })
        .await;
    }
}

fn options(address: &Address, client_id: &str, expiry: Duration) -> MqttOptions {
    let mut options = MqttOptions::new(client_id, &address.host, address.port);
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_start(false)
        .set_manual_acks(true)
        .set_connection_timeout(PATIENCE.as_secs())
        .set_outgoing_inflight_upper_limit(QUESTIONS);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    let mut properties = ConnectProperties::new();
    properties.session_expiry_interval = Some(expiry.as_secs().try_into().unwrap_or(u32::MAX));
    properties.receive_maximum = Some(IN_FLIGHT);
    properties.max_packet_size = Some(LARGEST_PACKET);
    options.set_connect_properties(properties);
    if let Some(tls) = &address.tls {
        let tls = TlsConfiguration::Rustls(tls.clone());
        options.set_transport(Transport::tls_with_config(tls));
    }
    if let Some(user) = &address.user {
        options.set_credentials(user, address.password.clone().unwrap_or_default());
    }
    options
}

/// Whether another try would end the same way.
fn is_settled(error: &ConnectionError) -> bool {
    matches!(
        error,
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword
                | ConnectReturnCode::NotAuthorized
                | ConnectReturnCode::ClientIdentifierNotValid
                | ConnectReturnCode::UnsupportedProtocolVersion
        )
    )
}

/// Polls until the connection ends or nobody wants to know any more.
async fn poll(
    mut events: EventLoop,
    out: mpsc::Sender<Result<Event, String>>,
    reason: impl Fn(&ConnectionError) -> String,
) {
    loop {
        let polled = events.poll().await.map_err(|error| reason(&error));
        let ended = polled.is_err();
        if out.send(polled).await.is_err() || ended {
            return;
        }
    }
}
