//! The schema of everything that crosses the wire, from the types themselves.

use jouled::mqtt::command;
use jouled::record::answer::{Event, Listing, Place, Refusal, Replayed, Standing};
use jouled::record::device::{Health, Info, RailRecord, Status};
use jouled::record::job::{State, Tokens, Trace};
use jouled::record::model::{ModelRecord, ModelsAnswer};
use jouled::record::probe::ProbeReport;
use jouled::record::result::JobResult;
use jouled::record::{Stamp, Stamped};
use jouled::workload::Job;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Every schema by its name, in the order of docs/mqtt.md.
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        record::<Status>(
            "status",
            "Whether the board is there; offline is its last will",
        ),
        record::<Info>("info", "What the board is and can do"),
        record::<Health>("health", "How the board itself does, every 10 s"),
        record::<RailRecord>("rail", "Present power of a rail, at most once a second"),
        record::<Event>("event", "A rejection, a fault or a recovery"),
        record::<State>("state", "Where a job stands"),
        record::<Tokens>("tokens", "Energy of each token, a batch of one repetition"),
        record::<Trace>("trace", "Power of one rail over the attempt, a chunk"),
        record::<JobResult>("result", "Everything about an attempt"),
        record::<ModelRecord>("model", "How far a model is that is fetched"),
        command::<Job>("job", "A job, for cmd/submit"),
        command::<command::Cancel>("cancel", "Cancels a job, for cmd/cancel"),
        command::<command::Jobs>("jobs", "Asks for jobs, for cmd/jobs"),
        command::<command::Queue>("queue", "Sets or asks the queue's mode, for cmd/queue"),
        command::<command::Replay>("replay", "Has records sent again, for cmd/replay"),
        command::<command::Models>("models", "Asks for models, for cmd/models"),
        answer::<Place>("answer-submit", "The answer to cmd/submit and cmd/cancel"),
        answer::<Listing>("answer-jobs", "The answer to cmd/jobs"),
        answer::<Standing>("answer-queue", "The answer to cmd/queue"),
        answer::<Replayed>("answer-replay", "The answer to cmd/replay"),
        answer::<ModelsAnswer>("answer-models", "The answer to cmd/models"),
        printed::<ProbeReport>("probe", "What `jouled probe --json` prints"),
    ]
}

/// A record with its stamp. Readers ignore fields that they don't know.
fn record<T: JsonSchema>(name: &'static str, title: &str) -> (&'static str, Value) {
    let mut schema = written::<Stamped<T>>();
    // The stamp is flat in the record, so that the record's own words have to be put back.
    match written::<T>().get("description") {
        Some(words) => schema["description"] = words.clone(),
        None => drop(
            schema
                .as_object_mut()
                .expect("an object")
                .remove("description"),
        ),
    }
    headed(name, title, schema)
}

/// What a client sends: fields that are not known are errors.
fn command<T: JsonSchema>(name: &'static str, title: &str) -> (&'static str, Value) {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let schema = settings.into_generator().into_root_schema_for::<T>();
    headed(name, title, schema.to_value())
}

/// `ok` with the body beside it, or `ok` false and the refusal.
fn answer<T: JsonSchema>(name: &'static str, title: &str) -> (&'static str, Value) {
    let mut body = written::<T>();
    let mut refusal = written::<Refusal>();
    let mut definitions = Map::new();
    for part in [&mut body, &mut refusal] {
        let part = part.as_object_mut().expect("an object");
        part.remove("$schema");
        if let Some(Value::Object(own)) = part.remove("$defs") {
            definitions.extend(own);
        }
    }
    definitions.insert("Refusal".to_owned(), refusal);
    // The body is the whole answer but for `ok`.
    let body = body.as_object_mut().expect("an object");
    let words = body.remove("description");
    let properties = body.entry("properties").or_insert_with(|| json!({}));
    properties["ok"] = json!({"const": true});
    let required = body.entry("required").or_insert_with(|| json!([]));
    required
        .as_array_mut()
        .expect("a list")
        .insert(0, json!("ok"));
    body.insert("title".to_owned(), json!("Done"));
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "oneOf": [body, {
            "title": "Refused",
            "type": "object",
            "required": ["ok", "error"],
            "properties": {"ok": {"const": false}, "error": {"$ref": "#/$defs/Refusal"}},
        }],
        "$defs": definitions,
    });
    if let Some(words) = words {
        schema["description"] = words;
    }
    headed(name, title, schema)
}

fn printed<T: JsonSchema>(name: &'static str, title: &str) -> (&'static str, Value) {
    headed(name, title, written::<T>())
}

/// The schema of what is serialised: a field that is always there is required, also where it
/// may be `null`.
fn written<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    open(&mut schema);
    schema
}

/// Opens what is shared with commands to fields that are not known, and drops their defaults.
fn open(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("additionalProperties") == Some(&Value::Bool(false)) {
                map.remove("additionalProperties");
            }
            map.remove("default");
            map.values_mut().for_each(open);
        }
        Value::Array(list) => list.iter_mut().for_each(open),
        _ => {}
    }
}

fn headed(name: &'static str, title: &str, mut schema: Value) -> (&'static str, Value) {
    schema["$id"] = json!(format!(
        "urn:jouled:schema:{}:{name}",
        jouled::record::VERSION
    ));
    schema["title"] = json!(title);
    (name, schema)
}

/// The fields that every record carries.
pub fn stamp() -> Vec<String> {
    let schema = written::<Stamp>();
    let properties = schema["properties"].as_object().expect("an object");
    properties.keys().cloned().collect()
}
