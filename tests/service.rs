//! The daemon as a service of systemd: its unit, what it tells its service manager, and the
//! configuration that is installed with it.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

#[path = "service/configuration.rs"]
mod configuration;
#[path = "service/readiness.rs"]
mod readiness;
#[path = "service/unit.rs"]
mod unit;
#[path = "service/watchdog.rs"]
mod watchdog;
