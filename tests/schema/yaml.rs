//! YAML for people: keys in the order in which one reads them, texts plain where that is safe.

use serde_json::Value;

/// Keys that come first, in this order; the others follow by name.
const FIRST: [&str; 20] = [
    "asyncapi",
    "id",
    "info",
    "defaultContentType",
    "servers",
    "name",
    "title",
    "version",
    "summary",
    "description",
    "address",
    "host",
    "protocol",
    "protocolVersion",
    "action",
    "channel",
    "parameters",
    "$ref",
    "headers",
    "payload",
];

pub fn document(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, depth: usize, out: &mut String) {
    let margin = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let rank = |key: &str| FIRST.iter().position(|first| *first == key);
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_by_key(|key| (rank(key).unwrap_or(FIRST.len()), key.as_str()));
            for key in keys {
                out.push_str(&format!("{margin}{}:", text(key)));
                beside(&map[key], depth, out);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for item in list {
                // The item begins beside its dash, which takes the room of a margin.
                let mut lines = String::new();
                block(item, depth + 1, &mut lines);
                out.push_str(&format!("{margin}- {}", lines.trim_start()));
            }
        }
        other => out.push_str(&format!("{margin}{}\n", scalar(other))),
    }
}

/// What follows a key or a dash: on the same line if it is short, else below it.
fn beside(value: &Value, depth: usize, out: &mut String) {
    let is_list_of_numbers =
        |list: &Vec<Value>| list.iter().all(|v| !v.is_object() && !v.is_array());
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            block(value, depth + 1, out);
        }
        Value::Array(list) if !list.is_empty() && is_list_of_numbers(list) => {
            let items: Vec<String> = list.iter().map(Value::to_string).collect();
            out.push_str(&format!(" [{}]\n", items.join(", ")));
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            block(value, depth + 1, out);
        }
        other => out.push_str(&format!(" {}\n", scalar(other))),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        other => other.to_string(),
    }
}

/// JSON's quotes are YAML's; words that YAML reads as something else keep them.
fn text(string: &str) -> String {
    let is_plain = string.starts_with(|first: char| first.is_ascii_alphabetic() || first == '$')
        && string
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./ ,()$".contains(c))
        && !string.ends_with(' ');
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .contains(&string.to_lowercase().as_str());
    match is_plain && !is_word {
        true => string.to_owned(),
        false => Value::String(string.to_owned()).to_string(),
    }
}
