//! Records in files, as `submit --out`, `demo` and any subscriber of `jobs/<id>/#` write them.

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
    let text = read(file)?;
    parse(&text).map_err(|error| usage(file, &error))
}

/// Reads a result record as it was written, with every field that it has.
///
/// Errors: as of [`read_result`].
pub fn read_result_json(file: &Path) -> Result<Value, LabError> {
    let text = read(file)?;
    result_json(&text).map_err(|error| usage(file, &error))
}

/// Reads token records as they were written, one a line.
///
/// Errors: usage errors that name the first line that is none.
pub fn read_tokens_json(file: &Path) -> Result<Vec<Value>, LabError> {
    let text = std::fs::read_to_string(file).map_err(|error| usage(file, &error))?;
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            tokens_json(line).map_err(|why| usage(file, &format!("line {}: {why}", index + 1)))
        })
        .collect()
}

fn read(file: &Path) -> Result<String, LabError> {
    let mut text = String::new();
    let outcome = if file == Path::new("-") {
        std::io::stdin().take(MOST_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text))
    };
    outcome.map_err(|error| usage(file, &error))?;
    Ok(text)
}

fn usage(file: &Path, error: &dyn std::fmt::Display) -> LabError {
    let name = match file == Path::new("-") {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    };
    LabError::Usage(format!("{name}: {error}"))
}

fn parse(text: &str) -> Result<Stamped<JobResult>, String> {
    serde_json::from_value(result_json(text)?)
        .map_err(|error| format!("not a whole result record: {error}"))
}

fn tokens_json(line: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON ({error})"))?;
    match kind(&value) {
        Kind::Tokens => Ok(value),
        other => Err(format!("{}, not a tokens record", other.name())),
    }
}

fn result_json(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        format!("no JSON ({error}); a result record is one JSON object, as `joulectl submit --out` writes it")
    })?;
    if !value.is_object() {
        return Err("not a result record, but some other JSON".to_owned());
    }
    let kind = kind(&value);
    if kind != Kind::Result {
        return Err(format!(
            "{}, not a result record; that is what jobs/<id>/result says",
            kind.name()
        ));
    }
    if value["v"] != VERSION {
        return Err(format!(
            "a record of version {}; this joulectl reads version {VERSION}",
            value["v"]
        ));
    }
    Ok(value)
}

/// What a JSON value is, by the fields that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Result,
    Tokens,
    Trace,
    State,
    Job,
    Other,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Result => "a result record",
            Self::Tokens => "a tokens record",
            Self::Trace => "a trace record",
            Self::State => "a state record",
            Self::Job => "a job",
            Self::Other => "some other JSON object",
        }
    }
}

fn kind(value: &Value) -> Kind {
    let has = |field: &str| value.get(field).is_some();
    if has("reps") && has("rails") {
        Kind::Result
    } else if has("tokens") && has("seq") {
        Kind::Tokens
    } else if has("dt_ns") {
        Kind::Trace
    } else if has("rev") {
        Kind::State
    } else if has("prompt") || has("messages") || has("n_gen") {
        Kind::Job
    } else {
        Kind::Other
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
    fn token_records_are_read_line_by_line() {
        let records = testing::tokens(testing::DEVICE, testing::ID);
        let line = |n: usize| String::from_utf8(records[n].to_json()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.jsonl");
        std::fs::write(&path, format!("{}\n\n", line(0))).unwrap();
        let read = read_tokens_json(&path).unwrap();
        assert_eq!(read[0]["seq"], records[0].body.seq);
        assert_eq!(read.len(), 1);
        for (text, part) in [
            (format!("{}\n{{\"v\":1", line(0)), "line 2: no JSON"),
            ("{\"dt_ns\":[]}".to_owned(), "line 1: a trace record"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read_tokens_json(&path).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_a_usage_error() {
        let error = read_result(Path::new("/nonexistent/a.json")).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("/nonexistent/a.json"));
    }
}
