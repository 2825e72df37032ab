//! Sums over the windows of a rail: its means, its rate, and how much of the time they cover.

use crate::sensor::{Quality, Window};
use crate::units::{Amps, Joules, MonoNs, Span, Volts, Watts};

/// What some windows of one rail add up to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    pub windows: u64,
    energy: Joules,
    covered: Span,
    volts: Weighted,
    amps: Weighted,
    worst: Option<Quality>,
    longest: Span,
    bounds: Option<(MonoNs, MonoNs)>,
}

/// A mean over the time in which it was told.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Weighted {
    sum: f64,
    seconds: f64,
}

impl Weighted {
    fn add(&mut self, value: Option<f64>, seconds: f64) {
        if let Some(value) = value {
            self.sum += value * seconds;
            self.seconds += seconds;
        }
    }

    fn mean(self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.sum / self.seconds)
    }
}

impl Tally {
    /// Windows come in their order.
    pub fn add(&mut self, window: &Window) {
        let span = window.t1.since(window.t0);
        self.windows += 1;
        self.energy = self.energy + window.power * span;
        self.covered = self.covered + span;
        self.volts
            .add(window.voltage.map(|v| v.0), span.as_secs_f64());
        self.amps
            .add(window.current.map(|a| a.0), span.as_secs_f64());
        self.worst = self.worst.max(Some(window.quality));
        self.longest = self.longest.max(span);
        let (start, _) = self.bounds.unwrap_or((window.t0, window.t1));
        self.bounds = Some((start, window.t1));
    }

    /// Energy inside the windows; `None` before the first.
    pub fn energy(&self) -> Option<Joules> {
        (self.windows > 0).then_some(self.energy)
    }

    /// The mean over the windows.
    pub fn power(&self) -> Option<Watts> {
        (self.covered > Span(0)).then(|| self.energy / self.covered)
    }

    pub fn voltage(&self) -> Option<Volts> {
        self.volts.mean().map(Volts)
    }

    pub fn current(&self) -> Option<Amps> {
        self.amps.mean().map(Amps)
    }

    /// The worst of the windows.
    pub fn quality(&self) -> Option<Quality> {
        self.worst
    }

    /// Windows a second, gaps included.
    pub fn rate_hz(&self) -> Option<f64> {
        let (start, end) = self.bounds?;
        let seconds = end.since(start).as_secs_f64();
        (seconds > 0.0).then(|| self.windows as f64 / seconds)
    }

    /// Share of the time from the first window to `until` that is inside windows. The one
    /// that is still under way at `until` is no gap.
    pub fn coverage(&self, until: MonoNs) -> Option<f64> {
        let (start, end) = self.bounds?;
        let expected = end.max(until - Span(2 * self.longest.0));
        let seconds = expected.since(start).as_secs_f64();
        (seconds > 0.0).then(|| (self.covered.as_secs_f64() / seconds).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(t0_ms: u64, t1_ms: u64, watts: f64, volts: Option<f64>) -> Window {
        Window {
            t0: MonoNs(t0_ms * 1_000_000),
            t1: MonoNs(t1_ms * 1_000_000),
            power: Watts(watts),
            voltage: volts.map(Volts),
            current: None,
            quality: Quality::Good,
            lost: 0,
        }
    }

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn nothing_is_known_before_the_first_window() {
        let tally = Tally::default();
        assert_eq!(tally.power(), None);
        assert_eq!(tally.energy(), None);
        assert_eq!(tally.rate_hz(), None);
        assert_eq!(tally.coverage(at(5)), None);
        assert_eq!(tally.quality(), None);
    }

    #[test]
    fn means_are_weighted_by_time_and_what_is_not_told_is_not_zero() {
        let mut tally = Tally::default();
        tally.add(&window(0, 100, 1.0, Some(5.0)));
        tally.add(&window(100, 400, 5.0, None));
        assert!((tally.power().unwrap().0 - 4.0).abs() < 1e-9);
        assert_eq!(tally.voltage(), Some(Volts(5.0)));
        assert_eq!(tally.current(), None);
        assert_eq!(tally.rate_hz(), Some(5.0));
        assert_eq!(tally.coverage(at(500)), Some(1.0));
    }

    #[test]
    fn a_gap_and_a_silent_end_lower_the_coverage() {
        let mut tally = Tally::default();
        tally.add(&window(0, 10, 1.0, None));
        tally.add(&window(30, 40, 1.0, None));
        assert_eq!(tally.coverage(at(40)), Some(0.5));
        let silent = tally.coverage(at(120)).unwrap();
        assert!((silent - 0.2).abs() < 1e-9, "{silent}");
    }
}
