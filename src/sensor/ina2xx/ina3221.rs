//! The INA3221's registers (TI SBOS576B, section 8.6): three channels that one converter
//! takes in turn, 13 bit in the upper part of 16.

use super::cycles::{CycleChip, Sample};
use super::family::{INA3221, Mode};
use super::{read, write};
use crate::sensor::i2c::TransferError;
use embedded_hal::i2c::I2c;

const CONFIGURATION: u8 = 0x00;
/// Shunt of the first channel; its bus, then the other channels' follow.
const RESULTS: u8 = 0x01;
const MASK_ENABLE: u8 = 0x0f;
const READY: u16 = 1;
const CONTINUOUS: u16 = 0b111;
const LARGEST: i16 = (1 << 12) - 1;

pub struct Ina3221<I2C> {
    i2c: I2C,
    address: u8,
    /// From 0, in order.
    channels: Vec<u8>,
}

impl<I2C> Ina3221<I2C> {
    /// Touches nothing yet.
    pub fn new(i2c: I2C, address: u8, channels: Vec<u8>) -> Ina3221<I2C> {
        Ina3221 {
            i2c,
            address,
            channels,
        }
    }

    fn configuration(&self, mode: Mode) -> u16 {
        let enabled: u16 = self.channels.iter().map(|channel| 0x4000 >> channel).sum();
        enabled | mode.bus_code() << 6 | mode.shunt_code() << 3 | CONTINUOUS
    }
}

impl<I2C> CycleChip for Ina3221<I2C>
where
    I2C: I2c,
    I2C::Error: TransferError,
{
    type Mode = Mode;
    type Error = I2C::Error;
    const POLL_CLEARS: bool = true;

    fn configure(&mut self, mode: Mode) -> Result<(), I2C::Error> {
        let value = self.configuration(mode);
        write(&mut self.i2c, self.address, CONFIGURATION, value)
    }

    fn keeps(&mut self, mode: Mode) -> Result<bool, I2C::Error> {
        let bytes = read(&mut self.i2c, self.address, CONFIGURATION)?;
        Ok(u16::from_be_bytes(bytes) == self.configuration(mode))
    }

    fn poll(&mut self) -> Result<bool, I2C::Error> {
        let bytes = read(&mut self.i2c, self.address, MASK_ENABLE)?;
        Ok(u16::from_be_bytes(bytes) & READY != 0)
    }

    fn results(&mut self, samples: &mut [Sample]) -> Result<(), I2C::Error> {
        for (sample, channel) in samples.iter_mut().zip(&self.channels) {
            let register = RESULTS + 2 * channel;
            let shunt = i16::from_be_bytes(read(&mut self.i2c, self.address, register)?) >> 3;
            let bus = i16::from_be_bytes(read(&mut self.i2c, self.address, register + 1)?) >> 3;
            *sample = Sample {
                drop: INA3221.shunt_step * f64::from(shunt),
                bus: INA3221.bus_step * f64::from(bus),
                saturated: shunt == LARGEST || shunt <= -LARGEST,
            };
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), I2C::Error> {
        Ok(())
    }
}
