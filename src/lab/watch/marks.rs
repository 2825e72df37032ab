//! What is wrong with a board, in a few words each, the worst first.

use super::activity::Activity;
use super::board::Board;
use super::fleet::Sight;
use crate::record::device::SensorState;
use crate::sensor::Quality;
use crate::units::Span;
use std::collections::BTreeMap;

/// Health comes every ten seconds.
const HEALTH_OVERDUE: Span = Span::from_millis(35_000);
/// Three times in a row, half a minute: it doesn't drain.
const GROWING: u32 = 3;
const DISK_LOW: u64 = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Bad,
    Warning,
}

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub level: Level,
    pub text: String,
}

impl Level {
    /// Told apart without colours.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Bad => "✖",
            Self::Warning => "!",
        }
    }
}

impl Board {
    /// What is wrong, as far as the board was heard; of one that is offline nothing is known.
    pub fn marks(&self, sight: Sight, activity: &Activity) -> Vec<Mark> {
        let mut marks = Vec::new();
        if matches!(activity, Activity::Unknown | Activity::Offline(_)) {
            return marks;
        }
        let mut mark = |level, text: String| marks.push(Mark { level, text });
        for name in self.failed_sensors() {
            mark(Level::Bad, format!("sensor {name}"));
        }
        for (name, rail) in &self.rails {
            match rail.record.quality {
                Quality::Saturated => mark(Level::Bad, format!("{name} saturated")),
                Quality::NearFullScale => mark(Level::Warning, format!("{name} near full scale")),
                Quality::Good | Quality::Stale | Quality::Failed => {}
            }
        }
        if let Some(known) = &self.health {
            let health = &known.health;
            if let Some(free) = health.disk_free_bytes.filter(|free| *free < DISK_LOW) {
                mark(Level::Bad, format!("disk {} MB", free / 1_000_000));
            }
            if health.damaged_stores > 0 {
                mark(Level::Bad, "store damaged".to_owned());
            }
            if health.outbox.parked > 0 {
                mark(Level::Warning, format!("{} parked", health.outbox.parked));
            }
            if known.growing >= GROWING {
                mark(Level::Warning, format!("outbox {}", health.outbox.pending));
            }
            if known.missed > 0 {
                mark(Level::Warning, format!("{} missed", known.missed));
            }
            let speaks = match activity {
                Activity::Idle => true,
                Activity::Runs(running) => !running.silent,
                Activity::Unknown | Activity::Offline(_) => false,
            };
            let age = sight.until.since(known.at.max(sight.from));
            if speaks && age > HEALTH_OVERDUE {
                let seconds = age.as_secs_f64() as u64;
                mark(Level::Warning, format!("no health {seconds} s"));
            }
        }
        marks.sort();
        marks
    }

    fn failed_sensors(&self) -> Vec<&str> {
        let mut failed = BTreeMap::new();
        let told = self.info.iter().flat_map(|info| &info.sensors);
        failed.extend(told.map(|sensor| (sensor.name.as_str(), sensor.state)));
        // Health is newer.
        let health = self.health.iter().flat_map(|known| &known.health.sensors);
        failed.extend(health.map(|(name, sensor)| (name.as_str(), sensor.state)));
        let failed = failed.into_iter();
        failed
            .filter(|(_, state)| *state == SensorState::Failed)
            .map(|(name, _)| name)
            .collect()
    }
}
