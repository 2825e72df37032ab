//! What is to be least, and what may not be exceeded: one positive cost of a candidate, from
//! the figures of one job.
//!
//! The cost is that of a request of `n_prompt` and `n_gen` tokens, whatever sizes were measured:
//! early jobs are shorter.

use super::measured::Measured;
use crate::energy::{Sensors, Shared};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What is to be least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Joules of an output token, those of the prompt included
    Energy,
    /// Time of a prompt token
    Prefill,
    /// Time of an output token
    Decode,
    /// Joules of a request times its seconds
    Balanced,
}

/// Seconds that may not be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Bounds {
    pub ttft_s: Option<f64>,
    pub tpot_s: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    pub objective: Objective,
    pub bounds: Bounds,
    /// Of the request that is tuned for.
    pub n_prompt: u32,
    pub n_gen: u32,
}

/// A time that a bound limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Latency {
    Ttft,
    Tpot,
}

impl Latency {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ttft => "TTFT",
            Self::Tpot => "TPOT",
        }
    }
}

impl Objective {
    pub fn needs_energy(self) -> bool {
        matches!(self, Self::Energy | Self::Balanced)
    }

    /// The cost in words.
    pub fn what(self) -> &'static str {
        match self {
            Self::Energy => "energy per output token, its share of the prompt included",
            Self::Prefill => "time per prompt token",
            Self::Decode => "time per output token",
            Self::Balanced => "energy of a request times its duration",
        }
    }
}

impl Goal {
    /// Whether prefill has part in the cost or in a bound.
    pub fn needs_prefill(&self) -> bool {
        self.objective != Objective::Decode || self.bounds.ttft_s.is_some()
    }

    pub fn needs_decode(&self) -> bool {
        self.objective != Objective::Prefill || self.bounds.tpot_s.is_some()
    }

    /// Joules an output token, seconds a token, or J·s a request; `None` where a figure of it
    /// is missing.
    pub fn cost(&self, measured: &Measured) -> Option<f64> {
        let cost = match self.objective {
            Objective::Energy => self.energy_j(measured)? / f64::from(self.n_gen),
            Objective::Prefill => measured.prefill_tok_s?.recip(),
            Objective::Decode => measured.decode_tok_s?.recip(),
            Objective::Balanced => self.energy_j(measured)? * self.duration_s(measured)?,
        };
        (cost.is_finite() && cost > 0.0).then_some(cost)
    }

    /// Of a request.
    fn energy_j(&self, measured: &Measured) -> Option<f64> {
        let prompt = f64::from(self.n_prompt) * measured.prompt_token?.value_j;
        let output = f64::from(self.n_gen) * measured.output_token?.value_j;
        Some(prompt + output)
    }

    fn duration_s(&self, measured: &Measured) -> Option<f64> {
        let decode = f64::from(self.n_gen) / measured.decode_tok_s?;
        Some(self.ttft_s(measured)? + decode)
    }

    /// The time of the prompt. A benchmark has no request that could be received, so that its
    /// share of TTFT is not in it.
    pub fn ttft_s(&self, measured: &Measured) -> Option<f64> {
        Some(f64::from(self.n_prompt) / measured.prefill_tok_s?)
    }

    pub fn tpot_s(&self, measured: &Measured) -> Option<f64> {
        Some(measured.decode_tok_s?.recip())
    }

