//! Sensors on their way, side by side.
//!
//! A chip on a bus answers in milliseconds. A meter that is off costs its timeout, tegrastats
//! prints its first line after seconds, and a driver may not come back at all: none of them
//! keeps the service from being ready, nor another sensor from being read, nor a job from
//! being run.

use crate::clock;
use crate::sensor::{self, KnownRails, OpenError, SensorConfig, SensorKind, Source};
use crate::units::MonoNs;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// What came of a try, by the sensor's name.
pub type Arrival = (String, Result<Box<dyn Source>, OpenError>);

/// Opens sensors on threads of its own.
pub struct Opening {
    known: KnownRails,
    under_way: Vec<String>,
    arrive: Sender<Arrival>,
    arriving: Receiver<Arrival>,
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

impl Opening {
    /// `known` is what the board's profile says about rails.
    pub fn new(known: KnownRails) -> Self {
        let (arrive, arriving) = channel();
        Self {
            known,
            under_way: Vec::new(),
            arrive,
            arriving,
        }
    }

    /// Begins to open these, none of which is on its way.
    pub fn begin(&mut self, sensors: &[SensorConfig]) -> std::io::Result<()> {
        let mut queues: Vec<(Queue, Vec<SensorConfig>)> = Vec::new();
        for sensor in sensors {
            let queue = Queue::of(sensor);
            match queues.iter_mut().find(|(other, _)| *other == queue) {
                Some((_, waiting)) => waiting.push(sensor.clone()),
                None => queues.push((queue, vec![sensor.clone()])),
            }
        }
        for (_, waiting) in queues {
            let (arrive, known) = (self.arrive.clone(), self.known.clone());
            let names: Vec<String> = waiting.iter().map(|sensor| sensor.name.clone()).collect();
            std::thread::Builder::new()
                .name("open-sensor".to_owned())
                .spawn(move || {
                    for sensor in waiting {
                        let opened = sensor::open(&sensor, &known);
                        // Nobody may wait for it any more.
                        let _ = arrive.send((sensor.name, opened));
                    }
                })?;
            self.under_way.extend(names);
        }
        Ok(())
    }

    /// What arrives until none is under way any more, or `deadline` comes.
    pub fn wait(&mut self, deadline: MonoNs) -> Vec<Arrival> {
        let mut arrived = Vec::new();
        while !self.under_way.is_empty() {
            let left = deadline.since(clock::now());
            // This holds a sender itself: the only error is that the time is over.
            let Ok((name, opened)) = self.arriving.recv_timeout(Duration::from_nanos(left.0))
            else {
                break;
            };
            self.under_way.retain(|other| *other != name);
            arrived.push((name, opened));
        }
        arrived
    }

    pub fn under_way(&self) -> &[String] {
        &self.under_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;
    use std::path::Path;

    fn simulated(name: &str) -> SensorConfig {
        let mut config = SensorConfig::new(name, SensorKind::Simulated);
        config.boundary = Some(sensor::Boundary::BoardInput);
        config.waveform = Some("constant:1".to_owned());
        config
    }

    /// Prints its first line once something is written to the pipe.
    fn slow(name: &str, pipe: &Path) -> SensorConfig {
        let mut config = SensorConfig::new(name, SensorKind::Tegrastats);
        let script = format!(
            "read go < '{}'; echo VDD_IN 1000mW/1000mW; exec sleep 1000",
            pipe.display()
        );
        config.command = Some(["sh", "-c", &script].map(str::to_owned).to_vec());
        config
    }

    fn names(arrived: &[Arrival]) -> Vec<&str> {
        arrived.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn soon() -> MonoNs {
        clock::now() + Span::from_millis(10)
    }

    #[test]
    fn a_slow_sensor_is_waited_for_beside_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("go");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        let sensors = [slow("gpu", &pipe), simulated("input")];
        let mut opening = Opening::new(KnownRails::default());
        opening.begin(&sensors).unwrap();
        let mut arrived = Vec::new();
        while arrived.is_empty() {
            arrived = opening.wait(soon());
        }
        assert_eq!(names(&arrived), ["input"]);
        assert_eq!(opening.under_way(), ["gpu"]);
        std::fs::write(&pipe, "go\n").unwrap();
        let arrived = opening.wait(clock::now() + Span::from_millis(60_000));
        assert_eq!(names(&arrived), ["gpu"]);
        assert!(opening.under_way().is_empty());
        assert!(opening.wait(soon()).is_empty());
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
