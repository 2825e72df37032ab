//! Answers to commands, and events.

use crate::workload::{JobState, QueueMode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to a command that came with a response topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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

/// Where a job stands: the answer to `submit` and `cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    pub id: String,
    pub state: JobState,
    /// Attempts begun so far.
    pub attempt: u32,
}

/// The answer to `replay`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replayed {
    #[serde(flatten)]
    pub place: Place,
    /// Records that are sent again.
    pub records: u64,
}

/// The answer to `queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    pub mode: QueueMode,
    pub queued: u32,
    /// The job that runs.
    pub running: Option<String>,
}

/// The answer to `jobs`: the queue, then the jobs that ended last; or the one job asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listing {
    pub queue: QueueMode,
    pub jobs: Vec<ListedJob>,
    /// Jobs that did not fit into one message.
    pub left_out: u64,
    /// The newest job's `arrival`, where all jobs were asked for: 0 where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedJob {
    pub id: String,
    /// Attempts begun so far.
    pub attempt: u32,
    pub rev: u64,
    pub state: JobState,
    pub reason: Option<String>,
    pub priority: i32,
    pub submitted_unix_s: i64,
    /// Rises with each job that the board accepts. Only where all jobs were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival: Option<u64>,
    /// Only of a job that was asked for by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Vec<ListedAttempt>>,
}

/// One execution of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedAttempt {
    pub attempt: u32,
    /// `running`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// `lost` and `interrupted` of attempts that left no records.
    pub reason: Option<String>,
    pub begun_unix_s: i64,
    pub ended_unix_s: Option<i64>,
}

/// Why a command was refused. A refusal changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// `invalid-spec`, `unsupported`, `conflict`, `unknown-model`, `wrong-model`, `unknown-job`,
    /// `queue-full`, `disk-full`, ...
    pub code: String,
    pub message: String,
    pub field: Option<String>,
}

/// A rejection, a fault or a recovery, on `events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    pub code: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}
