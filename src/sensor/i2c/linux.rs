//! Linux's I2C device files, and what the kernel itself has bound on a bus.

use super::{FaultKind, TransferError, devices};
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use linux_embedded_hal::I2cdev;
use linux_embedded_hal::i2cdev::core::{I2CMessage, I2CTransfer};
use linux_embedded_hal::i2cdev::linux::{LinuxI2CError, LinuxI2CMessage};
use std::io;
use std::path::Path;

/// EIO, for the rare error without a number.
const EIO: i32 = 5;

/// A transfer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    #[error("{}", io::Error::from_raw_os_error(*.0))]
    Errno(i32),
    #[error("{done} of {of} messages")]
    Short { done: u32, of: u32 },
}

impl From<LinuxI2CError> for BusError {
    fn from(error: LinuxI2CError) -> BusError {
        BusError::Errno(io::Error::from(error).raw_os_error().unwrap_or(EIO))
    }
}

impl embedded_hal::i2c::Error for BusError {
    fn kind(&self) -> ErrorKind {
        match self.fault() {
            FaultKind::Vanished => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
            FaultKind::Arbitration => ErrorKind::ArbitrationLoss,
            FaultKind::BusError | FaultKind::ShortTransfer => ErrorKind::Bus,
            _ => ErrorKind::Other,
        }
    }
}

impl TransferError for BusError {
    fn fault(&self) -> FaultKind {
        match self {
            Self::Errno(errno) => FaultKind::of_transfer(*errno),
            Self::Short { .. } => FaultKind::ShortTransfer,
        }
    }
}

/// A device file of one's own for each chip. [`I2cdev`]'s own transactions don't look at
/// how many messages the controller did: a short one would deliver a buffer of zeros.
pub struct LinuxI2c {
    device: I2cdev,
    /// The address that the kernel has granted.
    address: Option<u8>,
}

impl LinuxI2c {
    pub fn open(bus: &str) -> Result<LinuxI2c, BusError> {
        Ok(LinuxI2c {
            device: I2cdev::new(bus)?,
            address: None,
        })
    }
}

impl ErrorType for LinuxI2c {
    type Error = BusError;
}

impl I2c for LinuxI2c {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), BusError> {
        if self.address != Some(address) {
            // The kernel refuses an address that one of its drivers holds.
            self.device.set_slave_address(u16::from(address))?;
            self.address = Some(address);
        }
        let mut messages: Vec<LinuxI2CMessage<'_>> = operations
            .iter_mut()
            .map(|operation| match operation {
                Operation::Write(bytes) => LinuxI2CMessage::write(bytes),
                Operation::Read(bytes) => LinuxI2CMessage::read(bytes),
            })
            .collect();
        let of = messages.len() as u32;
        let done = self.device.transfer(&mut messages)?;
        if done == of {
            Ok(())
        } else {
            Err(BusError::Short { done, of })
        }
    }
}

/// A device that the kernel knows on a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sensor) struct Bound {
    pub driver: String,
    /// The chip's name, such as `ina3221`.
    pub chip: String,
}

/// The kernel driver that holds `address` of `bus`, if one does.
pub fn kernel_driver(bus: &str, address: u8) -> Option<String> {
    bound(devices(), bus, address).map(|bound| bound.driver)
}

/// The same below another `/sys/bus/i2c/devices`, with the chip's name.
pub(in crate::sensor) fn bound(devices: &Path, bus: &str, address: u8) -> Option<Bound> {
    // A udev rule may have given the bus another name.
    let file = std::fs::canonicalize(bus).unwrap_or_else(|_| bus.into());
    let number = file.file_name()?.to_str()?.strip_prefix("i2c-")?;
    let device = devices.join(format!("{number}-{address:04x}"));
    let driver = std::fs::read_link(device.join("driver")).ok()?;
    let chip = std::fs::read_to_string(device.join("name")).unwrap_or_default();
    Some(Bound {
        driver: driver.file_name()?.to_str()?.to_owned(),
        chip: chip.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_kernels_driver_is_named() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("7-0040");
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("name"), "ina3221\n").unwrap();
        assert_eq!(bound(root.path(), "/dev/i2c-7", 0x40), None);
        symlink("../../../bus/i2c/drivers/ina3221", device.join("driver")).unwrap();
        let found = bound(root.path(), "/dev/i2c-7", 0x40).unwrap();
        assert_eq!(
            (found.driver.as_str(), found.chip.as_str()),
            ("ina3221", "ina3221")
        );
        assert_eq!(bound(root.path(), "/dev/i2c-7", 0x41), None);
        assert_eq!(bound(root.path(), "/dev/ttyS0", 0x40), None);
    }

    #[test]
    fn a_missing_bus_is_told() {
        let error = LinuxI2c::open("/dev/i2c-does-not-exist").err().unwrap();
        assert_eq!(error.fault(), FaultKind::NoBus);
    }
}
