//! The job as a client writes it, and its defaults. One that came through [`Job::parse`] has
//! passed every check that needs no file.

use super::{DataName, JobId, ModelName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Version of the job contract.
pub const VERSION: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Generate,
    Bench,
    Perplexity,
    Choice,
    Idle,
}

/// One turn of a conversation, rendered by the model's own chat template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub role: String,
    pub content: String,
}

/// A job, version 1 of the contract. What is left out takes the default; a field that is not
/// listed here is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = super::job_schema::kinds()))]
pub struct Job {
    #[serde(default = "default::version")]
    #[schemars(range(min = 1, max = 1))]
    pub v: u32,
    pub id: JobId,
    pub kind: Kind,
    /// A file in the board's model directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// The job fails unless the model's SHA-256 is this.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9A-Fa-f]{64}$"))]
    pub model_sha256: Option<String>,
    /// One of `runtimes` of the board's `info`.
    #[serde(default = "default::runtime")]
    pub runtime: String,

    /// `generate`: the text as it is, or `messages` for the model's chat template.
    #[serde(default)]
    pub prompt: Option<String>,
    /// `generate`: a conversation, instead of `prompt`.
    #[serde(default)]
    pub messages: Option<Vec<Message>>,
    /// `generate`: output tokens of a repetition; at most `limits.n_ctx` of the board's `info`.
    #[serde(default = "default::n_predict")]
    #[schemars(range(min = 1))]
    pub n_predict: u32,
    /// Go on after an end-of-generation token, so that every repetition has `n_predict` tokens.
    #[serde(default)]
    pub ignore_eos: bool,

    /// `bench`: tokens of prefill, as llama-bench's -p; `null` is 512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_prompt: Option<u32>,
    /// `bench`: tokens of decode, as llama-bench's -n; `null` is 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_gen: Option<u32>,
    /// `bench`: tokens of context before either, as llama-bench's -d; `null` is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_depth: Option<u32>,

    /// `perplexity` (a text), `choice` (items as JSON Lines): a name in the data directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataName>,
    /// `perplexity`: chunks of `params.n_ctx` tokens, as llama-perplexity's --chunks; `null` is
    /// all of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub n_chunks: Option<u32>,
    /// `choice`: the first so many items; `null` is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub n_items: Option<u32>,
    /// `idle`: how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,

    /// At most `limits.repetitions` of the board's `info`.
    #[serde(default = "default::repetitions")]
    #[schemars(range(min = 1))]
    pub repetitions: u32,
    /// Repetitions before those that are measured.
    #[serde(default = "default::warmup")]
    #[schemars(range(max = 10))]
    pub warmup: u32,
    #[serde(default)]
    pub params: Params,
    /// One of `power.power_modes` of the board's `info`, by name or number, in force from before
    /// the model is loaded to the end of the attempt.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub power_mode: Option<String>,
    /// Of all CPUs: one of `power.governors` of the board's `info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub governor: Option<String>,
    /// Most that the clock of any CPU may reach: within `power.freq` of the board's `info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_freq_khz: Option<u32>,
    #[serde(default)]
    pub idle: Idle,
    /// Seconds that one attempt may take, from spawning the worker to the end of `idle_after`.
    #[serde(default = "default::timeout_s")]
    #[schemars(range(min = 1))]
    pub timeout_s: u32,
    /// The job must have begun by then, seconds of the Unix epoch.
    #[serde(default)]
    pub deadline_unix_s: Option<i64>,
    /// Higher runs first; equals run in the order of their arrival.
    #[serde(default)]
    pub priority: i32,
    /// Attempts that may be lost with the daemon or the board.
    #[serde(default = "default::max_attempts")]
    #[schemars(range(min = 1, max = 10))]
    pub max_attempts: u32,
    #[serde(default)]
    pub publish: Publish,
    /// Kept in the result; keys of at most 64 bytes.
    #[serde(default, deserialize_with = "super::tags::read")]
    #[schemars(schema_with = "super::job_schema::tags")]
    pub tags: BTreeMap<String, String>,
    /// `NOT_AFTER.SIGNATURE`, for boards that take signed jobs only (docs/mqtt.md).
    #[serde(default)]
    pub signature: Option<String>,
}

