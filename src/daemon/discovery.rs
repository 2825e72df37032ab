//! Announces the board to Home Assistant, and takes back what was announced before.

use super::Shared;
use crate::homeassistant::{Components, Device, topic};
use crate::mqtt::MqttHandle;
use crate::store::{self, StoreError};
use serde_json::Value;
use std::collections::BTreeMap;

/// Says what holds of the rails now. It may wait for the end of an attempt, since it writes
/// down what it says.
pub fn announce(shared: &Shared, mqtt: &MqttHandle) {
    // Most boards never do, and wait for nobody.
    let known = store::lock(&shared.store).discoveries();
    let said = known.and_then(|known| {
        let nothing = known.is_empty() && !shared.config.homeassistant.discovery;
        match nothing || !shared.queue.wait_until_free() {
            true => Ok(()),
            false => tell(shared, mqtt, known),
        }
    });
    if let Err(error) = said {
        tracing::error!(%error, "the board is not announced to Home Assistant");
    }
}

fn tell(
    shared: &Shared,
    mqtt: &MqttHandle,
    mut known: BTreeMap<String, String>,
) -> Result<(), StoreError> {
    let config = &shared.config.homeassistant;
    let device = &shared.identity.device;
    if config.discovery {
        let topic = topic(&config.prefix, device);
        let before = known.remove(&topic);
        let message = message(shared, mqtt, before.as_deref().unwrap_or_default());
        let components = message["components"].to_string();
        if before.as_ref() != Some(&components) {
            // First, so that nothing is said that could not be taken back.
            store::lock(&shared.store).keep_discovery(&topic, &components)?;
        }
        mqtt.announce(topic, message.to_string().into_bytes());
    }
    for topic in known.into_keys() {
        tracing::info!(
            topic,
            "announced to Home Assistant by an earlier start; taken back"
        );
        mqtt.announce(topic, Vec::new());
    }
    Ok(())
}

fn message(shared: &Shared, mqtt: &MqttHandle, before: &str) -> Value {
    // What this version can't read it has not written.
    let before: Components = serde_json::from_str(before).unwrap_or_default();
    let board = shared.board();
    let device = Device {
        name: &shared.identity.device,
        model: board.model.as_deref().unwrap_or(&board.profile),
        version: env!("CARGO_PKG_VERSION"),
        topics: mqtt.topics(),
    };
    let broken = shared.sensors.broken();
    let may_return = |rail: &str| {
        let mut of = broken
            .iter()
            .map(|sensor| rail.strip_prefix(sensor.name.as_str()));
        of.any(|label| label.is_some_and(|label| label.is_empty() || label.starts_with('.')))
    };
    device.message(&shared.meter.sampler().rails(), &before, may_return)
}
