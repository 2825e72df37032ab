//! The INA228's registers (TI SLYS021A, section 7.6): 20 bit in the upper part of 24.
//!
//! SHUNT_CAL stays untouched: it serves the chip's own current, power and energy only.

use super::cycles::{CycleChip, Sample};
use super::family::{INA228_FINE, Mode};
use super::{read, write};
use crate::sensor::i2c::TransferError;
use crate::units::Volts;
use embedded_hal::i2c::I2c;

const CONFIG: u8 = 0x00;
const ADC_CONFIG: u8 = 0x01;
const SHUNT: u8 = 0x04;
const BUS: u8 = 0x05;
const DIAGNOSIS: u8 = 0x0b;
const FINE_RANGE: u16 = 1 << 4;
const READY: u16 = 1 << 1;
/// Shunt and bus, without temperature.
const CONTINUOUS: u16 = 0xb << 12;
const LARGEST: i32 = (1 << 19) - 1;

pub struct Ina228<I2C> {
    i2c: I2C,
    address: u8,
    /// By the range that was set last.
    shunt_step: Volts,
}

impl<I2C> Ina228<I2C> {
    /// Touches nothing yet.
    pub fn new(i2c: I2C, address: u8) -> Ina228<I2C> {
        Ina228 {
            i2c,
            address,
            shunt_step: Volts(0.0),
        }
    }
}

fn config(mode: Mode) -> u16 {
    if std::ptr::eq(mode.family, &INA228_FINE) {
        FINE_RANGE
    } else {
        0
    }
}

fn adc_config(mode: Mode) -> u16 {
    CONTINUOUS | mode.bus_code() << 9 | mode.shunt_code() << 6 | mode.average_code()
}

/// Two's complement in bits 23 to 4.
fn signed(bytes: [u8; 3]) -> i32 {
    i32::from_be_bytes([bytes[0], bytes[1], bytes[2], 0]) >> 12
}

impl<I2C> CycleChip for Ina228<I2C>
where
    I2C: I2c,
    I2C::Error: TransferError,
{
    type Mode = Mode;
    type Error = I2C::Error;
    const POLL_CLEARS: bool = true;

    fn configure(&mut self, mode: Mode) -> Result<(), I2C::Error> {
        self.shunt_step = mode.family.shunt_step;
        write(&mut self.i2c, self.address, CONFIG, config(mode))?;
        write(&mut self.i2c, self.address, ADC_CONFIG, adc_config(mode))
    }

    fn keeps(&mut self, mode: Mode) -> Result<bool, I2C::Error> {
        let range = u16::from_be_bytes(read(&mut self.i2c, self.address, CONFIG)?);
        let adc = u16::from_be_bytes(read(&mut self.i2c, self.address, ADC_CONFIG)?);
        Ok(range & FINE_RANGE == config(mode) && adc == adc_config(mode))
    }

    fn poll(&mut self) -> Result<bool, I2C::Error> {
        let bytes = read(&mut self.i2c, self.address, DIAGNOSIS)?;
        Ok(u16::from_be_bytes(bytes) & READY != 0)
    }

    fn results(&mut self, samples: &mut [Sample]) -> Result<(), I2C::Error> {
        let shunt = signed(read(&mut self.i2c, self.address, SHUNT)?);
        let bus = signed(read(&mut self.i2c, self.address, BUS)?);
        for sample in samples {
            *sample = Sample {
                drop: self.shunt_step * f64::from(shunt),
                bus: INA228_FINE.bus_step * f64::from(bus),
                saturated: shunt == LARGEST || shunt == -LARGEST - 1,
            };
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), I2C::Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_bits_have_a_sign() {
        assert_eq!(signed([0x00, 0x00, 0x10]), 1);
        assert_eq!(signed([0xff, 0xff, 0xf0]), -1);
        assert_eq!(signed([0x7f, 0xff, 0xf0]), LARGEST);
        assert_eq!(signed([0x80, 0x00, 0x00]), -LARGEST - 1);
    }
}
