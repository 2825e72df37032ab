//! A row an attempt: what ran, on what, and what it cost. `record_json` has all of it.

use super::super::column::{Columns, wire};
use super::super::record::Published;
use super::runs::primary;
use crate::record::Reason;
use crate::record::result::{JobResult, LeftOut, Statistic, Summary, Total};
use std::borrow::Cow;

pub fn columns() -> Columns<Published> {
    let mut c = Columns::<Published>::new();
    c.text("id", "job", |r, _| Some(r.result.id.as_str().into()));
    c.always();
    c.int("attempt", "from 1", |r, _| Some(r.result.attempt.into()));
    c.always();
    c.stamp();
    c.text("kind", "of the job", |r, _| {
        Some(wire(r.result.kind).into())
    });
    c.always();
    c.text("state", "`succeeded`, `failed` or `cancelled`", |r, _| {
        Some(wire(r.result.state).into())
    });
    c.always();
    c.text("reason", "why it did not succeed", |r, _| {
        r.result.reason.as_deref().map(Into::into)
    });
    c.bool(
        "counted",
        "whether summaries over several attempts count it",
        |r, _| Some(r.result.left_out.is_empty()),
    );
    c.always();
    c.text("left_out", "why they don't, separated by commas", |r, _| {
        Some(names(&r.result.left_out).into())
    });
    c.text("tags_json", "the job's tags, a JSON object", |r, _| {
        Some(json(&r.result.tags))
    });
    c.always();
    c.text(
        "rig_json",
        "supply, peripherals, ambient as stated, a JSON object",
        |r, _| Some(json(&r.result.rig)),
    );
    c.always();
    model(&mut c);
    engine(&mut c);
    board(&mut c);
    energy(&mut c);
    summary(&mut c);
    quality(&mut c);
    surroundings(&mut c);
    c.int(
        "tokens_records",
        "token records that belong to it",
        |r, _| Some(r.result.records.tokens),
    );
    c.int(
        "trace_records",
        "trace records that belong to it",
        |r, _| Some(r.result.records.trace),
    );
    c.text(
        "warnings_json",
        "what to know of it, a JSON list of sentences",
        |r, _| Some(json(&r.result.warnings)),
    );
    c.always();
    c.text("record_json", "the record as it was published", |r, _| {
        Some(r.json.as_str().into())
    });
    c.always();
    c
}

fn names(left_out: &[LeftOut]) -> String {
    let names: Vec<String> = left_out.iter().map(|&why| wire(why)).collect();
    names.join(",")
}

fn json<T: serde::Serialize>(value: &T) -> Cow<'static, str> {
    let text = serde_json::to_string(value);
    text.expect("strings and their maps are JSON").into()
}

fn model(c: &mut Columns<Published>) {
    c.text("model_name", "file name; null: the job has none", |r, _| {
        r.result.model.as_ref().map(|m| m.name.as_str().into())
    });
    c.text("model_sha256", "of the file", |r, _| {
        r.result.model.as_ref().map(|m| m.sha256.as_str().into())
    });
    c.text("model_arch", "architecture", |r, _| {
        r.result.model.as_ref().map(|m| m.arch.as_str().into())
    });
    c.text("model_quant", "quantisation", |r, _| {
        let model = r.result.model.as_ref()?;
        model.quant.as_deref().map(Into::into)
    });
    c.int("model_params", "weights", |r, _| {
        r.result.model.as_ref().map(|m| m.params)
    });
    c.int("model_size_bytes", "of the file", |r, _| {
        r.result.model.as_ref().map(|m| m.size_bytes)
    });
}

