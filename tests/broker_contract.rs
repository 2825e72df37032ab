//! What jouled needs of a broker, asked of each broker that `joulectl demo` may start.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "lab")]

use jouled::lab::broker::{Broker, Choice};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    Filter, LastWill, Packet, PubAckReason, Publish, PublishProperties,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

struct Peer {
    client: AsyncClient,
    events: EventLoop,
}

impl Peer {
    async fn connect(port: u16, name: &str, will: Option<LastWill>) -> Self {
        let mut options = MqttOptions::new(name, "127.0.0.1", port);
        options.set_max_packet_size(Some(1024 * 1024));
        if let Some(will) = will {
            options.set_last_will(will);
        }
        let (client, events) = AsyncClient::new(options, 64);
        let mut peer = Self { client, events };
        peer.until(|packet| matches!(packet, Packet::ConnAck(_)).then_some(()))
            .await;
        peer
    }

    /// Polls until `wanted` picks something from an incoming packet.
    async fn until<T>(&mut self, wanted: impl Fn(&Packet) -> Option<T>) -> T {
        let found = async {
            loop {
                match self.events.poll().await.expect("the connection holds") {
                    Event::Incoming(packet) => {
                        if let Some(found) = wanted(&packet) {
                            return found;
                        }
                    }
                    Event::Outgoing(_) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .expect("the broker sends what the contract needs")
    }

    async fn subscribe(&mut self, filter: Filter) {
        self.client.subscribe_many([filter]).await.unwrap();
        self.until(|packet| matches!(packet, Packet::SubAck(_)).then_some(()))
            .await;
    }

    async fn publish(&mut self, publish: &Publish) -> PubAckReason {
        let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
        let properties = publish.properties.clone().unwrap_or_default();
        self.client
            .publish_with_properties(
                topic,
                QoS::AtLeastOnce,
                publish.retain,
                publish.payload.clone(),
                properties,
            )
            .await
            .unwrap();
        self.until(|packet| match packet {
            Packet::PubAck(ack) => Some(ack.reason),
            _ => None,
        })
        .await
    }

    async fn message(&mut self) -> Publish {
        self.until(|packet| match packet {
            Packet::Publish(publish) => Some(publish.clone()),
            _ => None,
        })
        .await
    }

    /// The retained messages that a new subscription to `topic` brings.
    async fn retained(&mut self, topic: &str) -> Vec<Publish> {
        let marker = "marker";
        self.client
            .subscribe(topic, QoS::AtLeastOnce)
            .await
            .unwrap();
        self.client
            .subscribe(marker, QoS::AtLeastOnce)
            .await
            .unwrap();
        self.client
            .publish(marker, QoS::AtLeastOnce, false, "")
            .await
            .unwrap();
        let mut found = Vec::new();
        loop {
            let message = self.message().await;
            if message.topic == marker {
                self.client.unsubscribe(topic).await.unwrap();
                return found;
            }
            found.push(message);
        }
    }
}

fn plain(topic: &str, payload: &str) -> Publish {
    Publish::new(topic, QoS::AtLeastOnce, payload.as_bytes().to_vec(), None)
}

fn retained(topic: &str, payload: &str) -> Publish {
    Publish {
        retain: true,
        ..plain(topic, payload)
    }
}

fn expiring(publish: Publish, seconds: u32) -> Publish {
    Publish {
        properties: Some(PublishProperties {
            message_expiry_interval: Some(seconds),
            ..PublishProperties::default()
        }),
        ..publish
    }
}

async fn a_late_subscriber_gets_what_is_retained(port: u16) {
    let mut device = Peer::connect(port, "device", None).await;
    device.publish(&retained("a/status", "old")).await;
    device.publish(&retained("a/status", "new")).await;
    let mut lab = Peer::connect(port, "lab", None).await;
    let found = lab.retained("a/+").await;
    assert_eq!(found.len(), 1);
    assert!(found[0].retain);
    assert_eq!(found[0].payload, "new");
    device.publish(&retained("a/status", "")).await;
    let mut later = Peer::connect(port, "later", None).await;
    assert!(
        later.retained("a/+").await.is_empty(),
        "cleared by an empty one"
    );
}

async fn a_lost_device_is_announced_by_its_will(port: u16) {
    let mut lab = Peer::connect(port, "lab", None).await;
    lab.subscribe(Filter::new("b/status", QoS::AtLeastOnce))
        .await;
    let will = LastWill::new("b/status", "offline", QoS::AtLeastOnce, true, None);
    let device = Peer::connect(port, "device", Some(will)).await;
    // Closes the socket without a DISCONNECT.
    drop(device);
    assert_eq!(lab.message().await.payload, "offline");
    let mut late = Peer::connect(port, "late", None).await;
    let found = late.retained("b/status").await;
    assert_eq!(found.len(), 1, "the will is retained");
}

async fn a_retained_command_is_seen_as_such_when_it_arrives_live(port: u16) {
    let mut device = Peer::connect(port, "device", None).await;
    let mut filter = Filter::new("c/cmd/#", QoS::AtLeastOnce);
    filter.preserve_retain = true;
    device.subscribe(filter).await;
    let mut lab = Peer::connect(port, "lab", None).await;
    lab.publish(&retained("c/cmd/submit", "{}")).await;
    assert!(device.message().await.retain, "retain-as-published");
    lab.publish(&plain("c/cmd/cancel", "{}")).await;
    assert!(!device.message().await.retain);

    let mut usual = Peer::connect(port, "usual", None).await;
    usual
        .subscribe(Filter::new("c/live", QoS::AtLeastOnce))
        .await;
    lab.publish(&retained("c/live", "{}")).await;
    assert!(!usual.message().await.retain, "without the option");
}

async fn a_request_keeps_its_response_topic_and_correlation(port: u16) {
    let mut device = Peer::connect(port, "device", None).await;
    device
        .subscribe(Filter::new("d/cmd/#", QoS::AtLeastOnce))
        .await;
    let mut lab = Peer::connect(port, "lab", None).await;
    let mut request = plain("d/cmd/jobs", "{}");
    request.properties = Some(PublishProperties {
        response_topic: Some("answers/lab/jobs".to_owned()),
        correlation_data: Some(vec![0, 255, 7].into()),
        ..PublishProperties::default()
    });
    lab.publish(&request).await;
    let properties = device
        .message()
        .await
        .properties
        .expect("properties arrive");
    assert_eq!(
        properties.response_topic.as_deref(),
        Some("answers/lab/jobs")
    );
    assert_eq!(
        properties.correlation_data.as_deref(),
        Some(&[0, 255, 7][..])
    );
}

async fn qos_1_is_acknowledged_and_delivered_as_such(port: u16) {
    let mut lab = Peer::connect(port, "lab", None).await;
    lab.subscribe(Filter::new("e/#", QoS::AtLeastOnce)).await;
    let mut device = Peer::connect(port, "device", None).await;
    let largest = "x".repeat(128 * 1024);
    let reason = device.publish(&plain("e/tokens", &largest)).await;
    assert_eq!(reason, PubAckReason::Success);
    let message = lab.message().await;
    assert_eq!(message.qos, QoS::AtLeastOnce);
    assert_eq!(message.payload.len(), largest.len());
}

async fn a_burst_arrives_whole_and_in_order(port: u16) {
    let mut lab = Peer::connect(port, "lab", None).await;
    lab.subscribe(Filter::new("f/#", QoS::AtLeastOnce)).await;
    let mut device = Peer::connect(port, "device", None).await;
    let send = async {
        for n in 0..3000 {
            device.publish(&plain("f/tokens", &n.to_string())).await;
        }
    };
    let receive = async {
        for n in 0..3000 {
            assert_eq!(lab.message().await.payload, n.to_string());
        }
    };
    tokio::join!(send, receive);
}

async fn a_retained_message_expires(port: u16) {
    let mut device = Peer::connect(port, "device", None).await;
    device.publish(&expiring(retained("h/short", "1"), 1)).await;
    device
        .publish(&expiring(retained("h/long", "1"), 86_400))
        .await;
    let mut lab = Peer::connect(port, "lab", None).await;
    let gone = async { while !lab.retained("h/short").await.is_empty() {} };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("a message with an expiry of 1 s goes away");
    let found = lab.retained("h/long").await;
    let left = found[0]
        .properties
        .as_ref()
        .unwrap()
        .message_expiry_interval;
    assert!(left.is_some_and(|seconds| seconds <= 86_400), "{left:?}");
}

async fn broker(choice: Choice) -> (Broker, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(choice, dir.path()).await.unwrap();
    (broker, dir)
}

macro_rules! contract {
    ($($point:ident),+ $(,)?) => {
        mod mosquitto {
            use super::*;
            $(#[tokio::test]
            async fn $point() {
                let (broker, _dir) = broker(Choice::Mosquitto).await;
                super::$point(broker.port()).await;
                broker.stop().await;
            })+
        }
        #[cfg(feature = "broker")]
        mod embedded {
            use super::*;
            $(#[tokio::test]
            async fn $point() {
                let (broker, _dir) = broker(Choice::Embedded).await;
                super::$point(broker.port()).await;
                broker.stop().await;
            })+
        }
    };
}

contract!(
    a_late_subscriber_gets_what_is_retained,
    a_lost_device_is_announced_by_its_will,
    a_retained_command_is_seen_as_such_when_it_arrives_live,
    a_request_keeps_its_response_topic_and_correlation,
    qos_1_is_acknowledged_and_delivered_as_such,
    a_burst_arrives_whole_and_in_order,
    a_retained_message_expires,
);

/// MQTT 5 leaves it to the broker whether it tells; mosquitto does, the embedded one does not.
/// The outbox and `joulectl` use it where it comes.
#[tokio::test]
async fn mosquitto_says_that_nobody_hears_a_publish() {
    let (broker, _dir) = broker(Choice::Mosquitto).await;
    let mut device = Peer::connect(broker.port(), "device", None).await;
    let reason = device.publish(&plain("g/jobs/x/tokens", "{}")).await;
    assert_eq!(reason, PubAckReason::NoMatchingSubscribers);
    broker.stop().await;
}
