//! What a tuning found, as it is printed and kept.

use super::candidate::Candidate;
use super::fate::{Beyond, Entry, Fate, Interval};
use super::goal::Goal;
use super::measured::Measured;
use super::order::Counts;
use super::rung::standings;
use super::series::{DEFAULTS, Series};
use super::study::Study;
use super::tuner::Tuner;
use crate::energy::{Shared, Statistic};
use serde::Serialize;
use serde_json::{Map, Value};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Shown to cost less than the defaults.
    Gain,
    /// The defaults exceed a bound that this keeps, at whatever cost.
    WithinBounds,
    /// The defaults stay: nothing was shown to cost less.
    NoGainShown,
    /// The defaults stay: in the check the choice exceeds a bound that they keep.
    ExceedsBounds,
    /// Nothing that was tried keeps the bounds; this is the nearest.
    BoundsNotMet,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub v: u32,
    pub tuning: String,
    pub device: String,
    pub model: String,
    pub model_sha256: String,
    pub goal: Goal,
    pub simulated: bool,
    pub verdict: Verdict,
    /// What is recommended, in words and as fields of a job.
    pub label: String,
    pub job: Map<String, Value>,
    /// What the stages had chosen, where the check did not confirm it.
    pub not_confirmed: Option<String>,
    /// The choice's cost as a multiple of the defaults', by the check.
    pub checked: Option<Interval>,
    pub check_rounds: u32,
    /// Which of the bounds the choice is farthest beyond.
    pub beyond: Option<Beyond>,
    pub defaults: Option<Side>,
    pub chosen: Option<Side>,
    pub candidates: Vec<Entry>,
    pub jobs: Counts,
    pub spent_s: f64,
    /// The budget left something out.
    pub out_of_time: bool,
    pub warnings: Vec<String>,
}

/// Figures of one configuration over the jobs of the check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    pub label: String,
    /// Jobs that count.
    pub n: u32,
    /// Tokens of a job's phases.
    pub n_prompt: u32,
    pub n_gen: u32,
    /// Of context before them.
    pub n_depth: u32,
    pub cost: Option<f64>,
    /// Scatter, and the sensor's systematic part.
    pub cost_u95: Option<f64>,
    pub prefill_tok_s: Option<f64>,
    pub decode_tok_s: Option<f64>,
    pub ttft_s: Option<f64>,
    pub tpot_s: Option<f64>,
    pub j_per_prompt_token: Option<f64>,
    pub j_per_output_token: Option<f64>,
}

impl Report {
    pub fn of(study: &Study, tuner: &Tuner) -> Self {
        let goal = &study.rules.goal;
        let (chosen, checked) = (tuner.chosen(), tuner.checked());
        let sides = tuner.check().map(|check| {
            let side = |arm: usize| Side::of(check, arm, goal);
            (side(DEFAULTS), side(1))
        });
        let beyond = match tuner.check() {
            Some(check) => {
                let all = standings(check, goal, Some(DEFAULTS));
                (all[DEFAULTS].beyond, all[1].beyond)
            }
            None => (tuner.defaults_beyond(), tuner.defaults_beyond()),
        };
        let verdict = verdict(beyond, checked, chosen.is_default());
        let recommended = match verdict {
            Verdict::NoGainShown | Verdict::ExceedsBounds => Candidate::default(),
            Verdict::Gain | Verdict::WithinBounds | Verdict::BoundsNotMet => chosen.clone(),
        };
        let (defaults, side) = sides.unzip();
        Self {
            v: 1,
            tuning: study.name(),
            device: study.device.clone(),
            model: study.model.clone(),
            model_sha256: study.model_sha256.clone(),
            goal: *goal,
            simulated: tuner.is_simulated(),
            not_confirmed: (recommended != *chosen).then(|| chosen.label()),
            warnings: warnings(&recommended, tuner),
            verdict,
            label: recommended.label(),
            job: study.to_paste(&recommended),
            checked,
            check_rounds: tuner.check().map_or(0, Series::rounds),
            beyond: beyond.1,
            defaults,
            chosen: side,
            candidates: tuner.entries().to_vec(),
            jobs: tuner.counts(),
            spent_s: tuner.spent_s(),
            out_of_time: tuner.is_out_of_time(),
        }
    }

    /// Whether nothing ran beside the defaults.
    pub fn nothing_was_tried(&self) -> bool {
        let mut fates = self.candidates.iter().map(|entry| &entry.fate);
        fates.all(|fate| *fate == Fate::NotTried)
    }

    /// The share of the defaults' cost that is saved, and half of its 95 % interval.
    pub fn gain(&self) -> Option<(f64, f64)> {
        let Interval { ratio, low, high } = self.checked?;
        Some((1.0 - ratio, (high - low) / 2.0))
    }
}

