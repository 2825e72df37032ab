//! The INA219: a high-side current and voltage sensor with a delta-sigma converter.
//!
//! Each cycle converts the shunt voltage, then the bus voltage, and raises a flag. The driver
//! ([`super::ina2xx`]) follows these cycles, reads both registers when the flag stands and computes
//! current and power on the host: the chip's own maths only add truncation, and are lost
//! with its calibration when its supply dips.

mod mode;
mod registers;

#[cfg(test)]
mod tests;

pub use mode::{AdcMode, Mode};
pub use registers::Registers;

use super::config::{SensorConfig, SensorKind, VoltageAt};
use super::i2c::{Fault, LinuxI2c};
use super::ina2xx::{Correction, Driver, Setup, expect};
use super::{OpenError, ReadingKind, Source};
use crate::clock::Monotonic;
use crate::sensor::Boundary;
use ina219::address::Address;

/// The driver of an INA219.
pub type Ina219<I2C, C> = Driver<Registers<I2C>, C>;

/// Opens the chip that `config` describes. `config` has passed its check.
pub fn open(config: &SensorConfig) -> Result<Box<dyn Source>, OpenError> {
    let bus = config.bus.clone().unwrap_or_default();
    let byte = u8::try_from(config.address.unwrap_or_default()).unwrap_or_default();
    let address = Address::from_byte(byte)
        .map_err(|_| OpenError::Device(format!("{bus}: {byte:#04x} is no INA219 address")))?;
    let setup = setup(config, bus.clone(), byte, "ina219", false)?;
    let connect = Box::new(move || {
        let mut i2c = LinuxI2c::open(&bus).map_err(|error| Fault::of(&bus, byte, &error))?;
        expect(&mut i2c, &bus, byte, SensorKind::Ina219)?;
        Ok(Registers::new(i2c, address))
    });
    Ok(Box::new(Driver::open(setup, Monotonic, connect)?))
}

/// The setup of a simulated chip, on a bus of its own, so that each has its own thread.
pub fn simulated_setup(config: &SensorConfig, address: u8) -> Result<Setup<Mode>, OpenError> {
    let bus = format!("simulated:{}", config.name);
    setup(config, bus, address, "simulated", true)
}

/// What `config` says about the chip at `address` of `bus`.
fn setup(
    config: &SensorConfig,
    bus: String,
    address: u8,
    source: &'static str,
    simulated: bool,
) -> Result<Setup<Mode>, OpenError> {
    let mut rail = super::open::rail(
        config,
        &config.name,
        Boundary::Rail,
        source,
        ReadingKind::Window,
    );
    rail.simulated = simulated;
    Ok(Setup {
        name: config.name.clone(),
        rails: vec![rail],
        address,
        bus,
        mode: config.mode()?,
        shunt: config.shunt(),
        shunt_tolerance: config.shunt_tolerance.unwrap_or(0.01),
        voltage_at: config.voltage_at.unwrap_or(VoltageAt::Load),
        correction: Correction::of(config),
    })
}
