//! Interleaved jobs: rounds in which each candidate runs once, and how their costs compare.
//!
//! A round of several candidates begins and ends with the defaults; between both a line through
//! the logarithms of their costs is what the others are set against, so that a slow drift (heat)
//! cancels. In a check both take turns in going first.

use super::candidate::Candidate;
use super::goal::Goal;
use super::measured::Measured;
use super::sizes::Sizes;
use crate::energy::Ratio;

/// The defaults' place among the candidates of a series.
pub const DEFAULTS: usize = 0;

/// One job of a round, in its order.
#[derive(Debug, Clone)]
struct Slot {
    arm: usize,
    measured: Option<Measured>,
}

/// Where a series stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1, as are the jobs of a round.
    pub round: u32,
    pub job: u32,
    /// How often this very job was tried before.
    pub repeated: u32,
}

#[derive(Debug, Clone)]
pub struct Series {
    /// The defaults first.
    pub arms: Vec<Candidate>,
    /// Of the defaults' jobs.
    pub sizes: Sizes,
    /// Of each candidate's.
    sized: Vec<Sizes>,
    rounds: Vec<Vec<Slot>>,
    next: (usize, usize),
    repeated: u32,
    /// Of `repeated`, those that followed a failure.
    failures: u32,
    /// Those that can't run have no more jobs.
    broken: Vec<bool>,
    /// Why a place of each stayed empty last.
    why: Vec<Option<String>>,
}

impl Series {
    /// Each round between two runs of the defaults, the others in a turned order.
    pub fn bracketed(others: &[Candidate], sizes: Sizes, rounds: u32) -> Self {
        let n = others.len();
        let round = |round: usize| {
            let turned = (0..n).map(|k| 1 + (k + round) % n.max(1));
            let mut order = vec![DEFAULTS];
            order.extend(turned);
            order.push(DEFAULTS);
            order
        };
        Self::of(others, sizes, (0..rounds as usize).map(round).collect())
    }

    /// One candidate and the defaults, which go first in every other round.
    pub fn check(candidate: &Candidate, sizes: Sizes, rounds: u32) -> Self {
        let round = |round| match round % 2 {
            0 => vec![DEFAULTS, 1],
            _ => vec![1, DEFAULTS],
        };
        let others = std::slice::from_ref(candidate);
        Self::of(others, sizes, (0..rounds).map(round).collect())
    }

    fn of(others: &[Candidate], sizes: Sizes, rounds: Vec<Vec<usize>>) -> Self {
        let slot = |arm| Slot {
            arm,
            measured: None,
        };
        let arms: Vec<Candidate> = [Candidate::default()]
            .into_iter()
            .chain(others.iter().cloned())
            .collect();
        Self {
            broken: vec![false; arms.len()],
            why: vec![None; arms.len()],
            sized: vec![sizes; arms.len()],
            arms,
            sizes,
            rounds: rounds
                .into_iter()
                .map(|round| round.into_iter().map(slot).collect())
                .collect(),
            next: (0, 0),
            repeated: 0,
            failures: 0,
        }
    }

    /// The next job; `None` when all have run.
    pub fn next(&self) -> Option<(Place, &Candidate)> {
        let (round, job) = self.next;
        let slot = self.rounds.get(round)?.get(job)?;
        let place = Place {
            round: round as u32 + 1,
            job: job as u32 + 1,
            repeated: self.repeated,
        };
        Some((place, &self.arms[slot.arm]))
    }

    /// Which candidate the next job is of.
    pub fn arm(&self) -> Option<usize> {
        let (round, job) = self.next;
        Some(self.rounds.get(round)?.get(job)?.arm)
    }

    pub fn sizes_of(&self, arm: usize) -> Sizes {
        self.sized[arm]
    }

    /// From here on a candidate's jobs are of these sizes. Costs are of a token, so that others
    /// can have other sizes.
    pub fn resize(&mut self, arm: usize, sizes: Sizes) {
        self.sized[arm] = sizes;
    }

    /// The same job once more.
    pub fn repeat(&mut self) {
        self.repeated += 1;
    }

