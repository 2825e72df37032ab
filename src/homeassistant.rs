//! How the board introduces itself to Home Assistant: one retained message of MQTT device
//! discovery on `PREFIX/device/DEVICE/config`, version of 2024.11 and later.
//!
//! Which device class goes with which unit and state class: Home Assistant's
//! `components/sensor/const.py`; the fields of a component: `components/mqtt`. The Energy
//! dashboard takes sensors of class `energy` that only rise, in Wh; they begin at 0 with each
//! start of the daemon, which `total_increasing` allows for.
//!
//! Values come from the records that are published anyway. A value that is `null` renders as
//! `None`, which Home Assistant shows as unknown.

use crate::mqtt::Topics;
use crate::sensor::RailSpec;
use serde_json::{Map, Value, json};

/// `rails/<rail>` comes every second, but not while an attempt is measured: then a rail's
/// power is unavailable, not what it was before.
const STALE_AFTER_S: u32 = 60;
const MANUFACTURER: &str = "jouled";

/// The board's entities by their key, each with its configuration.
pub type Components = Map<String, Value>;

/// Whom the message introduces.
#[derive(Debug, Clone, Copy)]
pub struct Device<'a> {
    pub name: &'a str,
    /// As the kernel calls the board; else its profile.
    pub model: &'a str,
    pub version: &'a str,
    pub topics: &'a Topics,
}

/// Topic of the message. The shipped broker rules let a board write no other.
pub fn topic(prefix: &str, device: &str) -> String {
    format!("{prefix}/device/{device}/config")
}

impl Device<'_> {
    /// The message. Of `known` components, which it announced before, those that are there no
    /// more are removed, but for those of rails for which `may_return` holds: to remove them would
    /// lose what the user has made of them.
    pub fn message(
        &self,
        rails: &[RailSpec],
        known: &Components,
        may_return: impl Fn(&str) -> bool,
    ) -> Value {
        let mut components = self.components(rails);
        for (key, component) in known {
            if components.contains_key(key) {
                continue;
            }
            let rail = component["json_attributes_topic"].as_str();
            let rail = rail.and_then(|topic| self.topics.rail_of(topic));
            let kept = match rail {
                Some(rail) if may_return(rail) => component.clone(),
                // Only with its platform it is one to remove.
                _ => json!({"platform": component["platform"]}),
            };
            components.insert(key.clone(), kept);
        }
        let simulated = rails.iter().any(|rail| rail.simulated);
        json!({
            "device": {
                "identifiers": [format!("jouled_{}", self.name)],
                "name": marked(self.name, simulated),
                "manufacturer": MANUFACTURER,
                "model": self.model,
                "sw_version": self.version,
            },
            "origin": {"name": "jouled", "sw_version": self.version},
            "components": components,
        })
    }

    fn components(&self, rails: &[RailSpec]) -> Components {
        let mut components = Components::new();
        for rail in rails {
            for (key, component) in self.rail(rail) {
                components.insert(key, component);
            }
        }
        let simulated = rails.iter().any(|rail| rail.simulated);
        for (key, component) in self.board(simulated) {
            components.insert(key, component);
        }
        components
    }

    fn rail(&self, rail: &RailSpec) -> Vec<(String, Value)> {
        let topic = self.topics.rail(&rail.name);
        let gauges = [
            ("power", "W", "power_w", 3),
            ("voltage", "V", "voltage_v", 3),
            ("current", "A", "current_a", 4),
        ];
        let attributes = format!(
            "{{{{ {{'quality': value_json.quality, 'boundary': '{}', 'simulated': {}}} | tojson }}}}",
            rail.boundary,
            // As Jinja spells it.
            if rail.simulated { "true" } else { "false" },
        );
        let sensor = |class: &str, unit: &str, field: &str, precision: u32| {
            json!({
                "platform": "sensor",
                "name": marked(&format!("{} {class}", rail.name), rail.simulated),
                "device_class": class,
                "unit_of_measurement": unit,
                "state_class": "measurement",
                "suggested_display_precision": precision,
                "state_topic": topic,
                "value_template": format!("{{{{ value_json.{field} }}}}"),
                "json_attributes_topic": topic,
                "json_attributes_template": attributes,
            })
        };
        let gauge = |(class, unit, field, precision)| {
            let mut gauge = sensor(class, unit, field, precision);
            gauge["expire_after"] = json!(STALE_AFTER_S);
            (class, gauge)
        };
        let mut energy = sensor("energy", "Wh", "energy_wh", 3);
        energy["state_class"] = json!("total_increasing");
        gauges
            .map(gauge)
            .into_iter()
            .chain([("energy", energy)])
            .map(|(class, component)| self.named(&format!("{}_{class}", rail.name), component))
            .collect()
    }

    fn board(&self, simulated: bool) -> Vec<(String, Value)> {
        let (status, health) = (self.topics.status(), self.topics.health());
        let last_job = |name: &str, unit: &str, field: &str, precision: u32| {
            let value = format!("value_json.last_job.{field} if value_json.last_job else none");
            json!({
                "platform": "sensor",
                "name": marked(name, simulated),
                "unit_of_measurement": unit,
                "state_class": "measurement",
                "suggested_display_precision": precision,
                "state_topic": health,
                "value_template": format!("{{{{ {value} }}}}"),
                "json_attributes_topic": health,
                "json_attributes_template": "{{ (value_json.last_job or {}) | tojson }}",
            })
        };
        let mut connected = json!({
            "platform": "binary_sensor",
            "name": "Board",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": status,
            "value_template": "{{ 'ON' if value_json.state == 'online' else 'OFF' }}",
        });
        connected["unique_id"] = json!(self.unique_id("board"));
        let components = [
            (
                "running",
                json!({
                    "platform": "binary_sensor",
                    "name": "Job runs",
                    "device_class": "running",
                    "state_topic": status,
                    "value_template": "{{ 'ON' if value_json.job_running else 'OFF' }}",
                }),
            ),
            (
                "job",
                json!({
                    "platform": "sensor",
                    "name": "Running job",
                    "state_topic": status,
                    "value_template": "{{ value_json.job_running or 'none' }}",
                }),
            ),
            (
                "queue",
                json!({
                    "platform": "sensor",
                    "name": "Jobs that wait",
                    "unit_of_measurement": "jobs",
                    "state_class": "measurement",
                    "state_topic": status,
                    "value_template": "{{ value_json.jobs_queued }}",
                }),
            ),
            (
                "j_per_output_token",
                last_job(
                    "Last job, energy per token",
                    "J/token",
                    "j_per_output_token",
                    4,
                ),
            ),
            (
                "decode_tok_s",
                last_job("Last job, decode speed", "tok/s", "decode_tok_s", 2),
            ),
        ];
        // Its own availability is what it tells.
        let mut all = vec![("board".to_owned(), connected)];
        all.extend(components.map(|(key, component)| self.named(key, component)));
        all
    }

    /// With what every component has that is unavailable while the board is offline.
    fn named(&self, key: &str, mut component: Value) -> (String, Value) {
        component["unique_id"] = json!(self.unique_id(key));
        component["availability"] = json!([{
            "topic": self.topics.status(),
            "value_template": "{{ value_json.state }}",
            "payload_available": "online",
            "payload_not_available": "offline",
        }]);
        (key.to_owned(), component)
    }

    fn unique_id(&self, key: &str) -> String {
        format!("jouled_{}_{key}", self.name)
    }
}

