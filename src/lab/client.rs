//! A small MQTT 5 client for the lab tools: commands with their answers, and what a board
//! publishes. One task polls the connection; it alone talks to the socket. A command that does
//! not take what arrives stalls it: then the broker waits, and no memory fills up.

use super::LabError;
use super::target::{Address, Board, OPTIONS, Target};
use crate::mqtt::reason::Tried;
use crate::record::answer::{Answer, Refusal};
use crate::record::device::{Presence, Status};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, Filter, Packet, PubAckReason, Publish, PublishProperties,
    SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{Outgoing, TlsConfiguration, Transport};
use serde::de::DeserializeOwned;
use std::collections::{BTreeSet, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// The contract caps a record at 128 KiB.
const LARGEST_PACKET: u32 = 256 * 1024;
/// Arrivals that the polling task holds for a slow command, before it reads no more.
const ARRIVALS: usize = 128;
/// What may come while an answer is awaited. A board that floods us has no claim to more.
const MOST_WAITING_BYTES: usize = 64 << 20;
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A board answers a command at once; this allows for a slow network and a busy board.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// A publication that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub(super) correlation: Option<Vec<u8>>,
    /// It was published before this client asked for it.
    pub(super) retained: bool,
}

impl Message {
    /// What it takes to hold it, about.
    fn bytes(&self) -> usize {
        let correlation = self.correlation.as_ref().map_or(0, Vec::len);
        size_of::<Self>() + self.topic.len() + self.payload.len() + correlation
    }
}

/// What the polling task tells the command.
#[derive(Debug)]
enum Arrival {
    Message(Message),
    Subscribed(Vec<SubscribeReasonCode>),
    Acknowledged(PubAckReason),
}

/// A connection to the broker. Dropping it disconnects.
pub struct Client {
    mqtt: AsyncClient,
    arrivals: mpsc::Receiver<Arrival>,
    /// Messages that came while something else was awaited.
    waiting: Waiting,
    filters: Arc<Mutex<Vec<Filter>>>,
    name: String,
    requests: u64,
}

/// Messages in the order of their arrival, of a bounded size.
#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Waiting {
    fn push(&mut self, message: Message) -> Result<(), LabError> {
        self.bytes += message.bytes();
        self.messages.push_back(message);
        if self.bytes > MOST_WAITING_BYTES {
            return Err(LabError::Failed(format!(
                "more than {} MiB came in while an answer was awaited; the broker's \
                 log says who sends it",
                MOST_WAITING_BYTES >> 20
            )));
        }
        Ok(())
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.bytes();
        Some(message)
    }

    fn forget_retained(&mut self, which: impl Fn(&str) -> bool) {
        self.messages
            .retain(|message| !message.retained || !which(&message.topic));
        self.bytes = self.messages.iter().map(Message::bytes).sum();
    }
}

/// Random hexadecimal digits, for names that must differ between two runs.
pub fn random_hex(digits: usize) -> String {
    // The standard library seeds each hasher from the system's random source.
    let random = RandomState::new().build_hasher().finish();
    format!("{random:016x}")[..digits].to_owned()
}

