//! What a tuning has learned so far, a line for each job, in `DIR/journal.jsonl`. A tuning that
//! was stopped reads it and goes on.

use super::order::Outcome;
use super::study::Study;
use crate::lab::LabError;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A job that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub id: String,
    pub took_s: f64,
    /// Which sensor measured it.
    pub sensor: Option<String>,
    #[serde(flatten)]
    pub outcome: Outcome,
}

pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("journal.jsonl")
    }

    /// The tuning that `dir` holds, with its jobs so far; `None` where it holds none. A last
    /// line without an end was being written when the power went, and is left out.
    pub fn read(dir: &Path) -> Result<Option<(Study, Vec<Entry>)>, LabError> {
        let path = Self::path(dir);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, &error)),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut lines = whole.lines().enumerate();
        let odd = |n: usize, error: serde_json::Error| {
            LabError::Usage(format!(
                "{}: line {}: {error}; was it written by another version? --fresh begins anew",
                path.display(),
                n + 1
            ))
        };
        let Some((n, first)) = lines.next() else {
            return Ok(None);
        };
        let study = serde_json::from_str(first).map_err(|error| odd(n, error))?;
        let entries = lines
            .map(|(n, line)| serde_json::from_str(line).map_err(|error| odd(n, error)))
            .collect::<Result<_, _>>()?;
        Ok(Some((study, entries)))
    }

    /// Writes a journal that holds so much.
    pub fn write(dir: &Path, study: &Study, entries: &[Entry]) -> Result<Self, LabError> {
        let path = Self::path(dir);
        fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
        let mut text = line(study);
        for entry in entries {
            text.push_str(&line(entry));
        }
        crate::lab::whole::write(&path, &text)?;
        let file = File::options().append(true).open(&path);
        let file = file.map_err(|error| failed(&path, &error))?;
        Ok(Self { path, file })
    }

    pub fn add(&mut self, entry: &Entry) -> Result<(), LabError> {
        let written = self.file.write_all(line(entry).as_bytes());
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|error| failed(&self.path, &error))
    }
}

fn line(record: &impl Serialize) -> String {
    let text = serde_json::to_string(record).expect("it has only JSON-able fields");
    format!("{text}\n")
}

fn failed(path: &Path, error: &io::Error) -> LabError {
    LabError::Failed(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::measured::Measured;
    use super::super::study::tests::study;
    use super::*;

    #[test]
    fn what_was_written_is_read_but_for_a_torn_end() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Journal::read(dir.path()).unwrap(), None);
        let entry = |id: &str, outcome| Entry {
            id: id.to_owned(),
            took_s: 1.5,
            sensor: None,
            outcome,
        };
        let measured = Box::new(Measured {
            decode_tok_s: Some(20.5),
            ..Measured::default()
        });
        let entries = vec![
            entry("a", Outcome::Measured(measured.clone())),
            entry("b", Outcome::Failed { reason: "x".into() }),
            entry(
                "c",
                Outcome::LeftOut {
                    why: "contended".into(),
                    measured,
                },
            ),
            entry("d", Outcome::Cancelled),
        ];
        let mut journal = Journal::write(dir.path(), &study(), &entries[..2]).unwrap();
        journal.add(&entries[2]).unwrap();
        journal.add(&entries[3]).unwrap();
        let read = Journal::read(dir.path()).unwrap().unwrap();
        assert_eq!(read, (study(), entries.clone()));

        let path = Journal::path(dir.path());
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 5]).unwrap();
        let (_, torn) = Journal::read(dir.path()).unwrap().unwrap();
        assert_eq!(torn, entries[..3]);
        fs::write(&path, format!("{}\n{{}}\n", text.lines().next().unwrap())).unwrap();
        let error = Journal::read(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && error.contains("--fresh"),
            "{error}"
        );
    }
}
