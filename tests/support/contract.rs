//! Everything that boards send is held against the published schemas, in every test that sees
//! it. What clients send is not: tests send much that is wrong on purpose.

use super::lab::Seen;
use jsonschema::Validator;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Compiled once a process.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

fn validator(schema: &str) -> Arc<Validator> {
    let mut known = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(validator) = known.get(schema) {
        return Arc::clone(validator);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
    let text = std::fs::read_to_string(folder.join(format!("{schema}.json")))
        .unwrap_or_else(|error| panic!("docs/schemas/{schema}.json: {error}"));
    let text = serde_json::from_str(&text).expect("a schema is JSON");
    let validator = Arc::new(jsonschema::validator_for(&text).expect("a schema"));
    known.insert(schema.to_owned(), Arc::clone(&validator));
    validator
}

/// What is wrong with a value by a schema of docs/schemas, each with its place.
pub fn violations(schema: &str, value: &Value) -> Vec<String> {
    let validator = validator(schema);
    let errors = validator.iter_errors(value);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// The schema of what boards publish on this topic.
fn schema(topic: &str) -> Option<&str> {
    let levels: Vec<&str> = topic.split('/').collect();
    match levels[..] {
        // Not a board's: tests of the way to the broker send stand-ins for records.
        ["jouled", "bench", ..] => None,
        ["jouled", _, "jobs", id, _] if id.starts_with("stand-in-") => None,
        ["jouled", _, record @ ("status" | "info" | "health")] => Some(record),
        ["jouled", _, "events"] => Some("event"),
        ["jouled", _, "rails", _] => Some("rail"),
        ["jouled", _, "models", _, "state"] => Some("model"),
        [
            "jouled",
            _,
            "jobs",
            _,
            record @ ("state" | "tokens" | "trace" | "result"),
        ] => Some(record),
        _ => None,
    }
}

/// Fails the test if a board sent what its contract does not allow.
pub fn check(seen: &Seen) {
    // An empty payload is no record: it clears what the broker kept of the topic.
    let Some(schema) = schema(&seen.topic).filter(|_| !seen.text.is_empty()) else {
        return;
    };
    let Ok(record) = serde_json::from_str(&seen.text) else {
        panic!("{}: no JSON: {}", seen.topic, seen.text);
    };
    let found = violations(schema, &record);
    assert!(
        found.is_empty(),
        "{} breaks docs/schemas/{schema}.json: {found:#?}\n{}",
        seen.topic,
        seen.text
    );
}

/// Checks what came and nobody waited for, when a test ends that has not failed.
pub fn check_rest(rest: impl Iterator<Item = Seen>) {
    if !std::thread::panicking() {
        rest.for_each(|seen| check(&seen));
    }
}
