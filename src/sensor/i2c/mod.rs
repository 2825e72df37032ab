//! What all chips on an I2C bus share: the bus device, and faults as typed states.
//!
//! A transfer that fails says by its errno what is wrong, but each controller has its own
//! habits; [`FaultKind`] is what is left when these are taken away.

mod fault;
mod linux;
mod read_ahead;

pub use fault::{Fault, FaultKind, TransferError};
pub(super) use linux::bound;
pub use linux::{BusError, LinuxI2c, kernel_driver};
pub(super) use read_ahead::ReadAhead;

use std::path::Path;

/// Where the kernel shows its I2C devices.
pub(super) fn devices() -> &'static Path {
    Path::new("/sys/bus/i2c/devices")
}
