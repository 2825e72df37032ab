//! Disks that are full, slow, read-only or lose power, below the real daemon.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

#[path = "disk/cost.rs"]
mod cost;
#[path = "disk/faults.rs"]
mod faults;
#[path = "disk/full.rs"]
mod full;
#[path = "disk/power.rs"]
mod power;
#[path = "disk/slow.rs"]
mod slow;
#[path = "disk/start.rs"]
mod start;
mod support;

use serde_json::{Value, json};

/// The job without idle phases: they would wait until this machine is quiet.
fn restless(mut job: Value) -> Value {
    job["idle"] = json!({"before_s": 0, "after_s": 0});
    job
}

/// How much of a test that can go on for long is done: `full` with DISK_FAULTS=full, as
/// `make disk-faults` sets it.
fn count(small: usize, full: usize) -> usize {
    match std::env::var("DISK_FAULTS").as_deref() {
        Ok("full") => full,
        _ => small,
    }
}
