//! What became of a candidate, and why.

use super::candidate::Candidate;
use super::goal::Latency;
use super::space::Stage;
use crate::energy::Ratio;
use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Fate {
    /// The next stage went on from it.
    Taken,
    /// As far as the noise tells it costs as much as what was taken.
    Tied,
    /// Shown to cost more than another.
    Worse {
        than: String,
        ratio: Interval,
    },
    /// Among the worse half, and no time for more; not shown to be worse.
    Halved,
    /// Shown to exceed a bound.
    Exceeds {
        time: Latency,
        bound_s: f64,
        /// Mean.
        value_s: f64,
    },
    /// It can't run.
    Failed {
        reason: String,
    },
    /// It is the defaults under another name.
    NoEffect {
        why: String,
    },
    NotTried,
    /// Its phases are over before the sensor resolves them, even where they fill the context.
    TooFast {
        n_ctx: u32,
    },
    /// Too few of its jobs counted.
    TooFew {
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
}

/// A mean time that is beyond its bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Beyond {
    pub time: Latency,
    pub bound_s: f64,
    pub value_s: f64,
    /// `None` of a single job.
    pub value_s_u95: Option<f64>,
}

impl Beyond {
    /// Of the bound.
    pub fn share(&self) -> f64 {
        self.value_s / self.bound_s - 1.0
    }

    /// Whether the bound is below the whole 95 % interval.
    pub fn is_shown(&self) -> bool {
        self.value_s_u95
            .is_some_and(|half| self.value_s - half > self.bound_s)
    }
}

/// A ratio with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
}

impl From<Ratio> for Interval {
    fn from(ratio: Ratio) -> Self {
        let (low, high) = ratio.interval();
        Self {
            ratio: ratio.ratio(),
            low,
            high,
        }
    }
}

/// A line of the table of candidates.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    pub stage: Stage,
    pub label: String,
    pub candidate: Candidate,
    /// The last rung that it ran in; 0 where it ran in none.
    pub rung: u32,
    /// Rounds of that rung in which it was compared.
    pub rounds: u32,
    /// Its cost as a multiple of the defaults', in that rung.
    pub against_defaults: Option<Interval>,
    #[serde(flatten)]
    pub fate: Fate,
}
