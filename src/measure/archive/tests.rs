use super::line::{End, Header, Line, Windows};
use super::read::What;
use super::*;
use crate::energy::Trace;
use crate::measure::testing::{Play, T0, context, job, late_rail, real_rail};
use crate::measure::{Ending, Observed, Recorded, Stop, TokenBatches};
use crate::record::result::Build;
use crate::record::{Reason, Stamped};
use crate::runtime::protocol::{HardwareCounts, PhaseCounters, StopReason};
use crate::sensor::{Quality, Window};
use crate::units::{MonoNs, Span, Volts, Watts};
use crate::workload::{Kind, Limits, Phase};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::Write;

fn generated() -> Play {
    let mut play = Play::begin();
    play.generate(1, 40, StopReason::Length);
    play.generate(2, 4, StopReason::Eog);
    play.worked();
    play.idle_after();
    play.end(Ending::Succeeded)
}

fn archive(play: &Play, job: crate::workload::Job) -> Archive {
    Archive {
        context: context(job),
        observed: play.observed.clone(),
        rails: vec![
            play.recorded(real_rail("input")),
            play.recorded(late_rail("module")),
        ],
        live: Vec::new(),
    }
}

fn written(archive: &Archive) -> Vec<u8> {
    write(
        Vec::new(),
        &archive.context,
        &archive.observed,
        &archive.rails,
        &archive.live,
    )
    .expect("it fits")
}

/// What a record says, without when it was made.
fn body<T: serde::Serialize>(record: &Stamped<T>) -> Value {
    serde_json::to_value(&record.body).expect("JSON")
}

fn gzip(lines: &str) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(lines.as_bytes()).expect("memory");
    out.finish().expect("memory")
}

fn lines(file: &[u8]) -> Vec<Value> {
    let mut text = String::new();
    let mut decoder = flate2::read::GzDecoder::new(file);
    std::io::Read::read_to_string(&mut decoder, &mut text).expect("gzip");
    let parsed = text.lines().map(serde_json::from_str);
    parsed.collect::<Result<_, _>>().expect("JSON")
}

