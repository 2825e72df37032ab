//! `perplexity` and `choice` jobs, end to end: data on the board, scores and joules in the
//! result. The reference that they are held against computes with NumPy, without llama.cpp.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "llama", feature = "lab"))]

mod support;

#[path = "quality/agreement.rs"]
mod agreement;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::daemon::STEADY;
use support::rig::{MODEL, Rig, topic, watched};
use support::tool::joulectl;

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A board with a data directory.
fn rig() -> Rig {
    Rig::start_with(STEADY, |daemon| {
        let data = daemon.path().join("data");
        std::fs::create_dir(&data).unwrap();
        daemon.configure("10-data.toml", &format!("[data]\ndir = {data:?}\n"));
    })
}

fn put(rig: &Rig, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = rig.daemon.path().join("data").join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A job of a second, with some top-level fields other than usual.
fn job(id: &str, kind: &str, data: &str, changes: Value) -> Value {
    let mut job = json!({
        "id": id, "kind": kind, "model": MODEL, "data": data, "repetitions": 1, "warmup": 0,
        "params": {"threads": 1, "n_ctx": 128, "n_batch": 64},
        "idle": {"before_s": 0.2, "after_s": 0.2},
    });
    let changes = changes.as_object().unwrap().clone();
    job.as_object_mut().unwrap().extend(changes);
    job
}

/// Text of the repository's own. Of the tiny model each character is a token.
fn text() -> String {
    let text = std::fs::read_to_string(in_repository("docs/metrology.md")).unwrap();
    text.chars().take(700).collect()
}

/// Every third item, and those in other languages.
fn some_items() -> String {
    let items = items();
    let some = items.lines().enumerate();
    let some = some.filter(|(n, line)| n % 3 == 0 || !line.is_ascii());
    some.map(|(_, line)| format!("{line}\n")).collect()
}

fn items() -> String {
    std::fs::read_to_string(in_repository("tests/quality/items.jsonl")).unwrap()
}

/// What the reference says, a value a line.
fn reference(folder: &str, program: &str, arguments: &[&str]) -> Vec<Value> {
    let python = Command::new(in_repository("scripts/test-peers"))
        .arg(folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&python.stderr).into_owned();
    assert!(python.status.success(), "{told}");
    let python = String::from_utf8(python.stdout).unwrap();
    let output = Command::new(python.trim())
        .arg(in_repository(program))
        .args(arguments)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn near(found: &Value, expected: &Value, relative: f64) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    assert!(
        (found - expected).abs() <= relative * expected.abs(),
        "{found} beside {expected}"
    );
}

/// A busy machine may lose windows of the sensor; then the figure has a reason.
fn measured(block: &Value, figure: &str, expected: &Value, relative: f64) {
    match &block[figure] {
        Value::Null => assert!(block["reasons"][figure].is_string(), "{block}"),
        found => near(found, expected, relative),
    }
}

#[test]
fn a_perplexity_is_the_references_and_has_its_joules() {
    let mut rig = rig();
    let path = put(&rig, "text.md", text());
    let result = rig.run(&job(
        "ppl",
        "perplexity",
        "text.md",
        json!({"repetitions": 2}),
    ));
    assert_eq!(result["state"], "succeeded", "{result}");
    let found = &result["perplexity"];
    let model = rig.daemon.models().join(MODEL);
    let arguments = [model.to_str().unwrap(), path.to_str().unwrap(), "128"];
    let arguments = [&["perplexity"], &arguments[..]].concat();
    let expected = &reference("quality", "tests/quality/reference.py", &arguments)[0];
    // Keys and values are kept in 16 bits.
    near(&found["perplexity"], &expected["perplexity"], 1e-3);
    near(&found["perplexity_se"], &expected["perplexity_se"], 1e-2);
    assert_eq!(found["tokens_scored"], expected["tokens_scored"]);
    // With the token at the text's beginning: 5 chunks of 128, of which 63 are scored.
    assert_eq!(
        (&found["chunks"], &found["tokens_scored"]),
        (&json!(5), &json!(315))
    );
    assert_eq!(found["tokens_evaluated"], 640);
    let sha256 = Sha256::digest(text());
    let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        (&found["data"], &found["data_sha256"]),
        (&json!("text.md"), &json!(sha256))
    );
    assert_eq!(result["choice"], Value::Null);
    assert_eq!(rig.all_records("ppl", "tokens").len(), 0);

    let seconds = found["duration_s"].as_f64().unwrap();
    let joules = json!(5.0 * seconds);
    for (figure, expected) in [
        ("power_w", json!(5.0)),
        ("energy_j", joules),
        ("j_per_token_scored", json!(5.0 * seconds / 315.0)),
    ] {
        measured(found, figure, &expected, 0.02);
    }
    for rep in result["reps"].as_array().unwrap() {
        assert_eq!(rep["prefill"]["tokens"], 640);
        assert_eq!(rep["decode"], Value::Null);
    }

    // However it is cut into batches.
    let whole = json!({"params": {"threads": 2, "n_ctx": 128, "n_batch": 128}});
    let whole = rig.run(&job("batch", "perplexity", "text.md", whole));
    near(
        &whole["perplexity"]["perplexity"],
        &found["perplexity"],
        1e-4,
    );
    let part = rig.run(&job(
        "part",
        "perplexity",
        "text.md",
        json!({"n_chunks": 2}),
    ));
    assert_eq!(part["perplexity"]["chunks"], 2);
    assert_eq!(part["perplexity"]["tokens_scored"], 126);
}

