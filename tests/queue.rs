//! The queue as the lab commands it: paused, drained, opened, bounded in rate, and what it
//! tells of each job's attempts. Nothing is lost, and each job has one final state.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

mod support;

use serde_json::{Value, json};
use support::daemon::STEADY;
use support::rig::{Rig, endless, job, lasting, of_job, topic, watched};

fn set(rig: &mut Rig, mode: &str) -> Value {
    let answer = rig.ask("queue", &json!({"mode": mode}));
    assert_eq!(
        (&answer["ok"], &answer["mode"]),
        (&json!(true), &json!(mode))
    );
    answer
}

/// Waits for a status that says so.
fn status(rig: &mut Rig, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let status = topic("status");
    rig.lab
        .wait(what, |seen| seen.topic == status && fits(&seen.json()))
        .json()
}

fn told(rig: &mut Rig, id: &str) -> Value {
    let answer = rig.ask("jobs", &json!({"id": id}));
    assert_eq!(answer["ok"], true, "{answer}");
    answer["jobs"][0].clone()
}

/// How often the job's state topic said that it has ended, each revision counted once.
fn final_states(rig: &Rig, id: &str) -> Vec<String> {
    let mut seen = std::collections::BTreeMap::new();
    for state in rig.records(id, "state") {
        let name = state["state"].as_str().unwrap().to_owned();
        if ["succeeded", "failed", "cancelled"].contains(&name.as_str()) {
            seen.insert(state["rev"].as_u64().unwrap(), name);
        }
    }
    seen.into_values().collect()
}

#[test]
fn a_paused_queue_takes_jobs_and_starts_none_also_after_a_restart() {
    let mut rig = Rig::start(STEADY);
    let answer = rig.ask("queue", &json!({}));
    assert_eq!(
        (&answer["mode"], &answer["queued"]),
        (&json!("open"), &json!(0))
    );
    rig.submit(&endless("runs", watched()));
    rig.lab.wait_topic(&of_job("runs", "tokens"));
    let answer = set(&mut rig, "paused");
    assert_eq!(answer["running"], "runs", "a running job goes on");
    rig.submit(&job("waits", json!({})));
    rig.ask("cancel", &json!({"id": "runs"}));
    rig.result("runs");
    // The runner has looked at the queue since, or is about to.
    status(&mut rig, "one waits, none runs", |status| {
        status["queue"] == "paused" && status["jobs_queued"] == 1 && status["job_running"].is_null()
    });
    assert_eq!(told(&mut rig, "waits")["state"], "queued");

    rig.daemon.terminate();
    rig.listen_anew();
    rig.daemon.spawn();
    status(&mut rig, "still paused", |status| {
        status["queue"] == "paused" && status["jobs_queued"] == 1
    });
    let list = rig.ask("jobs", &json!({}));
    assert_eq!(
        (&list["queue"], &list["left_out"]),
        (&json!("paused"), &json!(0))
    );
    assert_eq!(list["jobs"][0]["state"], "queued");
    let health = rig.lab.wait_topic(&topic("health")).json();
    assert_eq!(
        (&health["queue"], &health["queue_mode"]),
        (&json!(1), &json!("paused"))
    );
    assert_eq!(told(&mut rig, "waits")["attempt"], 0);

    set(&mut rig, "open");
    assert_eq!(rig.result("waits")["state"], "succeeded");
}

#[test]
fn a_draining_queue_refuses_new_jobs_answers_known_ones_and_runs_empty() {
    let mut rig = Rig::start(STEADY);
    set(&mut rig, "paused");
    for id in ["first", "second"] {
        rig.submit(&job(id, json!({})));
    }
    set(&mut rig, "draining");
    let refused = rig.ask("submit", &job("late", json!({})));
    assert_eq!(refused["error"]["code"], "draining", "{refused}");
    rig.submit(&job("first", json!({})));
    for id in ["first", "second"] {
        assert_eq!(rig.result(id)["state"], "succeeded");
    }
    status(&mut rig, "drained", |status| {
        status["queue"] == "draining"
            && status["jobs_queued"] == 0
            && status["job_running"].is_null()
    });
    assert!(rig.records("late", "state").is_empty());
    set(&mut rig, "open");
    assert_eq!(rig.run(&job("late", json!({})))["state"], "succeeded");
}