    /// Each bounded time, with its bound.
    pub fn bounded(&self, measured: &Measured) -> Vec<(Latency, f64, Option<f64>)> {
        let ttft = self.bounds.ttft_s;
        let tpot = self.bounds.tpot_s;
        [
            ttft.map(|bound| (Latency::Ttft, bound, self.ttft_s(measured))),
            tpot.map(|bound| (Latency::Tpot, bound, self.tpot_s(measured))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Systematic standard uncertainty of the logarithm of the ratio of two costs. One sensor
    /// measured both: its gain cancels, its offset weighs on the smaller power more.
    pub fn systematic(&self, a: &Measured, b: &Measured) -> f64 {
        match (self.shares(a), self.shares(b)) {
            (Some(a), Some(b)) if self.objective.needs_energy() => {
                Shared::of_ratio(a, b, Sensors::Same)
            }
            _ => 0.0,
        }
    }

    /// Systematic uncertainties of a request's energy. What prompt and output share adds up.
    pub fn shares(&self, measured: &Measured) -> Option<Shared> {
        let (prompt, output) = (measured.prompt_token?, measured.output_token?);
        let whole = self.energy_j(measured)?;
        let of_prompt = f64::from(self.n_prompt) * prompt.value_j / whole;
        let of_output = f64::from(self.n_gen) * output.value_j / whole;
        let sum = |a: f64, b: f64| of_prompt * a + of_output * b;
        Some(Shared {
            scale: sum(prompt.scale, output.scale),
            offset: sum(prompt.offset, output.offset),
            other: sum(prompt.other, output.other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::measured::TokenEnergy;
    use super::*;

    fn goal(objective: Objective) -> Goal {
        Goal {
            objective,
            bounds: Bounds::default(),
            n_prompt: 512,
            n_gen: 128,
        }
    }

    fn measured() -> Measured {
        let energy = |value_j, offset| TokenEnergy {
            value_j,
            scale: 0.01,
            offset,
            other: 0.0,
        };
        Measured {
            prefill_tok_s: Some(256.0),
            decode_tok_s: Some(16.0),
            prompt_token: Some(energy(0.02, 0.002)),
            output_token: Some(energy(0.25, 0.004)),
            ..Measured::default()
        }
    }

    #[test]
    fn a_request_costs_its_prompt_and_its_output() {
        let of = |objective| goal(objective).cost(&measured()).unwrap();
        let energy = 512.0 * 0.02 + 128.0 * 0.25;
        assert!((of(Objective::Energy) - energy / 128.0).abs() < 1e-12);
        assert!((of(Objective::Prefill) - 1.0 / 256.0).abs() < 1e-12);
        assert!((of(Objective::Decode) - 1.0 / 16.0).abs() < 1e-12);
        assert!((of(Objective::Balanced) - energy * (2.0 + 8.0)).abs() < 1e-9);
    }

    #[test]
    fn without_a_figure_there_is_no_cost() {
        let mut lacks = measured();
        lacks.prompt_token = None;
        assert_eq!(goal(Objective::Energy).cost(&lacks), None);
        assert_eq!(goal(Objective::Balanced).cost(&lacks), None);
        assert!(goal(Objective::Decode).cost(&lacks).is_some());
        lacks.decode_tok_s = Some(0.0);
        assert_eq!(goal(Objective::Decode).cost(&lacks), None);
    }

    #[test]
    fn the_gain_of_the_one_sensor_cancels() {
        let goal = goal(Objective::Energy);
        assert_eq!(goal.systematic(&measured(), &measured()), 0.0);
        let mut smaller = measured();
        smaller.output_token.as_mut().unwrap().offset = 0.008;
        let share = 32.0 / 42.24;
        let u = goal.systematic(&measured(), &smaller);
        assert!((u - share * 0.004).abs() < 1e-9, "{u}");
        let decode = Goal {
            objective: Objective::Decode,
            ..goal
        };
        assert_eq!(decode.systematic(&measured(), &smaller), 0.0);
    }

    #[test]
    fn a_bound_needs_the_phase_that_it_limits() {
        let mut goal = goal(Objective::Decode);
        assert!(!goal.needs_prefill() && goal.needs_decode());
        goal.bounds.ttft_s = Some(1.5);
        assert!(goal.needs_prefill());
        let bounded = goal.bounded(&measured());
        assert_eq!(bounded, [(Latency::Ttft, 1.5, Some(2.0))]);
    }
}
