//! Whether a board is cool enough for the next job, by what it publishes of its temperature.
//! Time comes in with what is heard.

use super::manifest::Cooldown;
use crate::units::{MonoNs, Span};
use serde::{Deserialize, Serialize};

/// Readings of a temperature that has stopped falling; they come every 10 s.
const STEADY_READINGS: usize = 3;
/// How far apart the first and the last of them may be.
const STEADY_C: f64 = 0.5;
/// A board that says nothing of its health for this long is taken for one without a temperature.
const SILENT: Span = Span::from_millis(45_000);

/// What a board's `health` says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    Celsius(f64),
    /// A job runs, which looks itself.
    Busy,
    /// It has no temperature that it could tell.
    Untold,
}

/// Why the wait was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    Below,
    StoppedFalling,
    /// No temperature is published: by time.
    Settled,
    /// Neither, when the limit was reached.
    GaveUp,
}

/// How a board was when its next job was sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cooled {
    pub how: How,
    pub temperature_c: Option<f64>,
    pub waited_s: f64,
}

/// A wait for one job.
#[derive(Debug, Clone)]
pub struct Cooling {
    rule: Cooldown,
    since: MonoNs,
    /// Whether a job of ours ran before.
    after_a_job: bool,
    heard: Option<MonoNs>,
    untold: bool,
    celsius: Vec<f64>,
}

impl Cooling {
    /// Begins to wait: only what is heard from now on counts.
    pub fn begin(rule: Cooldown, now: MonoNs, after_a_job: bool) -> Self {
        Self {
            rule,
            since: now,
            after_a_job,
            heard: None,
            untold: false,
            celsius: Vec::new(),
        }
    }

    pub fn hear(&mut self, reading: Reading, now: MonoNs) {
        self.heard = Some(now);
        self.untold = reading == Reading::Untold;
        match reading {
            Reading::Celsius(celsius) => self.celsius.push(celsius),
            // It warms up again.
            Reading::Busy => self.celsius.clear(),
            Reading::Untold => {}
        }
    }

    /// The newest temperature.
    pub fn celsius(&self) -> Option<f64> {
        self.celsius.last().copied()
    }

    /// Whether the board publishes none.
    pub fn is_blind(&self, now: MonoNs) -> bool {
        self.untold || now.since(self.heard.unwrap_or(self.since)) >= SILENT
    }

    /// `None` while the wait goes on.
    pub fn over(&self, now: MonoNs) -> Option<Cooled> {
        let waited_s = now.since(self.since).as_secs_f64();
        let over = |how| {
            Some(Cooled {
                how,
                temperature_c: self.celsius(),
                waited_s,
            })
        };
        if self.is_blind(now) {
            // Of a board that has run nothing of ours there is nothing to settle.
            return match !self.after_a_job || waited_s >= self.rule.settle_s {
                true => over(How::Settled),
                false => None,
            };
        }
        let newest = self.celsius();
        if newest
            .zip(self.rule.below_c)
            .is_some_and(|(newest, below)| newest <= below)
        {
            return over(How::Below);
        }
        let last = self.celsius.iter().rev().take(STEADY_READINGS).copied();
        let last: Vec<f64> = last.collect();
        let fell = last
            .last()
            .zip(last.first())
            .map(|(first, last)| first - last);
        if last.len() == STEADY_READINGS && fell.is_some_and(|fell| fell < STEADY_C) {
            return over(How::StoppedFalling);
        }
        match waited_s >= self.rule.limit_s {
            true => over(How::GaveUp),
            false => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: MonoNs = MonoNs(1_000_000_000_000);

    fn at(seconds: u64) -> MonoNs {
        START + Span::from_millis(seconds * 1_000)
    }

    fn rule(below_c: Option<f64>) -> Cooldown {
        Cooldown {
            below_c,
            limit_s: 100.0,
            settle_s: 20.0,
        }
    }

    /// What is heard every 10 s, until the wait is over.
    fn wait(rule: Cooldown, heard: &[Reading]) -> Option<(How, Option<f64>, f64)> {
        let mut cooling = Cooling::begin(rule, START, true);
        for (n, reading) in (1..).zip(heard) {
            cooling.hear(*reading, at(10 * n));
            if let Some(cooled) = cooling.over(at(10 * n)) {
                return Some((cooled.how, cooled.temperature_c, cooled.waited_s.round()));
            }
        }
        None
    }

    #[test]
    fn cool_enough_is_at_once() {
        let heard = [70.0, 61.0, 54.9].map(Reading::Celsius);
        let over = wait(rule(Some(55.0)), &heard);
        assert_eq!(over, Some((How::Below, Some(54.9), 30.0)));
    }

    #[test]
    fn what_falls_no_more_is_as_cool_as_it_gets() {
        let heard = [70.0, 62.0, 60.2, 60.0, 59.8].map(Reading::Celsius);
        let over = wait(rule(Some(55.0)), &heard);
        assert_eq!(over, Some((How::StoppedFalling, Some(59.8), 50.0)));
        // In summer it may get warmer meanwhile.
        let heard = [50.0, 50.2, 50.4].map(Reading::Celsius);
        assert_eq!(wait(rule(None), &heard).unwrap().0, How::StoppedFalling);
    }

    #[test]
    fn a_job_of_somebody_else_begins_the_look_anew() {
        let mut heard = vec![
            Reading::Celsius(60.0),
            Reading::Celsius(60.0),
            Reading::Busy,
        ];
        heard.extend([70.0, 66.0].map(Reading::Celsius));
        assert_eq!(wait(rule(Some(55.0)), &heard), None);
    }

    #[test]
    fn the_wait_has_a_limit() {
        let falling: Vec<Reading> = (0..20)
            .map(|n| Reading::Celsius(90.0 - f64::from(n)))
            .collect();
        let over = wait(rule(Some(55.0)), &falling);
        assert_eq!(over, Some((How::GaveUp, Some(81.0), 100.0)));
    }

    #[test]
    fn a_board_without_a_temperature_settles_after_each_job() {
        let over = wait(rule(Some(55.0)), &[Reading::Untold, Reading::Untold]);
        assert_eq!(over, Some((How::Settled, None, 20.0)));
        let mut first = Cooling::begin(rule(None), START, false);
        assert_eq!(first.over(at(1)), None, "it may still tell one");
        first.hear(Reading::Untold, at(2));
        assert_eq!(first.over(at(2)).unwrap().how, How::Settled);
        let silent = Cooling::begin(rule(None), START, true);
        assert_eq!(silent.over(at(44)), None);
        assert_eq!(silent.over(at(45)).unwrap().how, How::Settled);
    }

    proptest! {
        /// It ends, whatever is heard, and never by the limit before the limit.
        #[test]
        fn it_ends_within_the_limit(heard in proptest::collection::vec(
            prop_oneof![
                (-20.0..120.0_f64).prop_map(Reading::Celsius), Just(Reading::Busy), Just(Reading::Untold),
            ], 11)) {
            let over = wait(rule(Some(55.0)), &heard);
            let (how, celsius, waited_s) = over.expect("110 s are more than the limit");
            prop_assert!(how != How::GaveUp || waited_s >= 100.0);
            prop_assert!(how != How::Below || celsius.unwrap() <= 55.0);
        }
    }
}