impl Client {
    pub async fn connect(target: &Target) -> Result<Self, LabError> {
        let address = target.address()?;
        for warning in target.warnings() {
            eprintln!("warning: {warning}");
        }
        let name = format!("joulectl-{}", random_hex(8));
        let (mqtt, mut events) = AsyncClient::new(options(&name, &address), 64);
        let connected = timeout(CONNECT_WITHIN, async {
            loop {
                if let Event::Incoming(Packet::ConnAck(_)) = events.poll().await? {
                    return Ok(());
                }
            }
        });
        match connected.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(no_connection(&address, &error)),
            Err(_) => return Err(no_answer(&address, CONNECT_WITHIN)),
        }
        let filters = Arc::new(Mutex::new(Vec::new()));
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        tokio::spawn(poll(events, mqtt.clone(), filters.clone(), sender));
        Ok(Self {
            mqtt,
            arrivals,
            waiting: Waiting::default(),
            filters,
            name,
            requests: 0,
        })
    }

    /// Subscribes with QoS 1 and waits for the broker's consent. The subscription comes back
    /// by itself after a lost connection.
    pub async fn subscribe(&mut self, topic: &str) -> Result<(), LabError> {
        let filter = Filter::new(topic, QoS::AtLeastOnce);
        {
            let mut filters = self.filters.lock().expect("no holder of this lock panics");
            if !filters.contains(&filter) {
                filters.push(filter);
            }
        }
        self.mqtt
            .subscribe(topic, QoS::AtLeastOnce)
            .await
            .map_err(|_| self.lost())?;
        let deadline = Instant::now() + ANSWER_WITHIN;
        loop {
            match self.arrival(deadline).await? {
                Some(Arrival::Subscribed(codes)) => {
                    let granted = |code| matches!(code, &SubscribeReasonCode::Success(_));
                    if codes.iter().all(granted) {
                        return Ok(());
                    }
                    return Err(LabError::Unreachable(format!(
                        "the broker does not let this user read {topic} ({codes:?}); \
                         see the access rules of the broker"
                    )));
                }
                Some(Arrival::Message(message)) => self.waiting.push(message)?,
                Some(Arrival::Acknowledged(_)) => {}
                None => {
                    return Err(LabError::Unreachable(format!(
                        "the broker did not confirm the subscription to {topic}"
                    )));
                }
            }
        }
    }

    /// What the broker keeps under these filters.
    pub async fn kept(&mut self, filters: &[String]) -> Result<Vec<Message>, LabError> {
        for filter in filters {
            self.subscribe(filter).await?;
        }
        // A broker sends what it retains before what is published later: our own message
        // marks the end of the list.
        let marker = format!("answers/{}/marker", self.name);
        self.subscribe(&marker).await?;
        self.requests += 1;
        let mark = self.requests.to_string();
        self.mqtt
            .publish(marker.clone(), QoS::AtLeastOnce, false, mark.clone())
            .await
            .map_err(|_| self.lost())?;
        let deadline = Instant::now() + ANSWER_WITHIN;
        let kept = self.up_to(&marker, &mark, filters, deadline).await?;
        for filter in filters {
            self.unsubscribe(filter).await?;
        }
        Ok(kept)
    }

    /// What comes under these filters before the newest of our own messages.
    async fn up_to(
        &mut self,
        marker: &str,
        mark: &str,
        filters: &[String],
        deadline: Instant,
    ) -> Result<Vec<Message>, LabError> {
        let (mut kept, mut others) = (Vec::new(), Vec::new());
        loop {
            let message = match self.waiting.pop() {
                Some(message) => message,
                None => match self.arrival(deadline).await? {
                    Some(Arrival::Message(message)) => message,
                    Some(Arrival::Acknowledged(reason)) => {
                        marked(&reason)?;
                        continue;
                    }
                    Some(Arrival::Subscribed(_)) => continue,
                    // What has come so far may lack boards or jobs.
                    None => return Err(cut_off()),
                },
            };
            if message.topic == marker {
                match message.payload == mark.as_bytes() {
                    true => break,
                    false => continue,
                }
            }
            let wanted = |filter: &String| is_under(&message.topic, filter);
            match filters.iter().any(wanted) {
                true => kept.push(message),
                false => others.push(message),
            }
        }
        // Of jobs that are followed; nobody has looked at them yet.
        for message in others {
            self.waiting.push(message)?;
        }
        Ok(kept)
    }

    pub async fn unsubscribe(&mut self, topic: &str) -> Result<(), LabError> {
        self.filters
            .lock()
            .expect("no holder of this lock panics")
            .retain(|filter| filter.path != topic);
        let asked = self.mqtt.unsubscribe(topic).await;
        asked.map_err(|_| self.lost())
    }

    /// Sends a command whose answer nobody waits for; the broker has it when this returns.
    pub async fn send(
        &mut self,
        board: &Board,
        verb: &str,
        body: &serde_json::Value,
    ) -> Result<(), LabError> {
        let published = self
            .mqtt
            .publish(
                board.command(verb),
                QoS::AtLeastOnce,
                false,
                body.to_string(),
            )
            .await;
        published.map_err(|_| self.lost())?;
        let deadline = Instant::now() + ANSWER_WITHIN;
        loop {
            match self.arrival(deadline).await? {
                Some(Arrival::Acknowledged(reason)) => return acknowledged(board, verb, &reason),
                Some(Arrival::Message(message)) => self.waiting.push(message)?,
                Some(Arrival::Subscribed(_)) => {}
                None => {
                    return Err(LabError::Unreachable(
                        "the broker did not confirm that it has the command".to_owned(),
                    ));
                }
            }
        }
    }

    /// The next publication; `None` when none comes before `deadline`.
    pub async fn next(&mut self, deadline: Instant) -> Result<Option<Message>, LabError> {
        if let Some(message) = self.waiting.pop() {
            return Ok(Some(message));
        }
        loop {
            match self.arrival(deadline).await? {
                Some(Arrival::Message(message)) => return Ok(Some(message)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Leaves out what the broker had kept and nobody has looked at yet: records of a job of
    /// another life of the board, where it has forgotten the id.
    pub fn forget_retained(&mut self) {
        self.waiting.forget_retained(|_| true);
    }

    /// The same for some topics.
    pub fn forget_retained_of(&mut self, which: impl Fn(&str) -> bool) {
        self.waiting.forget_retained(which);
    }

    /// Sends a command to `board` and returns its answer.
    ///
    /// Errors: the outer one when no answer came, the inner one when the board refused.
    pub async fn request<T: DeserializeOwned>(
        &mut self,
        board: &Board,
        verb: &str,
        body: &serde_json::Value,
    ) -> Result<Result<T, Refusal>, LabError> {
        let answers = format!("answers/{}/{verb}", self.name);
        self.subscribe(&answers).await?;
        self.requests += 1;
        let correlation = format!("{}-{}", self.name, self.requests).into_bytes();
        let properties = PublishProperties {
            response_topic: Some(answers.clone()),
            correlation_data: Some(correlation.clone().into()),
            content_type: Some("application/json".to_owned()),
            ..PublishProperties::default()
        };
        let payload = body.to_string();
        self.mqtt
            .publish_with_properties(
                board.command(verb),
                QoS::AtLeastOnce,
                false,
                payload,
                properties,
            )
            .await
            .map_err(|_| self.lost())?;

        let deadline = Instant::now() + ANSWER_WITHIN;
        loop {
            match self.arrival(deadline).await? {
                Some(Arrival::Message(message)) => {
                    if message.topic == answers
                        && message.correlation.as_ref() == Some(&correlation)
                    {
                        return read_answer(board, verb, &message.payload);
                    }
                    self.waiting.push(message)?;
                }
                Some(Arrival::Acknowledged(reason)) => acknowledged(board, verb, &reason)?,
                Some(Arrival::Subscribed(_)) => {}
                None => {
                    return Err(LabError::Unreachable(format!(
                        "board {} did not answer {verb} within {} s; is jouled running there, \
                         and may it write answers/#?",
                        board.name(),
                        ANSWER_WITHIN.as_secs()
                    )));
                }
            }
        }
    }

    /// The board that the user named, or the only one that is online.
    pub async fn board(&mut self, target: &Target) -> Result<Board, LabError> {
        if let Some(name) = &target.device {
            return Ok(Board::new(&target.prefix, name));
        }
        let online = self.online(&target.prefix).await?;
        let online: Vec<&str> = online.iter().map(String::as_str).collect();
        match online.as_slice() {
            [only] => Ok(Board::new(&target.prefix, only)),
            [] => Err(LabError::Unreachable(format!(
                "no board is online at {} under {}/; start jouled there, or name the board \
                 with --device",
                target.shown(),
                target.prefix
            ))),
            several => Err(LabError::Usage(format!(
                "several boards are online: {}; name one with --device",
                several.join(", ")
            ))),
        }
    }

    /// Names of the boards whose retained status says online.
    async fn online(&mut self, prefix: &str) -> Result<BTreeSet<String>, LabError> {
        let mut online = BTreeSet::new();
        for message in self.kept(&[format!("{prefix}/+/status")]).await? {
            let mut levels = message.topic.rsplit('/');
            if let (Some("status"), Some(name)) = (levels.next(), levels.next())
                && let Ok(status) = serde_json::from_slice::<Status>(&message.payload)
            {
                // One that changes meanwhile comes twice: what it said last counts.
                match status.state {
                    Presence::Online => online.insert(name.to_owned()),
                    Presence::Offline => online.remove(name),
                };
            }
        }
        Ok(online)
    }

    async fn arrival(&mut self, deadline: Instant) -> Result<Option<Arrival>, LabError> {
        match timeout_at(deadline, self.arrivals.recv()).await {
            Ok(Some(arrival)) => Ok(Some(arrival)),
            Ok(None) => Err(self.lost()),
            Err(_) => Ok(None),
        }
    }

    fn lost(&self) -> LabError {
        LabError::Unreachable("the connection to the broker is closed".to_owned())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Ends the polling task too. If it can't be sent, the broker notices the closed socket.
        let _ = self.mqtt.try_disconnect();
    }
}

pub(super) fn options(name: &str, address: &Address) -> MqttOptions {
    let mut options = MqttOptions::new(name, &address.host, address.port);
    options
        .set_keep_alive(Duration::from_secs(30))
        .set_clean_start(true)
        .set_max_packet_size(Some(LARGEST_PACKET));
    if let Some(tls) = &address.tls {
        let tls = TlsConfiguration::Rustls(tls.clone());
        options.set_transport(Transport::tls_with_config(tls));
    }
    if let Some(user) = &address.user {
        options.set_credentials(user, address.password.clone().unwrap_or_default());
    }
    options
}

/// Polls until the client disconnects or is dropped; connects again after a loss.
async fn poll(
    mut events: EventLoop,
    mqtt: AsyncClient,
    filters: Arc<Mutex<Vec<Filter>>>,
    sender: mpsc::Sender<Arrival>,
) {
    loop {
        let arrival = match events.poll().await {
            Ok(Event::Incoming(Packet::Publish(publish))) => Arrival::Message(message(&publish)),
            Ok(Event::Incoming(Packet::SubAck(ack))) => Arrival::Subscribed(ack.return_codes),
            Ok(Event::Incoming(Packet::PubAck(ack))) => Arrival::Acknowledged(ack.reason),
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                let filters = filters
                    .lock()
                    .expect("no holder of this lock panics")
                    .clone();
                if !filters.is_empty() {
                    // A full request queue already holds newer subscriptions.
                    let _ = mqtt.try_subscribe_many(filters);
                }
                continue;
            }
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
            Ok(_) => continue,
            Err(_) => {
                if sender.is_closed() {
                    return;
                }
                tokio::time::sleep(RECONNECT_AFTER).await;
                continue;
            }
        };
        // Nobody listens once the command is done; the disconnect is still to be sent.
        let _ = sender.send(arrival).await;
    }
}

pub(super) fn message(publish: &Publish) -> Message {
    let correlation = publish
        .properties
        .as_ref()
        .and_then(|properties| properties.correlation_data.as_ref())
        .map(|data| data.to_vec());
    Message {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload.to_vec(),
        correlation,
        retained: publish.retain,
    }
}

pub(super) fn no_answer(address: &Address, within: Duration) -> LabError {
    LabError::Unreachable(format!(
        "the broker at {}:{} did not answer within {} s",
        address.host,
        address.port,
        within.as_secs()
    ))
}

/// Why a connection that was accepted before is gone, or does not come back.
pub(super) fn reason(address: &Address, error: &ConnectionError) -> String {
    let tried = Tried {
        names: &OPTIONS,
        tls: address.tls.is_some(),
        user: address.user.as_deref(),
        accepted: true,
    };
    tried.reason(error)
}

pub(super) fn no_connection(address: &Address, error: &ConnectionError) -> LabError {
    let Address {
        host, port, user, ..
    } = address;
    let tried = Tried {
        names: &OPTIONS,
        tls: address.tls.is_some(),
        user: user.as_deref(),
        accepted: false,
    };
    let reason = tried.reason(error);
    LabError::Unreachable(match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) if user.is_none() => {
            let scheme = if tried.tls { "mqtts" } else { "mqtt" };
            format!(
                "{host}:{port}: {reason}; give {scheme}://USER@{host}:{port} and --password-file"
            )
        }
        // It gave no answer at all, and its reason has no name of its own.
        error if reason == error.to_string() => format!(
            "no broker answers at {host}:{port} ({reason}); name another with --broker or \
             JOULED_BROKER, or try `joulectl demo`, which brings its own"
        ),
        _ => format!("{host}:{port}: {reason}"),
    })
}

