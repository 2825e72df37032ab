//! Invented records of one attempt, as a board would publish them: three repetitions of a
//! short generation on a simulated board-input sensor at 1600 windows a second.

use jouled::record::Stamped;
use jouled::record::job::{Tokens, Trace};
use jouled::record::result::JobResult;
use serde_json::{Value, json};

const WINDOW_NS: u64 = 625_000;
const LOAD_NS: u64 = 400_000_000;
const IDLE_BEFORE_NS: u64 = 5_000_000_000;
const WARMUP_NS: u64 = 960_000_000;
const PREPARE_NS: u64 = 2_000_000;
const PREFILL_NS: u64 = 36_000_000;
const TOKEN_NS: u64 = 7_240_000;
const DECODE_TOKENS: u64 = 127;
const IDLE_AFTER_NS: u64 = 3_000_000_000;
const IDLE_W: f64 = 2.81;
const BUSY_W: f64 = 6.52;
const T0_MONO_NS: u64 = 5_000_000_000_000;

/// `(phase, rep, t0, t1, power)` in the order of time.
fn phases() -> Vec<(&'static str, Option<u32>, u64, u64, f64)> {
    let mut plan = vec![
        ("load", None, LOAD_NS, 5.1),
        ("idle_before", None, IDLE_BEFORE_NS, IDLE_W),
        ("warmup", None, WARMUP_NS, BUSY_W),
    ];
    for rep in 1..=3 {
        plan.push(("prepare", Some(rep), PREPARE_NS, 4.0));
        plan.push(("prefill", Some(rep), PREFILL_NS, 6.9));
        plan.push(("decode", Some(rep), DECODE_TOKENS * TOKEN_NS, BUSY_W));
    }
    plan.push(("idle_after", None, IDLE_AFTER_NS, IDLE_W + 0.06));
    let mut t = 0;
    plan.into_iter()
        .map(|(phase, rep, length, power)| {
            t += length;
            (phase, rep, t - length, t, power)
        })
        .collect()
}

/// A ripple that repeats, so that every run of the tests sees the same.
fn ripple(n: u64) -> f64 {
    let hash = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (hash as f64 / f64::from(1 << 24) - 0.5) * 0.5 + (n as f64 / 23.0).sin() * 0.12
}

fn stamped(device: &str, mut body: Value) -> Value {
    let stamp = json!({"v": 1, "device": device, "time": "2026-11-21T10:00:00.000Z",
        "mono_ns": T0_MONO_NS, "boot_id": "6c0f", "clock_sync": true});
    let (Value::Object(body), Value::Object(stamp)) = (&mut body, stamp) else {
        unreachable!("both are objects");
    };
    body.extend(stamp);
    Value::Object(std::mem::take(body))
}

