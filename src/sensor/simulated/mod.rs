//! A sensor for trying things out: a register-level INA219 behind the same driver as the
//! real one. Whatever it touches says `simulated`.

mod chip;
mod cpu_load;
mod waveform;

pub use chip::{Chip, NoAcknowledge, Wiring};
pub use waveform::{Waveform, WaveformError};

use super::config::SensorConfig;
use super::ina219::{Fault, Ina219, setup};
use super::{OpenError, Source};
use crate::clock::Monotonic;
use crate::units::Volts;

impl Fault for NoAcknowledge {
    fn errno(&self) -> Option<i32> {
        None
    }
}

const ADDRESS: u8 = 0x40;

/// Opens a simulated chip on CLOCK_MONOTONIC. `config` has passed its check.
pub fn open(config: &SensorConfig) -> Result<Box<dyn Source>, OpenError> {
    let config = config.clone();
    // A bus of its own, so that each simulated sensor has its own thread.
    let bus = format!("simulated:{}", config.name);
    let setup = setup(&config, bus, ADDRESS, "simulated", true)?;
    let reopen = Box::new(move || {
        let wiring = Wiring {
            address: ADDRESS,
            shunt: config.shunt(),
            bus: Volts(config.bus_v.unwrap_or(5.0)),
            current: config.parsed_waveform()?,
            clock_ratio: 1.0,
        };
        Ok(Chip::new(wiring, Monotonic))
    });
    Ok(Box::new(Ina219::open(setup, Monotonic, reopen)?))
}
