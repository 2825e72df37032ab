//! The main job when things go wrong: processes are killed, the broker goes away, jobs are
//! cancelled, models lie, sensors are missing. Nothing is lost, nothing runs twice, and no
//! process is left behind.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

mod support;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};
use support::daemon::STEADY;
use support::rig::{MODEL, Rig, endless, job, lasting, of_job, topic, watched};
use support::tiny_gguf::{self, Damage};

/// Waits until the job's tokens come.
fn decodes(rig: &mut Rig, id: &str) {
    rig.lab.wait_topic(&of_job(id, "tokens"));
}

#[test]
fn a_worker_killed_in_decode_fails_its_job_and_the_next_one_runs() {
    let mut rig = Rig::start(STEADY);
    rig.submit(&endless("killed", watched()));
    decodes(&mut rig, "killed");
    rig.submit(&job("next", json!({})));
    kill_process(rig.daemon.worker(), Signal::KILL).unwrap();
    let result = rig.result("killed");
    assert_eq!(result["state"], "failed");
    let reason = result["reason"].as_str().unwrap();
    assert!(reason.contains("SIGKILL"), "{reason}");
    let state = rig.reaches("killed", "failed");
    assert_eq!(state["reason"], result["reason"]);
    assert_eq!(rig.result("next")["state"], "succeeded");
    assert!(rig.daemon.is_running());
}

#[test]
fn a_daemon_killed_in_a_job_takes_its_worker_along_and_runs_the_job_again() {
    let mut rig = Rig::start(STEADY);
    rig.submit(&lasting("long", watched()));
    decodes(&mut rig, "long");
    rig.daemon.worker();
    rig.daemon.kill();
    rig.daemon.wait_until_nothing_runs();
    rig.daemon.spawn();
    let lost = rig.lab.wait_event("attempt-lost");
    assert_eq!(lost["id"], "long");
    let result = rig.result("long");
    assert_eq!(
        (&result["state"], &result["attempt"]),
        (&json!("succeeded"), &json!(2))
    );
    rig.all_records("long", "tokens");
    rig.reaches("long", "succeeded");
    // What would come late has come before the result of a later job.
    rig.run(&job("later", json!({})));
    assert_eq!(rig.records("long", "result").len(), 1);
    let states = rig.records("long", "state");
    let revs: Vec<u64> = states.iter().map(|s| s["rev"].as_u64().unwrap()).collect();
    assert!(revs.is_sorted_by(|a, b| a < b), "{states:#?}");
}

#[test]
fn a_daemon_told_to_end_puts_its_job_back_and_runs_it_after_the_restart() {
    let mut rig = Rig::start(STEADY);
    rig.submit(&lasting("long", watched()));
    decodes(&mut rig, "long");
    let (status, took) = rig.daemon.terminate();
    println!("the daemon ended {} ms after SIGTERM", took.as_millis());
    assert!(status.success(), "{status}");
    rig.daemon.wait_until_nothing_runs();
    let back = rig.state("long", "interrupted", |state| {
        state["reason"] == "interrupted"
    });
    assert_eq!(back["state"], "queued");
    rig.lab.wait("status offline", |seen| {
        seen.topic == topic("status") && seen.json()["state"] == "offline"
    });
    assert!(rig.records("long", "result").is_empty());
    rig.daemon.spawn();
    let result = rig.result("long");
    assert_eq!(
        (&result["state"], &result["attempt"]),
        (&json!("succeeded"), &json!(2))
    );
}

#[test]
fn a_job_is_cancelled_while_it_waits_while_it_runs_and_not_after_its_end() {
    let mut rig = Rig::start(STEADY);
    rig.submit(&endless("runs", watched()));
    decodes(&mut rig, "runs");
    rig.submit(&job("waits", json!({})));
    let cancel = |rig: &mut Rig, id: &str| rig.ask("cancel", &json!({"id": id}));
    let answer = cancel(&mut rig, "waits");
    assert_eq!(
        (&answer["ok"], &answer["state"]),
        (&json!(true), &json!("cancelled"))
    );
    rig.reaches("waits", "cancelled");
    let answer = cancel(&mut rig, "runs");
    assert_eq!(answer["ok"], true, "{answer}");
    rig.reaches("runs", "cancelled");
    assert_eq!(rig.result("runs")["state"], "cancelled");
    let answer = cancel(&mut rig, "runs");
    assert_eq!(
        (&answer["ok"], &answer["state"]),
        (&json!(true), &json!("cancelled"))
    );
    rig.run(&job("done", json!({})));
    rig.reaches("done", "succeeded");
    let answer = cancel(&mut rig, "done");
    assert_eq!(
        (&answer["ok"], &answer["state"]),
        (&json!(true), &json!("succeeded"))
    );
    assert!(rig.records("waits", "tokens").is_empty());
    let answer = cancel(&mut rig, "nobody");
    assert_eq!(answer["error"]["code"], "unknown-job");
}

#[test]
fn a_job_that_takes_too_long_fails_with_the_reason_timeout() {
    let mut rig = Rig::start(STEADY);
    let result = rig.run(&endless("slow", json!({"timeout_s": 1})));
    assert_eq!(
        (&result["state"], &result["reason"]),
        (&json!("failed"), &json!("timeout"))
    );
    assert_eq!(rig.run(&job("next", json!({})))["state"], "succeeded");
}

