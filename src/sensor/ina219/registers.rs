//! Which registers the driver touches, through the `ina219` crate, and what a failing I2C
//! transfer means.
//!
//! `next_measurement` of that crate is not used: it clears the ready flag after reading the
//! bus register, so that a conversion that ends in between is lost unseen, and it needs a
//! compound transfer that the Raspberry Pi's controller (i2c-bcm2835) refuses.

use super::Mode;
use crate::sensor::i2c::TransferError;
use crate::sensor::ina2xx::{CycleChip, Sample};
use crate::units::Volts;
use embedded_hal::i2c::I2c;
use ina219::SyncIna219;
use ina219::address::Address;
use ina219::calibration::UnCalibrated;
use ina219::errors::{BusVoltageReadError, ConfigurationReadError, ShuntVoltageReadError};

/// The driver's view of one chip's registers.
pub struct Registers<I2C> {
    chip: SyncIna219<I2C, UnCalibrated>,
    /// From the register that showed the flag: both belong to the same conversion.
    bus: Volts,
    full_scale_code: u16,
}

impl<I2C: I2c> Registers<I2C> {
    /// Touches nothing yet.
    pub fn new(i2c: I2C, address: Address) -> Registers<I2C> {
        Registers {
            chip: SyncIna219::new_unchecked(i2c, address, UnCalibrated),
            bus: Volts(0.0),
            full_scale_code: u16::MAX,
        }
    }
}

impl<I2C> CycleChip for Registers<I2C>
where
    I2C: I2c,
    I2C::Error: TransferError,
{
    type Mode = Mode;
    type Error = I2C::Error;
    const POLL_CLEARS: bool = false;

    fn configure(&mut self, mode: Mode) -> Result<(), I2C::Error> {
        self.full_scale_code = mode.full_scale_code();
        self.chip.set_configuration(mode.configuration())
    }

    fn keeps(&mut self, mode: Mode) -> Result<bool, I2C::Error> {
        let read = match self.chip.configuration() {
            Ok(configuration) => configuration,
            Err(ConfigurationReadError::I2cError(error)) => return Err(error),
            Err(ConfigurationReadError::ConfigurationMismatch { read, .. }) => read,
        };
        Ok(read == mode.configuration())
    }

    fn poll(&mut self) -> Result<bool, I2C::Error> {
        let register = match self.chip.bus_voltage() {
            Ok(register) => register,
            Err(BusVoltageReadError::I2cError(error)) => return Err(error),
            Err(BusVoltageReadError::BusVoltageOutOfRange { is, .. }) => is,
        };
        self.bus = Volts(f64::from(register.voltage_mv()) * 1e-3);
        Ok(register.is_conversion_ready())
    }

    fn results(&mut self, samples: &mut [Sample]) -> Result<(), I2C::Error> {
        // Steps of 10 µV in every range.
        let code = match self.chip.shunt_voltage() {
            Ok(voltage) => voltage.shunt_voltage_10uv(),
            Err(ShuntVoltageReadError::I2cError(error)) => return Err(error),
            Err(ShuntVoltageReadError::ShuntVoltageOutOfRange { is, .. }) => {
                is.shunt_voltage_10uv()
            }
        };
        for sample in samples {
            *sample = Sample {
                drop: Volts(f64::from(code) * 10e-6),
                bus: self.bus,
                saturated: code.unsigned_abs() >= self.full_scale_code,
            };
        }
        Ok(())
    }

    /// The power register is read only for its side effect.
    fn clear(&mut self) -> Result<(), I2C::Error> {
        self.chip.power_raw().map(drop)
    }
}
