//! What surrounded the run: memory, heat, other load, and the daemon itself.

use super::Reasons;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    pub rss_peak_bytes: Option<u64>,
    pub anon_bytes: Option<u64>,
    pub file_bytes: Option<u64>,
    pub swap_bytes: Option<u64>,
    pub kv_bytes: Option<u64>,
    pub compute_bytes: Option<u64>,
    /// Weights, as the engine placed them.
    #[serde(default)]
    pub model_bytes: Option<u64>,
    /// Buffers on accelerators; with `unified` memory they are part of the main memory.
    #[serde(default)]
    pub device_bytes: Option<u64>,
    /// Whether CPU and accelerator share the main memory.
    #[serde(default)]
    pub unified: Option<bool>,
    /// MemAvailable before the worker was spawned, and the lowest seen between repetitions.
    #[serde(default)]
    pub available_before_bytes: Option<u64>,
    #[serde(default)]
    pub available_min_bytes: Option<u64>,
    pub repack_bytes: Option<u64>,
    pub repack_reason: Option<String>,
    pub reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Thermal {
    /// Before the worker was spawned.
    #[serde(default)]
    pub before_c: Option<f64>,
    /// From the loaded model on, as seen between repetitions.
    pub max_c: Option<f64>,
    pub throttled: Option<bool>,
    /// Whether the board said that its supply fell too low.
    #[serde(default)]
    pub under_voltage: Option<bool>,
    pub reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Contention {
    /// Share of the machine's CPU time that neither the worker nor the daemon used.
    pub foreign_cpu: Option<f64>,
    pub steal: Option<f64>,
    /// Share of the time in which some task waited for a CPU; for memory; for a disk.
    pub psi_some: Option<f64>,
    #[serde(default)]
    pub psi_memory_some: Option<f64>,
    #[serde(default)]
    pub psi_io_some: Option<f64>,
    pub contended: Option<bool>,
    pub reasons: Reasons,
}

/// What the daemon itself cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Own {
    /// CPU seconds of the daemon in each phase.
    pub cpu_s: BTreeMap<String, f64>,
    /// Power of sampling: idle at the configured rate less idle at the idle rate.
    pub sampler_power_w: Option<f64>,
    #[serde(default)]
    pub sampler_power_w_u95: Option<f64>,
    pub reasons: Reasons,
}
