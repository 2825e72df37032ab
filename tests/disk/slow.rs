//! A card that takes its time, and the promise that nothing is written while it is measured.

use crate::restless;
use crate::support::daemon::STEADY;
use crate::support::disk::Disk;
use crate::support::rig::{Rig, job, topic};
use serde_json::{Value, json};

/// From the first to the last moment of an attempt, by its trace.
fn measured(chunks: &[Value]) -> (u64, u64) {
    let begin = chunks[0]["t0_mono_ns"].as_u64().unwrap();
    let last = chunks.last().unwrap();
    let steps = last["dt_ns"].as_array().unwrap().iter();
    let length: u64 = steps.map(|step| step.as_u64().unwrap()).sum();
    (begin, last["t0_mono_ns"].as_u64().unwrap() + length)
}

#[test]
fn a_slow_disk_delays_answers_and_nothing_else() {
    let mut disk = None;
    let mut rig = Rig::start_with(STEADY, |daemon| disk = Some(Disk::of(daemon)));
    let disk = disk.unwrap();
    disk.slow_down(300);
    for id in ["a", "b", "c"] {
        rig.submit(&restless(job(
            id,
            json!({"publish": {"trace": true}, "repetitions": 3}),
        )));
        rig.reaches(id, "running");
        // Looking on is no work for the disk either.
        rig.look_on("the result", |rig| !rig.records(id, "result").is_empty());
        assert_eq!(rig.result(id)["state"], "succeeded");
        let (begin, end) = measured(&rig.all_records(id, "trace"));
        let within: Vec<String> = disk
            .journal()
            .iter()
            .filter(|entry| entry.end_ns > begin && entry.begin_ns < end)
            .map(|entry| {
                let after_ms = entry.begin_ns.saturating_sub(begin) / 1_000_000;
                format!("{} {after_ms} ms after the begin", entry.path)
            })
            .collect();
        assert!(
            within.is_empty(),
            "{id}: written while measured: {within:#?}"
        );
    }
    let answers = rig.lab.seen.iter();
    let mut answers = answers.filter(|seen| seen.topic.starts_with("answers/"));
    assert!(answers.all(|answer| answer.json()["ok"] == true));
    let status = topic("status");
    let mut states = rig.lab.seen.iter().filter(|seen| seen.topic == status);
    assert!(
        states.all(|seen| seen.json()["state"] == "online"),
        "the connection broke"
    );
}
