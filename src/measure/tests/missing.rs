//! What a result says where a sensor did not deliver: gaps, clipped windows, a sensor that is
//! too slow, a rail that is dead. Every figure is there or has its reason, and a warning names
//! the rail.

use super::*;
use crate::record::Stamped;
use crate::record::job::Tokens;
use crate::sensor::{Quality, RailSpec, ReadingKind, Window};

const WINDOW: Span = Span::from_millis(5);

/// Two repetitions of 24 tokens, 60 ms apart: a decode of 1.38 s.
fn played() -> (Play, Job) {
    let mut play = Play::begin();
    play.generate(1, 24, StopReason::Length);
    play.generate(2, 24, StopReason::Length);
    play.worked();
    play.idle_after();
    let job = job(|job| job["n_predict"] = json!(24));
    (play.end(Ending::Succeeded), job)
}

/// Without windows nothing settles.
fn unsettled(play: &mut Play) {
    let settled = play.observed.settled.values_mut();
    settled.for_each(|settled| *settled = false);
}

/// A moment `ms` into the decode of repetition `rep`.
fn into_decode(play: &Play, rep: u32, ms: u64) -> MonoNs {
    let decode = play.observed.phase(Phase::Decode, Some(rep));
    decode.expect("each has one").t0 + Span::from_millis(ms)
}

/// The parts of the records that depend on the rails, one line a token.
fn told(records: AttemptRecords) -> Value {
    let tokens: Vec<Value> = records.tokens.into_iter().map(token_lines).collect();
    let mut result = on_the_wire(records.result);
    let fields = result.as_object_mut().expect("a record is an object");
    let about_rails = [
        "primary_rail",
        "rails",
        "timeline",
        "total",
        "comparisons",
        "idle",
        "load",
        "reps",
        "summary",
        "warnings",
        "left_out",
        "reasons",
    ];
    fields.retain(|name, _| about_rails.contains(&name.as_str()));
    for rail in fields["rails"].as_array_mut().expect("rails") {
        let rail = rail.as_object_mut().expect("a rail");
        let delivered = [
            "name",
            "coverage",
            "windows",
            "lost_windows",
            "saturated_windows",
            "rate_hz",
            "reasons",
        ];
        rail.retain(|name, _| delivered.contains(&name.as_str()));
    }
    fields.insert("token_records".to_owned(), json!(tokens));
    strip(&mut result);
    result
}

/// Takes out, wherever they are, budgets and what no rail has a part in.
fn strip(value: &mut Value) {
    const OTHERS: [&str; 9] = [
        "budget",
        "counters",
        "start",
        "end",
        "mbu",
        "tpot_distribution_s",
        "prompt_sha256",
        "output_sha256",
        "resident_before",
    ];
    match value {
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Object(fields) => {
            fields.retain(|name, _| !OTHERS.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
        }
        _ => {}
    }
}

fn token_lines(record: Stamped<Tokens>) -> Value {
    let record = on_the_wire(record);
    let line = |token: &Value| match &token["reason"] {
        Value::String(reason) => format!("{} {reason}", token["i"]),
        _ => format!(
            "{} {} ± {} J",
            token["i"], token["energy_j"], token["energy_j_u95"]
        ),
    };
    let tokens = record["tokens"].as_array().expect("tokens");
    json!({"rep": record["rep"], "resolved": record["resolved"], "u_sys_rel": record["u_sys_rel"],
        "reason": record["reason"], "tokens": tokens.iter().map(line).collect::<Vec<_>>()})
}

fn recorded(deliver: impl Fn(&Play, Window) -> Option<Window>) -> Value {
    let (play, job) = played();
    let rail = play.delivered(real_rail("input"), WINDOW, |window| deliver(&play, window));
    told(made(&context(job), &play, &[rail]))
}

#[test]
fn a_gap_of_more_than_a_hundredth_withholds_what_it_lies_in() {
    // 30 ms of a decode of 1.38 s: half of one token.
    let told = recorded(|play, mut window| {
        let (from, to) = (into_decode(play, 1, 300), into_decode(play, 1, 330));
        if window.t0 >= from && window.t1 <= to {
            return None;
        }
        window.lost = u32::from(window.t0.since(to) < WINDOW && window.t0 >= to) * 5;
        Some(window)
    });
    assert_json_snapshot!("gap", told);
}

#[test]
fn a_saturated_window_withholds_what_it_lies_in() {
    let told = recorded(|play, mut window| {
        let clipped = into_decode(play, 2, 500);
        if window.t0 <= clipped && clipped < window.t1 {
            window.quality = Quality::Saturated;
        }
        Some(window)
    });
    assert_json_snapshot!("saturated", told);
}

/// The board's own sensor through hwmon: a point each 100 ms.
fn coarse_rail() -> RailSpec {
    RailSpec {
        source: "hwmon",
        kind: ReadingKind::Point,
        mode: None,
        range_mv: None,
        shunt: None,
        duty: None,
        nominal_rate_hz: 10.0,
        limits: crate::sensor::ErrorLimits {
            scale: vec![("gain", 0.02)],
            refresh: Span::from_millis(50),
            ..Default::default()
        },
        ..rail("vdd_in")
    }
}

#[test]
fn a_coarse_sensor_has_phases_and_no_tokens() {
    let (play, job) = played();
    let rail = play.delivered(coarse_rail(), Span::from_millis(100), Some);
    assert_json_snapshot!("coarse", told(made(&context(job), &play, &[rail])));
}

#[test]
fn a_rail_that_delivered_nothing_is_missing_everywhere() {
    let (mut play, job) = played();
    unsettled(&mut play);
    let rails = [
        play.recorded_until(real_rail("input"), MonoNs(0)),
        play.recorded(rail("module")),
    ];
    assert_json_snapshot!("dead_rail", told(made(&context(job), &play, &rails)));
}

#[test]
fn a_sensor_that_never_opened_is_named_and_nothing_stands_in_for_it() {
    let (mut play, job) = played();
    unsettled(&mut play);
    let context = Context {
        primary: None,
        warnings: vec!["input: /dev/i2c-1: no chip answers at 0x40".to_owned()],
        ..context(job)
    };
    assert_json_snapshot!("no_rail", told(made(&context, &play, &[])));
}
