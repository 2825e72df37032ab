//! Raw data of a real job: every published figure comes out of it again, digit for digit.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "llama", feature = "lab"))]

mod support;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Output;
use support::daemon::STEADY;
use support::rig::{Rig, job};
use support::tool::joulectl;

/// A second rail, which moves: a constant one hides mistakes.
const MOVING: &str = "[[sensor]]\nname = \"module\"\nkind = \"simulated\"\nboundary = \"module\"\n\
     contained_in = \"input\"\nwaveform = \"sine:0.8,0.05,0.0137\"\nbus_v = 5.0\n\
     shunt_ohm = 0.01\nmax_current_a = 2.0\n[energy]\nprimary = \"module\"\n";

fn text(output: &Output) -> String {
    let bytes = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn state(rig: &Rig) -> PathBuf {
    rig.daemon.path().join("state")
}

#[test]
fn every_published_figure_is_recomputed_from_the_raw_data() {
    let mut rig = Rig::start(&format!("{STEADY}{MOVING}"));
    let after = json!({"publish": {"trace": true, "text": true}, "repetitions": 2});
    let live = json!({"publish": {"trace": true, "tokens": "live", "tokens_every_ms": 20},
        "n_predict": 600});
    let bench = json!({"kind": "bench", "n_prompt": 16, "n_gen": 24, "n_depth": 8,
        "publish": {"trace": true}});
    rig.run(&job("plain", json!({})));
    let result = rig.run(&job("after", after));
    rig.run(&job("live", live));
    let mut bench = job("bench", bench);
    for field in ["prompt", "n_predict", "ignore_eos"] {
        bench.as_object_mut().unwrap().remove(field);
    }
    rig.run(&bench);

    assert_eq!(rig.result("plain")["raw"], Value::Null);
    assert_eq!(rig.result("plain")["reasons"]["raw"], "not-asked");
    assert_eq!(result["raw"]["file"], "raw/after.1.jsonl.gz");
    assert_eq!(result["reasons"].get("raw"), None);
    let live_records = rig.all_records("live", "tokens").len();
    assert!(
        live_records > 3,
        "{live_records} records: nothing left live"
    );

    // The daemon runs on meanwhile.
    let storage = state(&rig);
    let dir = storage.to_str().unwrap();
    let all = joulectl(&["recompute", "--storage", dir, "--json"]);
    assert!(all.status.success(), "{}", text(&all));
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!(all["equal"], true);
    let compared: Vec<&str> = all["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert_eq!(compared, ["after", "bench", "live"]);
    for one in all["attempts"].as_array().unwrap() {
        assert!(one["values"].as_u64().unwrap() > 500, "{one}");
        assert!(one["records"].as_u64().unwrap() >= 3, "{one}");
    }
    let one = joulectl(&["recompute", "--storage", dir, "live"]);
    assert!(text(&one).contains("recomputed exactly"), "{}", text(&one));
    let unknown = joulectl(&["recompute", "--storage", dir, "plain"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", text(&unknown));

    // With copies of what was published, as a lab has them.
    let here = rig.daemon.path().to_owned();
    let raw = storage.join("raw/after.1.jsonl.gz");
    let raw = raw.to_str().unwrap();
    let published = write(&here.join("after.json"), &result.to_string());
    let tokens = rig.all_records("after", "tokens");
    let tokens: String = tokens.iter().map(|record| format!("{record}\n")).collect();
    let tokens = write(&here.join("tokens.jsonl"), &tokens);
    let same = joulectl(&[
        "recompute",
        raw,
        "--result",
        &published,
        "--tokens",
        &tokens,
    ]);
    assert!(same.status.success(), "{}", text(&same));

    let mut tampered = result.clone();
    let figure = &mut tampered["reps"][1]["decode"]["duration_s"];
    *figure = json!(figure.as_f64().unwrap().next_up());
    let tampered = write(&here.join("tampered.json"), &tampered.to_string());
    let differs = joulectl(&["recompute", raw, "--result", &tampered]);
    assert_eq!(differs.status.code(), Some(1));
    let told = text(&differs);
    assert!(
        told.contains("after attempt 1: reps[1].decode.duration_s: published"),
        "{told}"
    );
    assert!(told.contains("1 of "), "{told}");

    // Alone it prints the result, which equals the published one but for its stamp.
    let printed = joulectl(&["recompute", raw]);
    let printed = write(&here.join("again.json"), &text(&printed));
    let same = joulectl(&["recompute", raw, "--result", &printed]);
    assert!(same.status.success(), "{}", text(&same));

    let tables = here.join("tables");
    let exported = joulectl(&["export", raw, "--csv", tables.to_str().unwrap()]);
    assert!(exported.status.success(), "{}", text(&exported));
    let windows = std::fs::read_to_string(tables.join("windows-module.csv")).unwrap();
    let facts = &result["rails"][1];
    assert_eq!(facts["name"], "module");
    assert!(windows.lines().count() as u64 > facts["windows"].as_u64().unwrap());
    assert!(
        windows
            .lines()
            .skip(1)
            .all(|row| row.ends_with(",SIMULATED"))
    );
    let tokens = std::fs::read_to_string(tables.join("tokens.csv")).unwrap();
    assert_eq!(tokens.lines().count(), 1 + 2 * 16);

    // Of a damaged file the error names the file and the line.
    let mut bytes = std::fs::read(raw).unwrap();
    bytes.truncate(bytes.len() / 2);
    let half = here.join("half.1.jsonl.gz");
    std::fs::write(&half, bytes).unwrap();
    let damaged = joulectl(&["recompute", half.to_str().unwrap()]);
    assert_eq!(damaged.status.code(), Some(1));
    let told = text(&damaged);
    assert!(told.contains("half.1.jsonl.gz: line "), "{told}");
}

#[test]
fn a_result_leaves_also_where_its_raw_data_can_t_be_kept() {
    let mut rig = Rig::start(STEADY);
    std::fs::write(state(&rig).join("raw"), "in the way").unwrap();
    let result = rig.run(&job("a", json!({"publish": {"trace": true}})));
    assert_eq!(result["state"], "succeeded");
    assert_eq!(result["raw"], Value::Null);
    assert_eq!(result["reasons"]["raw"], "not-stored");
    let warnings = result["warnings"].as_array().unwrap();
    let told = |warning: &Value| {
        warning
            .as_str()
            .unwrap()
            .starts_with("raw data: not kept: ")
    };
    assert!(warnings.iter().any(told), "{result}");
}

#[test]
fn raw_data_outlives_the_database_of_its_board() {
    let mut rig = Rig::start(STEADY);
    rig.run(&job("a", json!({"publish": {"trace": true}})));
    rig.daemon.terminate();
    let raw = state(&rig).join("raw");
    for file in ["jouled.db", "jouled.db-wal", "jouled.db-shm"] {
        let _ = std::fs::remove_file(state(&rig).join(file));
    }
    std::fs::write(raw.join(".unfinished"), "half").unwrap();
    rig.daemon.spawn();
    rig.listen_anew();
    rig.wait_online();
    let names: Vec<_> = std::fs::read_dir(&raw)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["a.1.jsonl.gz"]);
}
