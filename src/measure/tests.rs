//! Whole attempts with invented time: their records as they leave, and what must hold for
//! every one of them.

mod contract;
mod missing;
mod quality;
mod rails;

use super::testing::{
    Play, T0, context, job, on_the_wire, rail, real_rail, rounded_as_on_the_wire, window,
};
use super::{
    AttemptRecords, Context, Ending, Moments, Observed, Recorded, Stop, TokenBatches, records,
};
use crate::board::Finding;
use crate::config::SamplerPower;
use crate::energy::Trace;
use crate::record::Reason;
use crate::record::result::{JobResult, Rep};
use crate::runtime::protocol::{HardwareCounters, StopReason};
use crate::sensor::{Lag, RailSpec, ReadingKind};
use crate::units::{MonoNs, Span};
use crate::workload::{Job, Limits, Phase};
use insta::assert_json_snapshot;
use serde_json::{Value, json};

fn made(context: &Context, play: &Play, rails: &[Recorded]) -> AttemptRecords {
    records(context, &play.observed, rails, TokenBatches::default())
}

fn generated() -> (Play, Job) {
    let mut play = Play::begin();
    play.generate(1, 4, StopReason::Length);
    play.generate(2, 4, StopReason::Eog);
    play.worked();
    play.idle_after();
    (play.end(Ending::Succeeded), job(|_| ()))
}

fn benched(n_prompt: u32, n_gen: u32) -> (Play, Job) {
    let mut play = Play::begin();
    play.bench(1, n_prompt, n_gen);
    play.worked();
    play.idle_after();
    let job = job(|job| {
        *job = json!({"id": "bench-1", "kind": "bench", "model": "m.gguf", "repetitions": 1,
            "n_prompt": n_prompt, "n_gen": n_gen});
    });
    (play.end(Ending::Succeeded), job)
}

/// Cancelled after the third of four tokens of the first repetition.
fn cancelled() -> (Play, Job) {
    let mut play = Play::begin();
    play.generate(1, 3, StopReason::Cancelled);
    play.worked();
    (play.end(Ending::Stopped(Stop::Cancelled)), job(|_| ()))
}

/// The worker never came up.
fn failed() -> (Play, Job) {
    let mut play = Play::begin();
    play.observed.phases.clear();
    play.observed.settled.clear();
    play.observed.loaded = None;
    play.observed.moments = Moments {
        before: play.observed.moments.before,
        ..Moments::default()
    };
    let ending = Ending::Failed("the worker exited with code 3".to_owned());
    (play.end(ending), job(|_| ()))
}

#[test]
fn a_generate_result() {
    let (play, job) = generated();
    let rails = [
        play.recorded(real_rail("input")),
        play.recorded(rail("module")),
    ];
    let made = made(&context(job), &play, &rails);
    assert_json_snapshot!("generate_result", on_the_wire(made.result));
    assert_eq!(made.tokens.len(), 2);
    let first = made.tokens.into_iter().next().expect("two records");
    assert_json_snapshot!("generate_tokens", on_the_wire(first));
}

#[test]
fn throttling_is_said_with_its_evidence_or_with_the_reason_why_not() {
    let thermal = |throttling: Option<Finding>| {
        let (mut play, job) = generated();
        play.observed.throttling = throttling;
        let result = made(&context(job), &play, &[]).result.body;
        let reason = result.thermal.reasons.get("throttled").copied();
        let warned = result
            .warnings
            .iter()
            .any(|w| w == "throttled: over-current");
        (result.thermal.throttled, reason, warned)
    };
    let seen = Finding::Seen(vec!["over-current".to_owned()]);
    assert_eq!(thermal(Some(seen)), (Some(true), None, true));
    let none = |reason| (None, Some(reason), false);
    assert_eq!(thermal(Some(Finding::Unclear)), none(Reason::Unclear));
    assert_eq!(
        thermal(Some(Finding::NoEvidence)),
        none(Reason::NotSupported)
    );
    assert_eq!(thermal(None), none(Reason::NotReached));
}

#[test]
fn a_bench_result() {
    let (play, job) = benched(16, 3);
    let rails = [play.recorded(real_rail("input"))];
    let made = made(&context(job), &play, &rails);
    assert_json_snapshot!("bench_result", on_the_wire(made.result));
}

#[test]
fn a_failed_attempt_without_rails() {
    let (play, job) = failed();
    let context = Context {
        model: None,
        primary: None,
        warnings: vec!["no primary rail".to_owned()],
        ..context(job)
    };
    let made = made(&context, &play, &[]);
    assert_json_snapshot!("failed_result", on_the_wire(made.result));
}