pub fn result(device: &str, id: &str) -> Stamped<JobResult> {
    let timeline: Vec<Value> = phases()
        .into_iter()
        .map(|(phase, rep, t0, t1, power)| {
            let energy = power * (t1 - t0) as f64 * 1e-9;
            json!({"phase": phase, "rep": rep, "t0_ns": t0, "t1_ns": t1, "energy_j": energy,
                "energy_j_u95": energy * 0.015, "coverage": 1.0, "reason": null})
        })
        .collect();
    let total: f64 = timeline.iter().filter_map(|i| i["energy_j"].as_f64()).sum();
    let reps: Vec<Value> = (1..=3).map(rep).collect();
    let statistic = |value: f64, u95: Option<f64>| {
        let mut statistic = json!({"n": 3, "median": value, "mean": value * 1.001,
            "sd": value * 0.004, "iqr": null});
        if let Some(u95) = u95 {
            statistic["u95"] = json!(u95);
        }
        statistic
    };
    let body = json!({
        "id": id, "attempt": 1, "kind": "generate", "state": "succeeded", "reason": null,
        "tags": {}, "records": {"tokens": tokens(device, id).len(), "trace": trace(device, id).len()},
        "t0_mono_ns": T0_MONO_NS,
        "jouled": {"version": "0.1.0", "profile": "release"},
        "model": {"name": "SmolLM2-135M-Instruct.Q4_1.gguf", "sha256": "b179", "arch": "llama",
            "quant": "Q4_1", "params": 134_515_008, "size_bytes": 98_362_432},
        "engine": {"name": "llama.cpp", "revision": "ggml 0.26.0", "cpu_features": ["AVX512"],
            "threads": 2, "n_ctx": 2048, "n_batch": 512, "n_ubatch": 512, "flash_attn": true,
            "sampler": "greedy", "layers_offloaded": 0, "devices": ["cpu"]},
        "params": {"threads": 2},
        "tokens_published": "live",
        "board": {"profile": "generic", "model": null, "kernel": "6.1.0", "cpu": "x86",
            "cpus": 2, "memory_bytes": 8_000_000_000_u64, "governor": null,
            "power_mode": null, "power_mode_reason": "not supported"},
        "primary_rail": "input",
        "rails": [{"name": "input", "boundary": "board-input", "boundary_basis": "declared",
            "contained_in": null, "excludes": [], "source": "simulated", "simulated": true,
            "mode": "12bit/9bit", "range_mv": 80, "shunt_ohm": 0.01, "duty": 0.86,
            "coverage": 0.9998, "windows": 20_132, "lost_windows": 4, "saturated_windows": 0,
            "rate_hz": 1599.6, "missed_deadlines": 2},
            {"name": "vdd_in", "boundary": "module", "boundary_basis": "profile",
            "contained_in": "input", "excludes": [], "source": "hwmon", "simulated": false,
            "mode": null, "range_mv": null, "shunt_ohm": null, "duty": null,
            "coverage": 1.0, "windows": 118, "lost_windows": 0, "saturated_windows": 0,
            "rate_hz": 10.0, "missed_deadlines": 0}],
        "comparisons": [{"rail": "input", "against": "vdd_in", "slope": 1.021,
            "slope_u95": 0.022, "offset_w": 0.61, "offset_w_u95": 0.09, "residual_w": 0.034,
            "n": 23, "stretch_s": 0.5, "reason": null}],
        "timeline": {"input": timeline},
        "total": {"input": {"energy_j": total, "energy_j_u95": total * 0.015, "reason": null}},
        "idle": {
            "before": {"power_w": IDLE_W, "power_w_u95": 0.04, "duration_s": 5.0,
                "settled": true, "reason": null},
            "after": {"power_w": IDLE_W + 0.06, "power_w_u95": 0.04, "duration_s": 3.0,
                "settled": true, "reason": null}},
        "load": {"duration_s": 0.4, "energy_j": 2.04, "energy_j_u95": 0.03, "cold": false,
            "reasons": {}},
        "reps": reps,
        "summary": {"n": 3, "prefill_tok_s": statistic(422.1, None),
            "decode_tok_s": statistic(138.12, None), "ttft_s": statistic(0.038, None),
            "j_per_prompt_token": null,
            "j_per_output_token": statistic(0.0472, Some(0.0007)),
            "j_per_output_token_net": statistic(0.0267, Some(0.0005)),
            "reasons": {"j_per_prompt_token": "too-coarse"}},
        "memory": {"rss_peak_bytes": 151_000_000, "anon_bytes": null, "file_bytes": null,
            "swap_bytes": 0, "kv_bytes": null, "compute_bytes": null, "repack_bytes": null,
            "repack_reason": "not reported by the engine", "reasons": {}},
        "thermal": {"max_c": null, "throttled": null, "reasons": {"max_c": "not-supported"}},
        "contention": {"foreign_cpu": 0.09, "steal": 0.0, "psi_some": 0.01, "contended": true,
            "reasons": {}},
        "self": {"cpu_s": {"decode": 0.1}, "sampler_power_w": null, "reasons": {}},
        "warnings": ["contended: other processes used the CPU during the run"],
        "left_out": ["contended"],
    });
    serde_json::from_value(stamped(device, body)).expect("the canned result is a result")
}

