//! Records about the board: `status`, `info`, `health` and `rails/<rail>`.

use super::last_job::LastJob;
use super::result::Reasons;
pub use crate::power::protocol::Offer;
pub use crate::sensor::{Boundary, BoundaryBasis, Quality};
use crate::workload::{Limits, QueueMode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `status`: whether the board is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    pub state: Presence,
    pub version: String,
    pub machine_id: String,
    /// RFC 3339: when this state began. In the last will, when the connection was made.
    pub since: String,
    pub jobs_queued: Option<u32>,
    pub job_running: Option<String>,
    /// What the queue does with jobs.
    #[serde(default)]
    pub queue: Option<QueueMode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    Online,
    Offline,
}

/// `info`: what the board is and can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Info {
    pub group: Option<String>,
    pub version: String,
    pub board: super::result::Board,
    pub primary_rail: Option<String>,
    pub rails: Vec<RailInfo>,
    pub sensors: Vec<SensorInfo>,
    pub models: Vec<ModelInfo>,
    /// Files that `perplexity` and `choice` jobs may name.
    #[serde(default)]
    pub data: Vec<DataInfo>,
    /// Further ones, which the message has no room for.
    #[serde(default)]
    pub data_left_out: u64,
    pub limits: Limits,
    pub runtimes: Vec<String>,
    /// What confines the worker, by name, and whether it is in force.
    pub sandbox: BTreeMap<String, bool>,
    /// The job fields that this daemon understands.
    pub features: Vec<String>,
    /// What jobs may set of the board: power modes, governors, caps of the CPUs' clocks.
    #[serde(default)]
    pub power: Option<Offer>,
    /// Why it is `null`.
    #[serde(default)]
    pub power_reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RailInfo {
    pub name: String,
    pub boundary: Boundary,
    pub boundary_basis: BoundaryBasis,
    pub contained_in: Option<String>,
    pub source: String,
    pub simulated: bool,
    /// Smallest step of power at the rail's present voltage.
    pub resolution_w: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SensorInfo {
    pub name: String,
    pub kind: String,
    pub state: SensorState,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SensorState {
    Ok,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelInfo {
    pub name: String,
    /// This and the next two are `null` when the file is no usable GGUF or is not hashed yet;
    /// `reason` says which.
    pub size_bytes: Option<u64>,
    pub sha256: Option<String>,
    pub arch: Option<String>,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DataInfo {
    pub name: String,
    pub size_bytes: u64,
}

/// `rails/<rail>`, at most once a second: flat numbers, as most consumers want them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RailRecord {
    pub rail: String,
    pub simulated: bool,
    pub power_w: Option<f64>,
    pub voltage_v: Option<f64>,
    pub current_a: Option<f64>,
    /// Energy since the daemon started.
    pub energy_wh: Option<f64>,
    pub quality: Quality,
}

/// `health`, every 10 s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    pub sensors: BTreeMap<String, SensorHealth>,
    /// Jobs that wait.
    pub queue: u32,
    #[serde(default)]
    pub queue_mode: QueueMode,
    pub outbox: OutboxHealth,
    pub rss_bytes: Option<u64>,
    pub disk_free_bytes: Option<u64>,
    /// Commands refused as `rate-limited` since the start.
    #[serde(default)]
    pub rate_limited: u64,
    /// Events that were left out since the start, there being too many of their code.
    #[serde(default)]
    pub events_left_out: u64,
    /// Damaged stores that were set aside and are still there.
    #[serde(default)]
    pub damaged_stores: u32,
    /// The last one that succeeded since the daemon started.
    #[serde(default)]
    pub last_job: Option<Box<LastJob>>,
    /// The hottest thermal zone that counts; `null` while an attempt runs, which looks itself.
    #[serde(default)]
    pub temperature_c: Option<f64>,
    #[serde(default)]
    pub reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SensorHealth {
    pub rate_hz: Option<f64>,
    pub missed_deadlines: u64,
    /// Windows that a full buffer dropped.
    pub dropped: u64,
    pub errors: u64,
    pub state: SensorState,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutboxHealth {
    pub pending: u64,
    pub oldest_s: Option<f64>,
    /// Records that no broker will take (oversize, not authorised, bad topic).
    pub parked: u64,
    /// Records that no broker took until they were too old to be kept, since the daemon
    /// started.
    pub expired: u64,
    /// QoS 0 records that were left out because the connection was busy or down.
    pub dropped: u64,
}
