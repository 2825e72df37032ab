//! Topic names of one device.

use crate::store::RecordKind;
use crate::workload::{JobId, ModelName};

/// The topics of one device, all under `<prefix>/<device>/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    prefix: String,
    base: String,
    /// First level of Home Assistant's discovery, where it is not the usual one.
    discovery: Option<String>,
}

/// Why an answer must not go to a response topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenTopic {
    #[error("the response topic is empty")]
    Empty,
    #[error("the response topic is longer than {LONGEST} bytes")]
    TooLong,
    #[error("the response topic has a wildcard or a control character")]
    Wildcard,
    #[error("response topics must not begin with $")]
    System,
    #[error("the response topic is under a prefix that devices write records to")]
    Reserved,
}

const LONGEST: usize = 256;

impl Topics {
    pub fn new(prefix: &str, device: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            base: format!("{prefix}/{device}"),
            discovery: None,
        }
    }

    /// The same, with another first level that discovery messages are read from.
    pub fn with_discovery(self, prefix: &str) -> Self {
        Self {
            discovery: Some(prefix.to_owned()),
            ..self
        }
    }

    pub fn status(&self) -> String {
        format!("{}/status", self.base)
    }

    pub fn info(&self) -> String {
        format!("{}/info", self.base)
    }

    pub fn health(&self) -> String {
        format!("{}/health", self.base)
    }

    pub fn events(&self) -> String {
        format!("{}/events", self.base)
    }

    pub fn rail(&self, rail: &str) -> String {
        format!("{}/rails/{rail}", self.base)
    }

    /// The rail whose records have this topic.
    pub fn rail_of<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic.strip_prefix(&self.base)?.strip_prefix("/rails/")
    }

    pub fn job(&self, id: &JobId, kind: RecordKind) -> String {
        format!("{}/jobs/{id}/{}", self.base, kind.as_str())
    }

    pub fn model(&self, name: &ModelName) -> String {
        format!("{}/models/{name}/state", self.base)
    }

    /// What to subscribe to for every command.
    pub fn commands(&self) -> String {
        format!("{}/cmd/+", self.base)
    }

    /// The command's name, if `topic` is a command of this device.
    pub fn command<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let name = topic.strip_prefix(&self.base)?.strip_prefix("/cmd/")?;
        (!name.is_empty() && !name.contains('/')).then_some(name)
    }

    /// Whether an answer may go to `topic`. A command must not make a device write where
    /// records, other devices' commands or another system's configuration are read from.
    pub fn check_response(&self, topic: &str) -> Result<(), ForbiddenTopic> {
        if topic.is_empty() {
            return Err(ForbiddenTopic::Empty);
        }
        if topic.len() > LONGEST {
            return Err(ForbiddenTopic::TooLong);
        }
        if topic
            .chars()
            .any(|c| c == '+' || c == '#' || c.is_control())
        {
            return Err(ForbiddenTopic::Wildcard);
        }
        if topic.starts_with('$') {
            return Err(ForbiddenTopic::System);
        }
        let first = topic.split('/').next().unwrap_or_default();
        let discovery = self.discovery.as_deref();
        if first == self.prefix || first == "homeassistant" || discovery == Some(first) {
            return Err(ForbiddenTopic::Reserved);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn topics() -> Topics {
        Topics::new("jouled", "pi5-01")
    }

    #[test]
    fn commands_are_this_devices_only() {
        let topics = topics();
        assert_eq!(topics.command("jouled/pi5-01/cmd/submit"), Some("submit"));
        for other in [
            "jouled/pi5-01/cmd/",
            "jouled/pi5-01/cmd/a/b",
            "jouled/pi5-011/cmd/submit",
            "jouled/pi5-02/cmd/submit",
            "jouled/pi5-01/status",
        ] {
            assert_eq!(topics.command(other), None, "{other}");
        }
    }

    #[test]
    fn answers_stay_away_from_records_and_discovery() {
        let topics = topics();
        assert_eq!(topics.check_response("answers/lab-1/7"), Ok(()));
        assert_eq!(topics.check_response("jouledx/1"), Ok(()));
        use ForbiddenTopic::*;
        for (topic, error) in [
            ("", Empty),
            ("jouled/pi5-01/status", Reserved),
            ("jouled/other/cmd/submit", Reserved),
            ("jouled", Reserved),
            ("homeassistant/device/x/config", Reserved),
            ("answers/+", Wildcard),
            ("answers/#", Wildcard),
            ("answers/\0", Wildcard),
            ("$SYS/x", System),
        ] {
            assert_eq!(topics.check_response(topic), Err(error), "{topic}");
        }
        assert_eq!(topics.check_response(&"x".repeat(257)), Err(TooLong));
        assert_eq!(topics.check_response("ha/device/x/config"), Ok(()));
        let topics = topics.with_discovery("ha");
        for topic in ["ha/device/x/config", "homeassistant/device/x/config"] {
            assert_eq!(topics.check_response(topic), Err(Reserved), "{topic}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_topic_is_outside_the_reserved_trees(
            topic in "(jouled|homeassistant|answers|\\$share|/)?[a-z/+#$]{0,20}"
        ) {
            if topics().check_response(&topic).is_ok() {
                prop_assert!(!topic.starts_with("jouled/"));
                prop_assert!(!topic.starts_with("homeassistant/"));
                prop_assert!(!topic.starts_with('$') && !topic.contains(['+', '#']));
            }
        }
    }
}
