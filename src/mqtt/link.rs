//! One connection to the broker, through the MQTT library (rumqttc).
//!
//! What the library (0.25.1) does, as read in its source, and what is done about it here:
//! - **One task.** Publishing from the task that polls can freeze it, so a task of its own does
//!   nothing but poll, and requests go in without waiting.
//! - **Full channel.** `try_publish` fails once [`REQUESTS`] wait. The session never has more
//!   than a window of them, so a full channel means that the network is stuck, and the
//!   connection ends.
//! - **Verdicts.** It gives no token for a publish, but it takes requests in order and reports
//!   each packet id as it goes out, so a queue here pairs the two. That holds for publishes
//!   that it keeps back too.
//! - **Cancelling.** `poll` loses a packet when it is cancelled, so it is never raced against a
//!   timer.
//! - **Reconnect.** It would connect again by itself, send what was not acknowledged with the
//!   old packet ids, which can meet new ones, and throw it away where the broker lost the
//!   session. Here every connection gets a new client with nothing pending: the outbox, which
//!   outlives the process, sends again what has no verdict.
//! - **Packet ids** go round up to the broker's receive maximum, or [`WINDOW`]. A broker has to
//!   acknowledge in the order in which it received, and then the next id is always free. With
//!   one that does not, the library keeps the publish back until the id is free (if that one
//!   was refused, its second ping ends the connection). Subscribing takes an id out of the
//!   same round, which does no harm.
//! - **Receive maximum.** It holds publishes back beyond it; the session does not send more.
//! - **Packet size.** A packet over the broker's limit ends the connection, and would again
//!   after each reconnect, so sizes are checked before. An incoming packet over ours does too:
//!   ours is announced, so that the broker drops it.
//! - **Half-open.** While it writes to a broker that stopped reading it does not ping, so
//!   silence is watched here.
//! - **Memory.** It allocates a slot for each packet that may be in flight, 13 MB for its
//!   default.
//! - **System calls.** It flushes after each request, and reads up to ten packets at once.

use super::config::Broker;
use super::loss::Loss;
use super::reason::Tried;
use super::tls::KEYS;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectProperties, Filter, LastWill, Packet, PubAck, PubAckReason, Publish, PublishProperties,
    RetainForwardRule, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Publishes in flight at most, also when the broker allows more.
const WINDOW: u16 = 256;
/// Requests that wait for the poll task; more means that the network is stuck.
const REQUESTS: usize = 1024;
/// Events of the connection that wait for the session.
const EVENTS: usize = 256;
/// Larger packets are dropped by the broker instead of ending the connection here.
const MAX_INCOMING: u32 = 256 * 1024;
/// Commands that the broker may send before the first is acknowledged.
const COMMANDS_IN_FLIGHT: u16 = 16;

/// Who connects, and what the broker keeps of it.
#[derive(Debug, Clone)]
pub struct Greeting {
    pub client_id: String,
    /// Seconds that the broker keeps subscriptions and queued commands after a loss; `None`
    /// begins and ends with nothing.
    pub session_expiry_s: Option<u32>,
    /// Topic and payload that the broker publishes, retained, when the connection breaks.
    pub will: Option<(String, Vec<u8>)>,
}

/// A record on its way out.
#[derive(Debug, Clone, Default)]
pub struct OutMessage {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retain: bool,
    pub expiry_s: Option<u32>,
    pub correlation: Option<Vec<u8>>,
}

/// A message that arrived. It has to be acknowledged.
#[derive(Debug)]
pub struct InMessage {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
    pub response_topic: Option<String>,
    pub correlation: Option<Vec<u8>>,
    packet_id: u16,
    qos: QoS,
}

impl InMessage {
    #[cfg(test)]
    pub fn of_payload(payload: Vec<u8>) -> Self {
        Self {
            topic: String::new(),
            payload,
            retained: false,
            response_topic: None,
            correlation: None,
            packet_id: 1,
            qos: QoS::AtLeastOnce,
        }
    }

    /// Whether the broker keeps it until it is acknowledged: QoS 1.
    pub fn must_be_acknowledged(&self) -> bool {
        self.qos != QoS::AtMostOnce
    }
}