#[test]
fn a_trace_with_gaps_within_and_at_its_ends() {
    let ms = |ms| T0 + Span::from_millis(ms);
    let spec = rail("input");
    let mut trace = Trace::new(spec.limits.clone());
    for (t0, t1) in [(0, 5), (5, 10), (20, 25)] {
        trace.push(&window(ms(t0), ms(t1), 0.02));
    }
    let recorded = Recorded {
        spec,
        trace,
        missed_deadlines: 0,
    };
    let mut observed = Observed::new(T0 - Span::from_millis(1));
    observed.t1 = ms(30);
    let mut chunks = super::trace::chunks(&context(job(|_| ())), &observed, &[recorded]);
    assert_eq!(chunks.len(), 1);
    let only = chunks.pop().expect("one chunk");
    assert_json_snapshot!("trace", on_the_wire(only));
}

#[test]
fn as_many_repetitions_as_are_allowed_fit_into_a_record() {
    let mut play = Play::begin();
    for rep in 1..=Limits::default().repetitions {
        play.generate(rep, 4, StopReason::Length);
        play.phase(Phase::Other, None, Span::from_millis(1), 4.0);
    }
    let play = play.end(Ending::Succeeded);
    let rails = [
        play.recorded(real_rail("input")),
        play.recorded(real_rail("module")),
    ];
    let made = made(&context(job(|_| ())), &play, &rails);
    let bytes = made.result.to_json().len();
    assert!(bytes < 128 * 1024, "{bytes}");
    let result = made.result.body;
    assert!(result.reps.iter().all(|rep| rep.budget.is_empty()));
    assert_eq!(result.reasons.get("budget"), Some(&Reason::TooLarge));
    assert!(result.timeline.contains_key("input") && result.total.len() == 2);
}

fn result_of((play, job): (Play, Job)) -> JobResult {
    let rails = [play.recorded(real_rail("input"))];
    made(&context(job), &play, &rails).result.body
}

fn reason(rep: &Rep, figure: &str) -> Option<Reason> {
    rep.reasons.get(figure).copied()
}

#[test]
fn a_repetition_that_was_cancelled_keeps_its_figures_and_stays_out_of_the_summary() {
    let result = result_of(cancelled());
    assert!(result.summary.is_none());
    assert_eq!(result.reasons["summary"], Reason::TooFew);
    assert_eq!(result.idle.reasons["after"], Reason::NotReached);
    let rep = &result.reps[0];
    assert_eq!(rep.decode.as_ref().map(|decode| decode.tokens), Some(2));
    assert_j_per_token(rep, 8.01 * 0.06);
}

/// Up to the boundary error: at most 6 W × 5 ms ÷ 2 at each end.
fn assert_j_per_token(rep: &Rep, expected: f64) {
    let per_token = rep.figures.j_per_output_token.expect("it was measured");
    let tokens = rep.decode.as_ref().map_or(0, |decode| decode.tokens);
    let off = (per_token - expected).abs() * f64::from(tokens);
    assert!(off < 0.030, "{per_token} for {expected}");
}

#[test]
fn bench_has_no_request_and_says_so() {
    let result = result_of(benched(16, 3));
    let rep = &result.reps[0];
    for figure in [
        "ttft_s",
        "j_per_output_token_all_in",
        "j_per_token_all",
        "edp",
    ] {
        assert_eq!(reason(rep, figure), Some(Reason::NotDefined), "{figure}");
    }
    assert_j_per_token(rep, 8.0 * 0.06);
    let prefill_only = result_of(benched(16, 0));
    assert_eq!(
        reason(&prefill_only.reps[0], "decode"),
        Some(Reason::NotDefined)
    );
    assert!(prefill_only.reps[0].prefill.is_some());
}

#[test]
fn without_a_primary_rail_that_is_the_reason_everywhere() {
    let (play, job) = generated();
    let context = Context {
        primary: None,
        ..context(job)
    };
    let made = made(&context, &play, &[play.recorded(rail("input"))]);
    let result = made.result.body;
    assert_eq!(result.reasons["primary_rail"], Reason::NoPrimaryRail);
    let rep = &result.reps[0];
    let decode = rep.decode.as_ref().expect("its speed is known");
    assert!(decode.tok_s > 16.0);
    assert_eq!(decode.reasons["energy_j"], Reason::NoPrimaryRail);
    assert_eq!((decode.windows, decode.coverage), (None, None));
    assert_eq!(decode.reasons["windows"], Reason::NoPrimaryRail);
    assert_eq!(reason(rep, "j_per_token_all"), Some(Reason::NoPrimaryRail));
    let energy = |token: &crate::record::job::Token| token.reason;
    let last = made.tokens[0].body.tokens.iter().map(energy).next_back();
    assert_eq!(last, Some(Some(Reason::NoPrimaryRail)));
    // The rail itself is measured nevertheless.
    assert!(result.total["input"].energy_j.is_some());
}

