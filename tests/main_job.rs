//! The main job, end to end: a job arrives over MQTT, a model generates tokens under a sampled
//! power sensor, and every token's energy comes back. The daemon, worker, broker and clients
//! are the real ones; the sensor is a simulated chip behind the real driver.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

mod support;

use serde_json::{Value, json};
use support::clients::{MosquittoSub, mosquitto_pub};
use support::daemon::{Daemon, STEADY};
use support::lab::Seen;
use support::mosquitto::Mosquitto;
use support::rig::{MODEL, Rig, job, of_job, topic};
use support::tiny_gguf::{self, Damage};

const DEVICE_TOPICS: &str = "jouled/board/#";

#[test]
fn the_mosquitto_clients_alone_submit_a_job_and_see_its_life() {
    let broker = Mosquitto::start();
    let mut daemon = Daemon::prepare(&broker, STEADY);
    tiny_gguf::write(&daemon.models().join(MODEL), Damage::None).unwrap();
    daemon.spawn();
    let mut sub = MosquittoSub::start(broker.port, &[DEVICE_TOPICS, "answers/#"]);
    sub.wait("status", |seen| {
        seen.topic == topic("status") && seen.json()["state"] == "online"
    });
    let submit = topic("cmd/submit");
    // A state that is overtaken before it has left is not published, so `queued` shows for
    // sure where the job has to wait.
    mosquitto_pub(
        broker.port,
        &submit,
        &job("first", json!({})).to_string(),
        &[],
    );
    let smol = job("smol", json!({})).to_string();
    mosquitto_pub(broker.port, &submit, &smol, &[]);
    let state = of_job("smol", "state");
    for wanted in ["queued", "running", "succeeded"] {
        sub.wait(wanted, |seen| {
            seen.topic == state && seen.json()["state"] == wanted
        });
    }
    let result = sub.wait("result", |seen| seen.topic == of_job("smol", "result"));
    let result = result.json();
    assert_eq!(
        (&result["state"], &result["attempt"]),
        (&json!("succeeded"), &json!(1))
    );
    let tokens = sub.wait("tokens", |seen| seen.topic == of_job("smol", "tokens"));
    let tokens = tokens.json();
    assert_eq!(indices(&tokens), (0..16).collect::<Vec<_>>());
    assert_eq!(tokens["tokens"][0]["energy_j"], Value::Null);
    assert_eq!(tokens["tokens"][0]["reason"], "in-prefill");

    // The same job again is answered and runs nothing.
    let ask = |id: &'static str| {
        [
            "-D",
            "publish",
            "response-topic",
            "answers/me",
            "-D",
            "publish",
            "correlation-data",
            id,
        ]
    };
    mosquitto_pub(broker.port, &submit, &smol, &ask("again"));
    let answer = |sub: &mut MosquittoSub, id: &str| {
        let fits = |seen: &Seen| {
            seen.topic == "answers/me" && seen.correlation.as_deref() == Some(id.as_bytes())
        };
        sub.wait(id, fits).json()
    };
    let again = answer(&mut sub, "again");
    assert_eq!(
        (&again["ok"], &again["state"], &again["attempt"]),
        (&json!(true), &json!("succeeded"), &json!(1))
    );

    // A malformed one is answered with the field; without a response topic an event says it.
    let broken = job("broken", json!({"n_predict": "many"})).to_string();
    mosquitto_pub(broker.port, &submit, &broken, &ask("malformed"));
    let refused = answer(&mut sub, "malformed");
    assert_eq!(refused["ok"], false);
    assert_eq!(refused["error"]["code"], "invalid-spec");
    assert_eq!(refused["error"]["field"], "n_predict");
    let silent = job("silent", json!({"nonsense": 1})).to_string();
    mosquitto_pub(broker.port, &submit, &silent, &[]);
    let event = sub.wait("event", |seen| {
        seen.topic == topic("events") && seen.json()["id"] == "silent"
    });
    assert_eq!(event.json()["code"], "invalid-spec");
    assert!(event.text.contains("nonsense"), "{}", event.text);

    // When another job has run, nothing else has happened.
    mosquitto_pub(
        broker.port,
        &submit,
        &job("next", json!({})).to_string(),
        &[],
    );
    sub.wait("next", |seen| seen.topic == of_job("next", "result"));
    let of = |kind: &str| {
        sub.seen
            .iter()
            .filter(|seen| seen.topic == of_job("smol", kind))
            .count()
    };
    assert_eq!(of("result"), 1);
    let mut revs: Vec<u64> = (sub.seen.iter())
        .filter(|seen| seen.topic == state)
        .map(|seen| seen.json()["rev"].as_u64().unwrap())
        .collect();
    assert!(revs.is_sorted_by(|a, b| a < b), "{revs:?}");
    let last = revs.pop().unwrap();
    let ended = sub
        .seen
        .iter()
        .rev()
        .find(|seen| seen.topic == state)
        .unwrap();
    assert_eq!(ended.json()["rev"], last);
    assert_eq!(ended.json()["state"], "succeeded");
    assert_untouched(&sub.seen, &["broken", "silent"]);
}

