//! Opens the configured sensors, and again those that could not be opened: an adapter may be
//! plugged in later, a device node may get its group only after the start.

use super::Shared;
use crate::clock;
use crate::config::Config;
use crate::sensor::{self, KnownRails, SensorConfig, Source};
use crate::units::{MonoNs, Span};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// From one try to the next.
const TRY_EVERY: Span = Span::from_millis(10_000);

/// A sensor that can't be opened.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokenSensor {
    pub name: String,
    pub reason: String,
}

/// What is known of the sensors besides what the sampler reads.
pub struct Sensors(Mutex<Known>);

struct Known {
    broken: Vec<BrokenSensor>,
    /// What the sensors that work say about how they can be read here.
    warnings: Vec<String>,
    tried: MonoNs,
}

/// Opens every configured sensor; one that fails does not keep the others from measuring.
pub fn open(config: &Config, known: &KnownRails) -> (Vec<Box<dyn Source>>, Sensors) {
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    let mut sensors = Known {
        broken: Vec::new(),
        warnings: Vec::new(),
        tried: clock::now(),
    };
    for sensor in &config.sensor {
        let rails = sources.iter().flat_map(|source| source.rails());
        let names: Vec<String> = rails.map(|rail| rail.name.clone()).collect();
        match open_one(sensor, known, &names) {
            Ok(source) => {
                sensors.warn_of(source.as_ref());
                sources.push(source);
            }
            Err(reason) => {
                tracing::error!("sensor \"{}\": {reason}", sensor.name);
                let name = sensor.name.clone();
                sensors.broken.push(BrokenSensor { name, reason });
            }
        }
    }
    (sources, Sensors(Mutex::new(sensors)))
}

/// `taken` are the names of rails that are there: records tell rails apart by their names
/// alone.
fn open_one(
    config: &SensorConfig,
    known: &KnownRails,
    taken: &[String],
) -> Result<Box<dyn Source>, String> {
    let source = sensor::open(config, known).map_err(|error| error.to_string())?;
    match source
        .rails()
        .iter()
        .find(|rail| taken.contains(&rail.name))
    {
        Some(rail) => Err(format!(
            "its rail \"{}\" is called like another sensor's; rename one of the sensors",
            rail.name
        )),
        None => Ok(source),
    }
}

impl Sensors {
    pub fn broken(&self) -> Vec<BrokenSensor> {
        self.known().broken.clone()
    }

    /// What is wrong with the sensors, for a record.
    pub fn warnings(&self) -> Vec<String> {
        let known = self.known();
        let broken = known.broken.iter();
        broken
            .map(|BrokenSensor { name, reason }| format!("{name}: not measured: {reason}"))
            .chain(known.warnings.iter().cloned())
            .collect()
    }

    /// The sensors to try now.
    fn due(&self) -> Vec<BrokenSensor> {
        let mut known = self.known();
        let now = clock::now();
        if known.broken.is_empty() || now.since(known.tried) < TRY_EVERY {
            return Vec::new();
        }
        known.tried = now;
        known.broken.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing is left half-changed by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn warn_of(&mut self, source: &dyn Source) {
        for warning in source.warnings() {
            tracing::warn!("sensor {}: {warning}", source.name());
            self.warnings.push(format!("{}: {warning}", source.name()));
        }
    }
}

impl Shared {
    /// Tries sensors that could not be opened so far. Not while an attempt is recorded.
    pub fn open_late_sensors(&self) {
        for broken in self.sensors.due() {
            let named = |sensor: &&SensorConfig| sensor.name == broken.name;
            let Some(config) = self.config.sensor.iter().find(named) else {
                continue;
            };
            let rails = self.meter.sampler().rails().into_iter();
            let names: Vec<String> = rails.map(|rail| rail.name).collect();
            let added = open_one(config, &self.host.profile.known_rails(), &names)
                .and_then(|source| self.take_up(source));
            let mut known = self.sensors.known();
            let Some(at) = known.broken.iter().position(|one| *one == broken) else {
                continue;
            };
            match added {
                Ok(()) => drop(known.broken.remove(at)),
                Err(reason) if reason != broken.reason => {
                    tracing::warn!("sensor \"{}\": {reason}", broken.name);
                    known.broken[at].reason = reason;
                }
                Err(_) => {}
            }
        }
    }

    fn take_up(&self, source: Box<dyn Source>) -> Result<(), String> {
        self.sensors.known().warn_of(source.as_ref());
        self.meter.add(source).map_err(|error| error.to_string())
    }
}