#[test]
fn a_rail_tells_its_lag_and_whether_it_was_moved_by_it() {
    let (play, job) = generated();
    let lag = Lag {
        date: "2026-11-21".to_owned(),
        lag_s: 0.0,
        lag_s_u95: 0.002,
        scatter_s: 0.001,
        steps: 30,
        step_w: 5.0,
    };
    let late = |name: &str, kind| RailSpec {
        kind,
        lag: Some(lag.clone()),
        ..rail(name)
    };
    let rails = [
        play.recorded(late("input", ReadingKind::Window)),
        play.recorded(late("module", ReadingKind::Point)),
        play.recorded(rail("wall")),
    ];
    let result = made(&context(job), &play, &rails).result.body;
    let told = |rail: usize| result.rails[rail].lag.as_ref().map(|lag| lag.corrected);
    assert_eq!([told(0), told(1), told(2)], [Some(false), Some(true), None]);
    assert_eq!(result.rails[2].reasons["lag"], Reason::NotMeasured);
    let u95 = |rail: &str| result.total[rail].energy_j_u95.expect("measured");
    assert!(u95("module") > u95("input"));
}

#[test]
fn the_power_of_sampling_is_told_of_the_rail_that_showed_it() {
    let (play, job) = generated();
    let cost = |rail: &str| SamplerPower {
        date: "2026-11-21".to_owned(),
        rail: rail.to_owned(),
        power_w: -0.001,
        power_w_u95: 0.004,
    };
    let own = |sampler_power| {
        let context = Context {
            sampler_power,
            ..context(job.clone())
        };
        let rails = [play.recorded(rail("input"))];
        made(&context, &play, &rails).result.body.own
    };
    let told = own(Some(cost("input")));
    assert_eq!(told.sampler_power_w, Some(-0.001));
    assert_eq!(told.sampler_power_w_u95, Some(0.004));
    for other in [own(Some(cost("wall"))), own(None)] {
        assert_eq!(
            (other.sampler_power_w, other.sampler_power_w_u95),
            (None, None)
        );
        assert_eq!(other.reasons["sampler_power_w"], Reason::NotMeasured);
    }
}

#[test]
fn warnings_name_the_rail_and_the_phase() {
    let (mut play, job) = generated();
    play.observed.settled.insert(Phase::IdleAfter, false);
    if let Some(contention) = &mut play.observed.contention {
        contention.contended = true;
    }
    let mut simulated = rail("sim");
    simulated.simulated = true;
    let rails = [
        play.recorded(simulated),
        play.recorded_until(rail("late"), T0 + Span::from_millis(9_000)),
        play.recorded_until(rail("dead"), MonoNs(0)),
    ];
    let context = Context {
        warnings: vec!["known before".to_owned()],
        ..context(job)
    };
    let warnings = made(&context, &play, &rails).result.body.warnings;
    for (index, part) in [
        "known before",
        "sim: SIMULATED",
        "late: ",
        "dead: delivered nothing",
        "idle_after: power did not settle",
        "contended",
    ]
    .iter()
    .enumerate()
    {
        assert!(warnings[index].contains(part), "{warnings:?}");
    }
}

#[test]
fn the_parts_of_the_timeline_add_up() {
    let (play, job) = generated();
    let result = made(&context(job), &play, &[play.recorded(rail("input"))])
        .result
        .body;
    let parts = &result.timeline["input"];
    let sum: f64 = parts.iter().filter_map(|part| part.energy_j).sum();
    let total = result.total["input"]
        .energy_j
        .expect("all of it was measured");
    assert!((sum / total - 1.0).abs() < 1e-9, "{sum} {total}");
    let decode = result.reps[0]
        .decode
        .as_ref()
        .and_then(|decode| decode.energy_j);
    let tokens = made(
        &context(self::job(|_| ())),
        &play,
        &[play.recorded(rail("input"))],
    )
    .tokens;
    let sum: f64 = tokens[0]
        .body
        .tokens
        .iter()
        .filter_map(|token| token.energy_j)
        .sum();
    let decode = decode.expect("it was measured");
    assert!((sum / decode - 1.0).abs() < 1e-9, "{sum} {decode}");
}

