//! What follows from a rung: who goes, what the stage takes, what comes next.

use super::{At, Tuner};
use crate::lab::tune::candidate::Candidate;
use crate::lab::tune::fate::{Entry, Fate};
use crate::lab::tune::order::Rules;
use crate::lab::tune::rung::{Standing, best, standings};
use crate::lab::tune::series::{DEFAULTS, Series};
use crate::lab::tune::sizes::{Purpose, RUNGS, Sizes};
use crate::lab::tune::space::Stage;

const LEAST_CHECK_ROUNDS: u32 = 3;

impl Tuner {
    pub(super) fn end_rung(&mut self, stage: Stage, rung: u32, series: &Series) {
        let before = self.before(series);
        let mut all = standings(series, &self.rules.goal, before);
        self.defaults_beyond = all[DEFAULTS].beyond;
        let contenders = all.iter().filter(|standing| standing.stays()).count();
        let challengers = |all: &[Standing]| -> Vec<usize> {
            let mut arms: Vec<usize> = all
                .iter()
                .filter(|standing| standing.stays() && standing.arm != DEFAULTS)
                .map(|standing| standing.arm)
                .collect();
            arms.sort_by(|a, b| rank(&all[*a]).total_cmp(&rank(&all[*b])));
            arms
        };
        let mut goes_on =
            contenders > 1 && !challengers(&all).is_empty() && rung < self.rules.rungs;
        while goes_on {
            let arms = challengers(&all);
            if self.affords(stage, rung + 1, arms.len()) {
                break;
            }
            self.out_of_time = true;
            let worse: Vec<usize> = arms[arms.len().div_ceil(2)..]
                .iter()
                .copied()
                .filter(|arm| series.arms[*arm] != self.best)
                .collect();
            goes_on = !worse.is_empty();
            for arm in worse {
                all[arm].out = Some(Fate::Halved);
            }
        }
        for standing in &all {
            if let Some(fate) = &standing.out {
                self.record(stage, rung, series, standing, fate.clone());
            }
        }
        if goes_on {
            // In the order of before, so that labels stay in order too.
            let mut arms = challengers(&all);
            arms.sort_unstable();
            let others: Vec<Candidate> = arms.iter().map(|arm| series.arms[*arm].clone()).collect();
            self.begin_rung(stage, rung + 1, &others);
        } else {
            self.end_stage(stage, rung, series, &all);
        }
    }

    fn record(
        &mut self,
        stage: Stage,
        rung: u32,
        series: &Series,
        standing: &Standing,
        fate: Fate,
    ) {
        let candidate = &series.arms[standing.arm];
        // The best of an earlier stage has its line there, and what can't run has one already.
        if standing.arm == DEFAULTS || *candidate == self.best || series.is_broken(standing.arm) {
            return;
        }
        self.entries.push(Entry {
            stage,
            label: candidate.label(),
            candidate: candidate.clone(),
            rung,
            rounds: standing.rounds,
            against_defaults: standing.against_defaults,
            fate,
        });
    }

    fn end_stage(&mut self, stage: Stage, rung: u32, series: &Series, all: &[Standing]) {
        let taken = self.choice(series, all);
        for standing in all.iter().filter(|standing| standing.stays()) {
            let fate = match standing.arm == taken {
                true => Fate::Taken,
                false => Fate::Tied,
            };
            self.record(stage, rung, series, standing, fate);
        }
        self.best = series.arms[taken].clone();
        let next = Stage::ALL.iter().position(|each| *each == stage);
        self.begin_stage(next.map_or(Stage::ALL.len(), |at| at + 1));
    }

    /// The place of the best of the stages before; `None` once it is shown to be worse.
    fn before(&self, series: &Series) -> Option<usize> {
        series.arms.iter().position(|arm| *arm == self.best)
    }

    /// What was the best stays so unless another is shown to cost less, or is within bounds
    /// that it is not.
    fn choice(&self, series: &Series, all: &[Standing]) -> usize {
        let before = self.before(series);
        match (best(all), before) {
            (Some(best), Some(before)) => {
                let (old, new) = (&all[before], &all[best]);
                match old.stays() && old.relative.is_some() && old.excess() <= new.excess() {
                    true => before,
                    false => best,
                }
            }
            (Some(best), None) => best,
            // All are beyond their bounds: the nearest to them.
            (None, _) => all
                .iter()
                .filter(|standing| standing.relative.is_some())
                .min_by(|a, b| a.excess().total_cmp(&b.excess()))
                .filter(|nearest| before.is_none_or(|arm| nearest.excess() < all[arm].excess()))
                .map_or(before.unwrap_or(DEFAULTS), |nearest| nearest.arm),
        }
    }

