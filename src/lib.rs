//! The energy of every token, on edge boards.
//!
//! Four invariants hold everywhere:
//!
//! 1. **One clock.** Sensor windows and token times are CLOCK_MONOTONIC of this host
//!    ([`units::MonoNs`]). Wall-clock time is a label.
//! 2. **Missing is a value.** What was not measured is `None` with a [`record::Reason`],
//!    never 0.
//! 3. **Energy belongs to a boundary.** Every rail declares what it encloses
//!    ([`record::device::Boundary`]); rails that contain each other are never added.
//! 4. **Measuring must not disturb.** In a measured window nothing on the token path blocks,
//!    and records stay in memory until the attempt has ended.

// Tests in here and in tests/ share canned records, which name this crate.
#[cfg(test)]
extern crate self as jouled;

// First: its macros hold from here on.
#[macro_use]
pub mod print;

pub mod board;
pub mod calibrate;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod data;
pub mod energy;
pub mod homeassistant;
pub mod journal;
#[cfg(feature = "lab")]
pub mod lab;
pub mod measure;
pub mod metrics;
pub mod minute;
pub mod models;
pub mod mqtt;
pub mod power;
pub mod probe;
pub mod pulse;
pub mod quality;
pub mod record;
pub mod runtime;
pub mod sampler;
pub mod sensor;
pub mod store;
mod strict_json;
mod strict_toml;
pub mod units;
pub mod workload;