/// What the broker said about a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// Taken, but nobody listens: nothing was delivered (0x10).
    NoSubscriber,
    /// It won't ever be taken as it is.
    Refused(&'static str),
    /// Not now.
    Later(&'static str),
}

impl From<PubAckReason> for Verdict {
    fn from(reason: PubAckReason) -> Self {
        match reason {
            PubAckReason::Success => Self::Delivered,
            PubAckReason::NoMatchingSubscribers => Self::NoSubscriber,
            PubAckReason::NotAuthorized => Self::Refused("not authorised (0x87)"),
            PubAckReason::TopicNameInvalid => Self::Refused("invalid topic (0x90)"),
            PubAckReason::PayloadFormatInvalid => Self::Refused("invalid payload (0x99)"),
            PubAckReason::QuotaExceeded => Self::Later("quota exceeded (0x97)"),
            PubAckReason::UnspecifiedError => Self::Later("unspecified error (0x80)"),
            PubAckReason::ImplementationSpecificError => Self::Later("broker error (0x83)"),
            PubAckReason::PacketIdentifierInUse => Self::Later("packet id in use (0x91)"),
        }
    }
}

#[derive(Debug)]
pub enum LinkEvent {
    /// The verdict on the publish of this token.
    Acked(u64, Verdict),
    Message(InMessage),
    /// An acknowledgement has left: there may be room for more.
    Wrote,
    /// The answer to the subscription: whether the broker accepted all of it.
    Subscribed(bool),
    /// The connection is gone, for this reason.
    Lost(Loss),
}

/// When stored retained messages are wanted on a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    Always,
    OnNewSubscription,
}

/// Nothing can be sent any more; see [`Link::why_stuck`].
#[derive(Debug)]
pub struct Stuck;

enum Polled {
    Event(Box<Event>),
    Ended(Loss),
}

/// A connection that the broker accepted.
pub struct Link {
    client: AsyncClient,
    polled: mpsc::Receiver<Polled>,
    poller: JoinHandle<()>,
    /// Tokens of publishes that have no packet id yet, in order; `None` is QoS 0.
    unsent: VecDeque<Option<u64>>,
    /// Acknowledgements that the library has not written yet.
    unsent_acks: usize,
    flying: HashMap<u16, u64>,
    window: usize,
    max_packet: usize,
    keep_alive: Duration,
    heard: Instant,
    remembered: bool,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

fn options(broker: &Broker, greeting: &Greeting) -> MqttOptions {
    // A certificate's IPv6 address has no brackets, and the resolver needs none.
    let host = broker.host.trim_matches(['[', ']']);
    let mut options = MqttOptions::new(&greeting.client_id, host, broker.port);
    options
        .set_keep_alive(Duration::from_secs(u64::from(broker.keep_alive_s)))
        .set_clean_start(greeting.session_expiry_s.is_none())
        .set_manual_acks(true)
        .set_connection_timeout(5)
        .set_outgoing_inflight_upper_limit(WINDOW);
    // Packets are written in batches already: holding a small one back saves nothing.
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    let mut properties = ConnectProperties::new();
    properties.session_expiry_interval = greeting.session_expiry_s;
    properties.receive_maximum = Some(COMMANDS_IN_FLIGHT);
    properties.max_packet_size = Some(MAX_INCOMING);
    options.set_connect_properties(properties);
    if let Some(tls) = &broker.tls {
        let tls = TlsConfiguration::Rustls(tls.clone());
        options.set_transport(Transport::tls_with_config(tls));
    }
    if let Some((name, password)) = &broker.login {
        options.set_credentials(name, password);
    }
    if let Some((topic, payload)) = &greeting.will {
        let will = LastWill::new(topic, payload.clone(), QoS::AtLeastOnce, true, None);
        options.set_last_will(will);
    }
    options
}

async fn poll(mut eventloop: EventLoop, broker: Broker, out: mpsc::Sender<Polled>) {
    let mut tried = Tried {
        names: &KEYS,
        tls: broker.tls.is_some(),
        user: broker.login.as_ref().map(|(name, _)| name.as_str()),
        accepted: false,
    };
    loop {
        let polled = match eventloop.poll().await {
            Ok(event) => {
                tried.accepted = true;
                Polled::Event(Box::new(event))
            }
            Err(error) => Polled::Ended(Loss::of(&error, &tried)),
        };
        let ended = matches!(polled, Polled::Ended(_));
        if out.send(polled).await.is_err() || ended {
            return;
        }
    }
}

impl Link {
    /// Connects and waits for the broker's word. The error says why not.
    pub async fn connect(broker: &Broker, greeting: &Greeting) -> Result<Self, Loss> {
        let (client, eventloop) = AsyncClient::new(options(broker, greeting), REQUESTS);
        let (out, polled) = mpsc::channel(EVENTS);
        let mut link = Self {
            client,
            polled,
            poller: tokio::spawn(poll(eventloop, broker.clone(), out)),
            unsent: VecDeque::new(),
            unsent_acks: 0,
            flying: HashMap::new(),
            window: usize::from(WINDOW),
            max_packet: usize::MAX,
            keep_alive: Duration::from_secs(u64::from(broker.keep_alive_s)),
            heard: Instant::now(),
            remembered: false,
        };
        let connack = loop {
            match link.polled.recv().await {
                Some(Polled::Event(event)) => {
                    if let Event::Incoming(Packet::ConnAck(connack)) = *event {
                        break connack;
                    }
                }
                Some(Polled::Ended(reason)) => return Err(reason),
                None => return Err("the poll task ended".into()),
            }
        };
        link.remembered = connack.session_present;
        if let Some(properties) = connack.properties {
            let receives = properties.receive_max.unwrap_or(u16::MAX);
            link.window = usize::from(receives.min(WINDOW)).max(1);
            if let Some(bytes) = properties.max_packet_size {
                link.max_packet = bytes as usize;
            }
            if let Some(seconds) = properties.server_keep_alive {
                link.keep_alive = Duration::from_secs(u64::from(seconds));
            }
        }
        Ok(link)
    }

