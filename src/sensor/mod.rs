//! Power sensors: what a source is, what it yields, and what each rail encloses.
//!
//! A source is opened, then polled from a sampler thread. Whatever its kind, it yields
//! [`Window`]s: stretches of CLOCK_MONOTONIC with the mean power in them. An INA219 cycle is
//! one already; a point source spans the trapezoid between two points; a counter spans the
//! difference between two readings.

mod config;
mod config_error;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod hwmon;
pub mod i2c;
pub mod ina219;
pub mod ina2xx;
mod interned;
mod known;
mod lag;
pub mod modbus;
mod open;
pub mod pmic;
pub mod rapl;
mod reading;
mod schedule;
pub mod simulated;
mod sweep;
mod sysfs;
pub mod tegrastats;
#[cfg(test)]
pub(crate) mod testing;
mod track;
#[cfg(test)]
pub(crate) mod virtual_time;

pub use config::{Calibration, Parity, SensorConfig, SensorKind, VoltageAt};
pub use config_error::ConfigError;
pub use known::{KnownRail, KnownRails, KnownTotal};
pub use lag::{Lag, PLAUSIBLE_LAG_S};
pub use open::{OpenError, open};
pub use reading::{
    Boundary, BoundaryBasis, Delay, ErrorLimits, Pace, PollError, Quality, RailSpec, ReadingKind,
    Sink, Source, Window,
};
