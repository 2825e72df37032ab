//! Opening the sensors: those that may take their time, side by side.
//!
//! A chip on a bus answers in milliseconds. A meter that is off costs its timeout, tegrastats
//! prints its first line after seconds, and a driver may not come back at all: none of them
//! keeps the service from being ready, nor another sensor from being read.

use super::sensors::BrokenSensor;
use crate::clock;
use crate::sensor::{self, KnownRails, OpenError, SensorConfig, SensorKind, Source};
use crate::units::{MonoNs, Span};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A sensor that has not opened by then counts as broken. The slowest known is tegrastats, which
/// gets three seconds and its interval; a meter's timeouts are the administrator's.
const PATIENCE: Span = Span::from_millis(15_000);

type Opened = Result<Box<dyn Source>, OpenError>;

/// Sensors on their way.
pub struct Opening {
    names: Vec<String>,
    opened: Vec<Option<Opened>>,
    arriving: Receiver<(usize, Opened)>,
    give_up: MonoNs,
}

/// What came of them, in the order of the configuration.
pub struct Sorted {
    pub open: Vec<Box<dyn Source>>,
    pub broken: Vec<BrokenSensor>,
}

/// Sensors that open one after the other: chips of one bus, whose accesses are timed, and
/// meters, which may share a line.
#[derive(Debug, PartialEq, Eq)]
enum Queue {
    Bus(String),
    Meters,
    Own(String),
}

impl Queue {
    fn of(config: &SensorConfig) -> Self {
        match (&config.kind, &config.bus) {
            (SensorKind::Modbus, _) => Self::Meters,
            (_, Some(bus)) => Self::Bus(bus.clone()),
            _ => Self::Own(config.name.clone()),
        }
    }
}

/// Begins to open these sensors.
pub fn begin(sensors: &[SensorConfig], known: &KnownRails) -> std::io::Result<Opening> {
    let mut queues: Vec<(Queue, Vec<(usize, SensorConfig)>)> = Vec::new();
    for (index, sensor) in sensors.iter().enumerate() {
        let queue = Queue::of(sensor);
        let entry = (index, sensor.clone());
        match queues.iter_mut().find(|(other, _)| *other == queue) {
            Some((_, waiting)) => waiting.push(entry),
            None => queues.push((queue, vec![entry])),
        }
    }
    let (arrive, arriving) = channel();
    for (_, waiting) in queues {
        let (arrive, known) = (arrive.clone(), known.clone());
        std::thread::Builder::new()
            .name("open-sensor".to_owned())
            .spawn(move || {
                for (index, sensor) in waiting {
                    // Nobody may wait for it any more.
                    let _ = arrive.send((index, sensor::open(&sensor, &known)));
                }
            })?;
    }
    let names: Vec<String> = sensors.iter().map(|s| s.name.clone()).collect();
    Ok(Opening {
        opened: names.iter().map(|_| None).collect(),
        names,
        arriving,
        give_up: clock::now() + PATIENCE,
    })
}

impl Opening {
    /// Waits until every sensor has opened or failed, for `patience` at most. Returns the names
    /// of those that have not.
    pub fn wait(&mut self, patience: Span) -> Vec<&str> {
        self.wait_until(clock::now() + patience);
        let names = self.names.iter().zip(&self.opened);
        names
            .filter(|(_, opened)| opened.is_none())
            .map(|(name, _)| name.as_str())
            .collect()
    }

    fn wait_until(&mut self, deadline: MonoNs) {
        while self.opened.iter().any(Option::is_none) {
            let left = deadline.since(clock::now());
            match self.arriving.recv_timeout(Duration::from_nanos(left.0)) {
                Ok((index, opened)) => self.opened[index] = Some(opened),
                // The time is over, or whoever opens them has panicked.
                Err(_) => return,
            }
        }
    }

