//! Which parts of the daemon hang: those whose sign of life is overdue.
//!
//! A part says with each step by when the next one ends. An answer that does not come, a retry
//! that waits, a sensor that fails again and again and a long job all keep to that time, so
//! they count as progress; a thread that does not come back from a call does not.
//!
//! Nothing here reads a clock.

use crate::units::{MonoNs, Span};

/// Who looks every second and comes later than this was not let run itself, and so perhaps
/// nobody was: a frozen process, a machine that swaps.
const FROZEN: Span = Span::from_millis(5_000);
/// Then each part gets this long for its next sign of life.
const FRESH_START: Span = Span::from_millis(10_000);

/// Looks at the parts about once a second.
#[derive(Debug, Default)]
pub struct Progress {
    looked: Option<MonoNs>,
    nobody_is_late_before: MonoNs,
    /// Of each part that hangs, the sign of life that it owes.
    owed: Vec<Option<MonoNs>>,
}

impl Progress {
    /// Of each part, given when its next sign of life is due, whether it hangs at `now`.
    pub fn hangs(&mut self, now: MonoNs, due: &[Option<MonoNs>]) -> Vec<bool> {
        let before = self.looked.replace(now).unwrap_or(now);
        if now.since(before) > FROZEN {
            self.nobody_is_late_before = now + FRESH_START;
        }
        let judged = now >= self.nobody_is_late_before;
        let hangs = |(part, due): (usize, &Option<MonoNs>)| {
            let late = due.is_some_and(|due| now > due);
            // Whoever hung before the freeze is not back because of it.
            late && (judged || self.owed.get(part) == Some(due))
        };
        let hangs: Vec<bool> = due.iter().enumerate().map(hangs).collect();
        let owed = due.iter().zip(&hangs);
        self.owed = owed.map(|(due, hangs)| due.filter(|_| *hangs)).collect();
        hangs
    }
}

/// When to tell systemd that all is well: at half of the time after which it would act.
#[derive(Debug)]
pub struct Beats {
    every: Span,
    next: MonoNs,
}

impl Beats {
    pub fn new(watchdog: Span, now: MonoNs) -> Self {
        let every = Span(watchdog.0 / 2);
        Self {
            every,
            next: now + every,
        }
    }

    /// Whether one is due, or will be before the next look, which comes `until_next_look` later.
    pub fn due(&mut self, now: MonoNs, until_next_look: Span) -> bool {
        let due = now + Span(until_next_look.0 / 2) >= self.next;
        if due {
            self.next = now + self.every;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> MonoNs {
        MonoNs(seconds * SECOND)
    }

    #[test]
    fn who_is_overdue_hangs_until_it_is_back() {
        let mut progress = Progress::default();
        assert_eq!(progress.hangs(at(1), &[None, Some(at(2))]), [false, false]);
        assert_eq!(progress.hangs(at(2), &[None, Some(at(2))]), [false, false]);
        assert_eq!(progress.hangs(at(3), &[None, Some(at(2))]), [false, true]);
        assert_eq!(progress.hangs(at(4), &[None, Some(at(9))]), [false, false]);
    }

    #[test]
    fn after_a_freeze_nobody_hangs_at_once() {
        let mut progress = Progress::default();
        progress.hangs(at(1), &[Some(at(3))]);
        // SIGSTOP, ten minutes, SIGCONT.
        assert_eq!(progress.hangs(at(601), &[Some(at(3))]), [false]);
        for second in 602..611 {
            assert_eq!(progress.hangs(at(second), &[Some(at(3))]), [false]);
        }
        assert_eq!(progress.hangs(at(611), &[Some(at(3))]), [true]);
    }

    #[test]
    fn a_freeze_does_not_bring_back_who_hung_before() {
        let mut progress = Progress::default();
        progress.hangs(at(1), &[Some(at(3)), Some(at(9))]);
        assert_eq!(
            progress.hangs(at(4), &[Some(at(3)), Some(at(9))]),
            [true, false]
        );
        assert_eq!(
            progress.hangs(at(20), &[Some(at(3)), Some(at(9))]),
            [true, false]
        );
        assert_eq!(
            progress.hangs(at(21), &[Some(at(30)), Some(at(9))]),
            [false, false]
        );
    }

    proptest! {
        /// A part that keeps its word never hangs, whatever pauses the machine makes; one that
        /// has stopped does, once it is overdue and nothing was frozen lately.
        #[test]
        fn only_who_stopped_hangs(
            gaps in proptest::collection::vec(prop_oneof![9 => 1_u64..=5, 1 => 6_u64..900], 1..80),
            patience in 6_u64..60,
            stops_after in 0_usize..80,
        ) {
            let mut progress = Progress::default();
            let (mut now, mut due, mut frozen, mut hung) = (0, None, 0, false);
            for (look, gap) in gaps.into_iter().enumerate() {
                now += gap;
                // The first look has none before it.
                if gap > 5 && look > 0 {
                    frozen = now;
                }
                let hangs = progress.hangs(at(now), &[due.map(at)])[0];
                let overdue = due.is_some_and(|due| now > due);
                if look <= stops_after {
                    prop_assert!(!hangs);
                } else {
                    prop_assert!(!hangs || overdue);
                    let lately = frozen > 0 && now < frozen + 10;
                    prop_assert_eq!(hangs, overdue && (hung || !lately));
                }
                hung = hangs;
                if look < stops_after {
                    due = Some(now + patience);
                }
            }
        }

        #[test]
        fn beats_come_at_half_the_time_and_never_too_late(
            watchdog in 4_u64..200,
            late in proptest::collection::vec(0_u64..400, 1..300),
        ) {
            let tick = Span(SECOND);
            let mut beats = Beats::new(Span(watchdog * SECOND), MonoNs(0));
            let (mut now, mut last) = (0, 0);
            for late in late {
                now += SECOND + late * 1_000_000;
                if beats.due(MonoNs(now), tick) {
                    prop_assert!(now - last + SECOND >= watchdog * SECOND / 2);
                    prop_assert!(now - last < watchdog * SECOND);
                    last = now;
                }
                prop_assert!(now - last < watchdog * SECOND);
            }
        }
    }
}
