//! Opens the configured sensors, and again those that could not be opened: an adapter may be
//! plugged in later, a device node may get its group only after the start.

use super::Shared;
use super::opening::{Arrival, Opening};
use crate::clock;
use crate::config::Config;
use crate::sensor::{KnownRails, SensorConfig, Source};
use crate::units::{MonoNs, Span};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// From one try to the next.
const TRY_EVERY: Span = Span::from_millis(10_000);
/// Before the first job. The slowest known is tegrastats, which gets three seconds and its
/// interval; a meter's timeouts are the administrator's.
const OPEN_WITHIN: Span = Span::from_millis(15_000);
/// Between two jobs. What takes longer comes before a later one.
const LATE_WITHIN: Span = Span::from_millis(500);
const NOT_YET: &str = "it has not opened yet: its driver, program or line does not answer";

/// A sensor that can't be opened.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokenSensor {
    pub name: String,
    pub reason: String,
}

/// What is known of the sensors besides what the sampler reads.
pub struct Sensors {
    known: Mutex<Known>,
    /// Of the runner, between attempts.
    opening: Mutex<Opening>,
}

struct Known {
    broken: Vec<BrokenSensor>,
    /// What the sensors that work say about how they can be read here.
    warnings: Vec<String>,
    tried: MonoNs,
}

/// Every configured sensor on its way; one that fails does not keep the others from measuring.
pub struct Start {
    opening: Opening,
    arrived: Vec<Arrival>,
    order: Vec<String>,
    give_up: MonoNs,
}

/// Begins to open them.
pub fn begin(config: &Config, known: KnownRails) -> std::io::Result<Start> {
    let mut opening = Opening::new(known);
    opening.begin(&config.sensor)?;
    Ok(Start {
        opening,
        arrived: Vec::new(),
        order: config.sensor.iter().map(|s| s.name.clone()).collect(),
        give_up: clock::now() + OPEN_WITHIN,
    })
}

impl Start {
    /// Waits for `patience` at most. Returns the names of those that are still on their way.
    pub fn wait(&mut self, patience: Span) -> &[String] {
        self.arrived
            .extend(self.opening.wait(clock::now() + patience));
        self.opening.under_way()
    }

    /// Waits for the others, but not for ever, and says which can be read.
    pub fn finish(mut self) -> (Vec<Box<dyn Source>>, Sensors) {
        let mut arrived = self.arrived;
        arrived.extend(self.opening.wait(self.give_up));
        // Whoever came first: rails are numbered in the order of the configuration.
        let place = |name: &String| self.order.iter().position(|other| other == name);
        arrived.sort_by_key(|(name, _)| place(name));
        let mut sources: Vec<Box<dyn Source>> = Vec::new();
        let mut known = Known {
            broken: Vec::new(),
            warnings: Vec::new(),
            tried: clock::now(),
        };
        for (name, opened) in arrived {
            let opened = opened.map_err(|error| error.to_string());
            let rails = sources.iter().flat_map(|source| source.rails());
            let names: Vec<&str> = rails.map(|rail| rail.name.as_str()).collect();
            match opened.and_then(|source| distinct(source, &names)) {
                Ok(source) => {
                    known.warn_of(source.as_ref());
                    sources.push(source);
                }
                Err(reason) => known.breaks(name, reason),
            }
        }
        for name in self.opening.under_way() {
            known.breaks(name.clone(), NOT_YET.to_owned());
        }
        let sensors = Sensors {
            known: Mutex::new(known),
            opening: Mutex::new(self.opening),
        };
        (sources, sensors)
    }
}