#[test]
fn a_retained_submit_does_nothing() {
    let broker = Mosquitto::start();
    let submit = topic("cmd/submit");
    let retained = |id: &str| {
        mosquitto_pub(
            broker.port,
            &submit,
            &job(id, json!({})).to_string(),
            &["-r"],
        )
    };
    retained("before");
    let mut sub = MosquittoSub::start(broker.port, &[DEVICE_TOPICS]);
    sub.wait("the retained job", |seen| seen.topic == submit);
    let mut daemon = Daemon::prepare(&broker, STEADY);
    tiny_gguf::write(&daemon.models().join(MODEL), Damage::None).unwrap();
    daemon.spawn();
    let event = |sub: &mut MosquittoSub, id: &str| {
        sub.wait(&format!("event about {id}"), |seen| {
            seen.topic == topic("events") && seen.json()["id"] == id
        })
        .json()
    };
    assert_eq!(event(&mut sub, "before")["code"], "retained-command");
    retained("live");
    assert_eq!(event(&mut sub, "live")["code"], "retained-command");
    mosquitto_pub(
        broker.port,
        &submit,
        &job("plain", json!({})).to_string(),
        &[],
    );
    sub.wait("plain", |seen| seen.topic == of_job("plain", "result"));
    assert_untouched(&sub.seen, &["before", "live"]);
}

fn assert_untouched(seen: &[Seen], ids: &[&str]) {
    for id in ids {
        let theirs = topic(&format!("jobs/{id}/"));
        assert!(
            !seen.iter().any(|seen| seen.topic.starts_with(&theirs)),
            "{id}"
        );
    }
}

#[test]
fn tokens_shorter_than_three_windows_are_too_coarse_and_decode_stands() {
    // Windows of 68 ms, and a decode of a thousand tokens.
    let slow = format!("{STEADY}adc_shunt = \"avg128\"\n");
    let mut rig = Rig::start(&slow);
    let idle = json!({"before_s": 1.0, "after_s": 1.0});
    let result = rig.run(&job("coarse", json!({"n_predict": 2_000, "idle": idle})));
    let rep = &result["reps"][0];
    assert_eq!(rep["resolved"], false);
    let decode = rep["decode"]["energy_j"].as_f64().expect("decode stands");
    let seconds = rep["decode"]["duration_s"].as_f64().unwrap();
    assert!(
        (decode / seconds - 5.0).abs() < 0.05,
        "{decode} J in {seconds} s at 5 W"
    );
    let records = rig.all_records("coarse", "tokens");
    let tokens: Vec<&Value> = records.iter().flat_map(tokens_of).collect();
    assert_eq!(tokens.len(), 2_000);
    for token in &tokens[1..] {
        assert_eq!(token["energy_j"], Value::Null, "{token}");
        assert_eq!(token["reason"], "too-coarse");
    }
}

#[test]
fn a_bench_job_has_speeds_and_no_ttft() {
    let mut rig = Rig::start(STEADY);
    let changes = json!({
        "kind": "bench", "n_prompt": 64, "n_gen": 8, "n_depth": 32, "repetitions": 2,
    });
    let mut bench = job("bench", changes);
    for field in ["prompt", "n_predict", "ignore_eos"] {
        bench.as_object_mut().unwrap().remove(field);
    }
    let result = rig.run(&bench);
    assert_eq!(result["state"], "succeeded", "{result}");
    let phases: Vec<&str> = timeline(&result, "input")
        .iter()
        .filter(|part| part["rep"] == 2)
        .map(|part| part["phase"].as_str().unwrap())
        .filter(|phase| !["prepare", "other"].contains(phase))
        .collect();
    assert_eq!(phases, ["depth", "prefill", "depth", "decode"]);
    for rep in result["reps"].as_array().unwrap() {
        assert_eq!(rep["ttft_s"], Value::Null);
        assert_eq!(rep["reasons"]["ttft_s"], "not-defined");
        assert_eq!(rep["reasons"]["j_per_output_token_all_in"], "not-defined");
        assert_eq!(rep["prefill"]["tokens"], 64);
        assert_eq!(rep["decode"]["tokens"], 8);
        for phase in ["prefill", "decode"] {
            assert!(rep[phase]["tok_s"].as_f64().unwrap() > 0.0);
        }
    }
    let records = rig.all_records("bench", "tokens");
    assert_eq!(records.len(), 2);
    for record in &records {
        assert_eq!(indices(record), (1..=8).collect::<Vec<_>>());
    }
}

