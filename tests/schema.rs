//! The published contract: JSON Schemas and docs/asyncapi.yaml are made from the types, so that
//! they can't lag behind; `make schemas` writes them.
#![cfg(feature = "llama")]
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "schema/asyncapi.rs"]
mod asyncapi;
#[path = "schema/kept.rs"]
mod kept;
#[path = "support/mod.rs"]
mod support;
#[path = "schema/types.rs"]
mod types;
#[path = "schema/yaml.rs"]
mod yaml;

use kept::{in_repository, kept, snapshot};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::clients::MosquittoSub;
use support::contract;
use support::lab::Seen;
use support::rig::{Rig, job, topic, watched};

/// Named as in docs/schemas.
fn violations(schema: &str, value: &Value) -> Vec<String> {
    contract::violations(schema, value)
}

#[test]
fn the_schemas_say_what_the_types_are() {
    for (name, schema) in types::all() {
        let text = serde_json::to_string_pretty(&schema).unwrap();
        kept(&format!("docs/schemas/{name}.json"), &format!("{text}\n"));
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
    }
    let known: BTreeSet<String> = types::all()
        .iter()
        .map(|(name, _)| format!("{name}.json"))
        .collect();
    for file in std::fs::read_dir(in_repository("docs/schemas")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(
            known.contains(&name),
            "docs/schemas/{name} belongs to nothing"
        );
    }
}

#[test]
fn the_document_has_every_topic() {
    let document = asyncapi::document();
    let heading =
        "# Made by `make schemas` from the types, the topics and the snapshots of the records.\n";
    kept(
        "docs/asyncapi.yaml",
        &format!("{heading}{}", yaml::document(&document)),
    );

    let channels = document["channels"].as_object().unwrap();
    let addresses: BTreeSet<&str> = channels
        .values()
        .filter_map(|channel| channel["address"].as_str())
        .collect();
    // The table of docs/mqtt.md names them below the board's base topic.
    let page = std::fs::read_to_string(in_repository("docs/mqtt.md")).unwrap();
    let rows = page
        .lines()
        .filter(|row| row.contains("| out |") || row.contains("| in |"));
    let of_page: BTreeSet<String> = rows
        .map(|row| {
            row.split('`')
                .nth(1)
                .unwrap()
                .replace('<', "{")
                .replace('>', "}")
        })
        .map(|topic| format!("{{prefix}}/{{device}}/{topic}"))
        .collect();
    assert_eq!(
        of_page.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        addresses
    );
}

/// What the code takes for a command is in the document, and its examples are taken.
#[test]
fn every_command_is_in_the_document() {
    use jouled::mqtt::Command;
    let refusal = Command::parse("none", b"").unwrap_err();
    for command in asyncapi::received() {
        assert!(
            refusal.message.contains(command.name),
            "{}",
            refusal.message
        );
        for (_, example) in &command.examples {
            assert_eq!(violations(command.schema, example), Vec::<String>::new());
            let payload = example.to_string();
            let parsed = Command::parse(command.name, payload.as_bytes()).unwrap();
            if let Command::Submit { payload } = parsed {
                jouled::workload::Job::parse(payload, &Default::default()).unwrap();
            }
        }
        let unknown = json!({"id": "a", "nonsense": 1});
        assert!(
            !violations(command.schema, &unknown).is_empty(),
            "{}",
            command.name
        );
    }
    let named = refusal.message.split(',').count();
    assert_eq!(named, asyncapi::received().len(), "{}", refusal.message);
}

#[test]
fn the_snapshots_are_examples_of_their_schemas() {
    let measured = "src/measure/snapshots/jouled__measure__tests__";
    for (schema, file) in [
        (
            "status",
            "tests/snapshots/records__status_online.snap".to_owned(),
        ),
        (
            "status",
            "tests/snapshots/records__status_offline.snap".to_owned(),
        ),
        ("info", "tests/snapshots/records__info.snap".to_owned()),
        ("health", "tests/snapshots/records__health.snap".to_owned()),
        ("rail", "tests/snapshots/records__rail.snap".to_owned()),
        (
            "rail",
            "tests/snapshots/records__rail_stale.snap".to_owned(),
        ),
        ("event", "tests/snapshots/records__event.snap".to_owned()),
        ("probe", "tests/snapshots/records__probe.snap".to_owned()),
        (
            "answer-submit",
            "tests/snapshots/records__answer_ok.snap".to_owned(),
        ),
        (
            "answer-submit",
            "tests/snapshots/records__answer_refused.snap".to_owned(),
        ),
        ("tokens", format!("{measured}generate_tokens.snap")),
        ("trace", format!("{measured}trace.snap")),
        ("result", format!("{measured}generate_result.snap")),
        ("result", format!("{measured}bench_result.snap")),
        ("result", format!("{measured}failed_result.snap")),
    ] {
        let mut record = snapshot(&file);
        assert_eq!(violations(schema, &record), Vec::<String>::new(), "{file}");
        record["from a later version"] = json!(1);
        assert_eq!(violations(schema, &record), Vec::<String>::new(), "{file}");
    }
    for (schema, file) in [
        ("state", "states_of_a_life"),
        ("model", "states_of_a_model"),
    ] {
        let states = snapshot(&format!("tests/snapshots/records__{file}.snap"));
        for state in states.as_array().unwrap() {
            assert_eq!(violations(schema, state), Vec::<String>::new());
        }
    }
}

