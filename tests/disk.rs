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
use support::disk::Disk;
use support::rig::{Rig, topic};

/// The job without idle phases: they would wait until this machine is quiet.
fn restless(mut job: Value) -> Value {
    job["idle"] = json!({"before_s": 0, "after_s": 0});
    job
}

/// Waits for the next message of a topic that the board sends by itself.
fn next(rig: &mut Rig, name: &str) {
    let (name, now) = (topic(name), jouled::clock::now());
    rig.lab
        .wait(&name, |seen| seen.topic == name && seen.at > now);
}

/// Waits until the board has nothing more to write.
fn at_rest(rig: &mut Rig, disk: &Disk) {
    let mut calls = None;
    while calls != Some(disk.calls()) {
        calls = Some(disk.calls());
        // A second passes between them.
        next(rig, "rails/input");
        next(rig, "rails/input");
    }
}

/// How much of a test that can go on for long is done: `full` with DISK_FAULTS=full, as
/// `make disk-faults` sets it.
fn count(small: usize, full: usize) -> usize {
    match std::env::var("DISK_FAULTS").as_deref() {
        Ok("full") => full,
        _ => small,
    }
}
