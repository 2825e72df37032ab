//! How many commands a minute may write to the store or make the board publish much.
//!
//! A bucket of one minute's worth of commands that fills steadily, kept as the one moment at
//! which it will be full again (the generic cell rate algorithm). It reads no clock.

use crate::units::{MonoNs, Span};

const MINUTE: Span = Span(60_000_000_000);

/// The bucket.
#[derive(Debug, Clone)]
pub struct RateLimit {
    per_min: u32,
    /// What one command takes: the time in which the bucket gains as much.
    cost: Span,
    full_at: MonoNs,
}

impl RateLimit {
    /// A full bucket. At least one command a minute passes.
    pub fn new(per_min: u32) -> Self {
        let per_min = per_min.max(1);
        Self {
            per_min,
            // Rounded up, so that the limit is never exceeded.
            cost: Span(MINUTE.0.div_ceil(u64::from(per_min))),
            full_at: MonoNs(0),
        }
    }

    pub fn per_min(&self) -> u32 {
        self.per_min
    }

    /// Whether a command may pass at `now`; nothing is taken.
    ///
    /// Errors: how long until one may.
    pub fn check(&self, now: MonoNs) -> Result<(), Span> {
        let level = Span(self.cost.0 * u64::from(self.per_min));
        let full_at = self.full_at.max(now) + self.cost;
        match full_at.since(now + level) {
            Span(0) => Ok(()),
            wait => Err(wait),
        }
    }

    /// Takes one command's worth. After a [`check`](Self::check) that passed.
    pub fn take(&mut self, now: MonoNs) {
        self.full_at = self.full_at.max(now) + self.cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passes(limit: &mut RateLimit, now: MonoNs) -> bool {
        let passed = limit.check(now).is_ok();
        if passed {
            limit.take(now);
        }
        passed
    }

    #[test]
    fn a_minutes_worth_passes_at_once_and_then_one_by_one() {
        let mut limit = RateLimit::new(60);
        let start = MonoNs(5_000_000_000);
        let passed = (0..100).filter(|_| passes(&mut limit, start)).count();
        assert_eq!(passed, 60);
        assert_eq!(limit.check(start), Err(Span(1_000_000_000)));
        let later = start + Span(1_000_000_000);
        assert!(passes(&mut limit, later));
        assert!(!passes(&mut limit, later));
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_its_share(
            per_min in 1_u32..5_000,
            gaps in proptest::collection::vec(0_u64..3_000_000_000, 1..200),
        ) {
            let mut limit = RateLimit::new(per_min);
            let mut now = MonoNs(1);
            let mut taken: Vec<MonoNs> = Vec::new();
            for gap in gaps {
                now = now + Span(gap);
                // Three at each moment.
                for _ in 0..3 {
                    match limit.check(now) {
                        Ok(()) => {
                            limit.take(now);
                            taken.push(now);
                        }
                        // The promise of the message: then it passes, and not before.
                        Err(wait) => {
                            prop_assert!(limit.check(now + wait).is_ok());
                            prop_assert!(limit.check(now + Span(wait.0 - 1)).is_err());
                        }
                    }
                }
            }
            for (first, &from) in taken.iter().enumerate() {
                for (last, &to) in taken.iter().enumerate().skip(first) {
                    let gained = to.since(from).0 as u128 * u128::from(per_min) / 60_000_000_000;
                    prop_assert!((last - first + 1) as u128 <= u128::from(per_min) + gained + 1);
                }
            }
        }

        #[test]
        fn who_keeps_to_the_rate_is_never_refused(per_min in 1_u32..5_000) {
            let mut limit = RateLimit::new(per_min);
            let step = Span(60_000_000_000_u64.div_ceil(u64::from(per_min)));
            let mut now = MonoNs(0);
            for _ in 0..200 {
                prop_assert!(passes(&mut limit, now));
                now = now + step;
            }
        }
    }
}
