//! What goes into the decisions of a tuning and what comes out: rules, the next job, what became
//! of it.

use super::candidate::Candidate;
use super::goal::Goal;
use super::measured::Measured;
use super::series::Place;
use super::sizes::Sizes;
use super::space::{Space, Stage};
use serde::{Deserialize, Serialize};

/// What decisions follow from besides outcomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    pub goal: Goal,
    pub space: Space,
    /// Of decoding in a job of the first rung; all jobs grow with it.
    pub seconds: f64,
    pub n_ctx: u32,
    /// Of a stage, at most.
    pub rungs: u32,
    /// Of the check.
    pub rounds: u32,
    pub budget_s: Option<f64>,
}

/// A job that is to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub part: Part,
    pub place: Place,
    pub candidate: Candidate,
    pub sizes: Sizes,
}

/// Where in a tuning a job belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    First,
    Rung { stage: Stage, rung: u32 },
    Check,
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    Measured(Box<Measured>),
    /// It ran and does not count, but its figures tell how long jobs take.
    LeftOut {
        why: String,
        measured: Box<Measured>,
    },
    Failed {
        reason: String,
    },
    Cancelled,
}

/// Why there is nothing to decide on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TuneError {
    #[error("the defaults themselves do not run: {0}")]
    DefaultsFail(String),
    #[error(
        "the board has no energy of these jobs ({0}); tune for speed with --objective decode or \
         prefill, or see `jouled probe` there"
    )]
    NoEnergy(String),
    #[error("the first job has no speeds: its result lacks prefill or decode")]
    NoSpeed,
}

/// How many jobs there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    pub run: u32,
    /// Of those, run again since they did not count.
    pub repeated: u32,
    /// Places that stayed empty all the same.
    pub left_out: u32,
}