/// `beyond` are the bounds that the means of the defaults and of the choice exceed.
fn verdict(
    (defaults, choice): (Option<Beyond>, Option<Beyond>),
    checked: Option<Interval>,
    only_defaults: bool,
) -> Verdict {
    let shown = checked.is_some_and(|ratio| ratio.high < 1.0);
    match (defaults.is_some(), choice.is_some()) {
        (_, true) if only_defaults => Verdict::BoundsNotMet,
        (true, true) => Verdict::BoundsNotMet,
        (false, true) => Verdict::ExceedsBounds,
        (_, false) if shown => Verdict::Gain,
        (true, false) if !only_defaults => Verdict::WithinBounds,
        _ => Verdict::NoGainShown,
    }
}

fn warnings(recommended: &Candidate, tuner: &Tuner) -> Vec<String> {
    let mut warnings = Vec::new();
    if recommended.rounds_the_cache() {
        warnings.push(
            "kv_type rounds what the model remembers: look at the quality of its output before \
             you use it"
                .to_owned(),
        );
    }
    let counts = tuner.counts();
    if counts.left_out > 0 {
        warnings.push(format!(
            "{} jobs never counted (contended, throttled, a setting changed, or without the \
             figure), however often they were run: the comparison has fewer rounds",
            counts.left_out
        ));
    }
    if let Some(check) = tuner.check() {
        let (defaults, chosen) = (check.sizes_of(DEFAULTS), check.sizes_of(1));
        if defaults != chosen {
            warnings.push(format!(
                "for the sensor to resolve them the choice's jobs of the check had {} and {} \
                 tokens, those of the defaults {} and {}: costs are of a token",
                chosen.n_prompt, chosen.n_gen, defaults.n_prompt, defaults.n_gen
            ));
        }
    }
    if tuner.is_out_of_time() {
        warnings.push("the time did not suffice for all: see the fates above".to_owned());
    }
    warnings
}

impl Side {
    fn of(check: &Series, arm: usize, goal: &Goal) -> Self {
        let jobs = check.of_arm(arm);
        let over = |figure: &dyn Fn(&Measured) -> Option<f64>| {
            let values: Vec<f64> = jobs.iter().filter_map(|job| figure(job)).collect();
            Statistic::of(&values)
        };
        let mean = |figure: &dyn Fn(&Measured) -> Option<f64>| Some(over(figure)?.mean);
        let cost = over(&|job| goal.cost(job));
        let systematic = jobs
            .first()
            .filter(|_| goal.objective.needs_energy())
            .and_then(|job| goal.shares(job))
            .map_or(
                0.0,
                |Shared {
                     scale,
                     offset,
                     other,
                 }| { scale.hypot(offset).hypot(other) },
            );
        Self {
            label: check.arms[arm].label(),
            n: cost.map_or(0, |cost| cost.n),
            n_prompt: check.sizes_of(arm).n_prompt,
            n_gen: check.sizes_of(arm).n_gen,
            n_depth: check.sizes_of(arm).n_depth,
            cost: cost.map(|cost| cost.mean),
            cost_u95: cost.and_then(|cost| Some(cost.u95?.hypot(2.0 * systematic * cost.mean))),
            prefill_tok_s: mean(&|job| job.prefill_tok_s),
            decode_tok_s: mean(&|job| job.decode_tok_s),
            ttft_s: mean(&|job| goal.ttft_s(job)),
            tpot_s: mean(&|job| goal.tpot_s(job)),
            j_per_prompt_token: mean(&|job| Some(job.prompt_token?.value_j)),
            j_per_output_token: mean(&|job| Some(job.output_token?.value_j)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::goal::Latency;
    use super::*;

    #[test]
    fn only_a_gain_that_is_shown_is_called_one() {
        let of = |low, high| {
            Some(Interval {
                ratio: (low + high) / 2.0,
                low,
                high,
            })
        };
        let within = (None, None);
        assert_eq!(verdict(within, of(0.9, 0.95), false), Verdict::Gain);
        assert_eq!(verdict(within, of(0.9, 1.01), false), Verdict::NoGainShown);
        assert_eq!(verdict(within, of(1.1, 1.2), false), Verdict::NoGainShown);
        assert_eq!(verdict(within, None, true), Verdict::NoGainShown);
    }

    #[test]
    fn bounds_come_before_costs() {
        let ratio = |ratio: f64| {
            Some(Interval {
                ratio,
                low: ratio - 0.1,
                high: ratio + 0.1,
            })
        };
        let (dear, cheap) = (ratio(1.2), ratio(0.8));
        let beyond = |value_s| {
            Some(Beyond {
                time: Latency::Tpot,
                bound_s: 1.0,
                value_s,
                value_s_u95: Some(0.05),
            })
        };
        let (far, near) = (beyond(1.2), beyond(1.1));
        assert_eq!(verdict((far, None), dear, false), Verdict::WithinBounds);
        assert_eq!(verdict((far, None), cheap, false), Verdict::Gain);
        assert_eq!(verdict((far, near), dear, false), Verdict::BoundsNotMet);
        assert_eq!(verdict((far, far), None, true), Verdict::BoundsNotMet);
        // A choice that turns out to exceed what the defaults keep is none.
        assert_eq!(verdict((None, near), dear, false), Verdict::ExceedsBounds);
        assert_eq!(verdict((None, near), cheap, false), Verdict::ExceedsBounds);
    }
}
