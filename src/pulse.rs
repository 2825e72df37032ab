//! Signs of life of the daemon's parts, for whoever has to notice that one of them hangs.

use crate::clock;
use crate::units::{MonoNs, Span};
use std::sync::atomic::{AtomicU64, Ordering};

/// By when a part says again that it goes on. One atomic number: a thread that samples tells
/// it without waiting for anyone.
#[derive(Debug, Default)]
pub struct Pulse(AtomicU64);

impl Pulse {
    /// The part goes on now, and says so again before `longest` is over, whatever it meets.
    pub fn back_within(&self, longest: Span) {
        self.0.store((clock::now() + longest).0, Ordering::Relaxed);
    }

    /// When the next sign of life is due; `None` before the first.
    pub fn due(&self) -> Option<MonoNs> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            due => Some(MonoNs(due)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_has_not_begun_is_not_due() {
        let pulse = Pulse::default();
        assert_eq!(pulse.due(), None);
        pulse.back_within(Span::from_millis(1_000));
        assert!(pulse.due() > Some(clock::now()));
    }
}