fn decode_of(result: &JobResult) -> &crate::record::result::PhaseFigures {
    result.reps[0].decode.as_ref().expect("it was reached")
}

#[test]
fn what_the_worker_counted_reaches_its_phase_and_what_it_could_not_says_why() {
    let result = result_of(generated());
    let load = result.load.as_ref().expect("it was loaded");
    assert_eq!(load.counters.read_bytes, Some(1_048_576));
    let counters = &decode_of(&result).counters;
    assert_eq!(
        (counters.major_faults, counters.read_bytes),
        (Some(0), Some(0))
    );
    let hardware = counters.hardware.as_ref().expect("it was counted");
    assert_eq!(hardware.ipc, Some(1.6));
    assert_eq!(hardware.counted_share, Some(0.8));
    assert_eq!(hardware.reasons["cache_references"], Reason::NotSupported);

    for (access, reason) in [
        (Some(HardwareCounters::NotPermitted), Reason::NotPermitted),
        (Some(HardwareCounters::NotSupported), Reason::NotSupported),
        (None, Reason::NotReported),
    ] {
        let (mut play, job) = generated();
        play.observed.counters.clear();
        if let Some(loaded) = &mut play.observed.loaded {
            loaded.hardware_counters = access;
        }
        let result = result_of((play, job));
        let counters = &decode_of(&result).counters;
        assert_eq!(counters.hardware, None);
        assert_eq!(counters.reasons["hardware"], reason);
        assert_eq!(counters.reasons["major_faults"], Reason::NotReported);
    }
}

#[test]
fn decode_is_held_against_the_memorys_bandwidth() {
    let (play, job) = generated();
    let mbu = |change: fn(&mut Context)| {
        let mut context = context(job.clone());
        change(&mut context);
        let rep = made(&context, &play, &[]).result.body.reps.remove(0);
        rep.figures.mbu.ok_or(rep.reasons.get("mbu").copied())
    };
    // Three tokens of 60 ms after a prompt of 14: 16 tokens of context on average.
    let expected = (96_576_768.0 + 16.0 * 23_040.0) / 0.060 / 17.1e9;
    let found = mbu(|_| ()).expect("all is known");
    assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
    let missing = |reason| Err(Some(reason));
    assert_eq!(
        mbu(|context| context.board.memory_bandwidth_gb_s = None),
        missing(Reason::NotSupported)
    );
    assert_eq!(
        mbu(|context| context.model = None),
        missing(Reason::NotReported)
    );
    let no_step = mbu(|context| {
        if let Some(model) = &mut context.model {
            model.step_bytes = None;
        }
    });
    assert_eq!(no_step, missing(Reason::NotReported));
    // What an encoder has made of the prompt, and a context that began with one token.
    let encoded = mbu(|context| {
        if let Some(model) = &mut context.model {
            model.encoder_token_bytes = Some(3_072);
        }
    });
    let expected = (96_576_768.0 + 14.0 * 3_072.0 + 3.0 * 23_040.0) / 0.060 / 17.1e9;
    let found = encoded.expect("all is known");
    assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");

    let deep = |n_depth: u32| {
        let (play, _) = benched(0, 3);
        let job = self::job(|job| {
            *job = json!({"id": "bench-1", "kind": "bench", "model": "m.gguf", "repetitions": 1,
                "n_prompt": 0, "n_gen": 3, "n_depth": n_depth});
        });
        let rep = made(&context(job), &play, &[]).result.body.reps.remove(0);
        rep.figures.mbu.expect("all is known")
    };
    let grown = (deep(1_000) - deep(0)) * 0.060 * 17.1e9;
    assert!((grown / 23_040_000.0 - 1.0).abs() < 1e-6, "{grown}");
}

#[test]
fn the_times_of_tokens_are_spread_around_the_time_per_token() {
    let (mut play, job) = generated();
    let known = &mut play.observed.tokens.get_mut(&1).expect("tokens").known;
    // The second became known with the third: one step of 120 ms.
    known[1] = known[2];
    let result = result_of((play, job));
    let rep = &result.reps[0];
    let spread = rep.tpot_distribution_s.expect("three tokens");
    assert_eq!(spread.n, 3);
    let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
    assert!(
        near(spread.max, 0.060) && near(spread.min, 0.060),
        "{spread:?}"
    );
    assert!(near(spread.mean, rep.figures.tpot_s.expect("decoded")));
    let bench = result_of(benched(16, 0));
    assert_eq!(
        reason(&bench.reps[0], "tpot_distribution_s"),
        Some(Reason::NotDefined)
    );
}