/// How the model is loaded and run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// `null`: one for each CPU that the worker may use.
    #[schemars(range(min = 1))]
    pub threads: Option<u32>,
    /// Tokens of context, at most `limits.n_ctx` of the board's `info`.
    #[schemars(range(min = 16))]
    pub n_ctx: u32,
    /// Tokens of a batch, at most `n_ctx` and `limits.n_batch` of the board's `info`.
    #[schemars(range(min = 1))]
    pub n_batch: u32,
    /// Layers on an accelerator.
    #[schemars(range(max = 10_000))]
    pub gpu_layers: u32,
    pub flash_attn: FlashAttn,
    pub kv_type: KvType,
    pub mmap: bool,
    pub repack: bool,
    pub seed: u32,
    /// 0 is greedy: the largest logit.
    #[schemars(range(min = 0, max = 10))]
    pub temperature: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FlashAttn {
    Auto,
    On,
    Off,
}

/// Element type of the KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KvType {
    F32,
    F16,
    Bf16,
    #[serde(rename = "q8_0")]
    Q8_0,
    #[serde(rename = "q4_0")]
    Q4_0,
}

/// Idle phases around the work: minima, in seconds. 0 leaves the phase out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Idle {
    #[schemars(range(min = 0, max = 600))]
    pub before_s: f64,
    #[schemars(range(min = 0, max = 600))]
    pub after_s: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Publish {
    pub tokens: TokensWhen,
    /// Batch length of `live`, in milliseconds; 0 sends each token.
    #[schemars(range(max = 60_000))]
    pub tokens_every_ms: u32,
    /// The generated text, in the result.
    pub text: bool,
    /// The power trace, and raw data kept on the board.
    pub trace: bool,
}

/// When token records leave the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokensWhen {
    /// After the attempt: nothing leaves during it.
    After,
    /// In batches while the job runs, for watching.
    Live,
    None,
}

mod default {
    pub fn version() -> u32 {
        super::VERSION
    }
    pub fn runtime() -> String {
        "llama.cpp".to_owned()
    }
    pub fn n_predict() -> u32 {
        128
    }
    pub fn repetitions() -> u32 {
        3
    }
    pub fn warmup() -> u32 {
        1
    }
    pub fn timeout_s() -> u32 {
        900
    }
    pub fn max_attempts() -> u32 {
        2
    }
}

impl Default for Params {
    fn default() -> Self {
        Self {
            threads: None,
            n_ctx: 2048,
            n_batch: 512,
            gpu_layers: 0,
            flash_attn: FlashAttn::Auto,
            kv_type: KvType::F16,
            mmap: true,
            repack: true,
            seed: 42,
            temperature: 0.0,
        }
    }
}

impl Default for Idle {
    fn default() -> Self {
        Self {
            before_s: 10.0,
            after_s: 5.0,
        }
    }
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            tokens: TokensWhen::After,
            tokens_every_ms: 250,
            text: false,
            trace: false,
        }
    }
}

/// What a checked `generate` job feeds to the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prompt<'a> {
    Text(&'a str),
    Messages(&'a [Message]),
}

impl Job {
    /// The prompt of a `generate` job; `None` for other kinds.
    pub fn prompt(&self) -> Option<Prompt<'_>> {
        match (&self.prompt, &self.messages) {
            (Some(text), None) => Some(Prompt::Text(text)),
            (None, Some(messages)) => Some(Prompt::Messages(messages)),
            _ => None,
        }
    }

    /// SHA-256 of the parsed job with its defaults: two spellings of one job are equal, and so
    /// are two that are signed anew.
    pub fn content_hash(&self) -> String {
        let unsigned = Self {
            signature: None,
            ..self.clone()
        };
        let canonical = serde_json::to_vec(&unsigned).expect("a job has only JSON-able fields");
        hex(&Sha256::digest(canonical))
    }

    /// Of how many tokens of a batch logits are wanted.
    pub fn n_outputs(&self) -> u32 {
        match self.kind {
            Kind::Perplexity | Kind::Choice => SCORED_AT_ONCE.min(self.params.n_batch),
            Kind::Generate | Kind::Bench | Kind::Idle => 1,
        }
    }

    /// Whether it is to run in a setting of its own.
    pub fn sets_power(&self) -> bool {
        self.power_mode.is_some() || self.governor.is_some() || self.max_freq_khz.is_some()
    }

    /// The sizes of a `bench` job with llama-bench's defaults.
    pub fn bench_sizes(&self) -> BenchSizes {
        BenchSizes {
            n_prompt: self.n_prompt.unwrap_or(512),
            n_gen: self.n_gen.unwrap_or(128),
            n_depth: self.n_depth.unwrap_or(0),
        }
    }
}

/// Of how many tokens of a batch an engine is to keep logits: of those that are scored in a given
/// text, else of the last one. Enough for a CPU's matrix kernels, and with a vocabulary of 262,144
/// still no more than 128 MiB.
const SCORED_AT_ONCE: u32 = 128;

/// Tokens of a `bench` repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BenchSizes {
    pub n_prompt: u32,
    pub n_gen: u32,
    pub n_depth: u32,
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
