//! From the readings of one rail to its windows: the trapezoid between two points, or the
//! difference between two readings of a counter.

use super::sweep::Sample;
use super::{PollError, Quality, ReadingKind, Window};
use crate::units::{Amps, Joules, MonoNs, Span, Volts, Watts};

/// A counter that stands still for longer than this is not working.
const STUCK: Span = Span::from_millis(1000);

/// How the windows of one rail come about.
pub(super) enum Tracker {
    Points(Points),
    Counter(Counter),
}

impl Tracker {
    pub fn new(kind: ReadingKind, wrap: Option<i64>) -> Tracker {
        match kind {
            ReadingKind::Counter => Tracker::Counter(Counter::new(wrap)),
            ReadingKind::Point | ReadingKind::Window => Tracker::Points(Points::default()),
        }
    }

    /// Forgets the last reading: what comes next starts after a gap.
    pub fn restart(&mut self) {
        match self {
            Tracker::Points(points) => *points = Points::default(),
            Tracker::Counter(counter) => counter.last = None,
        }
    }

    /// The window up to `sample`; `None` where there is none yet.
    pub fn advance(&mut self, sample: &Sample, period: Span) -> Result<Option<Window>, PollError> {
        match (self, sample) {
            (Tracker::Points(points), Sample::Point { .. }) => Ok(points.advance(sample, period)),
            (Tracker::Counter(counter), Sample::Counter { at, microjoules }) => {
                counter.advance(*at, *microjoules)
            }
            _ => Ok(None),
        }
    }

    /// A counter of something that may really draw nothing: standing still is no failure.
    pub fn may_stand_still(&mut self) {
        if let Tracker::Counter(counter) = self {
            counter.may_stand_still = true;
        }
    }

    /// What a counter has counted since it was opened, in µJ, whatever its wraps.
    pub fn counted(&self) -> Option<i64> {
        match self {
            Tracker::Counter(counter) => Some(counter.counted),
            Tracker::Points(_) => None,
        }
    }
}

/// Points of power: a window is the trapezoid between two.
#[derive(Debug, Default)]
pub(super) struct Points {
    last: Option<(MonoNs, Watts, Option<Volts>, Option<Amps>)>,
}

impl Points {
    /// The trapezoid since the last point, unless that is more than 2.5 periods ago: then
    /// points were missed and nothing is known about the time between.
    fn advance(&mut self, sample: &Sample, period: Span) -> Option<Window> {
        let &Sample::Point {
            at,
            power,
            voltage,
            current,
        } = sample
        else {
            return None;
        };
        let last = self.last.replace((at, power, voltage, current));
        let (since, before, voltage_before, current_before) = last?;
        let apart = at.since(since).as_secs_f64() / period.as_secs_f64();
        if at <= since || apart > 2.5 {
            return None;
        }
        Some(Window {
            t0: since,
            t1: at,
            power: (before + power) / 2.0,
            voltage: voltage_before.zip(voltage).map(|(a, b)| (a + b) / 2.0),
            current: current_before.zip(current).map(|(a, b)| (a + b) / 2.0),
            quality: Quality::Good,
            lost: 0,
        })
    }
}

/// A cumulative counter of energy in µJ: a window is the difference of two readings.
#[derive(Debug, Default)]
pub(super) struct Counter {
    wrap: Option<i64>,
    last: Option<(MonoNs, i64)>,
    /// What was counted since it was opened, in µJ.
    counted: i64,
    may_stand_still: bool,
}

impl Counter {
    fn new(wrap: Option<i64>) -> Counter {
        Counter {
            wrap,
            ..Counter::default()
        }
    }

    /// The window since the last reading that moved; `None` while there is none.
    fn advance(&mut self, at: MonoNs, raw: i64) -> Result<Option<Window>, PollError> {
        let Some((since, before)) = self.last else {
            self.last = Some((at, raw));
            return Ok(None);
        };
        let delta = match (raw.saturating_sub(before), self.wrap) {
            (delta, _) if delta >= 0 => delta,
            (delta, Some(range)) if delta.saturating_add(range) >= 0 => delta + range,
            _ => {
                self.last = Some((at, raw));
                return Err(PollError::Retry(format!(
                    "the energy counter fell from {before} to {raw} uJ"
                )));
            }
        };
        // Between two updates of the counter nothing is known yet: the next window is longer.
        if delta == 0 || at <= since {
            return if at.since(since) > STUCK && !self.may_stand_still {
                Err(PollError::Retry(
                    "the energy counter does not move; a virtual machine may hide it".into(),
                ))
            } else {
                Ok(None)
            };
        }
        self.last = Some((at, raw));
        self.counted += delta;
        Ok(Some(Window {
            t0: since,
            t1: at,
            power: Joules(delta as f64 * 1e-6) / at.since(since),
            voltage: None,
            current: None,
            quality: Quality::Good,
            lost: 0,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    fn point(ms: u64, power: f64) -> Sample {
        Sample::Point {
            at: at(ms),
            power: Watts(power),
            voltage: None,
            current: None,
        }
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
    fn a_counter_of_what_may_be_off_stands_still_without_a_failure() {
        let mut counter = Counter::new(None);
        counter.may_stand_still = true;
        assert_eq!(counter.advance(at(0), 5), Ok(None));
        assert_eq!(counter.advance(at(5000), 5), Ok(None));
        let window = counter.advance(at(10_000), 1_000_005).unwrap().unwrap();
        assert_eq!((window.t0, window.t1), (at(0), at(10_000)));
    }

    #[test]
    fn points_make_trapezoids_and_leave_gaps() {
        let mut points = Points::default();
        let period = Span::from_millis(100);
        let mut advance = |ms, power| points.advance(&point(ms, power), period);
        assert_eq!(advance(0, 1.0), None);
        assert_eq!(advance(100, 3.0).unwrap().power, Watts(2.0));
        assert_eq!(advance(500, 3.0), None);
        assert_eq!(advance(600, 3.0).unwrap().t0, at(500));
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
