//! The board around the model: what it is and what is known about its kind, how warm and how
//! fast it is, whether it holds itself back or lacks supply, and what else its CPUs do.

mod absence;
mod clocks;
pub(crate) mod command;
mod contention;
mod detect;
mod evidence;
mod facts;
mod fans;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gauge;
mod memory;
mod moment;
mod power_mode;
mod profile;
mod setting;
mod thermal;
mod watch;

pub use absence::Absence;
pub(crate) use clocks::is_online;
pub use contention::{Contention, CpuTimes};
pub use detect::BoardIdentity;
pub use evidence::{Evidence, Finding};
pub use facts::{Board, Host};
pub use memory::{available_bytes, disk_free_bytes, disk_free_share, own_rss_bytes};
pub use moment::Moment;
pub use power_mode::PowerMode;
pub use profile::{
    OwnSensor, Profile, ProfileError, Profiles, Status, ThermalZones, parse as parse_profile,
};
pub use setting::Setting;
pub use thermal::Zones;
pub use watch::BoardWatch;
