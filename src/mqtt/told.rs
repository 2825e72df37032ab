//! How many events of a code leave in a minute. A flood of commands that are refused must
//! not become a flood of events, nor of lines in the log: past the limit they are counted,
//! and one event tells their number when the minute is over. It reads no clock.

use crate::units::{MonoNs, Span};
use std::collections::BTreeMap;

const WINDOW: Span = Span(60_000_000_000);
/// Of a code and window. A person who tries a command by hand sees every answer.
const MOST: u64 = 30;

#[derive(Debug, Clone, Copy)]
struct Window {
    began: MonoNs,
    events: u64,
}

/// What was told lately, by code.
#[derive(Debug, Default)]
pub(super) struct Told {
    windows: BTreeMap<String, Window>,
    left_out: u64,
}

/// Events of one code that were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub code: String,
    pub events: u64,
}

impl Told {
    /// Whether an event of this code may leave at `now`; if not, it is counted.
    pub fn admit(&mut self, code: &str, now: MonoNs) -> bool {
        let fresh = Window {
            began: now,
            events: 0,
        };
        // One that is over and still has something to tell waits for `take_over`.
        let window = self.windows.entry(code.to_owned()).or_insert(fresh);
        if now >= window.began + WINDOW && window.events <= MOST {
            *window = fresh;
        }
        window.events += 1;
        let admitted = window.events <= MOST;
        self.left_out += u64::from(!admitted);
        admitted
    }

    /// The windows that are over, of those that left something out.
    pub fn take_over(&mut self, now: MonoNs) -> Vec<LeftOut> {
        let mut over = Vec::new();
        self.windows.retain(|code, window| {
            if now < window.began + WINDOW {
                return true;
            }
            if window.events > MOST {
                over.push(LeftOut {
                    code: code.clone(),
                    events: window.events - MOST,
                });
            }
            false
        });
        over
    }

    /// When the next window is over that left something out.
    pub fn over_at(&self) -> Option<MonoNs> {
        let full = self.windows.values().filter(|window| window.events > MOST);
        full.map(|window| window.began + WINDOW).min()
    }

    /// All that were left out since the start.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> MonoNs {
        MonoNs(seconds * 1_000_000_000)
    }

    #[test]
    fn a_flood_of_one_code_is_cut_and_its_rest_told_once() {
        let mut told = Told::default();
        let left = (0..100)
            .filter(|_| told.admit("invalid-spec", at(1)))
            .count();
        assert_eq!(left, 30);
        assert!(told.admit("conflict", at(1)), "another code is not held up");
        assert_eq!(told.take_over(at(60)), []);
        assert_eq!(told.over_at(), Some(at(61)));
        let over = told.take_over(at(61));
        assert_eq!(
            over,
            [LeftOut {
                code: "invalid-spec".to_owned(),
                events: 70
            }]
        );
        assert_eq!((told.take_over(at(61)), told.over_at()), (vec![], None));
        assert_eq!(told.left_out(), 70);
        assert!(told.admit("invalid-spec", at(62)));
    }

    proptest! {
        #[test]
        fn every_event_leaves_or_is_told_of(
            steps in proptest::collection::vec((0_u8..3, 0_u64..20, 1_u32..60), 1..60),
        ) {
            let mut told = Told::default();
            let (mut now, mut events, mut left, mut counted) = (0, 0, 0, 0);
            for (code, gap, times) in steps {
                now += gap;
                counted += told.take_over(at(now)).iter().map(|over| over.events).sum::<u64>();
                for _ in 0..times {
                    events += 1;
                    left += u64::from(told.admit(&code.to_string(), at(now)));
                }
            }
            counted += told.take_over(at(now + 61)).iter().map(|over| over.events).sum::<u64>();
            prop_assert_eq!(events, left + counted);
            prop_assert_eq!(told.left_out(), counted);
            prop_assert!(left <= 3 * 30 * (now / 60 + 2));
        }
    }
}
