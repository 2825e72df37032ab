//! How often a fetch is tried: again while that brings something, from the beginning once.

use super::transfer::least_bytes;
use crate::units::{MonoNs, Span};

/// In a row that brought nothing.
const MOST_VAIN: u32 = 5;

/// How the tries of one fetch went.
#[derive(Debug, Clone)]
pub struct Tries {
    timeout_s: u32,
    first_pause: Span,
    vain: u32,
    pause: Span,
    not_before: MonoNs,
    /// Bytes that were there at most.
    farthest: u64,
    began_anew: bool,
}

impl Tries {
    /// `timeout_s`: what a server may be silent for, and the longest pause between two tries.
    /// Each is twice as long as the one before.
    pub fn new(timeout_s: u32, first_pause: Span) -> Self {
        Self {
            timeout_s,
            first_pause,
            vain: 0,
            pause: first_pause,
            not_before: MonoNs(0),
            farthest: 0,
            began_anew: false,
        }
    }

    /// When the next may begin.
    pub fn not_before(&self) -> MonoNs {
        self.not_before
    }

    /// After one that failed, with `have` bytes there. `false` when no other is to follow.
    pub fn go_on(&mut self, now: MonoNs, have: u64) -> bool {
        // A few bytes each time are no progress, nor are those that were there before.
        if have.saturating_sub(self.farthest) >= least_bytes(self.timeout_s) {
            (self.vain, self.pause) = (0, self.first_pause);
        }
        self.farthest = self.farthest.max(have);
        self.vain += 1;
        self.not_before = now + self.pause;
        let longest = u64::from(self.timeout_s) * 1_000_000_000;
        self.pause = Span((self.pause.0 * 2).min(longest));
        self.vain < MOST_VAIN
    }

    /// After all has come and is another file: whether pieces of two may be why, so that it is
    /// worth beginning anew. Only once: every pause and every lost connection makes pieces, and a
    /// hash that nothing can have would be fetched for ever.
    pub fn begin_anew(&mut self, pieced: bool) -> bool {
        let worth = pieced && !self.began_anew;
        if worth {
            (self.began_anew, self.farthest) = (true, 0);
        }
        worth
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Span = Span(1_000_000_000);

    fn second(n: u64) -> MonoNs {
        MonoNs(n * SECOND.0)
    }

    #[test]
    fn tries_that_bring_nothing_end_and_pauses_grow() {
        let mut tries = Tries::new(30, SECOND);
        for not_before in [1, 2, 4, 8] {
            assert!(tries.go_on(second(0), 100));
            assert_eq!(tries.not_before(), second(not_before));
        }
        // What brought much begins anew.
        assert!(tries.go_on(second(0), 1 << 20));
        assert_eq!(tries.not_before(), second(1));
        assert!((0..3).all(|_| tries.go_on(second(0), 1 << 20)));
        assert!(!tries.go_on(second(0), 1 << 20));
    }

    #[test]
    fn the_same_bytes_over_and_over_are_no_progress() {
        // Cut each time, and asked for the rest the server answers another part.
        let mut tries = Tries::new(30, SECOND);
        let made = (0..100).take_while(|n| tries.go_on(second(0), (n % 2) << 20));
        assert_eq!(made.count(), 5);
    }

    #[test]
    fn it_begins_anew_once_however_many_pieces_there_were() {
        let mut tries = Tries::new(30, SECOND);
        assert!(!tries.begin_anew(false));
        assert!(tries.begin_anew(true));
        // The second time comes in pieces too, each of which is progress.
        assert!((1..10).all(|n| tries.go_on(second(0), n << 20)));
        assert!(!tries.begin_anew(true));
    }

    proptest! {
        #[test]
        fn no_server_makes_it_fetch_for_ever(came in proptest::collection::vec(0_u64..=1 << 20, 400)) {
            let mut tries = Tries::new(30, SECOND);
            let ends = came.iter().position(|have| !tries.go_on(second(0), *have));
            // 1 MiB has 34 steps of what counts as progress.
            prop_assert!(ends.is_some_and(|n| n <= 35 * 5));
        }
    }
}
