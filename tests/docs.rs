//! The documents stay true: their commands are accepted by the command lines, their
//! configurations by the configuration's parser, their links lead somewhere.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/document.rs"]
mod document;

use document::{Document, all};
use jouled::board::Profiles;
use jouled::config::{self, ConfigError};
use jouled::lab::report::assumptions::Assumptions;
use jouled::lab::sweep::{Source, Study};
use std::fs;

/// What blocks that only add to a sensor add to.
const SENSORS: &str = r#"
[[sensor]]
name = "input"
kind = "ina219"
bus = "/dev/i2c-1"
address = 0x40
shunt_ohm = 0.010
max_current_a = 5.0
boundary = "board-input"

[[sensor]]
name = "module"
kind = "tegrastats"
"#;

/// `check` for each document, and every complaint at once.
fn in_every_document(check: impl Fn(&Document) -> Vec<String>) {
    let complaints: Vec<String> = all()
        .iter()
        .flat_map(|document| {
            let name = document.name.clone();
            let complaints = check(document);
            complaints
                .into_iter()
                .map(move |text| format!("{name}: {text}"))
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn commands_to_type_are_accepted() {
    let mut seen = 0;
    for document in all() {
        for (language, block) in &document.blocks {
            if language == "sh" {
                seen += commands::of(block).len();
            }
        }
    }
    assert!(seen > 20, "only {seen} commands were recognised");
    in_every_document(|document| {
        let blocks = document
            .blocks
            .iter()
            .filter(|(language, _)| language == "sh");
        blocks
            .flat_map(|(_, block)| commands::of(block))
            .filter_map(|words| commands::refused(&words))
            .collect()
    });
}

#[test]
fn commands_that_are_mentioned_exist() {
    in_every_document(|document| {
        let codes = document.codes.iter();
        codes.filter_map(|code| commands::unknown(code)).collect()
    });
}

/// Who follows a quickstart must know which of its lines nobody has tried.
#[test]
fn each_command_of_a_quickstart_says_whether_it_was_run() {
    in_every_document(|document| {
        if !document.name.contains("quickstart") {
            return Vec::new();
        }
        let blocks = document.blocks.iter();
        let lines = blocks
            .filter(|(language, _)| language == "sh")
            .flat_map(|(_, block)| block.lines());
        lines
            .filter(|line| !line.ends_with("# run") && !line.ends_with("# not run"))
            .map(|line| format!("neither `# run` nor `# not run`: {line}"))
            .collect()
    });
}

#[test]
fn configurations_are_accepted() {
    in_every_document(|document| {
        let blocks = document
            .blocks
            .iter()
            .filter(|(language, _)| language == "toml");
        blocks.filter_map(|(_, block)| refused(block)).collect()
    });
}

/// Taken as a file of `conf.d`, as calibrations are.
fn refused(block: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("jouled.toml");
    fs::write(&main, SENSORS).unwrap();
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    fs::write(folder.path().join("conf.d/block.toml"), block).unwrap();
    match config::load(&main, []) {
        Ok(_) => None,
        // Keys and certificates are the reader's own.
        Err(ConfigError::Value { key, .. }) if key == "mqtt" => None,
        Err(error) => Some(format!("{error}\n{block}")),
    }
}

/// Those of the documents, and those that come with the repository.
#[test]
fn studies_are_accepted() {
    in_every_document(|document| {
        let blocks = document.blocks.iter();
        let studies = blocks.filter(|(language, _)| language == "toml study");
        studies
            .filter_map(|(_, block)| {
                let path = std::path::Path::new("study.toml");
                let source = Source::parse(path, block.clone());
                let study = source.and_then(|source| Study::new(&source));
                study.err().map(|error| format!("{error}\n{block}"))
            })
            .collect()
    });
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("studies");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let source = Source::read(&path).unwrap_or_else(|error| panic!("{error}"));
            let study = Study::new(&source).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(study.warnings, [""; 0], "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn assumptions_of_reports_are_accepted() {
    let mut seen = 0;
    for document in all() {
        let of_reports = |language: &str| language == "toml assumptions";
        let blocks = document.blocks.iter();
        for (_, block) in blocks.filter(|(language, _)| of_reports(language)) {
            seen += 1;
            let read = Assumptions::parse(block);
            assert!(read.is_ok(), "{}: {read:?}", document.name);
        }
    }
    assert!(seen > 0, "no document shows any");
}

#[test]
fn board_profiles_are_accepted() {
    in_every_document(|document| {
        let of_boards = |language: &str| language == "toml board";
        let blocks = document.blocks.iter();
        let profiles = blocks.filter(|(language, _)| of_boards(language));
        profiles
            .filter_map(|(_, block)| {
                let folder = tempfile::tempdir().unwrap();
                fs::write(folder.path().join("one.toml"), block).unwrap();
                let read = Profiles::with_own(folder.path());
                read.err().map(|error| format!("{error}\n{block}"))
            })
            .collect()
    });
}

#[test]
fn links_lead_to_files_and_headings() {
    in_every_document(|document| {
        let links = document.links.iter();
        links.filter_map(|link| document.broken(link)).collect()
    });
}
