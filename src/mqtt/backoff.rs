//! How long to wait before the next try.

use crate::units::Span;
use std::hash::{BuildHasher, Hasher, RandomState};

const FIRST: Span = Span::from_millis(1_000);
const LONGEST: Span = Span::from_millis(60_000);

/// Exponential from 1 s to 60 s with full jitter: boards that lost the same broker together
/// must not come back together. `chance` is uniform in [0, 1).
pub fn jittered(tries: u32, chance: f64) -> Span {
    Span((doubled(tries).0 as f64 * chance) as u64)
}

/// The same without jitter, for one record's next try.
pub fn doubled(tries: u32) -> Span {
    let factor = 1u64.checked_shl(tries).unwrap_or(u64::MAX);
    Span(FIRST.0.saturating_mul(factor).min(LONGEST.0))
}

/// Uniform in [0, 1), good enough to spread reconnects: std seeds its hashers at random.
pub fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Waits between connections.
#[derive(Debug, Default)]
pub struct Reconnect {
    tries: u32,
    /// Whether the try that needs no wait was used up.
    tried_at_once: bool,
}

impl Reconnect {
    /// A connection that stood for a while: the next loss starts over.
    pub fn stood(&mut self) {
        *self = Self::default();
    }

    /// Another client took this board's place at the broker, and may want it back as often as
    /// this board does: no try at once, and no short ones.
    pub fn pushed_out(&mut self) {
        self.tried_at_once = true;
        self.tries = self.tries.max(2);
    }

    /// The wait before the next try; the first is at once.
    pub fn wait(&mut self, chance: f64) -> Span {
        if !self.tried_at_once {
            self.tried_at_once = true;
            return Span(0);
        }
        self.tries += 1;
        jittered(self.tries - 1, chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_try_is_at_once_and_later_ones_ever_rarer() {
        let mut reconnect = Reconnect::default();
        let waits: Vec<u64> = (0..9)
            .map(|_| reconnect.wait(1.0).0 / 1_000_000_000)
            .collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        reconnect.stood();
        assert_eq!(reconnect.wait(1.0), Span(0));
    }

    #[test]
    fn who_was_pushed_out_does_not_push_back_at_once() {
        let mut reconnect = Reconnect::default();
        reconnect.pushed_out();
        assert_eq!(reconnect.wait(1.0), doubled(2));
        reconnect.pushed_out();
        assert_eq!(reconnect.wait(1.0), doubled(3));
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_a_minute(tries: u32, chance in 0.0f64..1.0) {
            prop_assert!(jittered(tries, chance) <= LONGEST);
            prop_assert!(doubled(tries) >= FIRST);
        }
    }

    #[test]
    fn chances_differ_and_stay_in_range() {
        let draws: Vec<f64> = (0..64).map(|_| chance()).collect();
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        assert!(draws.iter().any(|draw| *draw != draws[0]));
    }
}
