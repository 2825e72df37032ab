//! Power and energy of the kernel's hwmon chips (and L4T 32's ina3221x tree), found by the
//! chip's name, and by its device where several chips share one.
//!
//! Readings are points, stamped in the middle of the reads that make them up; counters of
//! energy are differences. Units are the hwmon interface's (Documentation/hwmon): mV, mA,
//! µW, µJ. What `in0` and `in1` mean depends on the chip, so only known chips have their
//! power computed; any other must have a power or energy file.

mod chips;
mod discover;
mod method;
mod select;
mod source;
#[cfg(test)]
mod tests;

pub use discover::{Absence, Input, discover};
pub use source::open;
