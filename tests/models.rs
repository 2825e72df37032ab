//! The models of a study: quantised by llama.cpp's own quantiser, fetched from servers of every
//! manner, verified.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "lab", feature = "llama"))]

#[path = "models/get.rs"]
mod get;
#[path = "models/quantize.rs"]
mod quantize;
#[path = "models/study.rs"]
mod study;
mod support;
#[path = "models/terminal.rs"]
mod terminal;
#[path = "models/wheels.rs"]
mod wheels;

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Output;

fn sha256(content: &[u8]) -> String {
    jouled::workload::job::hex(&Sha256::digest(content))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The code that it ends with, and what it says on standard error.
fn refusal(output: &Output) -> (i32, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    (output.status.code().unwrap(), said)
}

fn succeeded(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What stands in the `.json` beside a model, whose hash and size it must be.
fn provenance(model: &Path) -> Value {
    let beside = PathBuf::from(format!("{}.json", model.display()));
    let known: Value = serde_json::from_slice(&std::fs::read(beside).unwrap()).unwrap();
    let content = std::fs::read(model).unwrap();
    assert_eq!(known["sha256"], sha256(&content));
    assert_eq!(known["size_bytes"], content.len());
    assert_eq!(known["name"], model.file_name().unwrap().to_str().unwrap());
    known
}

/// Names of all files, hidden ones too.
fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The `[[catalogue]]` blocks that were printed, as a board reads them.
fn catalogue(printed: &str) -> Vec<toml::Table> {
    let printed: toml::Table = printed.parse().unwrap();
    let entries = printed["catalogue"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry.as_table().unwrap().clone())
        .collect()
}
