//! Answers to commands, and events.

use serde::{Deserialize, Serialize};

/// The answer to a command that came with a response topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer<T> {
    pub ok: bool,
    #[serde(flatten)]
    pub body: Option<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
}

impl<T> Answer<T> {
    pub fn ok(body: T) -> Self {
        Self {
            ok: true,
            body: Some(body),
            error: None,
        }
    }

    pub fn refused(refusal: Refusal) -> Self {
        Self {
            ok: false,
            body: None,
            error: Some(refusal),
        }
    }
}

/// Why a command was refused. A refusal changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// `invalid-spec`, `unsupported`, `conflict`, `unknown-model`, `unknown-job`,
    /// `queue-full`, `disk-full`, ...
    pub code: String,
    pub message: String,
    pub field: Option<String>,
}

/// A rejection, a fault or a recovery, on `events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub code: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}