#[test]
fn a_full_queue_takes_no_more_and_runs_the_highest_priority_first() {
    let mut rig = Rig::start(&format!("[limits]\nqueue = 3\n{STEADY}"));
    set(&mut rig, "paused");
    for (id, priority) in [("low", -1), ("middle", 0), ("high", 5)] {
        rig.submit(&job(id, json!({"priority": priority})));
    }
    let refused = rig.ask("submit", &job("more", json!({"priority": 9})));
    assert_eq!(refused["error"]["code"], "queue-full", "{refused}");
    rig.submit(&job("low", json!({"priority": -1})));
    set(&mut rig, "open");
    for id in ["low", "middle", "high"] {
        assert_eq!(rig.result(id)["state"], "succeeded");
    }
    let results = rig.lab.seen.iter();
    let mut results = results.filter(|seen| seen.topic.ends_with("/result"));
    for id in ["high", "middle", "low"] {
        assert_eq!(results.next().unwrap().json()["id"], id);
    }
    let more = job("more", json!({"priority": 9}));
    assert_eq!(rig.run(&more)["state"], "succeeded");
}

#[test]
fn a_replay_sends_a_job_s_records_again_from_a_seq_on() {
    let mut rig = Rig::start(STEADY);
    rig.run(&job("told", json!({"repetitions": 4})));
    let tokens = rig.all_records("told", "tokens");
    assert!(tokens.len() > 3, "one a repetition, or more: {tokens:#?}");
    rig.reaches("told", "succeeded");
    let (first, before) = (tokens.len() - 2, rig.lab.seen.len());
    let again = json!({"id": "told", "attempt": 1, "from_seq": first});
    let answer = rig.ask("replay", &again);
    // Two token records, the state and the result.
    assert_eq!(answer["records"], 4, "{answer}");
    let later = json!({"repetitions": 1});
    rig.run(&job("later", later));
    rig.all_records("later", "tokens");
    let came = rig.lab.seen[before..].iter();
    let came = came.filter(|seen| seen.topic == of_job("told", "tokens"));
    let came: Vec<Value> = came.map(support::lab::Seen::json).collect();
    assert_eq!(came, tokens[first..]);
}

#[test]
fn commands_that_write_are_limited_and_nothing_else_is() {
    let mut rig = Rig::start(&format!("[limits]\ncommands_per_min = 4\n{STEADY}"));
    let info = rig.lab.wait_topic(&topic("info")).json();
    assert_eq!(info["limits"]["commands_per_min"], 4);
    set(&mut rig, "paused");
    for id in ["a", "b", "c"] {
        rig.submit(&job(id, json!({})));
    }
    let limited = |answer: Value| {
        assert_eq!(answer["error"]["code"], "rate-limited", "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("try again in"), "{message}");
    };
    limited(rig.ask("submit", &job("d", json!({}))));
    limited(rig.ask("cancel", &json!({"id": "a"})));
    limited(rig.ask("replay", &json!({"id": "a"})));
    limited(rig.ask("queue", &json!({"mode": "open"})));
    // What changes nothing passes.
    rig.submit(&job("a", json!({})));
    assert_eq!(rig.ask("queue", &json!({"mode": "paused"}))["ok"], true);
    let list = rig.ask("jobs", &json!({}));
    assert_eq!(list["jobs"].as_array().unwrap().len(), 3, "{list}");
    let refused = rig.ask("submit", &job("e", json!({"model": "missing.gguf"})));
    assert_eq!(refused["error"]["code"], "unknown-model");
    let health = rig
        .lab
        .wait("health", |seen| {
            seen.topic == topic("health") && seen.json()["rate_limited"] == 4
        })
        .json();
    assert_eq!(health["queue"], 3);
}

#[test]
fn lost_and_interrupted_attempts_are_told_by_the_board_and_in_the_result() {
    let mut rig = Rig::start(STEADY);
    rig.submit(&lasting("long", watched()));
    for killed in [true, false] {
        rig.lab.wait_topic(&of_job("long", "tokens"));
        if killed {
            rig.daemon.kill();
            rig.daemon.wait_until_nothing_runs();
        } else {
            rig.daemon.terminate();
        }
        rig.listen_anew();
        rig.daemon.spawn();
    }
    let result = rig.result("long");
    assert_eq!(
        (&result["state"], &result["attempt"]),
        (&json!("succeeded"), &json!(3))
    );
    assert_eq!(
        result["lost_attempts"],
        json!([{"attempt": 1, "reason": "lost"}, {"attempt": 2, "reason": "interrupted"}])
    );
    let attempts = told(&mut rig, "long")["attempts"].clone();
    let brief: Vec<_> = attempts
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["attempt"].as_u64().unwrap(),
                row["state"].as_str().unwrap(),
                row["reason"].as_str(),
                row["ended_unix_s"].is_number(),
            )
        })
        .collect();
    assert_eq!(
        brief,
        [
            (1, "failed", Some("lost"), true),
            (2, "failed", Some("interrupted"), true),
            (3, "succeeded", None, true)
        ]
    );
    let unknown = rig.ask("jobs", &json!({"id": "nobody"}));
    assert_eq!(unknown["error"]["code"], "unknown-job");
}