fn engine(c: &mut Columns<Published>) {
    c.text("engine_name", "what ran the model", |r, _| {
        r.result.engine.as_ref().map(|e| e.name.as_str().into())
    });
    c.text("engine_revision", "its revision", |r, _| {
        r.result.engine.as_ref().map(|e| e.revision.as_str().into())
    });
    c.text(
        "engine_devices",
        "where it ran, separated by commas",
        |r, _| r.result.engine.as_ref().map(|e| e.devices.join(",").into()),
    );
    c.int("threads", "of decode, as the engine has them", |r, _| {
        r.result.engine.as_ref().map(|e| e.threads.into())
    });
    c.int(
        "layers_offloaded",
        "to accelerators, as the engine says",
        |r, _| r.result.engine.as_ref().map(|e| e.layers_offloaded.into()),
    );
    c.int("n_ctx", "tokens of context", |r, _| {
        Some(r.result.params.n_ctx.into())
    });
    c.int("n_batch", "tokens of a batch", |r, _| {
        Some(r.result.params.n_batch.into())
    });
    c.int("gpu_layers", "layers to offload, as asked", |r, _| {
        Some(r.result.params.gpu_layers.into())
    });
    c.text("flash_attn", "as asked", |r, _| {
        Some(wire(r.result.params.flash_attn).into())
    });
    c.text("kv_type", "element type of the KV cache", |r, _| {
        Some(wire(r.result.params.kv_type).into())
    });
    c.bool("mmap", "whether the file was to be mapped", |r, _| {
        Some(r.result.params.mmap)
    });
    c.bool("repack", "whether weights were to be repacked", |r, _| {
        Some(r.result.params.repack)
    });
    c.int("seed", "of the sampler", |r, _| {
        Some(r.result.params.seed.into())
    });
    c.float("temperature", "of the sampler; 0 is greedy", |r, _| {
        Some(r.result.params.temperature)
    });
    work(c);
}

/// What the job asked for; null where its kind has no such size.
fn work(c: &mut Columns<Published>) {
    macro_rules! size {
        ($field:ident, $about:literal) => {
            c.int(stringify!($field), $about, |r, _| {
                r.result.work.$field.map(Into::into)
            });
        };
    }
    size!(n_prompt, "of `bench`: tokens of prefill");
    size!(n_gen, "of `bench`: tokens of decode");
    size!(n_depth, "of `bench`: tokens of context before either");
    size!(n_predict, "of `generate`: output tokens at most");
}

fn board(c: &mut Columns<Published>) {
    c.text("jouled_version", "of the daemon", |r, _| {
        Some(r.result.jouled.version.as_str().into())
    });
    c.text("board_profile", "what is known about the board", |r, _| {
        Some(r.result.board.profile.as_str().into())
    });
    c.text("board_model", "as the board says", |r, _| {
        r.result.board.model.as_deref().map(Into::into)
    });
    c.text("kernel", "its release", |r, _| {
        Some(r.result.board.kernel.as_str().into())
    });
    c.text("governor", "of the first CPUs", |r, _| {
        r.result.board.governor.as_deref().map(Into::into)
    });
    c.int("max_freq_khz", "highest cap of any CPU's clock", |r, _| {
        r.result.board.max_freq_khz.map(Into::into)
    });
    c.text("power_mode", "as the board names it", |r, _| {
        r.result.board.power_mode.as_deref().map(Into::into)
    });
    c.text("power_mode_reason", "why it is null", |r, _| {
        r.result.board.power_mode_reason.as_deref().map(Into::into)
    });
}

fn energy(c: &mut Columns<Published>) {
    c.text(
        "rail",
        "the primary rail, which the figures are of",
        |r, _| r.result.primary_rail.as_deref().map(Into::into),
    );
    c.text("boundary", "what it encloses", |r, _| {
        primary(&r.result).map(|rail| wire(rail.boundary).into())
    });
    c.bool("simulated", "whether any rail is simulated", |r, _| {
        Some(r.result.rails.iter().any(|rail| rail.simulated))
    });
    c.always();
    c.int(
        "t0_mono_ns",
        "the attempt's start on the board's CLOCK_MONOTONIC",
        |r, _| Some(r.result.t0_mono_ns),
    );
    c.always();
    c.float("energy_j", "all of the attempt", |r, _| {
        total(&r.result)?.energy_j
    });
    c.reason("energy_j", |r, _| match total(&r.result) {
        Some(total) => total.reason,
        None => Some(Reason::NoPrimaryRail),
    });
    c.float("energy_j_u95", "its expanded uncertainty", |r, _| {
        total(&r.result)?.energy_j_u95
    });
    macro_rules! idle {
        ($when:ident, $power:literal, $u95:literal, $about:literal) => {
            c.float($power, $about, |r, _| r.result.idle.$when.as_ref()?.power_w);
            c.reason($power, |r, _| match &r.result.idle.$when {
                Some(idle) => idle.reason,
                None => r.result.idle.reasons.get(stringify!($when)).copied(),
            });
            c.float($u95, "its expanded uncertainty", |r, _| {
                r.result.idle.$when.as_ref()?.power_w_u95
            });
        };
    }
    idle!(
        before,
        "idle_before_w",
        "idle_before_w_u95",
        "idle power before the work"
    );
    idle!(
        after,
        "idle_after_w",
        "idle_after_w_u95",
        "idle power after the work"
    );
    c.float("load_duration_s", "loading the model", |r, _| {
        r.result.load.as_ref().map(|load| load.duration_s)
    });
    c.float("load_energy_j", "energy of it", |r, _| {
        r.result.load.as_ref()?.energy_j
    });
    c.reason("load_energy_j", |r, _| match &r.result.load {
        Some(load) => load.reasons.get("energy_j").copied(),
        None => r.result.reasons.get("load").copied(),
    });
    c.float("load_energy_j_u95", "its expanded uncertainty", |r, _| {
        r.result.load.as_ref()?.energy_j_u95
    });
    c.bool(
        "load_cold",
        "whether under 5 % of the file was in memory",
        |r, _| r.result.load.as_ref()?.cold,
    );
}

