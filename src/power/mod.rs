//! Power modes, governors and frequency caps for the length of a job.
//!
//! The daemon has no right to set them. `jouled-power`, a small program that runs as root where
//! the administrator enables it, sets them for one connection at a time and puts back what was in
//! force before when that connection ends, whatever ended it (docs/power-modes.md).
//!
//! ```text
//! daemon ── Lease ──▶ Unix socket ──▶ Server ──▶ Control ──▶ cpufreq (sysfs), nvpmodel
//!                                                  │
//!                                                  ▼
//!                                                Kept: what was in force, on the disk
//! ```
//!
//! [`protocol`] is all that crosses the socket, a closed set; [`client`] is the daemon's side,
//! everything else the program's.

pub mod client;
mod control;
mod cpufreq;
mod heat;
mod kept;
mod listening;
mod nvpmodel;
mod policy;
pub mod protocol;
mod server;
mod settle;
#[cfg(test)]
mod testing;

pub use control::Control;
pub use cpufreq::Cpufreq;
pub use kept::Kept;
pub use listening::Listening;
pub use nvpmodel::{Nvpmodel, modes_in};
pub use server::{Server, uid_of};
