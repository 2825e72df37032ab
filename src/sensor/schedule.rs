//! When a source that is read at a fixed rate is due.

use super::Pace;
use crate::clock;
use crate::units::{MonoNs, Span};

/// The rate of either pace, and the next deadline. Deadlines don't drift, and skip what has
/// passed.
#[derive(Debug)]
pub(super) struct Schedule {
    full_rate_hz: f64,
    idle_rate_hz: f64,
    rate_hz: f64,
    deadline: MonoNs,
}

impl Schedule {
    /// Due at once, at the full pace.
    pub fn new(full_rate_hz: f64, idle_rate_hz: f64) -> Schedule {
        Schedule {
            full_rate_hz,
            idle_rate_hz: idle_rate_hz.min(full_rate_hz),
            rate_hz: full_rate_hz,
            deadline: clock::now(),
        }
    }

    pub fn rate_hz(&self) -> f64 {
        self.rate_hz
    }

    pub fn period(&self) -> Span {
        Span::from_secs_f64(1.0 / self.rate_hz)
    }

    pub fn set_pace(&mut self, pace: Pace) {
        self.rate_hz = match pace {
            Pace::Full => self.full_rate_hz,
            Pace::Idle => self.idle_rate_hz,
        };
        self.restart();
    }

    /// Due at once.
    pub fn restart(&mut self) {
        self.deadline = clock::now();
    }

    /// The next deadline after now.
    pub fn next(&mut self) -> MonoNs {
        self.deadline = next_deadline(self.deadline, self.period(), clock::now());
        self.deadline
    }
}

fn next_deadline(deadline: MonoNs, period: Span, now: MonoNs) -> MonoNs {
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

    #[test]
    fn late_deadlines_are_skipped_in_step() {
        let period = Span::from_millis(10);
        let at = |ms: u64| MonoNs(ms * 1_000_000);
        assert_eq!(next_deadline(at(100), period, at(101)), at(110));
        assert_eq!(next_deadline(at(100), period, at(135)), at(140));
    }
}
