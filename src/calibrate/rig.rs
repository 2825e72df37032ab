//! All sensors of a configuration, read by the threads that the daemon reads them with.

use super::CalibrateError;
use crate::board::Host;
use crate::clock;
use crate::config::Config;
use crate::daemon::primary;
use crate::sampler::{Sampler, SensorReport};
use crate::sensor::{self, RailSpec, Window};
use crate::units::{MonoNs, Span};
use std::fs::File;
use std::fs::TryLockError;

/// Between two looks into the rings, which hold eight seconds.
const LOOK_EVERY: Span = Span::from_millis(100);

/// The sensors that could be opened, and what they have delivered.
pub(super) struct Rig {
    pub sampler: Sampler,
    pub host: Host,
    pub rails: Vec<RailSpec>,
    /// In the order of the rails.
    pub windows: Vec<Vec<Window>>,
    all_open: bool,
}

impl Rig {
    /// Opens the sensors called `only`, or all of them. One that fails is told and left out.
    pub fn open(config: &Config, only: &[String]) -> Result<Rig, CalibrateError> {
        let target = |text: String| CalibrateError::Target(text);
        let known = |name: &String| config.sensor.iter().any(|sensor| sensor.name == *name);
        if let Some(name) = only.iter().find(|name| !known(name)) {
            return Err(target(format!("no sensor is called \"{name}\"")));
        }
        warn_of_a_daemon(config);
        let host = config.board.host();
        let host = host.ok_or_else(|| target("board.profile is unknown".to_owned()))?;
        let (mut sources, mut all_open) = (Vec::new(), true);
        let is_asked = |name: &String| only.is_empty() || only.contains(name);
        for sensor in config.sensor.iter().filter(|s| is_asked(&s.name)) {
            match sensor::open(sensor, &host.profile.known_rails()) {
                Ok(source) => {
                    for warning in source.warnings() {
                        eprintln!("{}: {warning}", sensor.name);
                    }
                    sources.push(source);
                }
                Err(error) => {
                    eprintln!("{}: left out: {error}", sensor.name);
                    all_open = false;
                }
            }
        }
        if sources.is_empty() {
            return Err(target("there is no sensor to read".to_owned()));
        }
        let sampler = Sampler::start(sources)
            .map_err(|error| target(format!("the sampler threads do not start: {error}")))?;
        let rails = sampler.rails();
        Ok(Rig {
            windows: vec![Vec::new(); rails.len()],
            sampler,
            host,
            rails,
            all_open,
        })
    }

    /// Takes what is delivered until `end`; `look` is told the time now and then.
    pub fn collect_until(&mut self, end: MonoNs, mut look: impl FnMut(MonoNs)) {
        loop {
            for (rail, windows) in self.windows.iter_mut().enumerate() {
                self.sampler.drain(rail, windows);
            }
            let now = clock::now();
            look(now);
            if now >= end {
                return;
            }
            clock::sleep(Span(end.since(now).0.min(LOOK_EVERY.0)));
        }
    }

    pub fn sensors(&self) -> Vec<SensorReport> {
        self.sampler.sensors()
    }

    /// The index of the rail that the daemon's headline figures would be of.
    pub fn primary(&self, config: &Config) -> Option<usize> {
        let name = config.energy.primary.as_deref();
        primary::of(name, &self.sensors(), self.all_open)
    }
}

/// The daemon holds the lock of its state as long as it runs.
fn warn_of_a_daemon(config: &Config) {
    let lock = File::open(config.storage.dir.join("jouled.lock"));
    if lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))) {
        eprintln!(
            "a jouled is running with this configuration: stop it, or the two take each other's \
             readings"
        );
    }
}