    /// The same job once more, after it has failed.
    pub fn repeat_failed(&mut self) {
        self.failures += 1;
        self.repeat();
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Leaves the place of this job empty.
    pub fn leave_empty(&mut self, why: String) {
        if let Some(arm) = self.arm() {
            self.why[arm] = Some(why);
        }
        self.take(None);
    }

    /// Why places of a candidate are empty, or those of the defaults.
    pub fn why_empty(&self, arm: usize) -> Option<&str> {
        self.why[arm].as_deref().or(self.why[DEFAULTS].as_deref())
    }

    /// Goes on to the next job; without figures the place stays empty.
    pub fn take(&mut self, measured: Option<Measured>) {
        let (round, job) = self.next;
        if let Some(slot) = self.rounds.get_mut(round).and_then(|r| r.get_mut(job)) {
            slot.measured = measured;
        }
        self.advance();
    }

    /// The candidate of the next job can't run: its jobs are left out from here on.
    pub fn give_up(&mut self) {
        if let Some(arm) = self.arm() {
            self.broken[arm] = true;
            self.advance();
        }
    }

    pub fn is_broken(&self, arm: usize) -> bool {
        self.broken[arm]
    }

    fn advance(&mut self) {
        (self.repeated, self.failures) = (0, 0);
        loop {
            let (round, job) = self.next;
            let jobs = self.rounds.get(round).map_or(0, Vec::len);
            self.next = match job + 1 < jobs {
                true => (round, job + 1),
                false => (round + 1, 0),
            };
            match self.arm() {
                Some(arm) if self.broken[arm] => {}
                _ => return,
            }
        }
    }

    pub fn rounds(&self) -> u32 {
        self.rounds.len() as u32
    }

    /// Jobs that are still to run.
    pub fn left(&self) -> u32 {
        let (round, job) = self.next;
        let jobs = self.rounds.iter().skip(round).flatten().skip(job);
        jobs.filter(|slot| !self.broken[slot.arm]).count() as u32
    }

    /// Figures of the jobs of a candidate that count.
    pub fn of_arm(&self, arm: usize) -> Vec<&Measured> {
        let slots = self.rounds.iter().flatten();
        slots
            .filter(|slot| slot.arm == arm)
            .filter_map(|slot| slot.measured.as_ref())
            .collect()
    }

    /// In each round the candidate's cost as a multiple of the defaults' at that time.
    pub fn relative(&self, arm: usize, goal: &Goal) -> Vec<Option<f64>> {
        let round = |slots: &Vec<Slot>| {
            let log = |slot: &Slot| Some(goal.cost(slot.measured.as_ref()?)?.ln());
            let known = |wanted: usize| {
                let places = slots.iter().enumerate();
                places
                    .filter(move |(_, slot)| slot.arm == wanted)
                    .filter_map(|(place, slot)| Some((place as f64, log(slot)?)))
                    .collect::<Vec<(f64, f64)>>()
            };
            let defaults = known(DEFAULTS);
            let (first, last) = (defaults.first()?, defaults.last()?);
            if arm == DEFAULTS {
                return Some(1.0);
            }
            let (place, cost) = *known(arm).first()?;
            let slope = match last.0 > first.0 {
                true => (last.1 - first.1) / (last.0 - first.0),
                false => 0.0,
            };
            Some((cost - (first.1 + slope * (place - first.0))).exp())
        };
        self.rounds.iter().map(round).collect()
    }

    /// `b ÷ a` over the rounds that have both.
    pub fn ratio(&self, a: usize, b: usize, goal: &Goal) -> Option<Ratio> {
        let both = self
            .relative(a, goal)
            .into_iter()
            .zip(self.relative(b, goal));
        let pairs: Vec<(f64, f64)> = both.filter_map(|(a, b)| Some((a?, b?))).collect();
        let ratio = Ratio::paired(&pairs)?;
        let first = |arm| self.of_arm(arm).first().copied();
        let systematic = first(a)
            .zip(first(b))
            .map_or(0.0, |(a, b)| goal.systematic(a, b));
        Some(ratio.with_systematic(systematic))
    }
}

#[cfg(test)]
mod tests {
    use super::super::goal::{Bounds, Objective};
    use super::*;
    use crate::energy::Verdict;

