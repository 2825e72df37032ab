//! joulectl with a real board: what it prints and how it exits.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "llama", feature = "lab"))]

mod support;

use serde_json::{Value, json};
use std::process::Output;
use support::clients::mosquitto_pub;
use support::daemon::STEADY;
use support::rig::{MODEL, Rig, endless, of_job, watched};
use support::tool::joulectl_with;

fn joulectl(rig: &Rig, arguments: &[&str]) -> Output {
    joulectl_with(&[("JOULED_BROKER", &rig.broker.url())], arguments)
}

fn parsed(output: &Output) -> Value {
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
    let result = parsed(&done);
    assert_eq!(result["summary"]["n"], 2);
    let saved = std::fs::read(results.join("record.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&saved).unwrap(), result);

    let list = joulectl(&rig, &["jobs", "--json"]);
    assert!(list.status.success(), "{list:?}");
    let list = parsed(&list);
    let states: Vec<(&str, &str)> = list["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| (job["id"].as_str().unwrap(), job["state"].as_str().unwrap()))
        .collect();
    assert!(states.contains(&("smol", "succeeded")), "{states:?}");
    assert!(states.contains(&("record", "succeeded")), "{states:?}");
}

/// A broker keeps a state for a day and a result for a week, or until it starts anew; a board keeps
/// what it has done.
#[test]
fn a_job_that_ended_long_ago_is_not_waited_for_in_vain() {
    let mut rig = Rig::start(STEADY);
    let wait = [&SMOL[..], &["old", "--wait", "--json"]].concat();
    let first = parsed(&joulectl(&rig, &wait));
    for leaf in ["state", "result"] {
        let record = of_job("old", leaf);
        rig.lab.publish_retained(&record, "");
        rig.lab.wait("the record to be cleared", |seen| {
            seen.topic == record && seen.text.is_empty()
        });
    }
    let again = joulectl(&rig, &wait);
    assert!(again.status.success(), "{again:?}");
    assert_eq!(parsed(&again)["summary"], first["summary"]);
}

/// A board whose store was lost runs an id again that the broker still has a result of.
#[test]
fn a_result_of_an_earlier_life_is_not_taken_for_this_one_s() {
    let rig = Rig::start(STEADY);
    let first = joulectl(&rig, &[&SMOL[..], &["first", "--wait", "--json"]].concat());
    assert!(first.status.success(), "{first:?}");
    let mut old = parsed(&first);
    old["id"] = "again".into();
    let mut state = json!({"id": "again", "attempt": 1, "rev": 99, "state": "succeeded",
        "phase": null, "progress": null, "reason": null});
    for field in ["v", "device", "time", "mono_ns", "boot_id", "clock_sync"] {
        state[field] = old[field].clone();
    }
    for (kind, record) in [("state", &state), ("result", &old)] {
        let topic = of_job("again", kind);
        mosquitto_pub(rig.broker.port, &topic, &record.to_string(), &["-r"]);
    }
    let again = joulectl(&rig, &[&SMOL[..], &["again", "--wait", "--json"]].concat());
    assert!(again.status.success(), "{again:?}");
    assert_ne!(parsed(&again)["time"], old["time"]);
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
    assert_eq!(parsed(&answer)["id"], "long");
    assert_eq!(rig.result("long")["state"], "cancelled");
}

#[test]
fn a_queue_is_paused_drained_and_opened() {
    let mut rig = Rig::start(STEADY);
    let shown = joulectl(&rig, &["queue"]);
    assert_eq!(stdout(&shown), "open  0 wait, none runs\n", "{shown:?}");
    let paused = joulectl(&rig, &["queue", "pause", "--json"]);
    assert_eq!(parsed(&paused)["mode"], "paused");
    for id in ["one", "two"] {
        let sent = joulectl(&rig, &[&SMOL[..], &[id]].concat());
        assert!(sent.status.success(), "{sent:?}");
    }
    let endless = joulectl(&rig, &["queue", "--wait"]);
    assert_eq!(endless.status.code(), Some(2), "{endless:?}");
    let drained = joulectl(&rig, &["queue", "drain", "--wait", "--json"]);
    assert!(drained.status.success(), "{drained:?}");
    let drained = parsed(&drained);
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
