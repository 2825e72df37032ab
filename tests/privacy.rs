//! Prompts stay on the board: not in its log, also when it tells all that it can, and on no
//! topic, whatever goes wrong with the job that holds them.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use support::daemon::STEADY;
use support::rig::{Rig, job, topic};

const CANARY: &str = "the canary sings at dawn";

/// Two runtimes that betray what they are asked: the first is a worker whose last words are the
/// request to run (it forgets whose child it is, since a shell is between), the second writes the prompt where messages are due.
const TRAITORS: &str = concat!(
    r#"
[runtime.last-words]
command = ["sh", "-c", """{ read -r load; echo "$load"; read -r run; echo "$run" >&2; } | env -u JOULED_PARENT_PID "#,
    env!("CARGO_BIN_EXE_jouled-worker"),
    r#""""]
read = [""#,
    env!("CARGO_BIN_EXE_jouled-worker"),
    r#""]
[runtime.no-message]
command = ["sh", "-c", "echo 'the canary sings at dawn'; cat"]
"#
);

fn rig() -> Rig {
    Rig::start_with(STEADY, |daemon| {
        let config = daemon.path().join("jouled.toml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text + TRAITORS).unwrap();
        daemon.environment.push(("JOULED_LOG", "debug".into()));
    })
}

/// Everything that the board has published, and logged.
fn assert_silence(rig: &Rig) {
    let commands = topic("cmd/");
    for seen in &rig.lab.seen {
        // What the lab sent itself comes back to it.
        let betrays = seen.text.contains(CANARY) && !seen.topic.starts_with(&commands);
        assert!(!betrays, "on {}: {}", seen.topic, seen.text);
    }
    let log = rig.daemon.log();
    let line = log.lines().find(|line| line.contains(CANARY));
    assert_eq!(line, None, "in the log");
}

#[test]
fn a_prompt_that_runs_is_neither_logged_nor_published() {
    let mut rig = rig();
    let prompted = job(
        "prompt",
        json!({"prompt": CANARY, "publish": {"trace": true}}),
    );
    assert_eq!(rig.run(&prompted)["state"], "succeeded");
    let turns = json!([{"role": "user", "content": CANARY}]);
    let result = rig.run(&job("chat", json!({"prompt": null, "messages": turns})));
    println!("messages: {} {}", result["state"], result["reason"]);
    rig.ask("jobs", &json!({}));
    rig.ask(
        "submit",
        &job("prompt", json!({"prompt": format!("{CANARY}, twice")})),
    );
    assert_silence(&rig);
    assert_kept_from_others(&rig.daemon.path().join("state"));
}

/// The queue and raw data hold the prompts.
fn assert_kept_from_others(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        let mode = metadata.permissions().mode();
        assert_eq!(mode & 0o007, 0, "{:?}: {mode:o}", entry.path());
        if metadata.is_dir() {
            assert_kept_from_others(&entry.path());
        }
    }
}

#[test]
fn a_worker_that_repeats_the_prompt_is_not_quoted() {
    let mut rig = rig();
    for runtime in ["last-words", "no-message"] {
        let result = rig.run(&job(runtime, json!({"prompt": CANARY, "runtime": runtime})));
        assert_eq!(result["state"], "failed", "{runtime}");
        println!("{runtime}: {}", result["reason"]);
        rig.reaches(runtime, "failed");
    }
    assert_silence(&rig);
}

#[test]
fn a_prompt_in_the_wrong_place_is_not_quoted() {
    let mut rig = rig();
    let misplaced: [Value; 14] = [
        json!({"n_predict": CANARY}),
        json!({"kind": CANARY}),
        json!({"id": CANARY}),
        json!({"model": CANARY}),
        json!({"runtime": CANARY}),
        json!({"prompt": [CANARY]}),
        json!({"prompt": {"text": CANARY}}),
        json!({"messages": CANARY}),
        json!({"messages": [{"role": "user", "content": CANARY, "name": CANARY}]}),
        json!({"messages": [CANARY]}),
        json!({"params": {"kv_type": CANARY}}),
        json!({"publish": {"tokens": CANARY}}),
        json!({"model_sha256": CANARY}),
        json!({CANARY: CANARY}),
    ];
    for fields in misplaced {
        let answer = rig.ask("submit", &job("misplaced", fields.clone()));
        assert_eq!(answer["ok"], false, "{fields}: {answer}");
        // Without a response topic the refusal is an event, and a line of the log.
        let payload = job("misplaced", fields).to_string();
        rig.lab.publish(&topic("cmd/submit"), &payload);
    }
    for (command, payload) in [
        ("cancel", json!({"id": CANARY})),
        ("cancel", json!(CANARY)),
        ("jobs", json!({"limit": CANARY})),
        ("queue", json!({"mode": CANARY})),
        ("queue", json!({CANARY: CANARY})),
        ("replay", json!({"id": "a", "attempt": CANARY})),
        ("models", json!({"fetch": CANARY})),
        (CANARY, json!({})),
    ] {
        rig.lab
            .publish(&topic(&format!("cmd/{command}")), &payload.to_string());
        let answer = rig.ask(command, &payload);
        assert_eq!(answer["ok"], false, "{command}: {answer}");
    }
    rig.lab.publish_retained(&topic("cmd/submit"), CANARY);
    rig.lab.wait_event("retained-command");
    assert_silence(&rig);
}

#[test]
fn text_that_was_asked_for_is_published() {
    let mut rig = rig();
    let asked = json!({"prompt": CANARY, "runtime": "last-words", "publish": {"text": true}});
    let result = rig.run(&job("asked", asked));
    let reason = result["reason"].as_str().unwrap();
    assert!(reason.contains(CANARY), "{reason}");
    let result = rig.run(&job("text", json!({"publish": {"text": true}})));
    assert!(result["reps"][0]["text"].is_string(), "{result}");
}