    /// Waits for all, and gives up on those that do not open. One that fails does not keep the
    /// others from measuring. `taken` are the names of rails that there are already.
    pub fn finish(mut self, mut taken: Vec<String>) -> Sorted {
        self.wait_until(self.give_up);
        let mut open = Vec::new();
        let mut broken = Vec::new();
        for (name, opened) in self.names.into_iter().zip(self.opened) {
            let hangs = opened.is_none();
            let opened = match opened {
                Some(opened) => opened.map_err(|error| error.to_string()),
                None => Err(format!(
                    "it has not opened within {} s: its driver, program or line does not answer; \
                     once it does, restart the service",
                    PATIENCE.as_secs_f64()
                )),
            };
            match opened.and_then(|source| distinct(source, &taken)) {
                Ok(source) => {
                    taken.extend(source.rails().iter().map(|rail| rail.name.clone()));
                    open.push(source);
                }
                Err(reason) => broken.push(BrokenSensor {
                    name,
                    reason,
                    hangs,
                }),
            }
        }
        Sorted { open, broken }
    }
}

/// Records tell rails apart by their names alone.
fn distinct(source: Box<dyn Source>, taken: &[String]) -> Result<Box<dyn Source>, String> {
    let mut rails = source.rails().iter();
    match rails.find(|rail| taken.contains(&rail.name)) {
        Some(rail) => Err(format!(
            "its rail \"{}\" is called like another sensor's; rename one of the sensors",
            rail.name
        )),
        None => Ok(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simulated(name: &str) -> SensorConfig {
        let mut config = SensorConfig::new(name, SensorKind::Simulated);
        config.boundary = Some(sensor::Boundary::BoardInput);
        config.waveform = Some("constant:1".to_owned());
        config
    }

    /// Prints its first line when the test says so: after it has opened the pipe for writing.
    fn slow(name: &str, pipe: &std::path::Path) -> SensorConfig {
        let mut config = SensorConfig::new(name, SensorKind::Tegrastats);
        let script = format!(
            "read go < '{}'; echo VDD_IN 1000mW/1000mW; exec sleep 1000",
            pipe.display()
        );
        config.command = Some(["sh", "-c", &script].map(str::to_owned).to_vec());
        config
    }

    #[test]
    fn a_slow_sensor_is_waited_for_beside_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("go");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        let sensors = [slow("gpu", &pipe), simulated("input")];
        let mut opening = begin(&sensors, &KnownRails::default()).unwrap();
        while opening.wait(Span::from_millis(10)) != ["gpu"] {}
        std::fs::write(&pipe, "go\n").unwrap();
        let Sorted { open, broken } = opening.finish(Vec::new());
        let names: Vec<&str> = open.iter().map(|source| source.name()).collect();
        // In the order of the configuration, whoever came first.
        assert_eq!(names, ["gpu", "input"]);
        assert!(broken.is_empty());
    }

    #[test]
    fn one_that_does_not_open_is_broken_and_the_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("never");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        let sensors = [slow("gpu", &pipe), simulated("input"), simulated("input")];
        let mut opening = begin(&sensors, &KnownRails::default()).unwrap();
        while opening.wait(Span::from_millis(10)) != ["gpu"] {}
        opening.give_up = clock::now();
        let Sorted { open, broken } = opening.finish(Vec::new());
        assert_eq!(open.len(), 1);
        assert_eq!([broken[0].hangs, broken[1].hangs], [true, false]);
        let reasons: Vec<&str> = broken.iter().map(|b| b.reason.as_str()).collect();
        assert!(reasons[0].contains("has not opened"), "{reasons:?}");
        assert!(reasons[1].contains("another sensor's"), "{reasons:?}");
    }

    #[test]
    fn chips_of_a_bus_and_meters_open_in_turn() {
        let mut chip = SensorConfig::new("a", SensorKind::Ina219);
        chip.bus = Some("/dev/i2c-1".to_owned());
        let mut other = SensorConfig::new("b", SensorKind::Ina226);
        other.bus = Some("/dev/i2c-1".to_owned());
        assert_eq!(Queue::of(&chip), Queue::of(&other));
        other.bus = Some("/dev/i2c-2".to_owned());
        assert_ne!(Queue::of(&chip), Queue::of(&other));
        let meter = |name| SensorConfig::new(name, SensorKind::Modbus);
        assert_eq!(Queue::of(&meter("a")), Queue::of(&meter("b")));
        let chip = |name| SensorConfig::new(name, SensorKind::Hwmon);
        assert_ne!(Queue::of(&chip("a")), Queue::of(&chip("b")));
    }
}