#[test]
fn what_a_job_needed_besides_energy_is_in_its_result() {
    let mut rig = Rig::start(STEADY);
    let gpu = json!({"threads": 1, "gpu_layers": 2});
    let result = rig.run(&job("needs", json!({"params": gpu})));
    assert_eq!(result["state"], "succeeded", "{result}");
    let rep = &result["reps"][0];
    let phases = [&result["load"], &rep["prefill"], &rep["decode"]];
    for counters in phases.map(|phase| &phase["counters"]) {
        assert!(counters["major_faults"].is_u64(), "{counters}");
        let reasons = &counters["reasons"];
        assert!(counters["read_bytes"].is_u64() || reasons["read_bytes"] == "not-reported");
        match &counters["hardware"] {
            Value::Null => {
                let why = reasons["hardware"].as_str().unwrap();
                assert!(["not-permitted", "not-supported"].contains(&why), "{why}");
            }
            counted => assert!(counted["instructions"].is_u64() || counted["cycles"].is_u64()),
        }
    }
    let spread = &rep["tpot_distribution_s"];
    assert_eq!(spread["n"], 15);
    let mean = spread["mean"].as_f64().unwrap();
    assert!((mean / rep["tpot_s"].as_f64().unwrap() - 1.0).abs() < 1e-6);
    // 32-bit weights but for all but one row of the table; 2 blocks, 2 heads, 16-bit K and V.
    let weights = result["model"]["params"].as_u64().unwrap() * 4;
    assert_eq!(result["model"]["step_bytes"], weights - 261 * 64 * 4);
    assert_eq!(result["model"]["kv_token_bytes"], 2 * 2 * (16 + 16) * 2);
    let known = result["board"]["memory_bandwidth_gb_s"].is_number();
    assert!(rep["mbu"].is_number() == known);
    assert!(known || rep["reasons"]["mbu"] == "not-supported");
    let memory = &result["memory"];
    assert!(memory["model_bytes"].as_u64().unwrap() > 0);
    assert!(memory["device_bytes"].is_u64());
    let offloaded = &result["engine"]["layers_offloaded"];
    if *offloaded == 0 {
        let warned = |text: &Value| text.as_str().unwrap().contains("offloaded 0 layers");
        assert!(result["warnings"].as_array().unwrap().iter().any(warned));
    }
}

#[test]
fn live_tokens_come_before_the_end_and_are_those_that_are_kept() {
    let mut rig = Rig::start(STEADY);
    let publish = json!({"tokens": "live", "tokens_every_ms": 50});
    let changes = json!({"n_predict": 1_000, "repetitions": 4, "publish": publish});
    rig.run(&job("live", changes));
    let records = rig.all_records("live", "tokens");
    let tokens: usize = records.iter().map(|record| tokens_of(record).len()).sum();
    assert_eq!(tokens, 4_000);
    rig.reaches("live", "succeeded");
    let at = |kind: &str, fits: &dyn Fn(&Value) -> bool| {
        let wanted = of_job("live", kind);
        let seen = rig.lab.seen.iter();
        seen.clone()
            .position(|seen| seen.topic == wanted && fits(&seen.json()))
            .unwrap()
    };
    assert!(at("tokens", &|_| true) < at("state", &|state| state["state"] == "succeeded"));

    // Kept is the same as sent, byte for byte.
    let before = texts(&rig, "live");
    rig.lab.seen.clear();
    rig.ask("replay", &json!({"id": "live"}));
    rig.result("live");
    rig.all_records("live", "tokens");
    let mut after = texts(&rig, "live");
    after.sort();
    let mut unique = before;
    unique.sort();
    unique.dedup();
    assert_eq!(after, unique);
}

