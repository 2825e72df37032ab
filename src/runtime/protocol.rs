//! JSON Lines between the daemon and a worker, version 1.
//!
//! The daemon writes [`Request`]s to the worker's stdin; the worker writes [`Message`]s to
//! the descriptor that was its stdout when it was spawned. End of stdin means: exit. Every
//! time is CLOCK_MONOTONIC of the same host, in nanoseconds.
//!
//! ```text
//! worker → hello                       at once
//! daemon → load            worker → load | error
//! daemon → run             worker → phase, tokens, rep ... done | error
//! daemon → cancel          worker → done with stop_reason "cancelled" or "timeout"
//! ```
//!
//! Phases follow one another without gaps inside a run: warm-up runs are one `warmup` phase
//! each, a repetition is `prepare`, (`depth`,) `prefill`, `decode`; `perplexity` and `choice`
//! have no `decode`: their evaluation is `prefill`; for `bench` with both
//! parts `prepare`, (`depth`,) `prefill`, `other`, (`depth`,) `decode`. What lies between two
//! repetitions is `other` too, and so is what a cancelled repetition did after its last
//! token. The phases of a repetition are sent when it has ended. `docs/worker-protocol.md`
//! has the rules for other runtimes.

use crate::quality::Nll;
use crate::units::MonoNs;
use crate::workload::{BenchSizes, Message as ChatMessage, Params, Phase};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub const VERSION: u32 = 1;

/// Daemon → worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Request {
    /// Load the model and make the context. Once, first.
    Load {
        path: String,
        params: Params,
        /// Of how many tokens of a batch logits will be wanted at most.
        #[serde(default = "one")]
        n_outputs: u32,
    },
    /// Warm up, then run every repetition. `text`: send the generated text too.
    Run {
        work: Work,
        warmup: u32,
        repetitions: u32,
        text: bool,
    },
    /// Stop what is running.
    Cancel { reason: StopReason },
}

/// What one repetition does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Work {
    Generate {
        #[serde(default)]
        prompt: Option<String>,
        #[serde(default)]
        messages: Option<Vec<ChatMessage>>,
        n_predict: u32,
        ignore_eos: bool,
    },
    Bench(BenchSizes),
    /// Evaluate a text in chunks of `n_ctx` tokens; `n_chunks` of them at most.
    Perplexity {
        /// The file's path, and its SHA-256: other content is an error.
        data: String,
        data_sha256: String,
        n_ctx: u32,
        #[serde(default)]
        n_chunks: Option<u32>,
    },
    /// Score the choices of items; of the first `n_items` at most.
    Choice {
        data: String,
        data_sha256: String,
        #[serde(default)]
        n_items: Option<u32>,
    },
}

fn one() -> u32 {
    1
}

/// Why a repetition stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StopReason {
    Length,
    /// A sampled end-of-generation token.
    Eog,
    Cancelled,
    Timeout,
}

/// Worker → daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Message {
    Hello {
        protocol: u32,
        pid: u32,
        /// `llama.cpp` and its revision.
        name: String,
        revision: String,
    },
    /// The context is ready.
    Load(Box<Loaded>),
    /// A phase that has ended.
    Phase {
        phase: Phase,
        /// From 1; `null` for `warmup` and for `other` between repetitions.
        rep: Option<u32>,
        t0_ns: MonoNs,
        t1_ns: MonoNs,
        /// Evaluated tokens of `prefill`, filled tokens of `depth`, decode tokens of `decode`
        /// (`generate`: one less than the output tokens), else 0.
        tokens: u32,
        #[serde(default)]
        counters: PhaseCounters,
    },
    /// Output tokens in order, sent in batches by a second thread. `t_ns[k]` is the moment
    /// at which token `first + k` was known. Tokens of one step have equal times. In `bench`
    /// token 0 is none: its time is the start of decode.
    Tokens {
        rep: u32,
        /// When the repetition began.
        t0_ns: MonoNs,
        first: u32,
        t_ns: Vec<MonoNs>,
    },
    /// A repetition has ended.
    Rep(RepDone),
    /// The run has ended: every repetition, or those before a cancel.
    Done {
        stop_reason: StopReason,
        memory: WorkerMemory,
    },
    Error {
        code: String,
        message: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// When the context was ready.
    pub t1_ns: MonoNs,
    pub engine: Engine,
    pub model: LoadedModel,
    /// Share of the file's pages that were in memory before loading; `null` if it can't be told.
    pub resident_before: Option<f64>,
    pub memory: WorkerMemory,
    /// Of loading.
    #[serde(default)]
    pub counters: PhaseCounters,
    /// Whether the hardware's counters can be read; `null`: the runtime doesn't try.
    #[serde(default)]
    pub hardware_counters: Option<HardwareCounters>,
}

