//! Which registers the driver touches, through the `ina219` crate, and what a failing I2C
//! transfer means.
//!
//! `next_measurement` of that crate is not used: it clears the ready flag after reading the
//! bus register, so that a conversion that ends in between is lost unseen, and it needs a
//! compound transfer that the Raspberry Pi's controller (i2c-bcm2835) refuses.

use super::Mode;
use crate::sensor::OpenError;
use embedded_hal::i2c::I2c;
use ina219::SyncIna219;
use ina219::address::Address;
use ina219::calibration::UnCalibrated;
use ina219::configuration::Configuration;
use ina219::errors::{BusVoltageReadError, ConfigurationReadError, ShuntVoltageReadError};
use linux_embedded_hal::I2CError;
use linux_embedded_hal::i2cdev::linux::LinuxI2CError;
use std::fmt::Display;

/// An I2C error that can say what to do about it.
pub trait Fault: embedded_hal::i2c::Error + Display {
    /// The errno behind it, where the bus is a Linux device.
    fn errno(&self) -> Option<i32>;
}

impl Fault for I2CError {
    fn errno(&self) -> Option<i32> {
        match self.inner() {
            LinuxI2CError::Errno(errno) => Some(*errno),
            LinuxI2CError::Io(error) => error.raw_os_error(),
        }
    }
}

/// The driver's view of one chip's registers.
pub struct Registers<I2C> {
    chip: SyncIna219<I2C, UnCalibrated>,
}

/// The bus register: voltage and flag belong to the same conversion.
#[derive(Debug, Clone, Copy)]
pub struct BusReading {
    pub millivolts: u16,
    pub ready: bool,
}

impl<I2C: I2c> Registers<I2C> {
    /// Touches nothing yet.
    pub fn new(i2c: I2C, address: Address) -> Registers<I2C> {
        Registers {
            chip: SyncIna219::new_unchecked(i2c, address, UnCalibrated),
        }
    }

    /// Sets the mode, which restarts the conversions and clears the ready flag.
    pub fn configure(&mut self, mode: Mode) -> Result<(), I2C::Error> {
        self.chip.set_configuration(mode.configuration())
    }

    pub fn configuration(&mut self) -> Result<Configuration, I2C::Error> {
        match self.chip.configuration() {
            Ok(configuration) => Ok(configuration),
            Err(ConfigurationReadError::I2cError(error)) => Err(error),
            Err(ConfigurationReadError::ConfigurationMismatch { read, .. }) => Ok(read),
        }
    }

    pub fn bus(&mut self) -> Result<BusReading, I2C::Error> {
        let register = match self.chip.bus_voltage() {
            Ok(register) => register,
            Err(BusVoltageReadError::I2cError(error)) => return Err(error),
            Err(BusVoltageReadError::BusVoltageOutOfRange { is, .. }) => is,
        };
        Ok(BusReading {
            millivolts: register.voltage_mv(),
            ready: register.is_conversion_ready(),
        })
    }

    /// The shunt voltage in steps of 10 µV.
    pub fn shunt(&mut self) -> Result<i16, I2C::Error> {
        match self.chip.shunt_voltage() {
            Ok(voltage) => Ok(voltage.shunt_voltage_10uv()),
            Err(ShuntVoltageReadError::I2cError(error)) => Err(error),
            Err(ShuntVoltageReadError::ShuntVoltageOutOfRange { is, .. }) => {
                Ok(is.shunt_voltage_10uv())
            }
        }
    }

    /// Reads the power register only for its side effect.
    pub fn clear_ready(&mut self) -> Result<(), I2C::Error> {
        self.chip.power_raw().map(drop)
    }
}

/// errno values of Linux's I2C drivers: Documentation/i2c/fault-codes.rst and the drivers'
/// own habits (bcm2835, Tegra and DesignWare report a missing acknowledge as EREMOTEIO).
mod errno {
    pub const ENOENT: i32 = 2;
    pub const EIO: i32 = 5;
    pub const ENXIO: i32 = 6;
    pub const EACCES: i32 = 13;
    pub const EBUSY: i32 = 16;
    pub const ENODEV: i32 = 19;
    pub const EOPNOTSUPP: i32 = 95;
    pub const ETIMEDOUT: i32 = 110;
    pub const EREMOTEIO: i32 = 121;
}

/// A sentence about an I2C error for the person at the board.
pub fn explain(bus: &str, address: u8, errno: Option<i32>, error: &dyn Display) -> String {
    let advice = match errno {
        Some(errno::ENOENT | errno::ENODEV) => {
            return format!(
                "{bus}: no such I2C bus ({error}); list the buses with `ls /dev/i2c-*`, enable I2C \
                 in the board's configuration, or load the module i2c-dev"
            );
        }
        Some(errno::EACCES) => {
            return format!(
                "{bus}: permission denied; add the user that runs jouled to the group that owns \
                 the device (usually `i2c`)"
            );
        }
        Some(errno::EBUSY) => {
            "is held by a kernel driver (ina2xx or ina3221); use kind = \"hwmon\", or unbind it"
        }
        Some(errno::EREMOTEIO | errno::ENXIO | errno::EIO) => {
            "does not answer; check the wiring, the supply and the address (`i2cdetect -y BUS`)"
        }
        Some(errno::ETIMEDOUT) => {
            "timed out: something holds the bus; check the pull-ups and the other devices on it"
        }
        Some(errno::EOPNOTSUPP) => "cannot be read by this I2C adapter",
        _ => "failed",
    };
    format!("{bus}: address {address:#04x} {advice} ({error})")
}

/// Opens one device for one sensor: two that share one would reopen it at each access.
pub fn open_linux(bus: &str, address: u8) -> Result<linux_embedded_hal::I2cdev, OpenError> {
    linux_embedded_hal::I2cdev::new(bus).map_err(|error| {
        let errno = match &error {
            LinuxI2CError::Errno(errno) => Some(*errno),
            LinuxI2CError::Io(error) => error.raw_os_error(),
        };
        OpenError::Device(explain(bus, address, errno, &error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_do() {
        let text = |errno| explain("/dev/i2c-1", 0x44, Some(errno), &"os error");
        assert!(text(errno::EBUSY).contains("0x44 is held by a kernel driver"));
        assert!(text(errno::EBUSY).contains("kind = \"hwmon\""));
        assert!(text(errno::EACCES).contains("group"));
        assert!(text(errno::EREMOTEIO).contains("does not answer"));
    }

    #[test]
    fn a_missing_bus_is_told() {
        let error = open_linux("/dev/i2c-does-not-exist", 0x40).err().unwrap();
        assert!(error.to_string().contains("ls /dev/i2c-*"), "{error}");
    }
}