    /// When the connection counts as lost if nothing is heard until then. The library pings
    /// and notices a missing answer, unless it hangs in a write to a broker that stalls.
    pub fn silent_at(&self) -> Instant {
        self.heard + 3 * self.keep_alive
    }

    /// Whether the broker still knew this client's session.
    pub fn remembered(&self) -> bool {
        self.remembered
    }

    /// Publishes that may be in flight at a time.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Publishes on their way to the network or without verdict.
    pub fn in_flight(&self) -> usize {
        self.flying.len() + self.unsent.len()
    }

    /// Whether the network is behind: QoS 0 records had better be left out.
    pub fn busy(&self) -> bool {
        self.unsent.len() >= self.window
    }

    /// Whether the broker takes a packet of this size.
    pub fn fits(&self, message: &OutMessage) -> bool {
        // Fixed header, lengths, packet id and property names are less than 64 bytes.
        let correlation = message.correlation.as_ref().map_or(0, Vec::len);
        message.payload.len() + message.topic.len() + correlation + 64 <= self.max_packet
    }

    /// Publishes with QoS 1; the verdict comes as an event with `token`.
    pub fn publish(&mut self, token: u64, message: OutMessage) -> Result<(), Stuck> {
        self.send(QoS::AtLeastOnce, message)?;
        self.unsent.push_back(Some(token));
        Ok(())
    }

    /// Publishes with QoS 0.
    pub fn publish_at_most_once(&mut self, message: OutMessage) -> Result<(), Stuck> {
        self.send(QoS::AtMostOnce, message)?;
        self.unsent.push_back(None);
        Ok(())
    }

    fn send(&self, qos: QoS, message: OutMessage) -> Result<(), Stuck> {
        let properties = PublishProperties {
            message_expiry_interval: message.expiry_s,
            correlation_data: message.correlation.map(Into::into),
            ..PublishProperties::default()
        };
        self.client
            .try_publish_with_properties(
                message.topic,
                qos,
                message.retain,
                message.payload,
                properties,
            )
            .map_err(|_| Stuck)
    }