/// Whether a filter with `+` for single levels holds a topic.
fn is_under(topic: &str, filter: &str) -> bool {
    let mut levels = topic.split('/');
    let fits = |wanted: &str| {
        levels
            .next()
            .is_some_and(|level| wanted == "+" || wanted == level)
    };
    filter.split('/').all(fits) && levels.next().is_none()
}

/// What became of the message that marks the end of a list.
fn marked(reason: &PubAckReason) -> Result<(), LabError> {
    match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
        refused => Err(LabError::Unreachable(format!(
            "the broker does not let this user write answers/#, by which joulectl knows that a \
             list is whole ({refused:?}); see the access rules of the broker"
        ))),
    }
}

fn cut_off() -> LabError {
    LabError::Unreachable(format!(
        "the broker did not send all that it keeps within {} s, so that the list would not be \
         whole; try again, or over a faster connection",
        ANSWER_WITHIN.as_secs()
    ))
}

fn acknowledged(board: &Board, verb: &str, reason: &PubAckReason) -> Result<(), LabError> {
    match reason {
        PubAckReason::Success => Ok(()),
        PubAckReason::NoMatchingSubscribers => Err(LabError::Unreachable(format!(
            "no board named {} listens on this broker; `mosquitto_sub -V 5 -v -t \
             'jouled/+/status'` lists the boards",
            board.name()
        ))),
        refused => Err(LabError::Unreachable(format!(
            "the broker did not accept {verb} for board {}: {refused:?}; see its access rules",
            board.name()
        ))),
    }
}

