//! What the worker did in a phase, as the kernel counted it.

use super::Reasons;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All threads of the worker together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counters {
    /// Page faults that needed the disk.
    pub major_faults: Option<u64>,
    /// Read from the disk.
    pub read_bytes: Option<u64>,
    /// `null` where the kernel or the machine doesn't let the worker count.
    pub hardware: Option<Hardware>,
    pub reasons: Reasons,
}

/// The CPU's own counters, in user space. What a CPU doesn't count is `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hardware {
    pub instructions: Option<u64>,
    pub cycles: Option<u64>,
    /// Instructions per cycle.
    pub ipc: Option<f64>,
    pub cache_references: Option<u64>,
    pub cache_misses: Option<u64>,
    /// Share of the time in which an event was counted, the mean over the events. Below 1
    /// they took turns, and the counts are scaled to the whole time.
    pub counted_share: Option<f64>,
    #[serde(default)]
    pub reasons: Reasons,
}