#[test]
fn each_choice_is_the_references() {
    let mut rig = rig();
    let joined = json!({"query": "2 + 2 = ", "choices": ["4", "5", "22"], "label": 0,
        "delimiter": ""});
    put(&rig, "items.jsonl", format!("{}{joined}\n", some_items()));
    // The reference knows no other names of the fields.
    let renamed = json!({"context": "2 + 2 = ", "choices": ["4", "5", "22"], "gold": 0,
        "delimiter": ""});
    let path = put(
        &rig,
        "renamed.jsonl",
        format!("{}{renamed}\n", some_items()),
    );
    let params = json!({"params": {"threads": 1, "n_ctx": 256, "n_batch": 64}, "warmup": 1});
    let result = rig.run(&job("choice", "choice", "items.jsonl", params));
    assert_eq!(result["state"], "succeeded", "{result}");
    let found = &result["choice"];
    let model = rig.daemon.models().join(MODEL);
    let arguments = ["choice", model.to_str().unwrap(), path.to_str().unwrap()];
    let expected = reference("quality", "tests/quality/reference.py", &arguments);
    let column =
        |name: &str| -> Vec<Value> { expected.iter().map(|item| item[name].clone()).collect() };
    let items = expected.len() as f64;
    assert_eq!(found["items"], expected.len());
    assert_eq!(found["picked"], json!(column("picked")));
    assert_eq!(found["picked_norm"], json!(column("picked_norm")));
    let correct = found["correct"].as_f64().unwrap();
    near(&found["acc"], &json!(correct / items), 1e-12);
    if let Some(energy) = found["energy_j"].as_f64() {
        measured(found, "j_per_item", &json!(energy / items), 1e-9);
        measured(found, "j_per_correct", &json!(energy / correct), 1e-9);
    }

    let few = json!({"n_items": 3, "params": {"threads": 1, "n_ctx": 256, "n_batch": 16},
        "publish": {"trace": true}});
    let few = rig.run(&job("few", "choice", "items.jsonl", few));
    assert_eq!(few["choice"]["items"], 3);
    let first = |name: &str| few["choice"][name] == json!(column(name)[..3]);
    assert!(first("picked") && first("picked_norm"), "{few}");

    // What is kept of it makes the same block again.
    let storage = rig.daemon.path().join("state");
    let again = joulectl(&[
        "recompute",
        "--storage",
        storage.to_str().unwrap(),
        "--json",
    ]);
    let told = String::from_utf8_lossy(&again.stdout);
    assert!(
        again.status.success() && told.contains("\"equal\":true"),
        "{told}"
    );
}