fn read_answer<T: DeserializeOwned>(
    board: &Board,
    verb: &str,
    payload: &[u8],
) -> Result<Result<T, Refusal>, LabError> {
    let odd = |why: String| {
        LabError::Failed(format!(
            "board {} gave an answer to {verb} that joulectl does not understand ({why}); \
             are both of the same version?",
            board.name()
        ))
    };
    let value: serde_json::Value =
        serde_json::from_slice(payload).map_err(|error| odd(error.to_string()))?;
    if value["ok"] == true {
        return match serde_json::from_value(value) {
            Ok(body) => Ok(Ok(body)),
            Err(error) => Err(odd(error.to_string())),
        };
    }
    let answer: Answer<serde_json::Value> =
        serde_json::from_value(value).map_err(|error| odd(error.to_string()))?;
    match answer.error {
        Some(refusal) => Ok(Err(refusal)),
        None => Err(odd("neither ok nor an error".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_while_an_answer_is_awaited_has_an_end() {
        let message = Message {
            topic: "jouled/pi5-01/jobs/a/tokens".to_owned(),
            payload: vec![0; 1 << 20],
            correlation: None,
            retained: false,
        };
        let mut waiting = Waiting::default();
        for _ in 0..63 {
            waiting.push(message.clone()).unwrap();
        }
        assert_eq!(waiting.pop(), Some(message.clone()));
        waiting.push(message.clone()).unwrap();
        let error = waiting.push(message).unwrap_err();
        assert!(error.to_string().contains("64 MiB"), "{error}");
    }

    #[test]
    fn a_refused_message_is_not_a_delivered_one() {
        let board = Board::new("jouled", "pi5-01");
        acknowledged(&board, "cancel", &PubAckReason::Success).unwrap();
        for (reason, text) in [
            (PubAckReason::NotAuthorized, "did not accept cancel"),
            (PubAckReason::NoMatchingSubscribers, "no board named pi5-01"),
        ] {
            let error = acknowledged(&board, "cancel", &reason).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    /// A connection over which nothing comes.
    fn silent() -> (Client, mpsc::Sender<Arrival>, EventLoop) {
        let (mqtt, events) = AsyncClient::new(MqttOptions::new("test", "localhost", 1), 64);
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        let client = Client {
            mqtt,
            arrivals,
            waiting: Waiting::default(),
            filters: Arc::default(),
            name: "test".to_owned(),
            requests: 0,
        };
        (client, sender, events)
    }

    #[tokio::test]
    async fn a_list_without_its_end_is_no_list() {
        let (mut client, sender, _events) = silent();
        let message = |topic: &str, payload: &str| Message {
            topic: topic.to_owned(),
            payload: payload.into(),
            correlation: None,
            retained: false,
        };
        let one = message("jouled/a/status", "");
        let filters = ["jouled/+/status".to_owned()];
        let long = Instant::now() + ANSWER_WITHIN;
        for arrival in [one.clone(), message("marker", "0"), message("marker", "1")] {
            sender.send(Arrival::Message(arrival)).await.unwrap();
        }
        let kept = client.up_to("marker", "1", &filters, long).await;
        assert_eq!(kept.unwrap(), std::slice::from_ref(&one));
        sender.send(Arrival::Message(one)).await.unwrap();
        let soon = Instant::now() + Duration::from_millis(1);
        let cut = client.up_to("marker", "2", &filters, soon).await;
        let cut = cut.unwrap_err().to_string();
        assert!(cut.contains("would not be whole"), "{cut}");
        let refused = Arrival::Acknowledged(PubAckReason::NotAuthorized);
        sender.send(refused).await.unwrap();
        let refused = client.up_to("marker", "2", &filters, long).await;
        assert!(refused.unwrap_err().to_string().contains("answers/#"));
    }

    #[test]
    fn a_filter_holds_its_levels_and_no_others() {
        assert!(is_under("jouled/a/status", "jouled/+/status"));
        assert!(is_under("jouled/a/jobs/x/state", "jouled/+/jobs/x/state"));
        for other in [
            "jouled/a/info",
            "jouled/a/status/x",
            "jouled/status",
            "x/a/status",
        ] {
            assert!(!is_under(other, "jouled/+/status"), "{other}");
        }
    }

    #[test]
    fn what_the_broker_kept_can_be_left_out() {
        let message = |retained| Message {
            topic: "jouled/pi5-01/jobs/a/state".to_owned(),
            payload: Vec::new(),
            correlation: None,
            retained,
        };
        let mut waiting = Waiting::default();
        for retained in [true, false, true] {
            waiting.push(message(retained)).unwrap();
        }
        waiting.forget_retained(|topic| topic.ends_with("/result"));
        assert_eq!(waiting.messages.len(), 3);
        waiting.forget_retained(|topic| topic.ends_with("/state"));
        assert_eq!(waiting.pop(), Some(message(false)));
        assert_eq!((waiting.pop(), waiting.bytes), (None, 0));
    }
}