/// `taken` are the names of rails that are there: records tell rails apart by their names
/// alone.
fn distinct(source: Box<dyn Source>, taken: &[&str]) -> Result<Box<dyn Source>, String> {
    let mut rails = source.rails().iter();
    match rails.find(|rail| taken.contains(&rail.name.as_str())) {
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

    /// Names of the sensors to try now.
    fn due(&self) -> Vec<String> {
        let mut known = self.known();
        let now = clock::now();
        if now.since(known.tried) < TRY_EVERY {
            return Vec::new();
        }
        known.tried = now;
        let broken = known.broken.iter();
        broken.map(|sensor| sensor.name.clone()).collect()
    }

    /// What came of the tries so far, and of those that are made now if it is time. Sensors
    /// that take long arrive at a later call.
    fn arrived(&self, configured: &[SensorConfig]) -> Vec<Arrival> {
        let due = self.due();
        // Nothing is left half-changed by a panic.
        let opening = self.opening.lock();
        let mut opening = opening.unwrap_or_else(PoisonError::into_inner);
        let again: Vec<SensorConfig> = configured
            .iter()
            .filter(|sensor| due.contains(&sensor.name))
            .filter(|sensor| !opening.under_way().contains(&sensor.name))
            .cloned()
            .collect();
        if again.is_empty() {
            return opening.wait(clock::now());
        }
        if let Err(error) = opening.begin(&again) {
            tracing::warn!(%error, "no thread to open sensors again");
        }
        opening.wait(clock::now() + LATE_WITHIN)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing is left half-changed by a panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn breaks(&mut self, name: String, reason: String) {
        tracing::error!(sensor = name, "sensor \"{name}\": {reason}");
        self.broken.push(BrokenSensor { name, reason });
    }

    fn warn_of(&mut self, source: &dyn Source) {
        for warning in source.warnings() {
            tracing::warn!("sensor {}: {warning}", source.name());
            self.warnings.push(format!("{}: {warning}", source.name()));
        }
    }
}

impl Shared {
    /// Takes up sensors that could not be opened so far. Not while an attempt is recorded.
    pub fn open_late_sensors(&self) {
        if self.sensors.known().broken.is_empty() {
            return;
        }
        for (name, opened) in self.sensors.arrived(&self.config.sensor) {
            let rails = self.meter.sampler().rails();
            let names: Vec<&str> = rails.iter().map(|rail| rail.name.as_str()).collect();
            let added = opened
                .map_err(|error| error.to_string())
                .and_then(|source| distinct(source, &names))
                .and_then(|source| self.take_up(source));
            let mut known = self.sensors.known();
            let Some(at) = known.broken.iter().position(|one| one.name == name) else {
                continue;
            };
            match added {
                Ok(()) => drop(known.broken.remove(at)),
                Err(reason) if reason != known.broken[at].reason => {
                    tracing::warn!(sensor = name, "sensor \"{name}\": {reason}");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::{Boundary, SensorKind};

    fn simulated(name: &str) -> SensorConfig {
        let mut config = SensorConfig::new(name, SensorKind::Simulated);
        config.boundary = Some(Boundary::BoardInput);
        config.waveform = Some("constant:1".to_owned());
        config
    }

    #[test]
    fn one_that_does_not_open_in_time_comes_later_and_a_name_is_given_once() {
        let dir = tempfile::tempdir().unwrap();
        let go = dir.path().join("go");
        rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::RWXU).unwrap();
        let mut slow = SensorConfig::new("soc", SensorKind::Tegrastats);
        let line = "echo VDD_IN 1000mW/1000mW; exec sleep 1000";
        let script = format!("read go < '{}'; {line}", go.display());
        slow.command = Some(["sh", "-c", &script].map(str::to_owned).to_vec());
        let config = Config {
            sensor: vec![slow, simulated("input"), simulated("input")],
            ..Config::default()
        };
        let mut start = begin(&config, KnownRails::default()).unwrap();
        while start.wait(Span::from_millis(10)) != ["soc"] {}
        start.give_up = clock::now();
        let (sources, sensors) = start.finish();
        let names: Vec<&str> = sources.iter().map(|source| source.name()).collect();
        assert_eq!(names, ["input"]);
        let broken = sensors.broken();
        let [other, soc] = broken.as_slice() else {
            panic!("{broken:?}");
        };
        assert!(other.reason.contains("another sensor's"), "{other:?}");
        assert_eq!((soc.name.as_str(), soc.reason.as_str()), ("soc", NOT_YET));

        std::fs::write(&go, "go\n").unwrap();
        let mut arrived = Vec::new();
        while arrived.is_empty() {
            arrived = sensors.arrived(&config.sensor);
        }
        assert_eq!(arrived[0].0, "soc");
        assert!(arrived[0].1.is_ok());
    }
}
