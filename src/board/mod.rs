//! The board around the model: what it is and what is known about its kind, how warm it gets,
//! whether it holds itself back, and what else its CPUs do.

mod command;
mod contention;
mod detect;
mod facts;
mod memory;
mod power_mode;
mod profile;
mod thermal;
mod throttle;

pub use contention::{Contention, CpuTimes};
pub use detect::BoardIdentity;
pub use facts::{Board, Host};
pub use memory::{available_bytes, disk_free_bytes, disk_free_share, own_rss_bytes};
pub use profile::{OwnSensor, Profile, ProfileError, Profiles, Status, ThermalZones};
pub use thermal::hottest_c;
pub use throttle::{Evidence, ThrottleWatch, Throttling};
