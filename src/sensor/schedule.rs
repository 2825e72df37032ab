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
    /// Share of a period by which a reading may come later, and the state of the random
    /// numbers that decide.
    dither: (f64, u64),
}

impl Schedule {
    /// Due at once, at the full pace.
    pub fn new(full_rate_hz: f64, idle_rate_hz: f64) -> Schedule {
        Schedule {
            full_rate_hz,
            idle_rate_hz: idle_rate_hz.min(full_rate_hz),
            rate_hz: full_rate_hz,
            deadline: clock::now(),
            dither: (0.0, 1),
        }
    }

    /// Points that cover little of the time must not beat with what they sample: decoding
    /// repeats itself at the token rate. Each reading is put off by a random part of up to
    /// `share` of a period.
    pub fn dithered(mut self, share: f64) -> Schedule {
        self.dither = (share, self.deadline.0 | 1);
        self
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
        self.deadline + self.put_off()
    }

    fn put_off(&mut self) -> Span {
        let (share, state) = &mut self.dither;
        *state = xorshift(*state);
        let random = (*state >> 11) as f64 / (1u64 << 53) as f64;
        Span::from_secs_f64(*share * random / self.rate_hz)
    }
}

/// Marsaglia's 64-bit generator; never 0 from a state that is not.
fn xorshift(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
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
    #[test]
    fn dither_spreads_over_its_share_of_the_period() {
        let mut schedule = Schedule::new(10.0, 10.0).dithered(0.4);
        let shifts: Vec<Span> = (0..1000).map(|_| schedule.put_off()).collect();
        assert!(shifts.iter().all(|shift| *shift <= Span::from_millis(40)));
        let mean = shifts.iter().map(|shift| shift.0).sum::<u64>() / 1000;
        assert!((18_000_000..22_000_000).contains(&mean), "{mean}");
        assert_eq!(Schedule::new(10.0, 10.0).put_off(), Span(0));
    }
}