#[test]
fn jobs_that_end_without_a_result_say_why() {
    let mut rig = Rig::start(STEADY);
    set(&mut rig, "paused");
    let soon = jouled::clock::unix_seconds() + 10;
    rig.submit(&job("overdue", json!({"deadline_unix_s": soon})));
    rig.submit(&job("unwanted", json!({})));
    rig.ask("cancel", &json!({"id": "unwanted"}));
    let state = rig.reaches("unwanted", "cancelled");
    assert_eq!(state["reason"], "cancelled");
    // Also while the queue is paused.
    let state = rig.reaches("overdue", "failed");
    assert_eq!(
        (&state["reason"], &state["attempt"]),
        (&json!("deadline"), &json!(0))
    );
    let past = rig.ask(
        "submit",
        &job("past", json!({"deadline_unix_s": soon - 100})),
    );
    assert_eq!(past["error"]["field"], "deadline_unix_s", "{past}");

    set(&mut rig, "open");
    let mut once = endless("once", watched());
    once["max_attempts"] = json!(1);
    rig.submit(&once);
    rig.lab.wait_topic(&of_job("once", "tokens"));
    rig.daemon.kill();
    rig.daemon.wait_until_nothing_runs();
    rig.daemon.spawn();
    let state = rig.reaches("once", "failed");
    assert_eq!(state["reason"], "attempts-lost");
    assert!(rig.records("once", "result").is_empty());
}

/// A cancel that falls into each phase, and onto the edges between them.
#[test]
fn a_cancel_in_any_phase_ends_the_job_once() {
    let mut rig = Rig::start(STEADY);
    let phases = [
        "load",
        "idle_before",
        "warmup",
        "prefill",
        "decode",
        "idle_after",
    ];
    for phase in phases {
        let id = format!("in-{phase}");
        rig.submit(&job(
            &id,
            json!({"n_predict": 200, "warmup": 1, "idle": {"before_s": 1, "after_s": 1},
                   "publish": {"tokens": "live", "tokens_every_ms": 20}}),
        ));
        // A short phase may be over before its state leaves.
        let reached = |state: &Value| {
            let at = phases.iter().position(|known| state["phase"] == *known);
            at >= phases.iter().position(|known| *known == phase)
        };
        rig.state(&id, phase, reached);
        let answer = rig.ask("cancel", &json!({"id": id}));
        assert_eq!(answer["ok"], true, "{answer}");
        rig.state(&id, "final", |state| {
            state["state"] != "running" && state["state"] != "queued"
        });
        rig.result(&id);
    }
    // At once, when the job is just being taken from the queue.
    for n in 0..12 {
        let id = format!("at-once-{n}");
        rig.submit(&job(&id, json!({})));
        let answer = rig.ask("cancel", &json!({"id": id}));
        assert_eq!(answer["ok"], true, "{answer}");
    }
    // Again and again until the end, so that one falls into the commit.
    rig.submit(&job("late", json!({"n_predict": 4})));
    rig.state("late", "idle_after", |state| state["attempt"] == 1);
    loop {
        let answer = rig.ask("cancel", &json!({"id": "late"}));
        if answer["state"] != "running" && answer["state"] != "queued" {
            break;
        }
    }
    assert_eq!(rig.run(&job("last", json!({})))["state"], "succeeded");
    let of_phases = phases.iter().map(|phase| format!("in-{phase}"));
    let at_once = (0..12).map(|n| format!("at-once-{n}"));
    for id in of_phases.chain(at_once).chain(["late".to_owned()]) {
        assert_eq!(final_states(&rig, &id).len(), 1, "{id}");
        let told = told(&mut rig, &id);
        assert_eq!(
            told["state"].as_str(),
            final_states(&rig, &id).last().map(String::as_str)
        );
    }
}

