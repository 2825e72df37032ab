//! Result records in files, as `submit --out`, `demo` and any subscriber of
//! `jobs/<id>/result` write them.

use super::LabError;
use crate::record::result::JobResult;
use crate::record::{Stamped, VERSION};
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// A record is at most 128 KiB; a file far beyond that is something else.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Reads a result record; `-` is standard input.
///
/// Errors: usage errors that say what the file is instead, where that can be told.
pub fn read_result(file: &Path) -> Result<Stamped<JobResult>, LabError> {
    let name = match file == Path::new("-") {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    };
    let usage = |text: String| LabError::Usage(format!("{name}: {text}"));
    let mut text = String::new();
    let outcome = if file == Path::new("-") {
        std::io::stdin().take(MOST_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text))
    };
    outcome.map_err(|error| usage(error.to_string()))?;
    parse(&text).map_err(usage)
}

fn parse(text: &str) -> Result<Stamped<JobResult>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        format!("no JSON ({error}); a result record is one JSON object, as `joulectl submit --out` writes it")
    })?;
    if !value.is_object() {
        return Err("not a result record, but some other JSON".to_owned());
    }
    if let Some(what) = instead(&value) {
        return Err(format!(
            "{what}, not a result record; that is what jobs/<id>/result says"
        ));
    }
    if value["v"] != VERSION {
        return Err(format!(
            "a record of version {}; this joulectl reads version {VERSION}",
            value["v"]
        ));
    }
    serde_json::from_value(value).map_err(|error| format!("not a whole result record: {error}"))
}

/// What a JSON object is when it is no result.
fn instead(value: &Value) -> Option<&'static str> {
    let has = |field: &str| value.get(field).is_some();
    if has("reps") && has("rails") {
        None
    } else if has("tokens") && has("seq") {
        Some("a tokens record")
    } else if has("dt_ns") {
        Some("a trace record")
    } else if has("rev") {
        Some("a state record")
    } else if has("prompt") || has("messages") || has("n_gen") {
        Some("a job")
    } else {
        Some("some other JSON object")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::testing;

    #[test]
    fn a_result_is_read_back() {
        let result = testing::result();
        let text = String::from_utf8(result.to_json()).unwrap();
        assert_eq!(parse(&text).unwrap(), result);
    }

    #[test]
    fn anything_else_is_named() {
        let tokens = testing::tokens(testing::DEVICE, testing::ID);
        let tokens = String::from_utf8(tokens[0].to_json()).unwrap();
        let trace = testing::trace(testing::DEVICE, testing::ID);
        let trace = String::from_utf8(trace[0].to_json()).unwrap();
        let result = String::from_utf8(testing::result().to_json()).unwrap();
        for (text, part) in [
            ("", "no JSON"),
            ("{\"v\":", "no JSON"),
            ("[]", "some other JSON"),
            ("{}", "some other JSON object"),
            (&tokens, "a tokens record"),
            (&trace, "a trace record"),
            ("{\"id\":\"a\",\"prompt\":\"b\"}", "a job"),
            (&result.replace("\"v\":1", "\"v\":2"), "version 2"),
            (
                &result.replace("\"attempt\":1", "\"attempt\":-1"),
                "not a whole result",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_a_usage_error() {
        let error = read_result(Path::new("/nonexistent/a.json")).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("/nonexistent/a.json"));
    }
}
