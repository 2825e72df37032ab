//! What the rounds of a rung tell: who is shown to be worse than the best, who exceeds a bound.

use super::fate::{Beyond, Fate, Interval};
use super::goal::{Goal, Latency};
use super::measured::Measured;
use super::series::{DEFAULTS, Series};
use crate::energy::{Statistic, Verdict};

/// One candidate after a rung.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    pub arm: usize,
    /// Geometric mean of its cost as a multiple of the defaults'.
    pub relative: Option<f64>,
    pub rounds: u32,
    pub against_defaults: Option<Interval>,
    /// The time that is farthest beyond its bound; `None` within all.
    pub beyond: Option<Beyond>,
    /// Why it goes; `None` while it stays.
    pub out: Option<Fate>,
}

impl Standing {
    pub fn stays(&self) -> bool {
        self.out.is_none()
    }

    /// By what share; 0 within all bounds.
    pub fn excess(&self) -> f64 {
        self.beyond.map_or(0.0, |beyond| beyond.share())
    }
}

/// Standings in the order of the candidates, the defaults first. `before`, the best so far, goes
/// only if it is shown to be worse though others had as many chances to look better.
pub fn standings(series: &Series, goal: &Goal, before: Option<usize>) -> Vec<Standing> {
    let mut all: Vec<Standing> = (0..series.arms.len())
        .map(|arm| standing(series, arm, goal))
        .collect();
    let Some(best) = best(&all) else {
        return all;
    };
    let stay = all.iter().filter(|standing| standing.stays()).count();
    for arm in (0..all.len()).filter(|arm| *arm != best) {
        if !all[arm].stays() {
            continue;
        }
        // A time within its bounds is worth any cost.
        if all[arm].beyond.is_some() && all[best].beyond.is_none() {
            continue;
        }
        let chances = if Some(arm) == before { stay - 1 } else { 1 };
        let ratio = series.ratio(best, arm, goal);
        let ratio = ratio.map(|ratio| ratio.among(chances));
        if let Some(ratio) = ratio.filter(|ratio| ratio.verdict() == Verdict::ALower) {
            all[arm].out = Some(Fate::Worse {
                than: series.arms[best].label(),
                ratio: ratio.into(),
            });
        }
    }
    all
}

/// Of those that stay the one that costs least: within the bounds, or nearest to them.
pub fn best(all: &[Standing]) -> Option<usize> {
    let known = all
        .iter()
        .filter(|standing| standing.stays() && standing.relative.is_some());
    known
        .min_by(|a, b| {
            let cost = |standing: &Standing| standing.relative.unwrap_or(f64::INFINITY);
            a.excess()
                .total_cmp(&b.excess())
                .then(cost(a).total_cmp(&cost(b)))
        })
        .map(|standing| standing.arm)
}

fn standing(series: &Series, arm: usize, goal: &Goal) -> Standing {
    let known: Vec<f64> = match series.is_broken(arm) {
        true => Vec::new(),
        false => series.relative(arm, goal).into_iter().flatten().collect(),
    };
    let mean_log = |values: &[f64]| {
        let sum: f64 = values.iter().map(|value| value.ln()).sum();
        sum / values.len() as f64
    };
    let beyond = beyond(&series.of_arm(arm), goal);
    let exceeds = beyond.iter().find(|beyond| beyond.is_shown());
    let exceeds = exceeds.map(|beyond| Fate::Exceeds {
        time: beyond.time,
        bound_s: beyond.bound_s,
        value_s: beyond.value_s,
    });
    let out = match known.is_empty() && arm != DEFAULTS {
        true => Some(Fate::TooFew {
            why: series.why_empty(arm).map(str::to_owned),
        }),
        false => exceeds,
    };
    Standing {
        arm,
        relative: (!known.is_empty()).then(|| mean_log(&known).exp()),
        rounds: known.len() as u32,
        against_defaults: (arm != DEFAULTS)
            .then(|| series.ratio(DEFAULTS, arm, goal))
            .flatten()
            .map(Interval::from),
        beyond: beyond.first().copied(),
        out,
    }
}

