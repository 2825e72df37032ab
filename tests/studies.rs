//! The manifests of `studies/`: the command's own parser takes them, and nothing in them is idle.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "lab")]

use jouled::lab::sweep::{Source, Study};
use std::path::{Path, PathBuf};

fn manifests() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("studies");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    found.sort();
    found
}

fn study(path: &Path) -> Study {
    let source = Source::read(path).unwrap_or_else(|error| panic!("{error}"));
    Study::new(&source).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_manifest_is_a_study_with_a_baseline() {
    let all = manifests();
    assert!(all.len() >= 3, "{all:?}");
    for path in all {
        let study = study(&path);
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(study.warnings.is_empty(), "{name}: {:?}", study.warnings);
        assert!(
            !study.points.is_empty() && study.baseline.is_some(),
            "{name}"
        );
    }
}

/// By hand: what the blocks multiply to, less what is excluded.
#[test]
fn templates_have_the_points_that_they_are_meant_to_have() {
    let count = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("studies");
        study(&folder.join(name)).points.len()
    };
    assert_eq!(
        count("arxiv-2503.09114.toml"),
        66 + 12 + 18 + 132 + 22 + 12 + 12
    );
    assert_eq!(count("arxiv-2504.03360.toml"), 48 - 2 + 8 + 40);
    assert_eq!(count("arxiv-2604.24785.toml"), 21);
}
