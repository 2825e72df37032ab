//! What the integration tests share: a real broker, clients that talk to it, the daemon.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod authority;
pub mod clients;
pub mod collector;
pub mod contract;
pub mod daemon;
pub mod disk;
pub mod hostile;
pub mod lab;
pub mod meters;
pub mod mosquitto;
pub mod node_red;
pub mod openmetrics;
pub mod power_cut;
pub mod proxy;
pub mod rig;
pub mod scripted;
#[cfg(feature = "lab")]
pub mod smollm2;
pub mod systemd;
#[cfg(feature = "lab")]
pub mod terminal;
pub mod tiny_gguf;
pub mod tiny_t5;
#[cfg(feature = "lab")]
pub mod told;
pub mod tool;
pub mod web;

/// Says that a test cannot be done here, past the test harness, which keeps what is printed by
/// a test that passes to itself.
pub fn skip(why: &str) {
    use std::io::Write;
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED {name}: {why}\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("standard error is open");
}

/// A number by which a test is scaled.
pub fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}
