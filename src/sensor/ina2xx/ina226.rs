//! The INA226's registers (TI SBOS547B, section 7.6): 16 bit, 2.5 µV and 1.25 mV a step.

use super::cycles::{CycleChip, Sample};
use super::family::{INA226, Mode};
use super::{read, write};
use crate::sensor::i2c::TransferError;
use embedded_hal::i2c::I2c;

const CONFIGURATION: u8 = 0x00;
const SHUNT: u8 = 0x01;
const BUS: u8 = 0x02;
const MASK_ENABLE: u8 = 0x06;
const READY: u16 = 1 << 3;
/// Bits 14 to 12 read 100.
const RESERVED: u16 = 0x4000;
const CONTINUOUS: u16 = 0b111;

pub struct Ina226<I2C> {
    i2c: I2C,
    address: u8,
}

impl<I2C> Ina226<I2C> {
    /// Touches nothing yet.
    pub fn new(i2c: I2C, address: u8) -> Ina226<I2C> {
        Ina226 { i2c, address }
    }
}

fn configuration(mode: Mode) -> u16 {
    RESERVED | mode.average_code() << 9 | mode.bus_code() << 6 | mode.shunt_code() << 3 | CONTINUOUS
}

impl<I2C> CycleChip for Ina226<I2C>
where
    I2C: I2c,
    I2C::Error: TransferError,
{
    type Mode = Mode;
    type Error = I2C::Error;
    const POLL_CLEARS: bool = true;

    fn configure(&mut self, mode: Mode) -> Result<(), I2C::Error> {
        write(
            &mut self.i2c,
            self.address,
            CONFIGURATION,
            configuration(mode),
        )
    }

    fn keeps(&mut self, mode: Mode) -> Result<bool, I2C::Error> {
        let bytes = read(&mut self.i2c, self.address, CONFIGURATION)?;
        Ok(u16::from_be_bytes(bytes) == configuration(mode))
    }

    fn poll(&mut self) -> Result<bool, I2C::Error> {
        let bytes = read(&mut self.i2c, self.address, MASK_ENABLE)?;
        Ok(u16::from_be_bytes(bytes) & READY != 0)
    }

    fn results(&mut self, samples: &mut [Sample]) -> Result<(), I2C::Error> {
        let shunt = i16::from_be_bytes(read(&mut self.i2c, self.address, SHUNT)?);
        let bus = u16::from_be_bytes(read(&mut self.i2c, self.address, BUS)?);
        for sample in samples {
            *sample = Sample {
                drop: INA226.shunt_step * f64::from(shunt),
                bus: INA226.bus_step * f64::from(bus & 0x7fff),
                saturated: shunt == i16::MAX || shunt == i16::MIN,
            };
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), I2C::Error> {
        Ok(())
    }
}
