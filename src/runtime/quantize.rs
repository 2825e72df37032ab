//! What `joulectl models quantize` and `jouled-worker quantize` say to each other: one [`Order`]
//! as a line of JSON on the worker's standard input, [`News`] as lines on its standard output.
//! The end of the input is the end of the worker.
//!
//! It is no part of the worker protocol: a runtime need not know it.

use serde::{Deserialize, Serialize};

/// The worker's first argument, where it is to quantise a model instead of running one.
pub const ARGUMENT: &str = "quantize";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub input: String,
    /// A file that is there already, and is written anew; without one nothing is written, and
    /// the news are what would come of it.
    pub output: Option<String>,
    /// `general.file_type`, as llama.cpp numbers them.
    pub file_type: u32,
    pub threads: u32,
    pub allow_requantize: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum News {
    /// The first: who is at work.
    Engine {
        revision: String,
    },
    /// This tensor's turn.
    Tensor {
        name: String,
    },
    /// The last, or [`News::Failed`].
    Done(Outcome),
    Failed {
        message: String,
    },
}

/// What became of the model, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Of all tensors, to some KiB; `None` where llama.cpp did not tell.
    pub tensor_bytes: Option<u64>,
    /// Tensors whose rows are no whole blocks of the type, and which got another.
    pub fallback_tensors: u32,
    /// Of a trial: it can't be made without an importance matrix.
    pub needs_matrix: bool,
}