#[test]
fn what_can_not_be_scored_says_why_and_names_no_path_and_no_text() {
    let mut rig = rig();
    put(&rig, "short.txt", "secret".repeat(20));
    put(&rig, "binary.txt", b"ab\xff\xfe");
    put(&rig, "empty.txt", "");
    let long = json!({"context": "secret".repeat(50), "choices": ["a", "b"], "gold": 0});
    put(&rig, "long.jsonl", long.to_string());
    put(
        &rig,
        "bad.jsonl",
        "{\"context\":\"secret\",\"choices\":[\"a\"],\"gold\":0}\n",
    );
    let large = std::fs::File::create(rig.daemon.path().join("data/large.txt")).unwrap();
    large.set_len(40 << 20).unwrap();
    for (n, (kind, data, expected)) in [
        ("perplexity", "short.txt", "needs 256; take a longer text"),
        (
            "perplexity",
            "binary.txt",
            "no text in UTF-8: byte 2 is none",
        ),
        ("perplexity", "empty.txt", "\"empty.txt\" is empty"),
        ("perplexity", "large.txt", "larger than the 32 MiB"),
        ("choice", "bad.jsonl", "line 1: choices: must be 2 to 64"),
        ("choice", "short.txt", "line 1: "),
        (
            "choice",
            "long.jsonl",
            "item 1: its context and choices[0] are 302 tokens, which don't fit into n_ctx 256",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let result = rig.run(&job(&format!("bad-{n}"), kind, data, json!({})));
        let reason = result["reason"].as_str().unwrap_or_default().to_owned();
        assert_eq!(result["state"], "failed", "{data}: {result}");
        assert!(reason.contains(expected), "{data}: {reason}");
        assert!(
            !reason.contains("secret") && !reason.contains('/'),
            "{reason}"
        );
        assert_eq!(
            (&result["perplexity"], &result["choice"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(result["reasons"][kind], "not-reached", "{result}");
    }

    let outside = rig.daemon.path().join("jouled.toml");
    std::os::unix::fs::symlink(outside, rig.daemon.path().join("data/link")).unwrap();
    for name in ["link", "absent.txt"] {
        let answer = rig.ask("submit", &job("x", "perplexity", name, json!({})));
        assert_eq!(answer["error"]["code"], "unknown-data", "{answer}");
        assert_eq!(answer["error"]["field"], "data");
    }
    let answer = rig.ask("submit", &job("x", "choice", "../jouled.toml", json!({})));
    assert_eq!(answer["error"]["code"], "invalid-spec", "{answer}");
}

#[test]
fn an_evaluation_that_is_cancelled_has_no_score() {
    let mut rig = rig();
    put(&rig, "long.txt", text().repeat(150));
    let mut long = job(
        "long",
        "perplexity",
        "long.txt",
        json!({"repetitions": 40, "warmup": 1}),
    );
    long.as_object_mut()
        .unwrap()
        .extend(watched().as_object().unwrap().clone());
    rig.submit(&long);
    rig.state("long", "at work", |state| state["phase"] == "warmup");
    let answer = rig.ask("cancel", &json!({"id": "long"}));
    assert_eq!(answer["ok"], true, "{answer}");
    let result = rig.result("long");
    assert_eq!(result["state"], "cancelled");
    // It may have come to the end of a repetition.
    let scored = result["reps"].as_array().unwrap().iter();
    let scored = scored.filter(|rep| rep["stop_reason"] == "length").count();
    assert_eq!(result["perplexity"].is_null(), scored == 0, "{result}");
    let status = topic("status");
    rig.lab.wait("the next job can run", |seen| {
        seen.topic == status && seen.json()["job_running"].is_null()
    });
}