/// The file with its lines changed.
fn changed(file: &[u8], change: impl FnOnce(&mut Vec<Value>)) -> Vec<u8> {
    let mut lines = lines(file);
    change(&mut lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    gzip(&text)
}

fn error(file: &[u8]) -> ReadError {
    read(file).expect_err("it is damaged")
}

#[test]
fn an_attempt_comes_back_with_the_same_records() {
    for change in [
        json!({}),
        json!({"publish": {"trace": true, "text": true}}),
        json!({"publish": {"tokens": "none"}}),
    ] {
        let job = job(|job| {
            let fields = change.as_object().expect("an object").clone();
            job.as_object_mut().expect("an object").extend(fields);
        });
        let kept = archive(&generated(), job);
        let back = read(&written(&kept)[..]).expect("whole");
        assert_eq!(back, kept);
        let (before, after) = (kept.records(), back.records());
        assert_eq!(body(&after.result), body(&before.result));
        let bodies = |records: &AttemptRecords| {
            let tokens = records.tokens.iter().map(body);
            tokens
                .chain(records.traces.iter().map(body))
                .collect::<Vec<_>>()
        };
        assert_eq!(bodies(&after), bodies(&before));
    }
}

#[test]
fn an_attempt_that_never_began_comes_back() {
    let mut observed = Observed::new(T0);
    observed.ending = Ending::Failed("no such model: \"m.gguf\"\n".to_owned());
    let mut context = context(job(|_| ()));
    context.model = None;
    context.primary = None;
    let kept = Archive {
        context,
        observed,
        rails: Vec::new(),
        live: Vec::new(),
    };
    let back = read(&written(&kept)[..]).expect("whole");
    assert_eq!(back, kept);
    assert_eq!(body(&back.records().result), body(&kept.records().result));
}

/// The records say who measured, not who makes them again.
#[test]
fn the_result_names_the_jouled_that_measured() {
    let mut kept = archive(&generated(), job(|_| ()));
    kept.context.jouled = Build {
        version: "0.0.7".to_owned(),
        profile: "odd".to_owned(),
    };
    let back = read(&written(&kept)[..]).expect("whole");
    assert_eq!(back.records().result.body.jouled, kept.context.jouled);
}

#[test]
fn the_chunks_on_the_wire_hold_the_windows_of_the_file() {
    let job = job(|job| job["publish"] = json!({"trace": true}));
    let kept = archive(&generated(), job);
    let back = read(&written(&kept)[..]).expect("whole");
    for rail in &back.rails {
        let name = &rail.spec.name;
        let records = kept.records();
        let chunks = records.traces.iter().map(|chunk| &chunk.body);
        let mut on_wire = Vec::new();
        for chunk in chunks.filter(|chunk| chunk.rail == *name) {
            let mut at = chunk.t0_mono_ns;
            for (dt, power) in chunk.dt_ns.iter().zip(&chunk.power_w) {
                on_wire.extend(power.map(|power| (at, at + dt, power)));
                at += dt;
            }
        }
        let windows = rail.trace.iter_windows();
        let in_file: Vec<_> = windows.map(|w| (w.t0.0, w.t1.0, w.power.0)).collect();
        assert!(in_file.len() > 1_000);
        assert_eq!(on_wire, in_file);
    }
}

#[test]
fn a_file_that_was_cut_off_is_told_from_a_whole_one() {
    let kept = archive(&generated(), job(|_| ()));
    let file = written(&kept);
    for part in [0, 1, 9, file.len() / 2, file.len() - 9, file.len() - 1] {
        let error = error(&file[..part]);
        assert!(
            matches!(error.what, What::Io(_) | What::CutOff | What::NotRaw(_)),
            "{part}: {error}"
        );
    }
    let cut = changed(&file, |lines| lines.truncate(6));
    assert_eq!(
        error(&cut).to_string(),
        "line 7: the file ends too early; it was cut off"
    );
}

#[test]
fn each_damage_is_named_with_its_line() {
    let kept = archive(&generated(), job(|_| ()));
    let file = written(&kept);
    let rail = 4;
    type Damage = fn(&mut Vec<Value>);
    let damages: [(Damage, u64, &str); 11] = [
        (|l| drop(l.remove(0)), 1, "the header comes first"),
        (|l| l[0]["header"]["v"] = json!(9), 1, "version 9"),
        (|l| l[0]["header"]["format"] = json!("x"), 1, "format \"x\""),
        (|l| drop(l.remove(1)), 2, "the context comes second"),
        (
            |l| l[1]["context"]["attempt"] = json!("one"),
            2,
            "none of jouled's raw data",
        ),
        (|l| drop(l.remove(2)), 3, "what was observed comes third"),
        (
            |l| l[5]["windows"]["dt_ns"][3] = json!(0),
            6,
            "early, empty or implausible",
        ),
        (
            |l| l[5]["windows"]["dt_ns"][3] = json!(u64::MAX),
            6,
            "beyond the clock",
        ),
        (
            |l| l[5]["windows"]["quality"] = json!([[9999, "saturated"]]),
            6,
            "does not hold",
        ),
        (
            |l| drop(l[5]["windows"]["power_w"].as_array_mut().unwrap().pop()),
            6,
            "differ in length",
        ),
        (|l| l.push(l[0].clone()), 0, "the file had ended"),
    ];
    assert!(lines(&file)[rail].get("rail").is_some());
    for (damage, line, text) in damages {
        let error = error(&changed(&file, damage));
        let told = error.to_string();
        assert!(told.contains(text), "{told}");
        assert!(line == 0 || error.line == line, "{told}");
    }
}

#[test]
fn a_file_of_another_jouled_that_can_t_be_read_says_so() {
    let kept = archive(&generated(), job(|_| ()));
    let other = changed(&written(&kept), |lines| {
        lines[0]["header"]["jouled"]["version"] = json!("99.0.0");
        lines[1]["context"] = json!({"device": "from the future"});
    });
    let told = error(&other).to_string();
    assert!(told.contains("written by jouled 99.0.0"), "{told}");
    assert!(told.contains(env!("CARGO_PKG_VERSION")), "{told}");
}

#[test]
fn a_bomb_ends_at_the_longest_line() {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    let spaces = vec![b' '; 1 << 20];
    for _ in 0..=(MOST_LINE_BYTES >> 20) {
        out.write_all(&spaces).expect("memory");
    }
    let bomb = out.finish().expect("memory");
    let error = error(&bomb);
    assert!(matches!(error.what, What::LongLine), "{error}");
}

#[test]
fn what_would_not_come_back_is_not_written() {
    let mut kept = archive(&generated(), job(|_| ()));
    kept.observed.own_cpu_s.insert(Phase::Load, f64::NAN);
    let told = write(
        Vec::new(),
        &kept.context,
        &kept.observed,
        &kept.rails,
        &kept.live,
    );
    let told = told.expect_err("a NaN").to_string();
    assert!(told.contains("what was observed"), "{told}");
}

#[test]
fn records_that_left_live_are_made_again_as_they_left() {
    let mut play = Play::begin();
    play.generate(1, 400, StopReason::Length);
    play.generate(2, 30, StopReason::Length);
    let play = play.end(Ending::Succeeded);
    let context = context(job(|job| job["publish"] = json!({"tokens": "live"})));
    let mut running = Observed::new(T0);
    running.tokens.clone_from(&play.observed.tokens);
    let mut batches = TokenBatches::default();
    let mut left = Vec::new();
    for ms in (12_000..45_000).step_by(700) {
        let so_far = play.recorded_until(real_rail("input"), T0 + Span::from_millis(ms));
        left.extend(batches.take_settled(&context, &running, &so_far.trace));
    }
    assert!(left.len() > 20);
    let kept = Archive {
        live: batches.extents().to_vec(),
        context,
        observed: play.observed.clone(),
        rails: vec![play.recorded(real_rail("input"))],
    };
    let published = crate::measure::records(&kept.context, &kept.observed, &kept.rails, batches);
    let again = read(&written(&kept)[..]).expect("whole").records();
    assert!(published.tokens.len() > left.len());
    let bodies = |tokens: &[Stamped<_>]| tokens.iter().map(body).collect::<Vec<_>>();
    assert_eq!(bodies(&published.tokens[..left.len()]), bodies(&left));
    assert_eq!(bodies(&again.tokens), bodies(&published.tokens));
    assert_eq!(body(&again.result), body(&published.result));
}

/// Gap before it, length, power, voltage, quality, lost conversions.
type AnyWindow = (u64, u64, f64, Option<f32>, u8, u32);

fn any_window() -> impl Strategy<Value = AnyWindow> {
    (
        prop_oneof![4 => Just(0), 1 => 1_u64..9_000_000],
        1_u64..5_000_000,
        prop_oneof![any::<f64>(), -1e3..1e3],
        proptest::option::of(any::<f32>()),
        0_u8..12,
        prop_oneof![5 => Just(0), 1 => any::<u32>()],
    )
}

fn trace_of(parts: &[AnyWindow]) -> Trace {
    let mut trace = Trace::new(real_rail("input").limits);
    let mut at = 1_u64 << 50;
    for &(gap, dt, power, volts, quality, lost) in parts {
        let t0 = at + gap;
        at = t0 + dt;
        trace.push(&Window {
            t0: MonoNs(t0),
            t1: MonoNs(at),
            power: Watts(power),
            voltage: volts.map(|volts| Volts(volts.into())),
            current: None,
            quality: match quality {
                0 => Quality::Saturated,
                1 => Quality::NearFullScale,
                2 => Quality::Stale,
                _ => Quality::Good,
            },
            lost,
        });
    }
    trace
}

fn any_observed() -> impl Strategy<Value = Observed> {
    let counters = (any::<u64>(), proptest::option::of(any::<u64>()));
    (
        prop_oneof![
            Just(Ending::Succeeded),
            ".*".prop_map(Ending::Failed),
            Just(Ending::Stopped(Stop::Timeout)),
            Just(Ending::Stopped(Stop::Cancelled)),
        ],
        prop::collection::btree_map(
            any::<u32>(),
            prop::collection::vec(any::<u64>(), 0..20),
            0..4,
        ),
        prop::collection::vec((proptest::option::of(any::<u32>()), counters), 0..4),
        proptest::option::of(any::<f64>().prop_filter("a number", |x| x.is_finite())),
    )
        .prop_map(|(ending, tokens, counters, cpu_s)| {
            let mut observed = Observed::new(T0);
            observed.ending = ending;
            observed
                .own_cpu_s
                .extend(cpu_s.map(|cpu_s| (Phase::Decode, cpu_s)));
            for (rep, known) in tokens {
                observed.push_tokens(rep, T0, known.into_iter().map(MonoNs).collect());
            }
            for (rep, (major_faults, cycles)) in counters {
                let counts = PhaseCounters {
                    major_faults: Some(major_faults),
                    read_bytes: None,
                    hardware: Some(HardwareCounts {
                        cycles,
                        ..HardwareCounts::default()
                    }),
                };
                observed.count(Phase::Decode, rep, counts);
            }
            observed
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_recorded_comes_back(
        observed in any_observed(),
        parts in prop::collection::vec(any_window(), 0..60),
        missed_deadlines in any::<u64>(),
        prompt in ".*",
    ) {
        let mut context = context(job(|_| ()));
        context.job.prompt = Some(prompt);
        let kept = Archive {
            context,
            observed,
            rails: vec![Recorded {
                spec: real_rail("input"),
                trace: trace_of(&parts),
                missed_deadlines,
            }],
            live: vec![Extent { rep: 1, from: 0, to: 9 }],
        };
        let back = read(&written(&kept)[..]).expect("whole");
        prop_assert_eq!(&back, &kept);
        // Equal is not enough: -0 equals 0.
        let windows = |archive: &Archive| {
            let windows = archive.rails[0].trace.iter_windows();
            windows.map(|w| w.power.0.to_bits()).collect::<Vec<_>>()
        };
        prop_assert_eq!(windows(&back), windows(&kept));
    }

    #[test]
    fn any_damage_is_an_error_or_harmless(at in 0_usize..4_000, to in any::<u8>()) {
        let mut play = Play::begin();
        play.generate(1, 3, StopReason::Length);
        let kept = Archive {
            rails: vec![play.recorded_until(real_rail("input"), T0 + Span::from_millis(500))],
            ..archive(&play.end(Ending::Succeeded), job(|_| ()))
        };
        let mut file = written(&kept);
        let at = at % file.len();
        file[at] = to;
        if let Ok(back) = read(&file[..]) {
            back.records();
        }
    }

    /// Behind the checksum too.
    #[test]
    fn any_change_of_a_line_is_an_error_or_harmless(
        line in 0_usize..7,
        at in any::<prop::sample::Index>(),
        to in prop::sample::select(&b"0123456789-.e[]{},\"n"[..]),
    ) {
        let mut play = Play::begin();
        play.generate(1, 3, StopReason::Length);
        let kept = Archive {
            rails: vec![play.recorded_until(real_rail("input"), T0 + Span::from_millis(500))],
            ..archive(&play.end(Ending::Succeeded), job(|_| ()))
        };
        let mut text: Vec<String> = lines(&written(&kept)).iter().map(Value::to_string).collect();
        let mut changed = text[line].clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] = to;
        text[line] = String::from_utf8(changed).unwrap_or_default();
        if let Ok(back) = read(&gzip(&text.join("\n"))[..]) {
            back.records();
        }
    }
}

#[test]
fn windows_without_a_voltage_take_no_room_for_it() {
    let windows: Vec<Window> = trace_of(&[(0, 5, 1.0, None, 9, 0), (3, 5, 2.0, None, 9, 1)])
        .iter_windows()
        .collect();
    let json = serde_json::to_value(Line::Windows(Windows::pack(&windows))).unwrap();
    assert_eq!(
        json,
        json!({"windows": {"t0_ns": 1_u64 << 50, "dt_ns": [5, 5], "power_w": [1.0, 2.0],
            "gap_ns": [[1, 3]], "lost": [[1, 1]]}})
    );
}

#[test]
fn a_line_with_too_many_windows_is_refused() {
    let mut kept = archive(&generated(), job(|_| ()));
    kept.context.job.kind = Kind::Generate;
    let crowded = changed(&written(&kept), |lines| {
        let many = |value: Value| Value::Array(vec![value; 5_000]);
        lines[5]["windows"]["dt_ns"] = many(json!(1));
        lines[5]["windows"]["power_w"] = many(json!(1.0));
    });
    assert!(error(&crowded).to_string().contains("more than a line"));
}

#[test]
fn a_header_is_as_documented() {
    let header = Line::Header(Header {
        format: FORMAT.to_owned(),
        v: VERSION,
        jouled: Build {
            version: "1.2.3".to_owned(),
            profile: "release".to_owned(),
        },
    });
    assert_eq!(
        serde_json::to_string(&header).unwrap(),
        r#"{"header":{"format":"jouled-raw","v":1,"jouled":{"version":"1.2.3","profile":"release"}}}"#
    );
    let end = Line::End(End {
        rails: 1,
        windows: 2,
    });
    assert_eq!(
        serde_json::to_string(&end).unwrap(),
        r#"{"end":{"rails":1,"windows":2}}"#
    );
}

/// `JOULED_SEEDS=write` writes it anew, after a change of what a file holds.
#[test]
fn the_fuzzer_begins_with_a_file_that_gives_records() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds/raw_archive/generate.jsonl");
    if std::env::var_os("JOULED_SEEDS").is_some_and(|what| what == "write") {
        let job = job(|job| job["publish"] = json!({"tokens": "live", "trace": true}));
        let mut play = Play::begin();
        play.generate(1, 4, StopReason::Length);
        play.worked();
        let play = play.end(Ending::Succeeded);
        // Few windows, since a fuzzer is quicker with a short file.
        let coarse = |spec| play.delivered(spec, Span::from_millis(400), Some);
        let kept = Archive {
            rails: vec![coarse(real_rail("input")), coarse(late_rail("module"))],
            live: vec![Extent {
                rep: 1,
                from: 0,
                to: 2,
            }],
            ..archive(&play, job)
        };
        let text: String = lines(&written(&kept))
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        std::fs::write(&path, text).expect("writable");
    }
    let seed = std::fs::read_to_string(&path).expect("a seed");
    let again = "; JOULED_SEEDS=write runs this test to write it anew";
    let read = read(&gzip(&seed)[..]).unwrap_or_else(|error| panic!("{error}{again}"));
    let records = read.records();
    assert_eq!(
        (records.result.body.reps.len(), records.tokens.len()),
        (1, 2)
    );
}

/// The budgets that a record has no room for come back from raw data.
#[test]
fn the_whole_result_holds_what_the_published_one_left_out() {
    let mut play = Play::begin();
    for rep in 1..=Limits::default().repetitions {
        play.generate(rep, 4, StopReason::Length);
    }
    let play = play.end(Ending::Succeeded);
    let archive = archive(&play, job(|_| ()));
    let published = archive.records().result.body;
    assert_eq!(published.reasons.get("budget"), Some(&Reason::TooLarge));
    let whole = archive.whole().result.body;
    assert!(!whole.reasons.contains_key("budget"));
    assert!(whole.reps.iter().all(|rep| !rep.budget.is_empty()));
    assert_eq!(whole.summary, published.summary);
}
