//! What the administrator lets a job ask for. A job beyond a limit is refused when it
//! arrives, never when it runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Upper bounds on a job, from `[limits]` of the configuration, published in `info`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Tokens of context. llama.cpp touches 5 GB for a context of 1e8 before it fails.
    pub n_ctx: u32,
    /// Tokens of a batch. llama.cpp aborts when a batch is larger than its context.
    pub n_batch: u32,
    pub threads: u32,
    pub prompt_bytes: usize,
    /// More may not fit into the result's one record; of a longer study, submit several jobs.
    pub repetitions: u32,
    pub timeout_s: u32,
    /// Jobs that wait in the queue.
    pub queue: u32,
    /// Commands that write or publish much; as many may come at once.
    pub commands_per_min: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            n_ctx: 32_768,
            n_batch: 4_096,
            threads: 256,
            prompt_bytes: 64 * 1024,
            repetitions: 40,
            timeout_s: 86_400,
            queue: 1_000,
            commands_per_min: 1_200,
        }
    }
}