fn total(result: &JobResult) -> Option<&Total> {
    result.total.get(result.primary_rail.as_ref()?)
}

/// Statistics over the repetitions, as the record has them.
fn summary(c: &mut Columns<Published>) {
    c.int("reps", "repetitions", |r, _| {
        Some(r.result.reps.len() as u64)
    });
    c.always();
    macro_rules! statistic {
        ($field:ident, $about:literal) => {
            c.float(concat!(stringify!($field), "_median"), $about, |r, _| {
                of(r, |s| s.$field.as_ref()).map(|s| s.median)
            });
            c.reason(stringify!($field), |r, _| match &r.result.summary {
                Some(summary) => summary.reasons.get(stringify!($field)).copied(),
                None => r.result.reasons.get("summary").copied(),
            });
            c.float(concat!(stringify!($field), "_mean"), "the mean", |r, _| {
                of(r, |s| s.$field.as_ref()).map(|s| s.mean)
            });
            c.float(
                concat!(stringify!($field), "_sd"),
                "standard deviation; null for a single value",
                |r, _| of(r, |s| s.$field.as_ref())?.sd,
            );
        };
        ($field:ident, u95, $about:literal) => {
            statistic!($field, $about);
            c.float(
                concat!(stringify!($field), "_u95"),
                "expanded uncertainty of the mean; null for a single value",
                |r, _| of(r, |s| s.$field.as_ref())?.u95,
            );
            c.float(
                concat!(stringify!($field), "_u_sys"),
                "systematic standard uncertainty in it, which n does not divide",
                |r, _| of(r, |s| s.$field.as_ref())?.u_sys,
            );
        };
    }
    statistic!(ttft_s, "median time to first token");
    statistic!(prefill_tok_s, "median speed of prefill");
    statistic!(decode_tok_s, "median speed of decode");
    statistic!(tpot_s, "median time per output token");
    statistic!(
        j_per_prompt_token,
        u95,
        "median prefill energy a prompt token"
    );
    statistic!(
        j_per_output_token,
        u95,
        "median decode energy a decoded token"
    );
    statistic!(j_per_output_token_net, u95, "the same above idle");
    statistic!(
        j_per_output_token_all_in,
        u95,
        "median energy of prefill and decode an output token"
    );
    statistic!(
        j_per_token_all,
        u95,
        "median energy of prefill and decode a token of prompt or output"
    );
}

