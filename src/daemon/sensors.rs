//! Opens the configured sensors, and again those that could not be opened: an adapter may be
//! plugged in later, a device node may get its group only after the start.

use super::Shared;
use super::opening::{Arrival, Opening};
use crate::clock;
use crate::config::Config;
use crate::sensor::{KnownRails, OpenError, SensorConfig, Source};
use crate::units::{MonoNs, Span};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// New tries to open what could not be opened.
pub struct Tries {
    /// From one to the next.
    every: Span,
    /// What has begun is waited for until so long after its begin.
    within: Span,
}

/// While no job waits. What takes longer is taken up at a later look.
pub const IDLE: Tries = Tries {
    every: Span::from_millis(10_000),
    within: Span::from_millis(500),
};
/// A job waits for a try that has begun, since it would disturb what the job measures; but not
/// for a driver that does not come back.
pub const BEFORE_A_JOB: Tries = Tries {
    every: Span::from_millis(300_000),
    within: Span::from_millis(5_000),
};
/// Before the first job. The slowest known is tegrastats, which gets three seconds and its
/// interval; a meter's timeouts are the administrator's.
const OPEN_WITHIN: Span = Span::from_millis(15_000);
/// A stop of the daemon waits no longer than this for sensors.
const LOOK_EVERY: Span = Span::from_millis(50);
const NOT_YET: &str = "it has not opened yet: its driver, program or line does not answer";

/// A sensor that can't be opened.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokenSensor {
    pub name: String,
    pub reason: String,
    /// No new try helps: the configuration is wrong.
    misnamed: bool,
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
            let rails = sources.iter().flat_map(|source| source.rails());
            let names: Vec<&str> = rails.map(|rail| rail.name.as_str()).collect();
            match usable(name, opened, &names) {
                Ok(source) => {
                    known.warn_of(source.as_ref());
                    sources.push(source);
                }
                Err(broken) => known.breaks(broken),
            }
        }
        for name in self.opening.under_way() {
            known.breaks(BrokenSensor::new(name.clone(), NOT_YET.to_owned()));
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
fn usable(
    name: String,
    opened: Result<Box<dyn Source>, OpenError>,
    taken: &[&str],
) -> Result<Box<dyn Source>, BrokenSensor> {
    let source = match opened {
        Ok(source) => source,
        Err(error) => return Err(BrokenSensor::new(name, error.to_string())),
    };
    let mut rails = source.rails().iter();
    match rails.find(|rail| taken.contains(&rail.name.as_str())) {
        Some(rail) => Err(BrokenSensor {
            name,
            reason: format!(
                "its rail \"{}\" is called like another sensor's; rename one of the sensors",
                rail.name
            ),
            misnamed: true,
        }),
        None => Ok(source),
    }
}

impl BrokenSensor {
    fn new(name: String, reason: String) -> Self {
        Self {
            name,
            reason,
            misnamed: false,
        }
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
            .map(|BrokenSensor { name, reason, .. }| format!("{name}: not measured: {reason}"))
            .chain(known.warnings.iter().cloned())
            .collect()
    }

    /// Names of the sensors to try now.
    fn due(&self, every: Span) -> Vec<String> {
        let mut known = self.known();
        let now = clock::now();
        if now.since(known.tried) < every {
            return Vec::new();
        }
        known.tried = now;
        let broken = known.broken.iter().filter(|sensor| !sensor.misnamed);
        broken.map(|sensor| sensor.name.clone()).collect()
    }

    /// Begins to open again what could not be opened so far, if the last time is so long ago.
    fn try_again(&self, configured: &[SensorConfig], every: Span) {
        let due = self.due(every);
        let mut opening = self.opening();
        let again: Vec<SensorConfig> = configured
            .iter()
            .filter(|sensor| due.contains(&sensor.name))
            .filter(|sensor| !opening.under_way().contains(&sensor.name))
            .cloned()
            .collect();
        if let Err(error) = opening.begin(&again) {
            tracing::warn!(%error, "no thread to open sensors again");
        }
    }

    /// What came of the tries so far, `within` this of their begin at most, and while `go_on`.
    fn arrived(&self, within: Span, go_on: &dyn Fn() -> bool) -> Vec<Arrival> {
        let deadline = self.known().tried + within;
        let mut opening = self.opening();
        let mut arrived = opening.wait(clock::now());
        while !opening.under_way().is_empty() && clock::now() < deadline && go_on() {
            arrived.extend(opening.wait(clock::now() + LOOK_EVERY));
        }
        arrived
    }

    fn opening(&self) -> MutexGuard<'_, Opening> {
        // Nothing is left half-changed by a panic.
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing is left half-changed by a panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn breaks(&mut self, broken: BrokenSensor) {
        let BrokenSensor { name, reason, .. } = &broken;
        tracing::error!(sensor = name, "sensor \"{name}\": {reason}");
        self.broken.push(broken);
    }

    fn warn_of(&mut self, source: &dyn Source) {
        for warning in source.warnings() {
            tracing::warn!("sensor {}: {warning}", source.name());
            self.warnings.push(format!("{}: {warning}", source.name()));
        }
    }
}

impl Shared {
    /// Tries sensors that could not be opened so far, and takes up those that can. Not while an
    /// attempt is recorded.
    pub fn open_late_sensors(&self, tries: Tries) {
        if self.sensors.known().broken.is_empty() {
            return;
        }
        self.sensors.try_again(&self.config.sensor, tries.every);
        let go_on = || !self.queue.is_stopping();
        for (name, opened) in self.sensors.arrived(tries.within, &go_on) {
            let rails = self.meter.sampler().rails();
            let names: Vec<&str> = rails.iter().map(|rail| rail.name.as_str()).collect();
            let added = usable(name.clone(), opened, &names).and_then(|source| {
                self.sensors.known().warn_of(source.as_ref());
                let added = self.meter.add(source);
                added.map_err(|error| BrokenSensor::new(name.clone(), error.to_string()))
            });
            let mut known = self.sensors.known();
            let Some(at) = known.broken.iter().position(|one| one.name == name) else {
                continue;
            };
            match added {
                Ok(()) => drop(known.broken.remove(at)),
                Err(now) if now != known.broken[at] => {
                    tracing::warn!(sensor = name, "sensor \"{name}\": {}", now.reason);
                    known.broken[at] = now;
                }
                Err(_) => {}
            }
        }
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
            arrived = sensors.arrived(Span(0), &|| true);
        }
        assert_eq!(arrived[0].0, "soc");
        assert!(arrived[0].1.is_ok());
    }
}
