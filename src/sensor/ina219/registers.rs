//! Which registers the driver touches, through the `ina219` crate, and what a failing I2C
//! transfer means.
//!
//! `next_measurement` of that crate is not used: it clears the ready flag after reading the
//! bus register, so that a conversion that ends in between is lost unseen, and it needs a
//! compound transfer that the Raspberry Pi's controller (i2c-bcm2835) refuses.

use super::Mode;
use crate::sensor::i2c::{ReadAhead, TransferError};
use crate::sensor::ina2xx::{CycleChip, CycleMode, Sample};
use crate::units::Volts;
use embedded_hal::i2c::I2c;
use ina219::SyncIna219;
use ina219::address::Address;
use ina219::calibration::UnCalibrated;
use ina219::errors::{BusVoltageReadError, ConfigurationReadError, ShuntVoltageReadError};

/// Numbers of the registers (SBOS448G, table 2).
const CONFIGURATION: u8 = 0;
const SHUNT: u8 = 1;
const BUS: u8 = 2;
const POWER: u8 = 3;

/// The driver's view of one chip's registers.
pub struct Registers<I2C> {
    chip: SyncIna219<ReadAhead<I2C>, UnCalibrated>,
    ahead: ReadAhead<I2C>,
    address: u8,
    reads_ahead: bool,
    /// Averaging modes leave time to read the configuration back in each cycle.
    averages: bool,
    /// The poll has read the results already.
    seen_ahead: bool,
    /// From the register that showed the flag: both belong to the same conversion.
    bus: Volts,
    full_scale_code: u16,
}

impl<I2C: I2c> Registers<I2C>
where
    I2C::Error: TransferError,
{
    /// Touches nothing yet.
    pub fn new(i2c: I2C, address: Address) -> Registers<I2C> {
        let ahead = ReadAhead::new(i2c);
        Registers {
            chip: SyncIna219::new_unchecked(ahead.clone(), address, UnCalibrated),
            ahead,
            address: address.as_byte(),
            reads_ahead: false,
            averages: false,
            seen_ahead: false,
            bus: Volts(0.0),
            full_scale_code: u16::MAX,
        }
    }

    /// Reads what each cycle needs from register `first` on in one transfer, where that is
    /// allowed and the controller can.
    fn read_ahead(&self, first: u8) -> Result<(), I2C::Error> {
        if !self.reads_ahead {
            return Ok(());
        }
        let all = [BUS, SHUNT, POWER, CONFIGURATION];
        let from = usize::from(first != BUS);
        let end = all.len() - usize::from(!self.averages);
        self.ahead.read(self.address, &all[from..end]).map(drop)
    }

    fn look(&mut self) -> Result<bool, I2C::Error> {
        let register = match self.chip.bus_voltage() {
            Ok(register) => register,
            Err(BusVoltageReadError::I2cError(error)) => return Err(error),
            Err(BusVoltageReadError::BusVoltageOutOfRange { is, .. }) => is,
        };
        self.bus = Volts(f64::from(register.voltage_mv()) * 1e-3);
        Ok(register.is_conversion_ready())
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
        self.ahead.forget();
        self.averages = mode.averages();
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
        self.ahead.forget();
        self.seen_ahead = false;
        self.look()
    }

    fn poll_for_results(&mut self) -> Result<bool, I2C::Error> {
        self.read_ahead(BUS)?;
        self.seen_ahead = true;
        self.look()
    }

    fn allow_read_ahead(&mut self, allowed: bool) {
        self.reads_ahead = allowed;
    }

    fn results(&mut self, samples: &mut [Sample]) -> Result<(), I2C::Error> {
        if !self.seen_ahead {
            self.read_ahead(SHUNT)?;
        }
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