#[test]
fn a_broker_that_dies_in_a_job_gets_everything_when_it_is_back() {
    let mut rig = Rig::start(STEADY);
    rig.submit(&job("kept", json!({"n_predict": 1_000, "repetitions": 3})));
    rig.reaches("kept", "running");
    rig.daemon.worker();
    rig.broker.kill();
    rig.broker.restart();
    rig.listen_anew();
    let result = rig.result("kept");
    assert_eq!(
        (&result["state"], &result["attempt"]),
        (&json!("succeeded"), &json!(1))
    );
    let tokens = rig.all_records("kept", "tokens");
    let count: usize = tokens
        .iter()
        .map(|r| r["tokens"].as_array().unwrap().len())
        .sum();
    assert_eq!(count, 3_000);
    rig.reaches("kept", "succeeded");
}

#[test]
fn a_model_that_lies_in_its_header_fails_one_job() {
    let mut rig = Rig::start(STEADY);
    let lies = [
        ("truncated.gguf", Damage::Truncated(2_000)),
        ("short.gguf", Damage::Truncated(60_000)),
        ("blocks.gguf", Damage::BlockCount(1_000)),
        ("offset.gguf", Damage::OffsetPastEnd),
    ];
    for (name, damage) in lies {
        tiny_gguf::write(&rig.daemon.models().join(name), damage).unwrap();
        let result = rig.run(&job(name, json!({"model": name})));
        assert_eq!(result["state"], "failed", "{name}");
        let reason = result["reason"].as_str().unwrap();
        println!("{name}: {reason}");
        assert!(reason.starts_with(name), "the name, and no path: {reason}");
        assert!(
            !reason.contains("SIG"),
            "found before it does harm: {reason}"
        );
    }
    assert_eq!(rig.run(&job("good", json!({})))["state"], "succeeded");
}

#[test]
fn a_model_that_is_not_there_or_lies_elsewhere_is_refused() {
    let mut rig = Rig::start(STEADY);
    std::fs::write(rig.daemon.path().join("secret.gguf"), "no model").unwrap();
    std::os::unix::fs::symlink("../secret.gguf", rig.daemon.models().join("link.gguf")).unwrap();
    for (model, code) in [
        ("missing.gguf", "unknown-model"),
        ("link.gguf", "unknown-model"),
        ("../secret.gguf", "invalid-spec"),
        ("/etc/passwd", "invalid-spec"),
        ("", "invalid-spec"),
        (".", "invalid-spec"),
        ("a/../tiny.gguf", "invalid-spec"),
    ] {
        let answer = rig.ask("submit", &job("tricky", json!({"model": model})));
        assert_eq!(answer["error"]["code"], code, "{model}: {answer}");
        assert_eq!(answer["error"]["field"], "model", "{model}: {answer}");
    }
    assert!(rig.records("tricky", "state").is_empty());
}

#[test]
fn a_board_whose_sensor_is_missing_says_so_and_runs_jobs_without_energies() {
    let missing = "[[sensor]]\nname = \"input\"\nkind = \"ina219\"\nbus = \"/dev/i2c-99\"\n\
         address = 0x40\nshunt_ohm = 0.01\nmax_current_a = 2.0\nboundary = \"board-input\"\n";
    let mut rig = Rig::start(missing);
    let event = rig.lab.wait_event("sensor-failed");
    assert!(
        event["message"].as_str().unwrap().contains("/dev/i2c-99"),
        "{event}"
    );
    let info = rig.lab.wait_topic(&topic("info")).json();
    assert_eq!(info["sensors"][0]["state"], "failed");
    assert!(
        info["sensors"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("/dev/i2c-99")
    );

    let result = rig.run(&job(
        "blind",
        json!({"idle": {"before_s": 0, "after_s": 0}}),
    ));
    assert_eq!(result["state"], "succeeded");
    assert_eq!(result["primary_rail"], Value::Null);
    let rep = &result["reps"][0];
    assert!(rep["decode"]["tok_s"].as_f64().unwrap() > 0.0);
    for phase in ["prefill", "decode"] {
        assert_eq!(
            rep[phase]["reasons"]["energy_j"], "no-primary-rail",
            "{rep}"
        );
    }
    assert_eq!(rep["reasons"]["j_per_output_token"], "no-primary-rail");
    for record in rig.all_records("blind", "tokens") {
        for token in record["tokens"].as_array().unwrap() {
            assert!(
                ["no-primary-rail", "in-prefill"].contains(&token["reason"].as_str().unwrap()),
                "{token}"
            );
        }
        assert_no_energy("tokens", &record);
    }
    assert_no_energy("result", &result);
}

/// No field that carries energy or power has a value, not even 0.
fn assert_no_energy(path: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_energy = name.contains("energy")
                    || name.contains("power_w")
                    || name.starts_with("j_per");
                assert!(!(is_energy && value.is_number()), "{path}.{name} = {value}");
                assert_no_energy(&format!("{path}.{name}"), value);
            }
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| assert_no_energy(path, value)),
        _ => {}
    }
}

#[test]
fn a_second_job_of_the_same_name_is_a_conflict() {
    let mut rig = Rig::start(STEADY);
    rig.run(&job("one", json!({})));
    let answer = rig.ask(
        "submit",
        &job("one", json!({"model": MODEL, "n_predict": 17})),
    );
    assert_eq!(answer["error"]["code"], "conflict", "{answer}");
}