/// Of jobs that score given text; null for all others.
fn quality(c: &mut Columns<Published>) {
    c.text("data", "what was scored", |r, _| {
        let perplexity = r.result.perplexity.as_ref().map(|found| &found.data);
        let choice = r.result.choice.as_ref().map(|found| &found.data);
        perplexity.or(choice).map(|name| name.as_str().into())
    });
    c.text("data_sha256", "of the file", |r, _| {
        let perplexity = r.result.perplexity.as_ref();
        let choice = r.result.choice.as_ref();
        let perplexity = perplexity.map(|found| &found.data_sha256);
        let choice = choice.map(|found| &found.data_sha256);
        perplexity.or(choice).map(|hash| hash.as_str().into())
    });
    macro_rules! figure {
        ($block:ident, $field:ident, $about:literal) => {
            c.float(stringify!($field), $about, |r, _| {
                r.result.$block.as_ref()?.$field
            });
        };
    }
    macro_rules! reason {
        ($block:ident, $field:literal) => {
            c.reason($field, |r, _| match &r.result.$block {
                Some(found) => found.reasons.get($field).copied(),
                None => r.result.reasons.get(stringify!($block)).copied(),
            });
        };
    }
    c.int("perplexity_chunks", "chunks of n_ctx tokens", |r, _| {
        r.result
            .perplexity
            .as_ref()
            .map(|found| found.chunks.into())
    });
    c.int("tokens_scored", "of the text", |r, _| {
        r.result
            .perplexity
            .as_ref()
            .map(|found| found.tokens_scored)
    });
    figure!(perplexity, perplexity, "as llama-perplexity computes it");
    reason!(perplexity, "perplexity");
    figure!(perplexity, perplexity_se, "its standard error");
    figure!(perplexity, nll_mean, "its logarithm, in nats a token");
    figure!(perplexity, j_per_token_scored, "energy a scored token");
    reason!(perplexity, "j_per_token_scored");
    figure!(
        perplexity,
        j_per_token_scored_u95,
        "its expanded uncertainty"
    );
    figure!(perplexity, j_per_token_scored_net, "the same above idle");
    reason!(perplexity, "j_per_token_scored_net");
    figure!(
        perplexity,
        j_per_token_scored_net_u95,
        "its expanded uncertainty"
    );
    macro_rules! number {
        ($field:ident, $about:literal) => {
            c.int(stringify!($field), $about, |r, _| {
                r.result.choice.as_ref().map(|found| found.$field.into())
            });
        };
    }
    number!(items, "questions with choices");
    number!(correct, "whose likeliest choice is the right one");
    figure!(choice, acc, "share of them");
    reason!(choice, "acc");
    figure!(choice, acc_se, "its standard error over the items");
    number!(correct_norm, "the same by the likelihood per character");
    figure!(choice, acc_norm, "share of them");
    reason!(choice, "acc_norm");
    figure!(choice, acc_norm_se, "its standard error over the items");
    figure!(choice, j_per_item, "energy an item");
    reason!(choice, "j_per_item");
    figure!(choice, j_per_item_u95, "its expanded uncertainty");
    figure!(choice, j_per_correct, "energy of all items a right answer");
    reason!(choice, "j_per_correct");
    figure!(choice, j_per_correct_u95, "its expanded uncertainty");
    figure!(choice, j_per_correct_net, "the same above idle");
    reason!(choice, "j_per_correct_net");
    figure!(choice, j_per_correct_net_u95, "its expanded uncertainty");
    figure!(
        choice,
        acc_per_w,
        "share of right answers a watt of mean power"
    );
    reason!(choice, "acc_per_w");
}

fn of(r: &Published, get: fn(&Summary) -> Option<&Statistic>) -> Option<&Statistic> {
    get(r.result.summary.as_ref()?)
}

fn surroundings(c: &mut Columns<Published>) {
    macro_rules! figure {
        ($kind:ident $block:ident, $field:ident, $name:literal, $about:literal) => {
            c.$kind($name, $about, |r, _| r.result.$block.$field);
            c.reason($name, |r, _| {
                r.result.$block.reasons.get(stringify!($field)).copied()
            });
        };
    }
    figure!(int memory, rss_peak_bytes, "rss_peak_bytes", "the worker's largest resident memory");
    figure!(int memory, model_bytes, "model_bytes", "weights, as the engine placed them");
    figure!(int memory, kv_bytes, "kv_bytes", "the KV cache");
    figure!(int memory, compute_bytes, "compute_bytes", "the engine's compute buffers");
    figure!(float thermal, max_c, "temperature_max_c", "hottest thermal zone");
    figure!(bool thermal, throttled, "throttled", "whether the clock was throttled");
    figure!(bool thermal, under_voltage, "under_voltage", "whether the supply fell too low");
    figure!(float contention, foreign_cpu, "foreign_cpu", "share of CPU time of others");
    figure!(bool contention, contended, "contended", "whether others disturbed the run");
}
