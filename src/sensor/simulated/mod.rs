//! A sensor for trying things out: a register-level INA219 behind the same driver as the
//! real one. Whatever it touches says `simulated`.

mod chip;
mod cpu_load;
mod waveform;
mod wire;

pub use chip::{Chip, NoAcknowledge, Unit, Wiring};
pub use waveform::{Charge, Waveform, WaveformError};
use wire::Wire;

use super::config::SensorConfig;
use super::i2c::{FaultKind, TransferError};
use super::ina219::{Ina219, Registers, simulated_setup};
use super::{OpenError, Source};
use crate::clock::Monotonic;
use crate::units::Volts;
use ina219::address::Address;

impl TransferError for NoAcknowledge {
    fn fault(&self) -> FaultKind {
        FaultKind::Vanished
    }
}

/// Opens a simulated chip on CLOCK_MONOTONIC. `config` has passed its check.
pub fn open(config: &SensorConfig) -> Result<Box<dyn Source>, OpenError> {
    let address = Address::default();
    let config = config.clone();
    let setup = simulated_setup(&config, address.as_byte())?;
    config.parsed_waveform()?;
    let connect = Box::new(move || {
        let wiring = Wiring {
            address: address.as_byte(),
            shunt: config.shunt(),
            bus: Volts(config.bus_v.unwrap_or(5.0)),
            current: config
                .parsed_waveform()
                .expect("it was parsed before the chip was made"),
            unit: Unit::default(),
        };
        let wire = Wire::new(Chip::new(wiring, Monotonic), config.bus_hz.unwrap_or(0));
        Ok(Registers::new(wire, address))
    });
    Ok(Box::new(Ina219::open(setup, Monotonic, connect)?))
}
