//! The shipped broker files: what boards, the lab, those who look on and strangers may do with
//! them, and that a board can do all its work.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "lab")]

mod support;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, ConnectReturnCode, Packet, PubAckReason};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{TlsConfiguration, Transport};
use std::cell::Cell;
use std::path::Path;
use std::time::Duration;
use support::authority::{ALWAYS, Authority, HOST, Identity};
use support::daemon::{DEVICE, Daemon, STEADY, eventually};
use support::mosquitto::{Mosquitto, free_port, set_password};

const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "a password";
const ALLOWED: [PubAckReason; 2] = [PubAckReason::Success, PubAckReason::NoMatchingSubscribers];

/// The shipped files with a test's certificates, on free ports.
struct Shipped {
    authority: Authority,
    broker: Mosquitto,
    /// The listener for those with a password; the broker's own port asks for a certificate.
    password_port: u16,
}

impl Shipped {
    fn start() -> Self {
        let authority = Authority::new();
        authority.server(HOST, ALWAYS);
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/mosquitto");
        let shipped = std::fs::read_to_string(files.join("jouled.conf")).unwrap();
        let dir = authority.path().display().to_string();
        let users = authority.path().join("jouled.passwd");
        for user in ["lab", "reader", "pi5-03"] {
            set_password(&users, user, PASSWORD);
        }
        std::fs::copy(
            files.join("jouled.acl"),
            authority.path().join("jouled.acl"),
        )
        .unwrap();
        let password_port = Cell::new(0);
        let broker = Mosquitto::with_file(|port| {
            password_port.set(free_port());
            let text = shipped
                .replace("listener 8883", &format!("listener {port} {HOST}"))
                .replace(
                    "listener 8884",
                    &format!("listener {} {HOST}", password_port.get()),
                )
                .replace("/etc/mosquitto/certs", &dir)
                .replace("/etc/mosquitto", &dir)
                // The test's broker has a place of its own.
                .replace("persistence_location /var/lib/mosquitto/", "");
            assert!(!text.contains("/etc/") && !text.contains("/var/"), "{text}");
            // What is denied is said in its log.
            text + "log_type all\n"
        });
        Self {
            authority,
            broker,
            password_port: password_port.get(),
        }
    }

    /// A daemon with a certificate, not started.
    fn board(&self) -> Daemon {
        let Identity { cert, key } = self.authority.client(DEVICE);
        let daemon = Daemon::prepare(&self.broker, STEADY);
        daemon.configure(
            "10.toml",
            &format!(
                "[mqtt]\nurl = \"mqtts://{HOST}:{}\"\nca_file = {:?}\ncert_file = {cert:?}\n\
                 key_file = {key:?}\n",
                self.broker.port,
                self.authority.ca()
            ),
        );
        daemon
    }

    /// Connects with a certificate whose common name is `user`.
    async fn with_certificate(&self, user: &str) -> Peer {
        let identity = self.authority.client(user);
        let options = self.options(self.broker.port, user, Some(&identity));
        Peer::connect(options).await.expect(user)
    }

    async fn with_password(&self, user: &str) -> Peer {
        let mut options = self.options(self.password_port, user, None);
        options.set_credentials(user, PASSWORD);
        Peer::connect(options).await.expect(user)
    }

    fn options(&self, port: u16, client: &str, identity: Option<&Identity>) -> MqttOptions {
        let files = jouled::mqtt::tls::TlsFiles {
            ca: Some(self.authority.ca()),
            cert: identity.map(|identity| identity.cert.clone()),
            key: identity.map(|identity| identity.key.clone()),
        };
        let tls = files.client_config(&jouled::mqtt::tls::KEYS).unwrap();
        let mut options = MqttOptions::new(client, HOST, port);
        let tls = TlsConfiguration::Rustls(tls);
        options.set_transport(Transport::tls_with_config(tls));
        options
    }
}

struct Peer {
    client: AsyncClient,
    events: EventLoop,
    /// Topics of what arrived, in order.
    heard: Vec<String>,
}

impl Peer {
    async fn connect(options: MqttOptions) -> Result<Self, ConnectionError> {
        let (client, mut events) = AsyncClient::new(options, 64);
        while !matches!(events.poll().await?, Event::Incoming(Packet::ConnAck(_))) {}
        Ok(Self {
            client,
            events,
            heard: Vec::new(),
        })
    }

