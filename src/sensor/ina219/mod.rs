//! The INA219: a high-side current and voltage sensor with a delta-sigma converter.
//!
//! Each cycle converts the shunt voltage, then the bus voltage, and raises a flag. The driver
//! follows these cycles ([`tracker`]), reads both registers when the flag stands and computes
//! current and power on the host: the chip's own maths only add truncation, and are lost
//! with its calibration when its supply dips.

mod bus;
mod driver;
mod mode;
mod tracker;

#[cfg(test)]
mod tests;

pub use bus::Fault;
pub use driver::{Ina219, Setup, Tally};
pub use mode::{AdcMode, Mode};

use super::config::{SensorConfig, VoltageAt};
use super::{OpenError, ReadingKind, Source};
use crate::clock::Monotonic;
use crate::sensor::Boundary;
use ina219::address::Address;

/// Opens the chip that `config` describes. `config` has passed its check.
pub fn open(config: &SensorConfig) -> Result<Box<dyn Source>, OpenError> {
    let bus = config.bus.clone().unwrap_or_default();
    let byte = u8::try_from(config.address.unwrap_or_default()).unwrap_or_default();
    let setup = setup(config, bus.clone(), byte, "ina219", false)?;
    let reopen = Box::new(move || bus::open_linux(&bus, byte));
    Ok(Box::new(Ina219::open(setup, Monotonic, reopen)?))
}

/// What `config` says about the chip at `address` of `bus`.
pub(super) fn setup(
    config: &SensorConfig,
    bus: String,
    address: u8,
    source: &'static str,
    simulated: bool,
) -> Result<Setup, OpenError> {
    let mut rail = super::open::rail(
        config,
        &config.name,
        Boundary::Rail,
        source,
        ReadingKind::Window,
    );
    rail.simulated = simulated;
    Ok(Setup {
        rail,
        address: Address::from_byte(address).map_err(|_| {
            OpenError::Device(format!("{bus}: {address:#04x} is no INA219 address"))
        })?,
        bus,
        mode: config.mode()?,
        shunt: config.shunt(),
        shunt_tolerance: config.shunt_tolerance.unwrap_or(0.01),
        voltage_at: config.voltage_at.unwrap_or(VoltageAt::Load),
    })
}