    /// Begins the first stage from `index` on that has something to try, or the check.
    pub(super) fn begin_stage(&mut self, index: usize) {
        let Some(resolved) = self.resolved else {
            return;
        };
        for stage in Stage::ALL.into_iter().skip(index) {
            let mut tried = self.rules.space.around(stage, &self.best, &resolved);
            let before = usize::from(!self.best.is_default());
            while !tried.is_empty() && !self.affords(stage, 1, before + tried.len()) {
                self.out_of_time = true;
                let candidate = tried.pop().expect("it is not empty");
                self.entries.push(Entry {
                    stage,
                    label: candidate.label(),
                    candidate,
                    rung: 0,
                    rounds: 0,
                    against_defaults: None,
                    fate: Fate::NotTried,
                });
            }
            if tried.is_empty() {
                continue;
            }
            if !self.best.is_default() {
                tried.insert(0, self.best.clone());
            }
            self.begin_rung(stage, 1, &tried);
            return;
        }
        self.begin_check();
    }

    fn begin_rung(&mut self, stage: Stage, rung: u32, others: &[Candidate]) {
        let sizes = self.sizes(Purpose::Rung(stage, rung));
        let rounds = RUNGS[rung as usize - 1].0;
        self.at = At::Rung {
            stage,
            rung,
            series: self.sized(Series::bracketed(others, sizes, rounds)),
        };
    }

    fn begin_check(&mut self) {
        if self.best.is_default() {
            self.at = At::Done(None);
            return;
        }
        let sizes = self.sizes(Purpose::Check);
        let mut rounds = self.rules.rounds;
        if let (Some(left_s), Some(pace)) = (self.left_s(), &self.pace) {
            let affordable = (left_s / (2.0 * pace.estimate_s(&sizes))).max(0.0) as u32;
            rounds = rounds.min(affordable.max(LEAST_CHECK_ROUNDS));
        }
        self.out_of_time |= rounds < self.rules.rounds;
        self.at = At::Check(self.sized(Series::check(&self.best, sizes, rounds)));
    }

    /// Longer jobs for whoever is faster than the defaults; of a new candidate it is believed
    /// that it is as fast as what it goes on from.
    fn sized(&self, mut series: Series) -> Series {
        let of = |candidate: &Candidate| {
            let mut known = self.speeds.iter();
            Some(known.find(|(known, _)| known == candidate)?.1)
        };
        let Some(pace) = &self.pace else {
            return series;
        };
        for arm in 0..series.arms.len() {
            let from = || of(&self.best).filter(|_| arm != DEFAULTS);
            if let Some(speeds) = of(&series.arms[arm]).or_else(from) {
                let sizes = series.sizes_of(arm);
                series.resize(arm, pace.lengthened(sizes, &speeds, self.rules.n_ctx));
            }
        }
        series
    }

    fn sizes(&self, purpose: Purpose) -> Sizes {
        let pace = self.pace.as_ref().expect("the first job has told speeds");
        let Rules {
            goal,
            seconds,
            n_ctx,
            ..
        } = &self.rules;
        pace.sizes(goal, purpose, *seconds, *n_ctx)
    }

    fn left_s(&self) -> Option<f64> {
        Some(self.rules.budget_s? - self.spent_s)
    }

    /// Whether a rung of so many candidates leaves time for the check.
    fn affords(&self, stage: Stage, rung: u32, others: usize) -> bool {
        let (Some(left_s), Some(pace)) = (self.left_s(), &self.pace) else {
            return true;
        };
        let rounds = f64::from(RUNGS[rung as usize - 1].0);
        let job_s = pace.estimate_s(&self.sizes(Purpose::Rung(stage, rung)));
        let check_s = pace.estimate_s(&self.sizes(Purpose::Check));
        let check_s = 2.0 * f64::from(self.rules.rounds) * check_s;
        rounds * (others + 2) as f64 * job_s + check_s <= left_s
    }
}

fn rank(standing: &Standing) -> f64 {
    standing.relative.unwrap_or(f64::INFINITY)
}
