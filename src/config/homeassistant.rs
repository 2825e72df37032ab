//! `[homeassistant]`: whether the board introduces itself to Home Assistant.

use super::ConfigError;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HomeAssistantConfig {
    /// Publish the discovery message. What an earlier start has published is removed when this
    /// is false.
    pub discovery: bool,
    /// First level of the discovery topic, as Home Assistant's MQTT integration has it.
    pub prefix: String,
}

impl Default for HomeAssistantConfig {
    fn default() -> Self {
        Self {
            discovery: false,
            prefix: "homeassistant".to_owned(),
        }
    }
}

impl HomeAssistantConfig {
    /// `mqtt_prefix` is the first level of the board's own topics.
    pub fn check(&self, mqtt_prefix: &str) -> Result<(), ConfigError> {
        let wrong = |message: String| {
            Err(ConfigError::Value {
                key: "homeassistant.prefix".to_owned(),
                message,
            })
        };
        let prefix = &self.prefix;
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if prefix.is_empty() || !prefix.chars().all(fits) {
            return wrong(format!(
                "\"{prefix}\" is not one topic level of [A-Za-z0-9_-]"
            ));
        }
        if prefix == mqtt_prefix {
            return wrong(format!(
                "\"{prefix}\" is mqtt.prefix too; Home Assistant would take records for \
                 configurations"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_one_level_and_not_the_records() {
        let check = |prefix: &str| {
            let config = HomeAssistantConfig {
                prefix: prefix.to_owned(),
                ..HomeAssistantConfig::default()
            };
            config.check("jouled")
        };
        assert_eq!(check("homeassistant"), Ok(()));
        for wrong in ["", "a/b", "+", "jouled", "ha#"] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }
}
