//! Texas Instruments' current and voltage sensors that convert in cycles: what all of them
//! share (driver, tracker, bus limit, correction, identification), and the INA226, INA228
//! and INA3221.
//!
//! Each is read cycle by cycle when its conversion-ready flag stands; current and power are
//! computed on the host. The INA228's energy accumulator is not used: it counts with the
//! chip's own oscillator, and the windows of consecutive cycles leave no gap either.

mod bus_limit;
mod correction;
mod cycles;
mod driver;
mod family;
mod identify;
mod ina226;
mod ina228;
mod ina3221;
mod tracker;

#[cfg(test)]
mod tests;

pub use correction::Correction;
pub use cycles::{CycleChip, CycleMode, Sample, Transfers};
pub use driver::{Connect, Driver, Setup, Tally};
pub(super) use identify::expect;
pub use identify::{ADDRESSES, Chip, Found, identify, scan_bus};

use super::config::{SensorConfig, SensorKind, VoltageAt};
use super::i2c::{Fault, LinuxI2c};
use super::open::{rail, rail_names};
use super::{Boundary, ConfigError, OpenError, ReadingKind, Source};
use crate::clock::Monotonic;
use crate::units::Volts;
use family::{Family, INA226, INA228_FINE, INA228_WIDE, INA3221, Mode};
use ina226::Ina226;
use ina228::Ina228;
use ina3221::Ina3221;

/// Cycles per second where the configuration doesn't say.
const RATE_HZ: f64 = 200.0;
/// Of an INA3221 with its three channels.
const RATE_OF_THREE_HZ: f64 = 100.0;
/// The range's headroom over `max_current_a`: averaging hides peaks.
const HEADROOM: f64 = 1.5;

pub(super) fn check(config: &SensorConfig) -> Result<(), ConfigError> {
    if config.bus.is_none() {
        return Err(config.missing("bus", "the I2C device, such as \"/dev/i2c-1\""));
    }
    let out_of_range = |key, value: String, allowed| {
        let sensor = config.name.clone();
        Err(ConfigError::Range {
            sensor,
            key,
            value,
            allowed,
        })
    };
    let Some(address) = config.address else {
        return Err(config.missing("address", "the chip's I2C address, 0x40 to 0x4f"));
    };
    if config.shunt_ohm.is_none() {
        return Err(config.missing("shunt_ohm", "the shunt's resistance in ohms"));
    }
    if config.kind == SensorKind::Ina3221 {
        if address > 0x43 {
            let address = format!("{address:#04x}");
            return out_of_range("address", address, "an INA3221 is at 0x40 to 0x43");
        }
        let labels = config.labels.as_deref().unwrap_or_default();
        let used = labels.iter().filter(|label| !label.is_empty()).count();
        if labels.len() > 3 || (used == 0 && config.labels.is_some()) {
            let labels = format!("{labels:?}");
            return out_of_range("labels", labels, "one to three; \"\" leaves a channel out");
        }
        return Ok(());
    }
    let Some(peak_a) = config.max_current_a else {
        return Err(config.missing(
            "max_current_a",
            "the largest current in amperes, which must fit the range",
        ));
    };
    if peak_a * config.shunt().0 > family(config).range.0 * (1.0 + 1e-9) {
        let allowed = match config.kind {
            SensorKind::Ina228 => "max_current_a times shunt_ohm may be at most 0.16384 V",
            _ => "max_current_a times shunt_ohm may be at most 0.08192 V",
        };
        return out_of_range("max_current_a", peak_a.to_string(), allowed);
    }
    Ok(())
}

/// The family, for the INA228 with the smaller range where that has headroom.
fn family(config: &SensorConfig) -> &'static Family {
    match config.kind {
        SensorKind::Ina3221 => &INA3221,
        SensorKind::Ina228 => {
            let peak = Volts(config.max_current_a.unwrap_or(f64::INFINITY) * config.shunt().0);
            if HEADROOM * peak.0 <= INA228_FINE.range.0 {
                &INA228_FINE
            } else {
                &INA228_WIDE
            }
        }
        _ => &INA226,
    }
}

/// The channels that the labels leave in, by number from 0, and what they are called.
fn channels(config: &SensorConfig) -> (Vec<u8>, Vec<String>) {
    if config.kind != SensorKind::Ina3221 {
        return (vec![0], vec![config.name.clone()]);
    }
    let default = ["ch1", "ch2", "ch3"].map(str::to_owned);
    let labels = config.labels.as_deref().unwrap_or(&default);
    (0..)
        .zip(labels)
        .filter(|(_, label)| !label.is_empty())
        .map(|(channel, label)| (channel, label.clone()))
        .unzip()
}

fn setup(config: &SensorConfig, source: &'static str) -> Setup<Mode> {
    let (channels, labels) = channels(config);
    let rails = rail_names(&config.name, &labels)
        .iter()
        .map(|name| rail(config, name, Boundary::Rail, source, ReadingKind::Window))
        .collect();
    let rate_hz = config.rate_hz.unwrap_or(match channels.len() {
        1 => RATE_HZ,
        _ => RATE_OF_THREE_HZ,
    });
    Setup {
        name: config.name.clone(),
        rails,
        bus: config.bus.clone().unwrap_or_default(),
        address: u8::try_from(config.address.unwrap_or_default()).unwrap_or_default(),
        mode: Mode::at_rate(family(config), channels.len(), rate_hz),
        shunt: config.shunt(),
        shunt_tolerance: config.shunt_tolerance.unwrap_or(0.01),
        voltage_at: config.voltage_at.unwrap_or(VoltageAt::Load),
        correction: Correction::of(config),
    }
}

/// Opens the sensor that `config` describes. `config` has passed its check.
pub fn open(config: &SensorConfig) -> Result<Box<dyn Source>, OpenError> {
    let kind = config.kind;
    let setup = setup(config, family(config).name);
    let (bus, address) = (setup.bus.clone(), setup.address);
    let (channels, _) = channels(config);
    let connect = move || {
        let mut i2c = LinuxI2c::open(&bus).map_err(|error| Fault::of(&bus, address, &error))?;
        expect(&mut i2c, &bus, address, kind)?;
        Ok(i2c)
    };
    Ok(match kind {
        SensorKind::Ina228 => {
            let connect = Box::new(move || Ok(Ina228::new(connect()?, address)));
            Box::new(Driver::open(setup, Monotonic, connect)?)
        }
        SensorKind::Ina3221 => {
            let connect = Box::new(move || Ok(Ina3221::new(connect()?, address, channels.clone())));
            Box::new(Driver::open(setup, Monotonic, connect)?)
        }
        _ => {
            let connect = Box::new(move || Ok(Ina226::new(connect()?, address)));
            Box::new(Driver::open(setup, Monotonic, connect)?)
        }
    })
}

/// A register of `N` bytes, the highest first.
fn read<I2C: embedded_hal::i2c::I2c, const N: usize>(
    i2c: &mut I2C,
    address: u8,
    register: u8,
) -> Result<[u8; N], I2C::Error> {
    let mut bytes = [0; N];
    i2c.write_read(address, &[register], &mut bytes)?;
    Ok(bytes)
}

fn write<I2C: embedded_hal::i2c::I2c>(
    i2c: &mut I2C,
    address: u8,
    register: u8,
    value: u16,
) -> Result<(), I2C::Error> {
    let [high, low] = value.to_be_bytes();
    i2c.write(address, &[register, high, low])
}
