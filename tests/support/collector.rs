//! A lab that is never shaken off: it comes back by itself when the broker or the way to it
//! goes, with the session that it had.

use super::contract;
use super::lab::Seen;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Filter, Packet, PublishProperties};
use rumqttc::v5::{Client, Event, MqttOptions};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

pub struct Collector {
    client: Client,
    inbox: Receiver<Seen>,
}

impl Collector {
    pub fn start(port: u16, filters: &[&str]) -> Self {
        let name = format!("collector-{}", std::process::id());
        let mut options = MqttOptions::new(name, "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(60));
        options.set_clean_start(false);
        let mut properties = ConnectProperties::new();
        properties.max_packet_size = Some(1024 * 1024);
        properties.session_expiry_interval = Some(86_400);
        options.set_connect_properties(properties);
        let (client, mut connection) = Client::new(options, 1_000);
        let (out, inbox) = channel();
        let subscriber = client.clone();
        let filters: Vec<Filter> = filters
            .iter()
            .map(|filter| Filter::new(*filter, QoS::AtLeastOnce))
            .collect();
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    // A broker that was restarted may have forgotten what was wanted.
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        let _ = subscriber.try_subscribe_many(filters.clone());
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        if out.send(Seen::of(publish)).is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    // The broker is away; without a pause this would spin.
                    Err(_) => std::thread::sleep(Duration::from_millis(50)),
                }
            }
        });
        Self { client, inbox }
    }

    /// Sends a command if it can; whoever needs an answer asks again.
    pub fn ask(&self, topic: &str, payload: &str, response_topic: &str, correlation: &str) {
        let properties = PublishProperties {
            response_topic: Some(response_topic.to_owned()),
            correlation_data: Some(correlation.to_owned().into()),
            ..PublishProperties::default()
        };
        let _ = self.client.try_publish_with_properties(
            topic,
            QoS::AtLeastOnce,
            false,
            payload.to_owned(),
            properties,
        );
    }

    /// What arrives next, if it does within this time.
    pub fn next(&self, within: Duration) -> Option<Seen> {
        let seen = self.inbox.recv_timeout(within).ok()?;
        contract::check(&seen);
        Some(seen)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        contract::check_rest(self.inbox.try_iter());
    }
}
