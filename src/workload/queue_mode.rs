//! What the queue does with jobs that come and with jobs that wait.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Set over `cmd/queue`, kept over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueMode {
    /// Jobs are accepted and run.
    #[default]
    Open,
    /// Jobs are accepted, none is started. One that runs goes on.
    Paused,
    /// New jobs are refused, those that wait run.
    Draining,
}

impl QueueMode {
    pub const ALL: [Self; 3] = [Self::Open, Self::Paused, Self::Draining];

    /// The name on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_name_is_the_store_name() {
        for mode in QueueMode::ALL {
            let wire = serde_json::to_string(&mode).expect("a unit variant serialises");
            assert_eq!(wire, format!("\"{}\"", mode.as_str()));
            assert_eq!(QueueMode::parse(mode.as_str()), Some(mode));
        }
        assert_eq!(QueueMode::parse("closed"), None);
    }
}