/// A schema that takes everything would pass every other test.
#[test]
fn a_record_that_breaks_the_contract_is_found() {
    let rail = snapshot("tests/snapshots/records__rail.snap");
    let broken = |field: &str, value: Value| {
        let mut record = rail.clone();
        record[field] = value;
        violations("rail", &record)
    };
    assert!(
        broken("power_w", json!("3.1"))
            .iter()
            .any(|found| found.contains("/power_w"))
    );
    assert!(!broken("quality", json!("fine")).is_empty());
    assert!(!broken("mono_ns", json!(-1)).is_empty());
    for field in types::stamp() {
        let mut record = rail.clone();
        record.as_object_mut().unwrap().remove(&field);
        assert!(
            !violations("rail", &record).is_empty(),
            "{field} is not required"
        );
    }
    let mut result = snapshot("src/measure/snapshots/jouled__measure__tests__generate_result.snap");
    result["reps"][0]["decode"]["tokens"] = Value::Null;
    assert!(!violations("result", &result).is_empty());
}

/// The schema of a job and the daemon's own check, at each bound that no administrator moves.
#[test]
fn the_schema_of_a_job_has_its_bounds() {
    let generate = json!({"id": "a", "kind": "generate", "model": "m", "prompt": "p"});
    let bench = json!({"id": "a", "kind": "bench", "model": "m"});
    let perplexity = json!({"id": "a", "kind": "perplexity", "model": "m", "data": "wiki.txt"});
    let choice = json!({"id": "a", "kind": "choice", "model": "m", "data": "arc.jsonl"});
    let long = |n| json!("p".repeat(n));
    let tags = |n: usize| {
        let tags = (0..n).map(|n| (n.to_string(), json!("x")));
        Value::Object(tags.collect())
    };
    #[rustfmt::skip]
    let cases: Vec<(&Value, &str, Vec<Value>, Vec<Value>)> = vec![
        (&generate, "/id", vec![long(64)], vec![long(65), json!(""), json!("a/b"), json!("é"), json!(7), json!(null)]),
        (&generate, "/model", vec![long(128)], vec![long(129), json!(".."), json!("a/b"), json!(null)]),
        (&generate, "/prompt", vec![json!("x")], vec![json!(""), json!(null), json!(["x"])]),
        (&generate, "/kind", vec![], vec![json!("dream"), json!(null)]),
        (&generate, "/v", vec![json!(1)], vec![json!(0), json!(2)]),
        (&generate, "/n_predict", vec![json!(1)], vec![json!(0), json!(-1), json!(1.5)]),
        (&generate, "/repetitions", vec![json!(1)], vec![json!(0)]),
        (&generate, "/warmup", vec![json!(0), json!(10)], vec![json!(11)]),
        (&generate, "/timeout_s", vec![json!(1)], vec![json!(0), json!("1h")]),
        (&generate, "/max_attempts", vec![json!(1), json!(10)], vec![json!(0), json!(11)]),
        (&generate, "/priority", vec![json!(i32::MIN), json!(i32::MAX)], vec![json!(0.5)]),
        (&generate, "/deadline_unix_s", vec![json!(null), json!(7)], vec![json!("now")]),
        (&generate, "/idle", vec![json!({"before_s": 600}), json!({"after_s": 0})], vec![json!({"before_s": 600.1}), json!({"after_s": -1}), json!({"x": 1})]),
        (&generate, "/params", vec![json!({"n_ctx": 512, "n_batch": 1}), json!({"threads": null}), json!({"gpu_layers": 10_000}), json!({"temperature": 10})],
            vec![json!({"n_ctx": 15}), json!({"n_batch": 0}), json!({"threads": 0}), json!({"gpu_layers": 10_001}), json!({"temperature": 10.1}), json!({"kv_type": "f8"}), json!({"x": 1})]),
        (&generate, "/publish", vec![json!({"tokens_every_ms": 60_000})], vec![json!({"tokens_every_ms": 60_001}), json!({"tokens": "never"})]),
        (&generate, "/model_sha256", vec![json!(null), json!("0".repeat(64))], vec![json!("0".repeat(63)), json!("g".repeat(64))]),
        (&generate, "/tags", vec![tags(32), json!({"k".repeat(64): "v".repeat(256)})], vec![tags(33), json!({"k".repeat(65): "v"}), json!({"k": "v".repeat(257)}), json!([]), json!({"k": 1})]),
        (&generate, "/n_gen", vec![json!(null)], vec![json!(1)]),
        (&generate, "/messages", vec![json!(null)], vec![json!([{"role": "user", "content": "x"}])]),
        (&bench, "/n_gen", vec![json!(0), json!(null)], vec![json!(-1)]),
        (&bench, "/prompt", vec![json!(null)], vec![json!("p")]),
        (&bench, "/data", vec![json!(null)], vec![json!("wiki.txt")]),
        (&perplexity, "/data", vec![long(128)], vec![long(129), json!(null), json!(".."), json!("a/b")]),
        (&perplexity, "/n_chunks", vec![json!(1), json!(null)], vec![json!(0), json!(-1)]),
        (&perplexity, "/n_items", vec![json!(null)], vec![json!(1)]),
        (&choice, "/n_items", vec![json!(1), json!(null)], vec![json!(0)]),
        (&choice, "/n_chunks", vec![json!(null)], vec![json!(1)]),
        (&choice, "/prompt", vec![json!(null)], vec![json!("p")]),
    ];
    for (base, path, taken, refused) in cases {
        let with = |value: &Value| {
            let mut job = base.clone();
            job[path.trim_start_matches('/')] = value.clone();
            let parsed =
                jouled::workload::Job::parse(job.to_string().as_bytes(), &Default::default());
            (violations("job", &job), parsed)
        };
        for value in taken {
            let (found, parsed) = with(&value);
            assert!(
                found.is_empty() && parsed.is_ok(),
                "{path} = {value}: {found:?} {parsed:?}"
            );
        }
        for value in refused {
            let (found, parsed) = with(&value);
            assert!(
                !found.is_empty() && parsed.is_err(),
                "{path} = {value}: {parsed:?}"
            );
        }
    }
    let mut talk = generate.clone();
    talk.as_object_mut().unwrap().remove("prompt");
    assert!(!violations("job", &talk).is_empty());
    talk["messages"] = json!([{"role": "user", "content": "Why?"}]);
    assert_eq!(violations("job", &talk), Vec::<String>::new());
}

