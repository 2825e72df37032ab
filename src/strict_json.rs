//! Reads JSON from outside, and says what is wrong with it without repeating what it holds.
//! A refusal goes into the log and to topics that others read, and a prompt in the wrong field
//! is a prompt still. Fields are named where their names can be ones; values never are, but for
//! numbers.

use serde::Deserialize;
use serde_json::error::Category;

/// What is wrong, and in which field. No text of the payload is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JsonError {
    pub message: String,
    /// The field's path, where one is at fault and its name can be one.
    pub field: Option<String>,
}

/// Reads all of `payload`. Own errors of `T`, such as those of names, must not quote values.
pub fn read<'p, T: Deserialize<'p>>(payload: &'p [u8]) -> Result<T, JsonError> {
    let mut json = serde_json::Deserializer::from_slice(payload);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let message = without_values(error.inner());
        // serde leaves the field out of the path where it names it in the message.
        let named = message.split_once(" field `").map(|(_, rest)| rest);
        let named = named.and_then(|rest| rest.split('`').next());
        let field = named.map(str::to_owned).unwrap_or(path);
        JsonError {
            field: can_be_a_field(&field).then_some(field),
            message,
        }
    })?;
    json.end().map_err(|_| JsonError {
        message: "text follows after the end".to_owned(),
        field: None,
    })?;
    // serde would also take the fields' values in a list, in an order that nobody promised.
    if !payload.trim_ascii_start().starts_with(b"{") {
        return Err(JsonError {
            message: "is not a JSON object".to_owned(),
            field: None,
        });
    }
    Ok(value)
}

const LONGEST_FIELD: usize = 64;

/// Whether `path` looks like fields and indices, such as `messages[0].role`.
fn can_be_a_field(path: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
    (1..=LONGEST_FIELD).contains(&path.len()) && path != "." && path.bytes().all(is_part)
}

/// serde_json's message without strings of the payload, and without a position, which means
/// nothing to an MQTT client.
pub fn without_values(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(end) = text.rfind(" at line ") {
        text.truncate(end);
    }
    // Syntax errors are sentences of serde_json's own.
    if error.classify() != Category::Data {
        return text;
    }
    // What follows the last one is the type's own word on what it wants.
    let expected = text.rfind(", expected ").map_or("", |start| &text[start..]);
    const QUOTING: [&str; 5] = [
        "invalid type: string",
        "invalid type: character",
        "invalid value: string",
        "invalid value: character",
        "unknown variant",
    ];
    if let Some(what) = QUOTING.iter().find(|what| text.starts_with(**what)) {
        return format!("{what}{expected}");
    }
    match text.strip_prefix("unknown field `") {
        Some(rest) => {
            let name = rest.strip_suffix(expected).unwrap_or(rest);
            match name.strip_suffix('`').filter(|name| can_be_a_field(name)) {
                Some(_) => text,
                None => format!("unknown field{expected}"),
            }
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Job;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const CANARY: &str = "my secret, expected `a`, at line 3";

    fn refused(change: impl FnOnce(&mut Value)) -> JsonError {
        let mut job = json!({"id": "a", "kind": "generate", "prompt": "Why?"});
        change(&mut job);
        read::<Job>(job.to_string().as_bytes()).expect_err("this job must be refused")
    }

    #[test]
    fn a_refusal_names_field_and_kind_and_quotes_no_text() {
        let error = refused(|job| job["n_predict"] = json!(CANARY));
        assert_eq!(error.message, "invalid type: string, expected u32");
        assert_eq!(error.field.as_deref(), Some("n_predict"));
        let error = refused(|job| job["n_predict"] = json!(-1));
        assert!(error.message.contains("-1"), "{error:?}");
        let error = refused(|job| job["kind"] = json!("gen"));
        assert!(
            error
                .message
                .starts_with("unknown variant, expected one of `generate`")
        );
        let error = refused(|job| job["tmeout_s"] = json!(1));
        assert!(
            error
                .message
                .starts_with("unknown field `tmeout_s`, expected one of `v`")
        );
        assert_eq!(error.field.as_deref(), Some("tmeout_s"));
        let error = refused(|job| job[CANARY] = json!(1));
        assert!(
            error.message.starts_with("unknown field, expected"),
            "{error:?}"
        );
        assert_eq!(error.field, None);
        let error = refused(|job| job["messages"] = json!([{"role": [CANARY]}]));
        assert_eq!(error.field.as_deref(), Some("messages[0].role"));
    }

    #[test]
    fn what_follows_the_end_is_refused() {
        let error = read::<Value>(b"{} {}").expect_err("two values");
        assert_eq!(
            (error.message.as_str(), error.field),
            ("text follows after the end", None)
        );
    }

    /// The canary, wrapped or not, in any field of a job and of its blocks.
    fn misplaced() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(CANARY)),
            Just(json!([CANARY])),
            Just(json!({CANARY: 1})),
            Just(json!({"text": CANARY})),
        ];
        let fields = prop_oneof![
            Just("/id"),
            Just("/kind"),
            Just("/n_predict"),
            Just("/params"),
            Just("/idle"),
            Just("/publish"),
            Just("/messages"),
            Just("/tags"),
            Just("/v"),
            Just("/priority"),
            Just("/params/flash_attn"),
            Just("/params/kv_type"),
            Just("/params/mmap"),
            Just("/idle/before_s"),
            Just("/publish/tokens"),
            Just("/model"),
            Just("/nonsense"),
        ];
        (fields, leaf).prop_map(|(field, value)| {
            let mut job = json!({"id": "a", "kind": "generate", "prompt": CANARY,
                "params": {}, "idle": {}, "publish": {}});
            let (block, name) = field.rsplit_once('/').expect("a slash");
            let block = job.pointer_mut(block).expect("it is there");
            block[name] = value;
            job
        })
    }

    proptest! {
        #[test]
        fn no_field_of_the_wrong_type_is_quoted(job in misplaced()) {
            if let Err(error) = read::<Job>(job.to_string().as_bytes()) {
                prop_assert!(!format!("{error:?}").contains("secret"), "{error:?}");
            }
        }
    }
}