    /// Polls until `wanted` picks something from an incoming packet.
    async fn until<T>(&mut self, wanted: impl Fn(&Packet) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.poll().await.expect("the connection holds");
                let Event::Incoming(packet) = event else {
                    continue;
                };
                if let Packet::Publish(publish) = &packet {
                    let topic = String::from_utf8_lossy(&publish.topic);
                    self.heard.push(topic.into_owned());
                }
                if let Some(found) = wanted(&packet) {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.expect("the broker answers")
    }

    async fn subscribe(&mut self, topics: &[&str]) {
        for topic in topics {
            self.client
                .subscribe(*topic, QoS::AtLeastOnce)
                .await
                .unwrap();
            self.until(|packet| matches!(packet, Packet::SubAck(_)).then_some(()))
                .await;
        }
    }

    async fn publish(&mut self, topic: &str) -> PubAckReason {
        self.client
            .publish(topic, QoS::AtLeastOnce, false, "{}")
            .await
            .unwrap();
        self.until(|packet| match packet {
            Packet::PubAck(ack) => Some(ack.reason),
            _ => None,
        })
        .await
    }

    async fn may_write(&mut self, topics: &[&str]) {
        for topic in topics {
            let reason = self.publish(topic).await;
            assert!(ALLOWED.contains(&reason), "{topic}: {reason:?}");
        }
    }

    async fn may_not_write(&mut self, topics: &[&str]) {
        for topic in topics {
            let reason = self.publish(topic).await;
            assert_eq!(reason, PubAckReason::NotAuthorized, "{topic}");
        }
    }

    /// Topics of what arrived, once `last` has.
    async fn hears_until(&mut self, last: &str) -> Vec<String> {
        if !self.heard.iter().any(|topic| topic == last) {
            self.until(|packet| match packet {
                Packet::Publish(publish) => (publish.topic == last).then_some(()),
                _ => None,
            })
            .await;
        }
        std::mem::take(&mut self.heard)
    }
}

#[tokio::test]
async fn a_board_writes_its_records_and_nothing_of_another() {
    let shipped = Shipped::start();
    let boards = [
        shipped.with_certificate("pi5-01").await,
        shipped.with_password("pi5-03").await,
    ];
    for (mut board, own) in boards.into_iter().zip(["pi5-01", "pi5-03"]) {
        let topic = |rest: &str| format!("jouled/{own}/{rest}");
        for rest in [
            "status",
            "info",
            "health",
            "events",
            "rails/input.vdd_in",
            "jobs/a/state",
            "jobs/a/result",
            "models/m.gguf/state",
        ] {
            board.may_write(&[&topic(rest)]).await;
        }
        let discovery = format!("homeassistant/device/{own}/config");
        board
            .may_write(&[&discovery, "answers/joulectl-1/submit"])
            .await;
        board.may_not_write(&[&topic("cmd/submit")]).await;
        board
            .may_not_write(&[
                "jouled/pi5-02/cmd/submit",
                "jouled/pi5-02/status",
                "jouled/pi5-02/jobs/a/result",
                "jouled/pi5-02/models/m.gguf/state",
                "jouled/pi5-02/events",
                "homeassistant/device/pi5-02/config",
                "elsewhere",
            ])
            .await;
    }
}

#[tokio::test]
async fn a_board_reads_its_commands_and_its_status_and_nothing_of_another() {
    let shipped = Shipped::start();
    let mut board = shipped.with_certificate("pi5-01").await;
    board
        .subscribe(&["jouled/+/cmd/+", "jouled/+/status", "answers/#"])
        .await;
    let mut lab = shipped.with_password("lab").await;
    let mut other = shipped.with_certificate("pi5-02").await;
    lab.may_write(&["jouled/pi5-02/cmd/submit", "answers/joulectl-1/x"])
        .await;
    other.may_write(&["jouled/pi5-02/status"]).await;
    board.may_write(&["jouled/pi5-01/status"]).await;
    lab.may_write(&["jouled/pi5-01/cmd/submit"]).await;
    assert_eq!(
        board.hears_until("jouled/pi5-01/cmd/submit").await,
        ["jouled/pi5-01/status", "jouled/pi5-01/cmd/submit"]
    );
}

#[tokio::test]
async fn the_lab_submits_and_who_looks_on_does_not() {
    let shipped = Shipped::start();
    let mut lab = shipped.with_certificate("lab").await;
    let mut reader = shipped.with_password("reader").await;
    let mut board = shipped.with_certificate("pi5-01").await;
    lab.subscribe(&["jouled/#", "answers/#"]).await;
    reader.subscribe(&["jouled/#", "answers/#"]).await;
    let commands = ["jouled/pi5-01/cmd/submit", "jouled/pi5-01/cmd/cancel"];
    lab.may_write(&commands).await;
    lab.may_not_write(&["jouled/pi5-01/status", "jouled/pi5-01/jobs/a/result"])
        .await;
    reader.may_not_write(&commands).await;
    reader.may_not_write(&["jouled/pi5-01/jobs/a/result"]).await;
    let records = ["answers/joulectl-1/submit", "jouled/pi5-01/jobs/a/result"];
    board.may_write(&records).await;
    let heard = lab.hears_until(records[1]).await;
    assert!(heard.iter().any(|topic| topic == records[0]), "{heard:?}");
    // Neither the answer nor the commands, which hold the prompts.
    assert_eq!(reader.hears_until(records[1]).await, [records[1]]);
}

/// The patterns for boards hold for people too, but for what they are denied.
#[tokio::test]
async fn a_person_is_no_board_and_who_looks_on_says_nothing() {
    let shipped = Shipped::start();
    let mut reader = shipped.with_password("reader").await;
    let mut lab = shipped.with_certificate("lab").await;
    for (person, name) in [(&mut reader, "reader"), (&mut lab, "lab")] {
        for rest in [
            "status",
            "info",
            "health",
            "events",
            "rails/a",
            "jobs/a/result",
            "models/m.gguf/state",
        ] {
            let topic = format!("jouled/{name}/{rest}");
            person.may_not_write(&[&topic]).await;
        }
        let discovery = format!("homeassistant/device/{name}/config");
        person.may_not_write(&[&discovery]).await;
    }
    reader
        .may_not_write(&["answers/joulectl-1/submit", "jouled/reader/cmd/submit"])
        .await;
}

#[tokio::test]
async fn who_looks_on_hears_all_records() {
    let shipped = Shipped::start();
    let mut reader = shipped.with_password("reader").await;
    let mut board = shipped.with_certificate("pi5-01").await;
    reader.subscribe(&["jouled/#"]).await;
    let topics = [
        "jouled/pi5-01/status",
        "jouled/pi5-01/info",
        "jouled/pi5-01/health",
        "jouled/pi5-01/events",
        "jouled/pi5-01/rails/input.vdd_in",
        "jouled/pi5-01/jobs/a/state",
        "jouled/pi5-01/models/m.gguf/state",
        "jouled/pi5-01/jobs/a/result",
    ];
    board.may_write(&topics).await;
    assert_eq!(reader.hears_until(topics[7]).await, topics);
}

#[tokio::test]
async fn a_stranger_gets_nothing() {
    let shipped = Shipped::start();
    let refused = |outcome: Result<Peer, ConnectionError>| match outcome {
        Err(ConnectionError::ConnectionRefused(code)) => code,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    };
    let nobody = shipped.options(shipped.password_port, "nobody", None);
    assert_eq!(
        refused(Peer::connect(nobody.clone()).await),
        ConnectReturnCode::NotAuthorized
    );
    let mut guess = nobody;
    guess.set_credentials("lab", "another password");
    assert_eq!(
        refused(Peer::connect(guess).await),
        ConnectReturnCode::NotAuthorized
    );
    // Without a certificate, and with one of another authority that says it is the lab.
    let foreign = Authority::new();
    for identity in [None, Some(foreign.client("lab"))] {
        let options = shipped.options(shipped.broker.port, "nobody", identity.as_ref());
        let outcome = Peer::connect(options).await;
        assert!(matches!(outcome, Err(ConnectionError::MqttState(_))));
    }
    // A certificate beats the name that its owner claims.
    let identity = shipped.authority.client("pi5-01");
    let mut options = shipped.options(shipped.broker.port, "pi5-01", Some(&identity));
    options.set_credentials("lab", PASSWORD);
    let mut board = Peer::connect(options).await.expect("it is a board");
    board.may_not_write(&["jouled/pi5-02/cmd/submit"]).await;
}

/// With the defaults of mosquitto 1,000 of them would be left.
#[tokio::test]
async fn a_collector_that_was_away_misses_nothing() {
    const RECORDS: usize = 2_000;
    let shipped = Shipped::start();
    let collector = || {
        let mut options = shipped.options(shipped.password_port, "collector", None);
        let properties = ConnectProperties {
            session_expiry_interval: Some(3_600),
            ..ConnectProperties::new()
        };
        options
            .set_credentials("reader", PASSWORD)
            .set_clean_start(false)
            .set_connect_properties(properties);
        options
    };
    let mut present = Peer::connect(collector()).await.unwrap();
    present.subscribe(&["jouled/+/jobs/#"]).await;
    drop(present);
    let mut board = shipped.with_certificate("pi5-01").await;
    let topics: Vec<String> = (0..RECORDS)
        .map(|number| format!("jouled/pi5-01/jobs/{number}/tokens"))
        .collect();
    for topic in &topics {
        board.may_write(&[topic]).await;
    }
    let mut back = Peer::connect(collector()).await.unwrap();
    assert_eq!(back.hears_until(topics.last().unwrap()).await, topics);
}

#[tokio::test]
async fn a_board_notices_within_the_rules_that_its_name_is_taken() {
    let shipped = Shipped::start();
    let mut other = shipped.with_certificate(DEVICE).await;
    let status = r#"{"state":"online","machine_id":"another"}"#;
    let topic = format!("jouled/{DEVICE}/status");
    other
        .client
        .publish(topic, QoS::AtLeastOnce, true, status)
        .await
        .unwrap();
    other
        .until(|packet| matches!(packet, Packet::PubAck(_)).then_some(()))
        .await;
    let mut daemon = shipped.board();
    daemon.spawn();
    assert!(!daemon.wait().success());
    let log = daemon.log();
    assert!(log.contains("machine id another"), "{log}");
}

#[test]
#[cfg(feature = "llama")]
fn a_board_does_all_its_work_within_the_rules() {
    use support::rig::MODEL;
    use support::tiny_gguf::{self, Damage};
    use support::tool::joulectl_with;
    let shipped = Shipped::start();
    let ca = shipped.authority.ca();
    let mut daemon = shipped.board();
    tiny_gguf::write(&daemon.models().join(MODEL), Damage::None).unwrap();
    daemon.spawn();
    let connected = || daemon.log().contains(" connected broker=");
    assert!(eventually(connected), "it connects");

    let password = shipped.authority.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let joulectl = |user: &str, line: &str| {
        let url = format!("mqtts://{user}@{HOST}:{}", shipped.password_port);
        let variables = [
            ("JOULED_BROKER", url.as_str()),
            ("JOULED_PASSWORD_FILE", password.to_str().unwrap()),
            ("JOULED_CA_FILE", ca.to_str().unwrap()),
        ];
        joulectl_with(&variables, &line.split(' ').collect::<Vec<_>>())
    };
    // It finds the board by itself, and the answer finds it.
    let done = joulectl(
        "lab",
        &format!(
            "submit --id a -m {MODEL} -p Why? -n 8 --ignore-eos -t 1 --trace \
             --idle-before 0.2 --idle-after 0.2 --wait --json"
        ),
    );
    assert!(done.status.success(), "{done:?}");
    let result: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(result["state"], "succeeded");
    let refused = joulectl("reader", &format!("jobs --device {DEVICE}"));
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let log = daemon.log();
    for trouble in ["parked", "not allowed", "refuse", "WARN jouled::mqtt::pump"] {
        assert!(!log.contains(trouble), "{log}");
    }
    for kind in ["info", "rails/input", "jobs/a/trace", "jobs/a/result"] {
        let topic = format!("jouled/{DEVICE}/{kind}");
        let arrived = || shipped.broker.log().contains(&topic);
        assert!(eventually(arrived), "no {kind}");
    }
    let log = shipped.broker.log();
    let denied = format!("Denied PUBLISH from jouled-{DEVICE}");
    assert_eq!(log.lines().find(|line| line.contains(&denied)), None);
}
