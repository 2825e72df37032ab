//! What is known of the sensors besides what the sampler reads, and new tries to open those that
//! could not be: an adapter may be plugged in later, a device node may get its group only after
//! the start.

use super::Shared;
use super::opening::{self, Sorted};
use crate::clock;
use crate::sensor::{SensorConfig, Source};
use crate::units::{MonoNs, Span};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// From one try to the next.
const TRY_EVERY: Span = Span::from_millis(10_000);

/// A sensor that can't be opened.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokenSensor {
    pub name: String,
    pub reason: String,
    /// Whoever opens it has not come back, so that nobody else tries.
    pub hangs: bool,
}

pub struct Sensors(Mutex<Known>);

struct Known {
    broken: Vec<BrokenSensor>,
    /// What the sensors that work say about how they can be read here.
    warnings: Vec<String>,
    tried: MonoNs,
}

impl Sensors {
    pub fn new(sorted: &Sorted) -> Self {
        for BrokenSensor { name, reason, .. } in &sorted.broken {
            tracing::error!(sensor = name, "sensor \"{name}\": {reason}");
        }
        let mut known = Known {
            broken: sorted.broken.clone(),
            warnings: Vec::new(),
            tried: clock::now(),
        };
        for source in &sorted.open {
            known.warn_of(source.as_ref());
        }
        Self(Mutex::new(known))
    }

    pub fn broken(&self) -> Vec<BrokenSensor> {
        self.known().broken.clone()
    }

    /// What is wrong with the sensors, for a record.
    pub fn warnings(&self) -> Vec<String> {
        let known = self.known();
        let broken = known.broken.iter();
        broken
            .map(|BrokenSensor { name, reason, .. }| format!("{name}: not measured: {reason}"))
            .chain(known.warnings.iter().cloned())
            .collect()
    }

    /// The names of those to try now.
    fn due(&self) -> Vec<String> {
        let mut known = self.known();
        let now = clock::now();
        if now.since(known.tried) < TRY_EVERY {
            return Vec::new();
        }
        known.tried = now;
        let due = known.broken.iter().filter(|broken| !broken.hangs);
        due.map(|broken| broken.name.clone()).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing is left half-changed by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn warn_of(&mut self, source: &dyn Source) {
        let name = source.name();
        for warning in source.warnings() {
            tracing::warn!(sensor = name, "sensor {name}: {warning}");
            self.warnings.push(format!("{name}: {warning}"));
        }
    }

    /// What the new try came to; told when it is something else than before.
    fn still_broken(&mut self, now: BrokenSensor) {
        let of_that_name = |broken: &&mut BrokenSensor| broken.name == now.name;
        if let Some(before) = self.broken.iter_mut().find(of_that_name)
            && *before != now
        {
            tracing::warn!(sensor = now.name, "sensor \"{}\": {}", now.name, now.reason);
            *before = now;
        }
    }
}

impl Shared {
    /// Tries sensors that could not be opened so far; the event that they work comes of the next
    /// look at the sampler. Not while an attempt is recorded.
    pub fn open_late_sensors(&self) {
        let due = self.sensors.due();
        let configured = self.config.sensor.iter();
        let again: Vec<SensorConfig> = configured
            .filter(|sensor| due.contains(&sensor.name))
            .cloned()
            .collect();
        if again.is_empty() {
            return;
        }
        let rails = self.meter.sampler().rails().into_iter();
        let taken = rails.map(|rail| rail.name).collect();
        let sorted = match opening::begin(&again, &self.host.profile.known_rails()) {
            Ok(opening) => opening.finish(taken),
            Err(error) => return tracing::warn!(%error, "no thread to open sensors"),
        };
        let mut known = self.sensors.known();
        for broken in sorted.broken {
            known.still_broken(broken);
        }
        for source in sorted.open {
            let name = source.name().to_owned();
            known.warn_of(source.as_ref());
            match self.meter.add(source) {
                Ok(()) => known.broken.retain(|broken| broken.name != name),
                Err(error) => tracing::warn!(%error, sensor = name, "no thread to read it"),
            }
        }
    }
}
