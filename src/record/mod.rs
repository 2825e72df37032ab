//! What goes on the wire and into files, version 1. Field names carry units; a figure that
//! can't be had is `null` and its reason stands beside it.

pub mod answer;
pub mod device;
pub mod job;
pub mod last_job;
pub mod model;
pub mod probe;
pub mod result;

pub use crate::energy::Reason;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of every record.
pub const VERSION: u32 = 1;

/// What every record carries: who made it and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stamp {
    pub v: u32,
    pub device: String,
    /// RFC 3339 in UTC: when the record was made. A replay keeps it.
    pub time: String,
    /// CLOCK_MONOTONIC when the record was made.
    pub mono_ns: u64,
    pub boot_id: String,
    /// Whether the wall clock that made `time` was synchronised.
    pub clock_sync: bool,
}

impl Stamp {
    /// A stamp of this moment on this host.
    pub fn now(device: &str) -> Self {
        Self {
            v: VERSION,
            device: device.to_owned(),
            time: crate::clock::wall_label(),
            mono_ns: crate::clock::now().0,
            boot_id: crate::clock::boot_id(),
            clock_sync: crate::clock::wall_synchronised(),
        }
    }
}

/// A record body with its stamp, flat on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stamped<T> {
    #[serde(flatten)]
    pub stamp: Stamp,
    #[serde(flatten)]
    pub body: T,
}

impl<T: Serialize> Stamped<T> {
    /// The payload of the record.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record has only JSON-able fields")
    }
}
