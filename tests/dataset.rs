//! Datasets as their users meet them: read by the programs that people have, described as they
//! are, whole after a kill, and the same figures in the notebook as in the records.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "common/canned.rs"]
mod canned;
#[path = "dataset/document.rs"]
mod document;
#[cfg(feature = "llama")]
#[path = "dataset/notebook.rs"]
mod notebook;
#[path = "dataset/readers.rs"]
mod readers;
mod support;
#[path = "dataset/torn.rs"]
mod torn;

use jouled::lab::dataset::{Format, PartName, Record, Rows, Written};
use std::path::Path;
use std::process::Command;

/// A record as it was published.
struct Message {
    topic: String,
    payload: Vec<u8>,
}

impl Message {
    fn record(&self) -> Record {
        let record = Record::parse("jouled", &self.topic, &self.payload);
        record
            .unwrap_or_else(|error| panic!("{}: {error}", self.topic))
            .expect("a topic that is kept")
    }
}

/// What a board publishes about a job on that day: three repetitions with tokens, and a part of the trace.
fn job(device: &str, id: &str, day: &str) -> Vec<Message> {
    let message = |kind: &str, payload: Vec<u8>| Message {
        topic: format!("jouled/{device}/jobs/{id}/{kind}"),
        payload: String::from_utf8(payload)
            .unwrap()
            .replace("2026-11-21T", &format!("{day}T"))
            .into_bytes(),
    };
    let mut messages = Vec::new();
    for tokens in canned::tokens(device, id) {
        messages.push(message("tokens", tokens.to_json()));
    }
    // The chunk with a gap in it.
    let trace = canned::trace(device, id).swap_remove(2);
    messages.push(message("trace", trace.to_json()));
    messages.push(message("result", canned::result(device, id).to_json()));
    let stamp = format!(
        "\"v\":1,\"device\":\"{device}\",\"time\":\"{day}T10:00:00.000Z\",\"mono_ns\":5,\
         \"boot_id\":\"6c0f\",\"clock_sync\":true"
    );
    let body = |text: &str| format!("{{{stamp},{text}}}").into_bytes();
    messages.push(message(
        "state",
        body(&format!(
            "\"id\":\"{id}\",\"attempt\":1,\"rev\":3,\"state\":\"succeeded\",\"phase\":null,\
             \"progress\":null,\"reason\":null"
        )),
    ));
    let board = |topic: &str, text: &str| Message {
        topic: format!("jouled/{device}/{topic}"),
        payload: body(text),
    };
    messages.push(board(
        "rails/input",
        "\"rail\":\"input\",\"simulated\":true,\"power_w\":3.1,\"voltage_v\":null,\
         \"current_a\":0.6,\"energy_wh\":0.5,\"quality\":\"good\"",
    ));
    messages.push(board(
        "health",
        "\"sensors\":{\"input\":{\"rate_hz\":null,\"missed_deadlines\":0,\"dropped\":0,\
         \"errors\":0,\"state\":\"ok\",\"reason\":null}},\"queue\":0,\"outbox\":{\"pending\":0,\
         \"oldest_s\":null,\"parked\":0,\"expired\":0,\"dropped\":0},\"rss_bytes\":9000000,\
         \"disk_free_bytes\":null",
    ));
    messages.push(board(
        "events",
        "\"code\":\"sensor-failed\",\"message\":\"input: gone, \\\"again\\\"\"",
    ));
    messages
}

fn write(root: &Path, format: Format, part: &str, messages: &[Message]) -> Written {
    let mut rows = Rows::default();
    for message in messages {
        rows.add(&message.record());
    }
    let part: PartName = part.parse().unwrap();
    rows.write(root, format, &part).unwrap()
}

/// A Python that has what tests/dataset/requirements.txt lists.
fn python() -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test-peers");
    let output = Command::new(script).arg("dataset").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    Command::new(String::from_utf8(output.stdout).unwrap().trim())
}

fn in_repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