/// Mean times over these jobs that are beyond their bounds, the farthest first.
pub fn beyond(jobs: &[&Measured], goal: &Goal) -> Vec<Beyond> {
    let jobs: Vec<Vec<(Latency, f64, Option<f64>)>> =
        jobs.iter().map(|measured| goal.bounded(measured)).collect();
    let bounds = 0..jobs.first().map_or(0, Vec::len);
    let mut all: Vec<Beyond> = bounds
        .filter_map(|which| {
            let (time, bound_s, _) = jobs[0][which];
            let values: Vec<f64> = jobs.iter().filter_map(|job| job[which].2).collect();
            let mean = Statistic::of(&values)?;
            Some(Beyond {
                time,
                bound_s,
                value_s: mean.mean,
                value_s_u95: mean.u95,
            })
        })
        .filter(|beyond| beyond.value_s > beyond.bound_s)
        .collect();
    all.sort_by(|a, b| b.share().total_cmp(&a.share()));
    all
}

#[cfg(test)]
mod tests {
    use super::super::candidate::Candidate;
    use super::super::goal::{Bounds, Objective};
    use super::super::sizes::Sizes;
    use super::*;

    fn goal(tpot_s: Option<f64>) -> Goal {
        Goal {
            objective: Objective::Prefill,
            bounds: Bounds {
                ttft_s: None,
                tpot_s,
            },
            n_prompt: 1,
            n_gen: 1,
        }
    }

    /// Candidates with threads 1, 2, …: each with its prefill cost and TPOT, the defaults first.
    fn after(costs: &[(f64, f64)], goal: &Goal) -> Vec<Standing> {
        let others: Vec<Candidate> = (1..costs.len() as u32)
            .map(|n| Candidate {
                threads: Some(n),
                ..Candidate::default()
            })
            .collect();
        let sizes = Sizes {
            n_prompt: 1,
            n_gen: 1,
            n_depth: 0,
            repetitions: 1,
        };
        let mut series = Series::bracketed(&others, sizes, 4);
        let mut ripple = [1.0, 1.002, 0.998, 1.001, 0.999].into_iter().cycle();
        while let Some(arm) = series.arm() {
            let (cost, tpot) = costs[arm];
            let noise = ripple.next().unwrap();
            series.take(Some(Measured {
                prefill_tok_s: Some(1.0 / (cost * noise)),
                decode_tok_s: Some(1.0 / (tpot * noise)),
                ..Measured::default()
            }));
        }
        standings(&series, goal, Some(DEFAULTS))
    }

    #[test]
    fn only_what_is_shown_to_be_worse_goes() {
        let all = after(
            &[(1.0, 1.0), (0.9, 1.0), (0.93, 1.0), (0.9005, 1.0)],
            &goal(None),
        );
        let best = best(&all).unwrap();
        assert!(best == 1 || best == 3, "{best}");
        assert!(matches!(&all[0].out, Some(Fate::Worse { .. })));
        assert!(matches!(&all[2].out, Some(Fate::Worse { .. })));
        assert!(all[1].stays() && all[3].stays());
        let against = all[1].against_defaults.unwrap();
        assert!((against.ratio - 0.9).abs() < 0.005 && against.high < 1.0);
    }

    #[test]
    fn what_exceeds_a_bound_goes_however_little_it_costs() {
        let goal = goal(Some(1.5));
        let all = after(&[(1.0, 1.0), (0.5, 2.0)], &goal);
        assert!(matches!(all[1].out, Some(Fate::Exceeds { .. })));
        assert_eq!(best(&all), Some(0));
        // The defaults too.
        let all = after(&[(1.0, 2.0), (1.3, 1.0)], &goal);
        assert!(matches!(all[0].out, Some(Fate::Exceeds { .. })));
        assert_eq!(best(&all), Some(1));
        // Not told apart from the bound: it stays, and whoever is within is better.
        let all = after(&[(1.0, 1.5004), (1.3, 1.0)], &goal);
        assert!(all[0].stays() && all[0].excess() > 0.0);
        assert_eq!(best(&all), Some(1));
    }
}