fn rep(rep: u32) -> Value {
    let decode_s = (DECODE_TOKENS * TOKEN_NS) as f64 * 1e-9;
    let prefill_s = PREFILL_NS as f64 * 1e-9;
    let phase = |tokens: u64, duration_s: f64, power: f64, ipc: f64| {
        let hardware = json!({"instructions": 6_000_000_000_u64, "cycles": 3_000_000_000_u64,
            "ipc": ipc, "cache_references": null, "cache_misses": null});
        json!({"counters": {"major_faults": 0, "read_bytes": 0, "hardware": hardware,
            "reasons": {}}, "tokens": tokens, "duration_s": duration_s, "tok_s": tokens as f64 / duration_s,
            "energy_j": power * duration_s, "energy_j_u95": power * duration_s * 0.015,
            "energy_net_j": (power - IDLE_W) * duration_s,
            "energy_net_j_u95": power * duration_s * 0.015,
            "coverage": 1.0, "reasons": {}})
    };
    json!({"rep": rep, "ttft_s": 0.038, "output_tokens": 128, "stop_reason": "length",
        "resolved": true, "u_sys_rel": 0.0073,
        "prefill": phase(16, prefill_s, 6.9, 2.31),
        "decode": phase(DECODE_TOKENS, decode_s, BUSY_W, 1.07),
        "tpot_distribution_s": {"n": 127, "min": 0.0069, "median": 0.00719, "mean": 0.00724,
            "p90": 0.00751, "p99": 0.00902, "max": 0.0101, "sd": 0.0003, "iqr": 0.0002},
        "j_per_prompt_token": 0.0155, "j_per_prompt_token_u95": 0.0004,
        "j_per_prompt_token_net": null, "j_per_prompt_token_net_u95": null,
        "j_per_output_token": 0.0472, "j_per_output_token_u95": 0.0007,
        "j_per_output_token_net": 0.0267, "j_per_output_token_net_u95": 0.0005,
        "j_per_output_token_all_in": 0.0488, "j_per_output_token_all_in_u95": 0.0008,
        "j_per_output_token_all_in_net": 0.0276, "j_per_output_token_all_in_net_u95": 0.0006,
        "j_per_token_all": 0.0434, "j_per_token_all_u95": 0.0007,
        "j_per_token_all_net": null, "j_per_token_all_net_u95": null,
        "tpot_s": 0.00724, "tok_per_j": 21.2, "mwh_per_token": 0.0131, "edp": 5.9, "s_t": null,
        "prompt_sha256": "aa", "output_sha256": "bb",
        "text": "Blue light is scattered <more> & so the sky looks blue.",
        "reasons": {"j_per_prompt_token_net": "below-noise"}})
}

pub fn tokens(device: &str, id: &str) -> Vec<Stamped<Tokens>> {
    (1..=3_u32)
        .map(|rep| {
            let list: Vec<Value> = (0..=DECODE_TOKENS)
                .map(|i| {
                    let t_s = (PREPARE_NS + PREFILL_NS + i * TOKEN_NS) as f64 * 1e-9;
                    if i == 0 {
                        return json!({"i": 0, "t_s": t_s, "energy_j": null,
                            "energy_j_u95": null, "u_ran_j": null, "power_w": null,
                            "reason": "in-prefill"});
                    }
                    let power = BUSY_W + ripple(i + u64::from(rep) * 1000) * 0.6;
                    let energy = power * TOKEN_NS as f64 * 1e-9;
                    json!({"i": i, "t_s": t_s, "energy_j": energy,
                        "energy_j_u95": energy * 0.03, "u_ran_j": energy * 0.013,
                        "power_w": power})
                })
                .collect();
            let body = json!({"id": id, "attempt": 1, "rep": rep, "seq": rep, "resolved": true,
                "u_sys_rel": 0.0073, "tokens": list});
            serde_json::from_value(stamped(device, body)).expect("canned tokens are tokens")
        })
        .collect()
}

pub fn trace(device: &str, id: &str) -> Vec<Stamped<Trace>> {
    let phases = phases();
    let end = phases.last().expect("there are phases").3;
    let power: Vec<Option<f64>> = (0..end / WINDOW_NS)
        .map(|n| {
            let middle = n * WINDOW_NS + WINDOW_NS / 2;
            let phase = phases.iter().find(|phase| middle < phase.3);
            let level = phase.map_or(IDLE_W, |phase| phase.4);
            let ripple = ripple(n) * if level > 4.0 { 1.0 } else { 0.25 };
            // One gap: a window that the bus lost.
            (n != 9_000).then_some(level + ripple)
        })
        .collect();
    let chunks: Vec<&[Option<f64>]> = power.chunks(4000).collect();
    chunks
        .iter()
        .enumerate()
        .map(|(seq, chunk)| {
            let body = json!({"id": id, "attempt": 1, "rail": "input", "seq": seq,
                "last": seq + 1 == chunks.len(),
                "t0_mono_ns": T0_MONO_NS + seq as u64 * 4000 * WINDOW_NS,
                "dt_ns": vec![WINDOW_NS; chunk.len()], "power_w": chunk});
            serde_json::from_value(stamped(device, body)).expect("a canned trace is a trace")
        })
        .collect()
}
