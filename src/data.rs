//! The data directory: files that `perplexity` and `choice` jobs name.

use crate::quality::items::{self, ItemsError};
use crate::record::device::DataInfo;
use crate::runtime::data::{Content, ReadError};
use crate::workload::{DataName, Kind};
use std::path::{Path, PathBuf};

/// Data can't be used. The text is for the client: names, no paths, and nothing of the content.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("there is no file \"{0}\" in the data directory")]
    Unknown(String),
    #[error("data \"{name}\" {error}")]
    Unreadable { name: String, error: ReadError },
    #[error("data \"{name}\" is no text in UTF-8: byte {at} is none; convert it")]
    NoText { name: String, at: usize },
    #[error("data \"{name}\": {error}")]
    Items { name: String, error: ItemsError },
}

/// A file that a job can read, read once and fit for its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundData {
    pub path: PathBuf,
    pub sha256: String,
    pub size_bytes: u64,
}

/// The first of the files that a job could name, by their names, for `info`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    pub files: Vec<DataInfo>,
    pub left_out: u64,
}

/// Names have 128 bytes at most, and `info` has room for other things.
const MOST_LISTED: usize = 200;

/// What the directory holds; nothing is read, so that a file may still be unfit. Empty where there
/// is no directory.
pub fn list(dir: &Path) -> Listed {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut names: Vec<DataName> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    names.sort();
    let found = names.iter().filter_map(|name| {
        let file = std::fs::metadata(path(dir, name).ok()?).ok()?;
        Some(DataInfo {
            name: name.to_string(),
            size_bytes: file.len(),
        })
    });
    let mut files: Vec<DataInfo> = found.collect();
    let left_out = files.len().saturating_sub(MOST_LISTED) as u64;
    files.truncate(MOST_LISTED);
    Listed { files, left_out }
}

/// The path of a file that is there. A link may not lead out of the directory.
pub fn path(dir: &Path, name: &DataName) -> Result<PathBuf, DataError> {
    let unknown = || DataError::Unknown(name.to_string());
    let dir = dir.canonicalize().map_err(|_| unknown())?;
    let path = dir.join(name.as_str()).canonicalize();
    let path = path.map_err(|_| unknown())?;
    match path.starts_with(&dir) && path.is_file() {
        true => Ok(path),
        false => Err(unknown()),
    }
}

/// Reads a file and checks that a job of this kind can use it, before anything is measured.
pub fn find(dir: &Path, name: &DataName, kind: Kind) -> Result<FoundData, DataError> {
    let path = path(dir, name)?;
    let name = || name.to_string();
    let content = Content::read(&path).map_err(|error| DataError::Unreadable {
        name: name(),
        error,
    })?;
    if kind == Kind::Choice {
        items::parse(&content.bytes).map_err(|error| DataError::Items {
            name: name(),
            error,
        })?;
    } else {
        content.text().map_err(|error| DataError::NoText {
            name: name(),
            at: error.valid_up_to(),
        })?;
    }
    Ok(FoundData {
        path,
        size_bytes: content.bytes.len() as u64,
        sha256: content.sha256,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::data::MOST_BYTES;

    fn name(name: &str) -> DataName {
        name.parse().expect("a valid name")
    }

    fn said(dir: &Path, file: &str, kind: Kind) -> String {
        find(dir, &name(file), kind)
            .expect_err("no data")
            .to_string()
    }

    #[test]
    fn a_file_is_found_with_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("abc.txt"), "abc").unwrap();
        let found = find(dir.path(), &name("abc.txt"), Kind::Perplexity).unwrap();
        // Of the text "abc", FIPS 180-2.
        assert!(found.sha256.starts_with("ba7816bf8f01cfea"), "{found:?}");
        assert_eq!(found.size_bytes, 3);
    }

    #[test]
    fn nothing_outside_the_directory_is_data() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        assert!(said(&data, "x", Kind::Choice).contains("no file \"x\""));
        std::fs::create_dir_all(data.join("folder")).unwrap();
        std::fs::write(dir.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), data.join("link")).unwrap();
        for outside in ["link", "folder", "absent"] {
            assert!(said(&data, outside, Kind::Perplexity).contains("no file"));
        }
        assert_eq!(list(&data), Listed::default());
        assert_eq!(list(&data.join("nowhere")), Listed::default());
    }

    #[test]
    fn files_are_listed_by_name_as_many_as_fit() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["b.txt", "a.jsonl", "no name"] {
            std::fs::write(dir.path().join(file), file).unwrap();
        }
        let listed = list(dir.path());
        let names: Vec<&str> = listed.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!((names, listed.left_out), (vec!["a.jsonl", "b.txt"], 0));
        assert_eq!(listed.files[0].size_bytes, 7);
        for number in 0..MOST_LISTED {
            std::fs::write(dir.path().join(format!("c-{number}")), "").unwrap();
        }
        let listed = list(dir.path());
        assert_eq!((listed.files.len(), listed.left_out), (MOST_LISTED, 2));
    }

    #[test]
    fn what_can_not_be_used_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes);
        write("empty", b"").unwrap();
        write("binary", b"ab\xff").unwrap();
        write("items", b"{\"context\":\"secret\"}").unwrap();
        let large = std::fs::File::create(dir.path().join("large")).unwrap();
        large.set_len(MOST_BYTES + 1).unwrap();
        for (file, kind, expected) in [
            ("empty", Kind::Perplexity, "data \"empty\" is empty"),
            ("binary", Kind::Perplexity, "byte 2 is none"),
            ("items", Kind::Choice, "data \"items\": line 1: choices: "),
            ("large", Kind::Choice, "larger than the 32 MiB"),
        ] {
            let said = said(dir.path(), file, kind);
            assert!(said.contains(expected), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