    const GOAL: Goal = Goal {
        objective: Objective::Decode,
        bounds: Bounds {
            ttft_s: None,
            tpot_s: None,
        },
        n_prompt: 1,
        n_gen: 1,
    };
    const SIZES: Sizes = Sizes {
        n_prompt: 0,
        n_gen: 8,
        n_depth: 0,
        repetitions: 1,
    };

    fn threads(count: u32) -> Candidate {
        Candidate {
            threads: Some(count),
            ..Candidate::default()
        }
    }

    fn took(cost: f64) -> Option<Measured> {
        Some(Measured {
            decode_tok_s: Some(1.0 / cost),
            ..Measured::default()
        })
    }

    /// Candidates in the order in which they run, by their threads; 0 are the defaults.
    fn run(series: &mut Series, mut cost: impl FnMut(u32) -> Option<Measured>) -> Vec<Vec<u32>> {
        let mut order: Vec<Vec<u32>> = Vec::new();
        while let Some((place, candidate)) = series.next() {
            let who = candidate.threads.unwrap_or(0);
            order.resize(place.round as usize, Vec::new());
            order[place.round as usize - 1].push(who);
            series.take(cost(who));
        }
        order
    }

    #[test]
    fn rounds_are_bracketed_by_the_defaults_and_turned() {
        let mut series = Series::bracketed(&[threads(1), threads(2), threads(3)], SIZES, 3);
        assert_eq!(series.left(), 15);
        let order = run(&mut series, |_| took(1.0));
        assert_eq!(order, [[0, 1, 2, 3, 0], [0, 2, 3, 1, 0], [0, 3, 1, 2, 0]]);
        let mut check = Series::check(&threads(1), SIZES, 3);
        assert_eq!(run(&mut check, |_| took(1.0)), [[0, 1], [1, 0], [0, 1]]);
        assert_eq!(check.left(), 0);
    }

    #[test]
    fn a_drift_over_the_round_cancels() {
        let mut series = Series::bracketed(&[threads(1), threads(2)], SIZES, 4);
        let mut heat = 1.0;
        run(&mut series, |who| {
            heat *= 1.03;
            took(heat * if who == 2 { 0.9 } else { 1.0 })
        });
        let ratio = |a, b| series.ratio(a, b, &GOAL).unwrap();
        assert!((ratio(0, 2).ratio() - 0.9).abs() < 1e-9);
        assert!((ratio(0, 1).ratio() - 1.0).abs() < 1e-9);
        assert_eq!(ratio(1, 2).verdict(), Verdict::BLower);
        assert!((ratio(2, 1).ratio() - 1.0 / 0.9).abs() < 1e-9);
    }

    #[test]
    fn a_missing_bracket_leaves_the_other_and_two_leave_nothing() {
        let mut series = Series::bracketed(&[threads(1)], SIZES, 3);
        let mut job = 0;
        run(&mut series, |who| {
            job += 1;
            let lost = [1, 4, 6].contains(&job);
            (!lost)
                .then(|| took(if who == 1 { 2.0 } else { 1.0 }))
                .flatten()
        });
        let relative = series.relative(1, &GOAL);
        assert_eq!(relative[1], None);
        assert!((relative[0].unwrap() - 2.0).abs() < 1e-9);
        assert!((relative[2].unwrap() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_run_is_left_out_from_there_on() {
        let mut series = Series::bracketed(&[threads(1), threads(2)], SIZES, 2);
        series.take(took(1.0));
        series.repeat();
        assert_eq!(series.next().unwrap().0.repeated, 1);
        series.give_up();
        assert!(series.is_broken(1) && !series.is_broken(2));
        let order = run(&mut series, |_| took(1.0));
        assert_eq!(order, [vec![2, 0], vec![0, 2, 0]]);
        assert_eq!(series.ratio(0, 1, &GOAL), None);
    }
}