    /// Subscribes with QoS 1. Retained messages keep their mark, also when they are passed
    /// on live.
    pub fn subscribe(&mut self, filter: &str, stored: Stored) -> Result<(), Stuck> {
        let mut filter = Filter::new(filter, QoS::AtLeastOnce);
        filter.preserve_retain = true;
        filter.retain_forward_rule = match stored {
            Stored::Always => RetainForwardRule::OnEverySubscribe,
            Stored::OnNewSubscription => RetainForwardRule::OnNewSubscribe,
        };
        self.client.try_subscribe_many([filter]).map_err(|_| Stuck)
    }

    /// Tells the broker that a message needs not be sent again.
    pub fn acknowledge(&mut self, message: &InMessage) -> Result<(), Stuck> {
        // The library reads nothing else of it.
        let publish = Publish {
            pkid: message.packet_id,
            qos: message.qos,
            ..Publish::default()
        };
        self.client.try_ack(&publish).map_err(|_| Stuck)?;
        self.unsent_acks += usize::from(message.must_be_acknowledged());
        Ok(())
    }

    /// Whether every acknowledgement is on its way.
    pub fn acknowledgements_left(&self) -> bool {
        self.unsent_acks == 0
    }

    /// Whether requests leave as fast as they are made. Reading goes before writing in the
    /// library, ten packets to one, so that a flood of commands holds up their answers.
    pub fn keeps_up(&self) -> bool {
        self.unsent.len() + self.unsent_acks < REQUESTS / 2
    }

    /// Says goodbye: the broker drops the last will. [`LinkEvent::Lost`] follows.
    pub fn disconnect(&self) -> Result<(), Stuck> {
        self.client.try_disconnect().map_err(|_| Stuck)
    }

    /// Why nothing can be sent any more.
    pub fn why_stuck(&mut self) -> Loss {
        while let Ok(polled) = self.polled.try_recv() {
            if let Polled::Ended(loss) = polled {
                return loss;
            }
        }
        "the broker stopped reading".into()
    }

    /// The next event. It may be raced against a timer.
    pub async fn next(&mut self) -> LinkEvent {
        loop {
            let event = match self.polled.recv().await {
                Some(Polled::Event(event)) => *event,
                Some(Polled::Ended(reason)) => return LinkEvent::Lost(reason),
                None => return LinkEvent::Lost("the poll task ended".into()),
            };
            if let Some(event) = self.understand(event) {
                return event;
            }
        }
    }

    /// An event that is there already.
    pub fn ready(&mut self) -> Option<LinkEvent> {
        loop {
            let event = match self.polled.try_recv().ok()? {
                Polled::Event(event) => *event,
                Polled::Ended(reason) => return Some(LinkEvent::Lost(reason)),
            };
            if let Some(event) = self.understand(event) {
                return Some(event);
            }
        }
    }

    fn understand(&mut self, event: Event) -> Option<LinkEvent> {
        if matches!(event, Event::Incoming(_)) {
            self.heard = Instant::now();
        }
        match event {
            Event::Outgoing(Outgoing::Publish(packet_id)) => {
                if let Some(token) = self.unsent.pop_front().flatten() {
                    self.flying.insert(packet_id, token);
                }
                None
            }
            Event::Outgoing(Outgoing::PubAck(_)) => {
                self.unsent_acks = self.unsent_acks.saturating_sub(1);
                Some(LinkEvent::Wrote)
            }
            Event::Incoming(Packet::PubAck(PubAck { pkid, reason, .. })) => {
                let token = self.flying.remove(&pkid)?;
                Some(LinkEvent::Acked(token, reason.into()))
            }
            Event::Incoming(Packet::SubAck(suback)) => {
                let granted = |code: &_| matches!(code, SubscribeReasonCode::Success(_));
                Some(LinkEvent::Subscribed(
                    suback.return_codes.iter().all(granted),
                ))
            }
            Event::Incoming(Packet::Publish(publish)) => Some(arrived(publish)),
            _ => None,
        }
    }
}

fn arrived(publish: Publish) -> LinkEvent {
    let properties = publish.properties.unwrap_or_default();
    LinkEvent::Message(InMessage {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload.to_vec(),
        retained: publish.retain,
        response_topic: properties.response_topic,
        correlation: properties.correlation_data.map(|data| data.to_vec()),
        packet_id: publish.pkid,
        qos: publish.qos,
    })
}

#[cfg(test)]
mod tests;