/// A job's life with everything that it can publish, and each command's answer.
#[test]
fn what_a_board_sends_is_what_the_contract_says() {
    // Nobody listens at that address: what is told of the model is that it waits, or failed.
    let offered = format!(
        "[[catalogue]]\nname = \"m.gguf\"\nurl = \"https://127.0.0.1:1/m\"\nsha256 = \"{}\"\n",
        "ab".repeat(32)
    );
    let mut rig = Rig::start_with(support::daemon::STEADY, |daemon| {
        daemon.configure("10.toml", &offered);
    });
    let mut sub = MosquittoSub::start(rig.broker.port, &["jouled/#"]);
    sub.wait("status", |seen| seen.topic == topic("status"));
    let mut changes = watched();
    changes["publish"]["trace"] = json!(true);
    rig.submit(&job("a", changes));
    rig.lab.publish(&topic("cmd/cancel"), "{}");
    rig.lab
        .publish(&topic("cmd/models"), r#"{"fetch":"m.gguf"}"#);
    let mut kinds = BTreeSet::new();
    for (published, schema, retained) in asyncapi::published() {
        let levels: Vec<&str> = published.split('/').collect();
        let fits = |seen: &Seen| {
            let of_seen = seen.topic.split('/');
            seen.topic.split('/').count() == levels.len()
                && of_seen
                    .zip(&levels)
                    .all(|(a, b)| b.starts_with('{') || a == *b)
        };
        let seen = sub.wait(&published, fits);
        assert_eq!(seen.retained, retained, "{}", seen.topic);
        assert_eq!(violations(schema, &seen.json()), Vec::<String>::new());
        kinds.insert(schema);
    }
    assert_eq!(kinds.len(), asyncapi::published().len(), "{kinds:?}");

    for (command, payload) in [
        ("submit", job("b", json!({}))),
        ("submit", json!({"id": "c"})),
        ("cancel", json!({"id": "a"})),
        ("jobs", json!({"limit": 5})),
        ("jobs", json!({"id": "a"})),
        ("queue", json!({})),
        ("replay", json!({"id": "a"})),
        ("models", json!({})),
        ("models", json!({"fetch": "m.gguf"})),
        ("models", json!({"fetch": "n.gguf"})),
    ] {
        let mut received = asyncapi::received().into_iter();
        let known = received.find(|known| known.name == command).unwrap();
        let answer = rig.ask(command, &payload);
        let found = violations(known.answer, &answer);
        assert_eq!(found, Vec::<String>::new(), "{command}: {answer}");
    }
}
