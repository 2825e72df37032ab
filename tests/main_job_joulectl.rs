//! joulectl with a real board: what it prints and how it exits.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "llama", feature = "lab"))]

mod support;

use serde_json::Value;
use std::process::Output;
use support::daemon::STEADY;
use support::rig::{MODEL, Rig, endless, of_job, watched};
use support::tool::joulectl_with;

fn joulectl(rig: &Rig, arguments: &[&str]) -> Output {
    joulectl_with(&[("JOULED_BROKER", &rig.broker.url())], arguments)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const SMOL: [&str; 17] = [
    "submit",
    "-m",
    MODEL,
    "-p",
    "Why?",
    "-n",
    "16",
    "--ignore-eos",
    "-r",
    "2",
    "-t",
    "1",
    "--idle-before",
    "0.2",
    "--idle-after",
    "0.2",
    "--id",
];

#[test]
fn a_job_is_submitted_awaited_and_listed() {
    let rig = Rig::start(STEADY);
    let done = joulectl(&rig, &[&SMOL[..], &["smol", "--wait"]].concat());
    assert!(done.status.success(), "{done:?}");
    assert!(stdout(&done).contains("SIMULATED"), "{}", stdout(&done));

    let results = rig.daemon.path().join("results");
    let out = results.to_str().unwrap();
    let done = joulectl(
        &rig,
        &[&SMOL[..], &["record", "--json", "--out", out]].concat(),
    );
    assert!(done.status.success(), "{done:?}");
    let result = json(&done);
    assert_eq!(result["summary"]["n"], 2);
    let saved = std::fs::read(results.join("record.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&saved).unwrap(), result);

    let list = joulectl(&rig, &["jobs", "--json"]);
    assert!(list.status.success(), "{list:?}");
    let list = json(&list);
    let states: Vec<(&str, &str)> = list["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| (job["id"].as_str().unwrap(), job["state"].as_str().unwrap()))
        .collect();
    assert!(states.contains(&("smol", "succeeded")), "{states:?}");
    assert!(states.contains(&("record", "succeeded")), "{states:?}");
}

#[test]
fn exit_codes_tell_failed_work_from_wrong_use() {
    let rig = Rig::start(STEADY);
    std::fs::write(rig.daemon.models().join("broken.gguf"), "GGUF and no more").unwrap();
    let failed = joulectl(
        &rig,
        &["submit", "-m", "broken.gguf", "-p", "Why?", "--wait"],
    );
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let unknown = joulectl(&rig, &["submit", "-m", "missing.gguf", "-p", "Why?"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let message = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(message.contains("unknown-model"), "{message}");
    let nobody = joulectl(&rig, &["cancel", "nobody"]);
    assert_eq!(nobody.status.code(), Some(2), "{nobody:?}");
    let absent = joulectl(&rig, &["jobs", "--broker", "mqtt://127.0.0.1:1"]);
    assert_eq!(absent.status.code(), Some(3), "{absent:?}");
}

#[test]
fn a_running_job_is_cancelled() {
    let mut rig = Rig::start(STEADY);
    rig.submit(&endless("long", watched()));
    rig.lab.wait_topic(&of_job("long", "tokens"));
    let answer = joulectl(&rig, &["cancel", "long", "--json"]);
    assert!(answer.status.success(), "{answer:?}");
    assert_eq!(json(&answer)["id"], "long");
    assert_eq!(rig.result("long")["state"], "cancelled");
}

#[test]
fn a_queue_is_paused_drained_and_opened() {
    let mut rig = Rig::start(STEADY);
    let shown = joulectl(&rig, &["queue"]);
    assert_eq!(stdout(&shown), "open  0 wait, none runs\n", "{shown:?}");
    let paused = joulectl(&rig, &["queue", "pause", "--json"]);
    assert_eq!(json(&paused)["mode"], "paused");
    for id in ["one", "two"] {
        let sent = joulectl(&rig, &[&SMOL[..], &[id]].concat());
        assert!(sent.status.success(), "{sent:?}");
    }
    let endless = joulectl(&rig, &["queue", "--wait"]);
    assert_eq!(endless.status.code(), Some(2), "{endless:?}");
    let drained = joulectl(&rig, &["queue", "drain", "--wait", "--json"]);
    assert!(drained.status.success(), "{drained:?}");
    let drained = json(&drained);
    assert_eq!(
        (&drained["mode"], &drained["queued"]),
        (&"draining".into(), &0.into())
    );
    let refused = joulectl(&rig, &[&SMOL[..], &["late"]].concat());
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    for id in ["one", "two"] {
        assert_eq!(rig.result(id)["state"], "succeeded");
    }
    let open = joulectl(&rig, &["queue", "open"]);
    assert_eq!(stdout(&open), "open  0 wait, none runs\n");
}
