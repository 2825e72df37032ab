//! Numbers from sysfs, and the two ways in which they become windows.

use super::{PollError, Quality, Window};
use crate::clock;
use crate::units::{Joules, MonoNs, Span, Watts};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Neither RAPL nor a hwmon chip states an error limit for its power: this one is assumed,
/// so that a figure never looks exact.
pub(super) const ASSUMED_GAIN: (&str, f64) = ("gain-assumed", 0.05);

/// A counter that stands still for longer than this is not working.
const STUCK: Span = Span::from_millis(1000);

/// A file with one decimal number, opened once.
#[derive(Debug)]
pub(super) struct NumberFile {
    path: PathBuf,
    file: File,
}

impl NumberFile {
    pub fn open(path: PathBuf) -> Result<NumberFile, String> {
        match File::open(&path) {
            Ok(file) => Ok(NumberFile { path, file }),
            Err(error) => Err(explain(&path, &error)),
        }
    }

    /// The number and the moment at which it was read.
    pub fn read(&self) -> Result<(MonoNs, i64), PollError> {
        let mut text = [0; 32];
        let before = clock::now();
        let length = self.file.read_at(&mut text, 0);
        let took = clock::now().since(before);
        let length = length.map_err(|error| PollError::Retry(explain(&self.path, &error)))?;
        let text = String::from_utf8_lossy(&text[..length]);
        let number = text.trim().parse().map_err(|_| {
            PollError::Retry(format!(
                "{}: `{}` is no number",
                self.path.display(),
                text.trim()
            ))
        })?;
        Ok((before + Span(took.0 / 2), number))
    }
}

pub(super) fn explain(path: &Path, error: &io::Error) -> String {
    let what = path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "{what}: permission denied; the kernel shows it to root only: let udev or tmpfiles.d \
             give the group that runs jouled read access to it"
        ),
        io::ErrorKind::NotFound => format!("{what}: not found; is the driver loaded?"),
        _ => format!("{what}: {error}"),
    }
}

/// The trimmed text of a small file.
pub(super) fn text(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The folder's entries, in order of their names.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    // hwmon10 after hwmon9.
    paths.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    paths
}

/// A cumulative counter of energy in µJ: a window is the difference of two readings.
#[derive(Debug, Default)]
pub(super) struct Counter {
    /// Range at which the counter starts again from zero.
    pub wrap: Option<i64>,
    last: Option<(MonoNs, i64)>,
}

impl Counter {
    pub fn new(wrap: Option<i64>) -> Counter {
        Counter { wrap, last: None }
    }

    /// The window since the last reading that moved; `None` while there is none.
    pub fn advance(&mut self, at: MonoNs, raw: i64) -> Result<Option<Window>, PollError> {
        let Some((since, before)) = self.last else {
            self.last = Some((at, raw));
            return Ok(None);
        };
        let delta = match (raw - before, self.wrap) {
            (delta, _) if delta >= 0 => delta,
            (delta, Some(range)) if delta + range >= 0 => delta + range,
            _ => {
                self.last = Some((at, raw));
                return Err(PollError::Retry(format!(
                    "the energy counter fell from {before} to {raw} uJ"
                )));
            }
        };
        // Between two updates of the counter nothing is known yet: the next window is longer.
        if delta == 0 || at <= since {
            return if at.since(since) > STUCK {
                Err(PollError::Retry(
                    "the energy counter does not move; a virtual machine may hide it".into(),
                ))
            } else {
                Ok(None)
            };
        }
        self.last = Some((at, raw));
        let power = Joules(delta as f64 * 1e-6) / at.since(since);
        Ok(Some(window(since, at, power, 0)))
    }
}

/// Points of power: a window is the trapezoid between two.
#[derive(Debug, Default)]
pub(super) struct Points {
    last: Option<(MonoNs, Watts)>,
}

impl Points {
    /// The trapezoid since the last point, unless that is more than 2.5 periods ago: then
    /// points were missed and nothing is known about the time between.
    pub fn advance(&mut self, at: MonoNs, power: Watts, period: Span) -> Option<Window> {
        let (since, before) = self.last.replace((at, power))?;
        let apart = at.since(since).as_secs_f64() / period.as_secs_f64();
        if at <= since || apart > 2.5 {
            return None;
        }
        Some(window(since, at, (before + power) / 2.0, 0))
    }
}

fn window(t0: MonoNs, t1: MonoNs, power: Watts, lost: u32) -> Window {
    Window {
        t0,
        t1,
        power,
        voltage: None,
        current: None,
        quality: Quality::Good,
        lost,
    }
}

/// Deadlines at a fixed rate that don't drift, and skip what has passed.
pub(super) fn next_deadline(deadline: MonoNs, period: Span, now: MonoNs) -> MonoNs {
    let next = deadline + period;
    if next > now {
        return next;
    }
    let behind = now.since(next).0 / period.0.max(1);
    next + Span((behind + 1) * period.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn a_counter_wraps() {
        let mut counter = Counter::new(Some(1_000_000));
        assert_eq!(counter.advance(at(0), 900_000), Ok(None));
        let window = counter.advance(at(100), 100_000).unwrap().unwrap();
        assert_eq!((window.t0, window.t1), (at(0), at(100)));
        assert!((window.power.0 - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_counter_that_stands_still_is_never_zero_watts() {
        let mut counter = Counter::new(None);
        assert_eq!(counter.advance(at(0), 5), Ok(None));
        assert_eq!(counter.advance(at(10), 5), Ok(None));
        let window = counter.advance(at(20), 20_005).unwrap().unwrap();
        assert_eq!(window.t0, at(0));
        assert!((window.power.0 - 1.0).abs() < 1e-12);
        assert!(counter.advance(at(2000), 20_005).is_err());
    }

    #[test]
    fn points_make_trapezoids_and_leave_gaps() {
        let mut points = Points::default();
        let period = Span::from_millis(100);
        assert_eq!(points.advance(at(0), Watts(1.0), period), None);
        let window = points.advance(at(100), Watts(3.0), period).unwrap();
        assert_eq!(window.power, Watts(2.0));
        assert_eq!(points.advance(at(500), Watts(3.0), period), None);
        assert_eq!(
            points.advance(at(600), Watts(3.0), period).unwrap().t0,
            at(500)
        );
    }

    #[test]
    fn late_deadlines_are_skipped_in_step() {
        let period = Span::from_millis(10);
        assert_eq!(next_deadline(at(100), period, at(101)), at(110));
        assert_eq!(next_deadline(at(100), period, at(135)), at(140));
    }

    proptest! {
        /// Whatever the wraps, the windows' energy is what the counter counted.
        #[test]
        fn windows_of_a_counter_add_up(steps in prop::collection::vec(1..400_000i64, 1..50)) {
            let range = 1_000_000;
            let mut counter = Counter::new(Some(range));
            let mut true_uj = 0;
            let mut energy = 0.0;
            counter.advance(at(0), 0).unwrap();
            for (index, step) in steps.iter().enumerate() {
                true_uj += step;
                let t = at(10 * (index as u64 + 1));
                let window = counter.advance(t, true_uj % range).unwrap().unwrap();
                energy += (window.power * window.t1.since(window.t0)).0;
            }
            prop_assert!((energy - true_uj as f64 * 1e-6).abs() < 1e-9);
        }
    }
}
