//! What the types of a job don't say by themselves: which fields a kind needs, and the bounds
//! of tags. The checks themselves are in `check`; tests/schema.rs holds the two together.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// One condition a kind: what it needs, and what belongs to other kinds.
pub(super) fn kinds() -> Value {
    json!([
        {
            "if": {"properties": {"kind": {"const": "generate"}}},
            "then": {
                "required": ["model"],
                "properties": properties(&["n_prompt", "n_gen", "n_depth", "data", "n_chunks", "n_items", "duration_s"]),
                "oneOf": [
                    {
                        "required": ["prompt"],
                        "properties": {
                            "prompt": {"type": "string", "minLength": 1},
                            "messages": {"type": "null"},
                        },
                    },
                    {
                        "required": ["messages"],
                        "properties": {
                            "prompt": {"type": "null"},
                            "messages": {"type": "array", "minItems": 1},
                        },
                    },
                ],
            },
        },
        {
            "if": {"properties": {"kind": {"const": "bench"}}},
            "then": {
                "required": ["model"],
                "properties": properties(&["prompt", "messages", "data", "n_chunks", "n_items", "duration_s"]),
            },
        },
        of_data("perplexity", "n_items"),
        of_data("choice", "n_chunks"),
    ])
}

fn properties(absent: &[&str]) -> Value {
    let null = |field: &&str| (field.to_string(), json!({"type": "null"}));
    let mut properties: Map<String, Value> = absent.iter().map(null).collect();
    properties.insert("model".to_owned(), json!({"type": "string"}));
    Value::Object(properties)
}

/// A kind that reads data.
fn of_data(kind: &str, foreign: &str) -> Value {
    let absent = [
        "prompt",
        "messages",
        "n_prompt",
        "n_gen",
        "n_depth",
        foreign,
        "duration_s",
    ];
    let mut properties = properties(&absent);
    properties["data"] = json!({"type": "string"});
    json!({
        "if": {"properties": {"kind": {"const": kind}}},
        "then": {"required": ["model", "data"], "properties": properties},
    })
}

pub(super) fn tags(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "propertyNames": {"maxLength": 64},
        "additionalProperties": {"type": "string", "maxLength": 256},
    })
}