/// What the worker's threads did in a phase, all together; `null` where it is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PhaseCounters {
    /// Page faults that needed the disk.
    pub major_faults: Option<u64>,
    /// Read from the disk.
    pub read_bytes: Option<u64>,
    pub hardware: Option<HardwareCounts>,
}

/// The CPU's own counters, in user space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HardwareCounts {
    pub instructions: Option<u64>,
    pub cycles: Option<u64>,
    pub cache_references: Option<u64>,
    pub cache_misses: Option<u64>,
    /// How long the events were to be counted, all of them and all threads together, and how
    /// long they had a counter. If that is less, the counts are scaled to the whole time.
    #[serde(default)]
    pub enabled_ns: Option<u64>,
    #[serde(default)]
    pub running_ns: Option<u64>,
}

impl PhaseCounters {
    /// Both phases together; what one of them doesn't know is not known.
    pub fn plus(self, other: Self) -> Self {
        Self {
            major_faults: sum(self.major_faults, other.major_faults),
            read_bytes: sum(self.read_bytes, other.read_bytes),
            hardware: self
                .hardware
                .zip(other.hardware)
                .map(|(a, b)| HardwareCounts {
                    instructions: sum(a.instructions, b.instructions),
                    cycles: sum(a.cycles, b.cycles),
                    cache_references: sum(a.cache_references, b.cache_references),
                    cache_misses: sum(a.cache_misses, b.cache_misses),
                    enabled_ns: sum(a.enabled_ns, b.enabled_ns),
                    running_ns: sum(a.running_ns, b.running_ns),
                }),
        }
    }
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    Some(a?.saturating_add(b?))
}

/// Access to the hardware's performance counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HardwareCounters {
    Counting,
    /// `kernel.perf_event_paranoid` or a filter forbids it.
    NotPermitted,
    /// The CPU, or the virtual machine, has none.
    NotSupported,
}

/// What ran the model, as the worker reported it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Engine {
    pub name: String,
    pub revision: String,
    pub cpu_features: Vec<String>,
    /// Which of its kernels for different CPUs the engine has chosen; `null` if it has but one.
    #[serde(default)]
    pub cpu_variant: Option<String>,
    /// Threads of decode, and those of prefill.
    pub threads: u32,
    #[serde(default)]
    pub threads_batch: Option<u32>,
    pub n_ctx: u32,
    pub n_batch: u32,
    pub n_ubatch: u32,
    /// As the engine resolved it; `null` where it does not tell.
    pub flash_attn: Option<bool>,
    pub sampler: String,
    pub layers_offloaded: u32,
    pub devices: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadedModel {
    pub arch: String,
    /// The engine's own description, such as "llama 135M Q4_1".
    pub description: String,
    pub params: u64,
    pub size_bytes: u64,
    pub n_ctx_train: u32,
    pub n_layer: u32,
}

/// Buffers as the engine reports them; `null` where it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkerMemory {
    pub kv_bytes: Option<u64>,
    pub compute_bytes: Option<u64>,
    pub repack_bytes: Option<u64>,
    /// Weights, wherever they are.
    #[serde(default)]
    pub model_bytes: Option<u64>,
    /// Buffers of every kind on accelerators.
    #[serde(default)]
    pub device_bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepDone {
    pub rep: u32,
    pub prompt_tokens: u32,
    pub output_tokens: u32,
    pub stop_reason: StopReason,
    /// SHA-256 over the ids as 32-bit little endian.
    pub prompt_sha256: Option<String>,
    pub output_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Of a `perplexity` that came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<PerplexityDone>,
    /// Of a `choice` that came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<ChoiceDone>,
}

/// What a repetition of `perplexity` has scored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PerplexityDone {
    pub chunks: u32,
    /// In nats, over the scored tokens.
    pub nll: Nll,
}

/// What a repetition of `choice` has scored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceDone {
    /// Items whose right choice is the likeliest: by its log-likelihood, by that per character,
    /// and by that per byte.
    pub correct: u32,
    pub correct_norm: u32,
    pub correct_bytes: u32,
    /// The likeliest choice of each item, from 0, and the likeliest per character.
    pub picked: Vec<u8>,
    pub picked_norm: Vec<u8>,
}