#[test]
fn a_cancel_that_a_crash_or_a_stop_overtakes_still_holds() {
    let mut rig = Rig::start(STEADY);
    for killed in [true, false] {
        let id = if killed { "killed" } else { "stopped" };
        rig.submit(&endless(id, watched()));
        rig.lab.wait_topic(&of_job(id, "tokens"));
        rig.lab.ask(
            &topic("cmd/cancel"),
            &json!({"id": id}).to_string(),
            "answers/lab",
            id,
        );
        let answer = rig.lab.wait_answer(id);
        assert_eq!(answer["ok"], true, "{answer}");
        if killed {
            rig.daemon.kill();
            rig.daemon.wait_until_nothing_runs();
        } else {
            rig.daemon.terminate();
        }
        rig.daemon.spawn();
        let state = rig.reaches(id, "cancelled");
        assert_eq!(state["reason"], "cancelled");
        assert_eq!(told(&mut rig, id)["attempt"], 1);
        rig.listen_anew();
    }
}

/// Jobs in the store of a daemon that is not running.
fn fill_store(rig: &Rig, ended: usize, waiting: usize) {
    let state = rig.daemon.path().join("state");
    let mut store = jouled::store::Store::open(&state).unwrap();
    let now = jouled::store::Moment::now("board");
    let limits = jouled::workload::Limits::default();
    for n in 0..ended + waiting {
        let padding = "p".repeat(900);
        let job = job(
            &format!("job-{n}"),
            json!({"prompt": padding, "n_predict": 2, "idle": {"before_s": 0, "after_s": 0}}),
        );
        let job = jouled::workload::Job::parse(job.to_string().as_bytes(), &limits).unwrap();
        store.submit(&job, 10_000, &now).unwrap();
        if n < ended {
            store.cancel(&job.id, &now).unwrap();
        }
    }
}

/// Overwrites the page of the store in which this text is found.
fn garble_page_with(rig: &Rig, needle: &str) {
    use std::os::unix::fs::FileExt;
    let path = rig.daemon.path().join("state/jouled.db");
    let bytes = std::fs::read(&path).unwrap();
    let mut parts = bytes.windows(needle.len());
    let at = parts.position(|part| part == needle.as_bytes()).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0xa5; 4096], (at / 4096 * 4096) as u64)
        .unwrap();
}

#[test]
fn a_store_damaged_at_work_ends_the_daemon_and_its_jobs_run_after_the_next_start() {
    let mut rig = Rig::start(STEADY);
    rig.submit(&job("before", json!({})));
    rig.result("before");
    rig.daemon.terminate();
    fill_store(&rig, 400, 0);
    rig.listen_anew();
    rig.daemon.spawn();
    rig.wait_online();
    set(&mut rig, "paused");
    rig.submit(&job("accepted", json!({})));
    garble_page_with(&rig, r#""id":"job-200","kind""#);
    let answer = rig.ask("jobs", &json!({"id": "job-200"}));
    assert_eq!(answer["error"]["code"], "storage", "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(!message.contains('/'), "{message}");
    let status = rig.daemon.wait();
    assert!(!status.success(), "{status}");
    rig.daemon.wait_until_nothing_runs();

    rig.listen_anew();
    rig.daemon.spawn();
    let event = rig.lab.wait_event("store-damaged");
    let message = event["message"].as_str().unwrap();
    assert!(message.contains("kept as jouled.db.damaged-"), "{message}");
    assert!(!message.contains('/'), "{message}");
    println!("{message}");
    let told_of = told(&mut rig, "accepted");
    assert_eq!(told_of["state"], "queued");
    assert_eq!(rig.ask("queue", &json!({}))["mode"], "paused");
    // A known id stays known.
    let answer = rig.ask("submit", &job("before", json!({})));
    assert_eq!(
        (&answer["ok"], &answer["state"]),
        (&json!(true), &json!("succeeded"))
    );
    let health = rig.lab.wait_topic(&topic("health")).json();
    assert_eq!(health["damaged_stores"], 1);
    set(&mut rig, "open");
    assert_eq!(rig.result("accepted")["state"], "succeeded");
}

#[test]
fn a_flood_of_refused_commands_is_no_flood_of_events() {
    let mut rig = Rig::start(STEADY);
    for n in 0..200 {
        rig.lab
            .publish(&topic("cmd/submit"), &format!("{{\"id\":\"bad-{n}\"}}"));
    }
    // A later command is answered once all of them have been refused.
    assert_eq!(rig.ask("queue", &json!({}))["mode"], "open");
    rig.lab.wait("health", |seen| {
        seen.topic == topic("health") && seen.json()["events_left_out"] == 170
    });
    let is_refusal = |seen: &&support::lab::Seen| {
        seen.topic == topic("events") && seen.json()["code"] == "invalid-spec"
    };
    assert_eq!(rig.lab.seen.iter().filter(is_refusal).count(), 30);
    assert_eq!(rig.run(&job("good", json!({})))["state"], "succeeded");
}