#[test]
fn a_finished_job_is_replayed_unchanged() {
    let mut rig = Rig::start(STEADY);
    let result = rig.run(&job("done", json!({"n_predict": 600, "repetitions": 2})));
    rig.all_records("done", "tokens");
    rig.reaches("done", "succeeded");
    let mut before = texts(&rig, "done");
    rig.lab.seen.clear();
    let answer = rig.ask("replay", &json!({"id": "done"}));
    let count = result["records"]["tokens"].as_u64().unwrap() + 2;
    assert_eq!(
        answer["records"], count,
        "tokens, state and result: {answer}"
    );
    assert_eq!(rig.result("done"), result);
    rig.all_records("done", "tokens");
    let mut after = texts(&rig, "done");
    before.sort();
    after.sort();
    assert_eq!(before, after);
}

#[test]
fn without_tokens_the_result_alone_comes() {
    let mut rig = Rig::start(STEADY);
    let result = rig.run(&job("quiet", json!({"publish": {"tokens": "none"}})));
    assert_eq!(result["records"]["tokens"], 0);
    assert_eq!(result["tokens_published"], "none");
    // Another job's tokens would come after any of this one.
    rig.run(&job("loud", json!({})));
    rig.all_records("loud", "tokens");
    assert!(rig.records("quiet", "tokens").is_empty());
}

#[test]
fn a_trace_is_contiguous_and_integrates_to_the_total() {
    let waveform = STEADY.replace("constant:1", "square:0.5,1.5,0.0371,0.4");
    let mut rig = Rig::start(&waveform.replace("max_current_a = 2.0", "max_current_a = 3.0"));
    let changes = json!({
        "n_predict": 500, "publish": {"trace": true}, "idle": {"before_s": 0, "after_s": 0},
        "repetitions": 5,
    });
    let result = rig.run(&job("traced", changes));
    let chunks = rig.all_records("traced", "trace");
    assert!(!chunks.is_empty());
    let (t0, t1) = interval(&result, timeline(&result, "input"));
    let mut next = None;
    let mut joules = 0.0;
    for (index, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk["rail"], "input");
        assert_eq!(chunk["last"], index + 1 == chunks.len());
        let mut at = chunk["t0_mono_ns"].as_u64().unwrap();
        assert!(
            next.is_none_or(|next| next == at),
            "chunk {index} does not follow"
        );
        let lengths = chunk["dt_ns"].as_array().unwrap();
        let powers = chunk["power_w"].as_array().unwrap();
        assert_eq!(lengths.len(), powers.len());
        for (length, power) in lengths.iter().zip(powers) {
            let end = at + length.as_u64().unwrap();
            let inside = end.min(t1).saturating_sub(at.max(t0));
            if let Some(power) = power.as_f64() {
                joules += power * inside as f64 * 1e-9;
            }
            at = end;
        }
        next = Some(at);
    }
    assert!(next.unwrap() >= t1, "the trace reaches the end");
    let rail = &result["rails"][0];
    // Gaps are bridged in the total, and null in the trace.
    let missing = 1.0 - rail["coverage"].as_f64().unwrap();
    if missing < 0.01 {
        let total = result["total"]["input"]["energy_j"].as_f64().unwrap();
        let off = (joules / total - 1.0).abs();
        assert!(
            off < 1e-6 + 2.0 * missing,
            "{joules} J of {total} J, {missing} missing"
        );
    }
}

/// Absolute CLOCK_MONOTONIC times of the first part's start and the last one's end.
fn interval(result: &Value, parts: &[Value]) -> (u64, u64) {
    let zero = result["t0_mono_ns"].as_u64().unwrap();
    let (first, last) = (parts.first().unwrap(), parts.last().unwrap());
    let at = |part: &Value, field: &str| zero + part[field].as_u64().unwrap();
    (at(first, "t0_ns"), at(last, "t1_ns"))
}

fn timeline<'r>(result: &'r Value, rail: &str) -> &'r [Value] {
    result["timeline"][rail].as_array().unwrap()
}

fn tokens_of(record: &Value) -> &Vec<Value> {
    record["tokens"].as_array().unwrap()
}

fn indices(record: &Value) -> Vec<u64> {
    let index = |token: &Value| token["i"].as_u64().unwrap();
    tokens_of(record).iter().map(index).collect()
}

/// The records of a job, tokens and result, as they came.
fn texts(rig: &Rig, id: &str) -> Vec<String> {
    let wanted = [of_job(id, "tokens"), of_job(id, "result")];
    let seen = rig.lab.seen.iter();
    seen.filter(|seen| wanted.contains(&seen.topic))
        .map(|seen| seen.text.clone())
        .collect()
}