fn marked(name: &str, simulated: bool) -> String {
    match simulated {
        true => format!("{name} (simulated)"),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::testing::rail;

    fn message(rails: &[&str], known: &Components, returns: &str) -> Value {
        let topics = Topics::new("jouled", "pi5-01");
        let device = Device {
            name: "pi5-01",
            model: "Raspberry Pi 5 Model B Rev 1.0",
            version: "0.1.0",
            topics: &topics,
        };
        let rails: Vec<RailSpec> = rails.iter().map(|name| rail(name)).collect();
        device.message(&rails, known, |rail| rail == returns)
    }

    fn components(message: &Value) -> Components {
        message["components"].as_object().unwrap().clone()
    }

    #[test]
    fn the_message_of_a_board() {
        insta::assert_json_snapshot!(message(&["input"], &Components::new(), ""));
    }

    #[test]
    fn a_rail_that_is_gone_is_removed_and_one_that_may_return_stays() {
        let before = components(&message(&["input", "usb.c"], &Components::new(), ""));
        let gone = components(&message(&["input"], &before, ""));
        assert_eq!(gone["usb.c_power"], json!({"platform": "sensor"}));
        assert_eq!(gone["input_power"], before["input_power"]);
        // It stays one to remove: Home Assistant may have been away.
        let later = components(&message(&["input"], &gone, "usb.c"));
        assert_eq!(later["usb.c_power"], json!({"platform": "sensor"}));
        let broken = components(&message(&["input"], &before, "usb.c"));
        assert_eq!(broken, before);
        let back = components(&message(&["input", "usb.c"], &gone, ""));
        assert_eq!(back, before);
    }

    #[test]
    fn every_entity_has_an_id_of_its_own() {
        let all = components(&message(&["a", "a.power", "board"], &Components::new(), ""));
        let ids: std::collections::BTreeSet<_> = all
            .values()
            .map(|component| component["unique_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), all.len());
        assert_eq!(all.len(), 3 * 4 + 6);
    }
}
