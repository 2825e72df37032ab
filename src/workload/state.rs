//! The life cycle of a job and the phases of one attempt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a job stands. `succeeded`, `failed` and `cancelled` are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl JobState {
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The name on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Queued,
            Self::Running,
            Self::Succeeded,
            Self::Failed,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|state| state.as_str() == name)
    }
}

/// A part of an attempt's timeline. `Other` is time that belongs to no named phase.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Worker spawned → context ready.
    Load,
    IdleBefore,
    Warmup,
    /// Request received by the worker, chat template, tokenising.
    Prepare,
    /// `bench` only: filling the KV cache up to `n_depth`.
    Depth,
    Prefill,
    Decode,
    IdleAfter,
    Other,
}

impl Phase {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::IdleBefore => "idle_before",
            Self::Warmup => "warmup",
            Self::Prepare => "prepare",
            Self::Depth => "depth",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::IdleAfter => "idle_after",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_name_is_the_store_name() {
        for state in [
            JobState::Queued,
            JobState::Running,
            JobState::Succeeded,
            JobState::Failed,
            JobState::Cancelled,
        ] {
            let wire = serde_json::to_string(&state).expect("a unit variant serialises");
            assert_eq!(wire, format!("\"{}\"", state.as_str()));
            assert_eq!(JobState::parse(state.as_str()), Some(state));
        }
        assert_eq!(JobState::parse("done"), None);
    }
}
