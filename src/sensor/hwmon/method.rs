//! How the power of a channel comes out of the driver's files.

use crate::sensor::ReadingKind;
use crate::sensor::sweep::Sample;
use crate::sensor::sysfs::{NumberFile, ReadError, middle};
use crate::units::{Amps, Volts, Watts};
use std::path::{Path, PathBuf};

/// The files of one channel, as paths or open.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Method<File> {
    /// Power as the driver tells it, and what belongs to it where that is known. Voltages
    /// are in mV, currents in mA.
    Power {
        power: File,
        counts_per_watt: f64,
        voltage: Option<File>,
        current: Option<File>,
    },
    /// Power is voltage times current. Both are read one after the other, so they belong to
    /// different conversions.
    Product { voltage: File, current: File },
    /// Cumulative energy in µJ.
    Energy(File),
}

impl Method<PathBuf> {
    /// The file that a message names.
    pub fn path(&self) -> &Path {
        match self {
            Self::Power { power, .. } => power,
            Self::Product { current, .. } => current,
            Self::Energy(energy) => energy,
        }
    }

    pub fn kind(&self) -> ReadingKind {
        match self {
            Self::Energy(_) => ReadingKind::Counter,
            Self::Power { .. } | Self::Product { .. } => ReadingKind::Point,
        }
    }

    /// Whether the host does the multiplication.
    pub fn computed(&self) -> bool {
        matches!(self, Self::Product { .. })
    }

    /// Nothing is opened before the first reading.
    pub fn open(self) -> Method<NumberFile> {
        match self {
            Self::Power {
                power,
                counts_per_watt,
                voltage,
                current,
            } => Method::Power {
                power: NumberFile::new(power),
                counts_per_watt,
                voltage: voltage.map(NumberFile::new),
                current: current.map(NumberFile::new),
            },
            Self::Product { voltage, current } => Method::Product {
                voltage: NumberFile::new(voltage),
                current: NumberFile::new(current),
            },
            Self::Energy(energy) => Method::Energy(NumberFile::new(energy)),
        }
    }
}

impl Method<NumberFile> {
    /// The time is the middle of the reads that make up the power: each may wait for a
    /// conversion. Voltage and current beside a power file may be absent, the power not.
    pub fn read(&mut self) -> Result<Sample, ReadError> {
        match self {
            Self::Power {
                power,
                counts_per_watt,
                voltage,
                current,
            } => {
                let reading = power.read()?;
                let milli = |file: &mut Option<NumberFile>| {
                    let reading = file.as_mut()?.read().ok()?;
                    Some(reading.value as f64 / 1e3)
                };
                Ok(Sample::Point {
                    at: reading.at(),
                    power: Watts(reading.value as f64 / *counts_per_watt),
                    voltage: milli(voltage).map(Volts),
                    current: milli(current).map(Amps),
                })
            }
            Self::Product { voltage, current } => {
                let volts = voltage.read()?;
                let amps = current.read()?;
                let voltage = Volts(volts.value as f64 / 1e3);
                let current = Amps(amps.value as f64 / 1e3);
                Ok(Sample::Point {
                    at: middle(volts.t0, amps.t1),
                    power: voltage * current,
                    voltage: Some(voltage),
                    current: Some(current),
                })
            }
            Self::Energy(energy) => {
                let reading = energy.read()?;
                Ok(Sample::Counter {
                    at: reading.at(),
                    microjoules: reading.value,
                })
            }
        }
    }
}
