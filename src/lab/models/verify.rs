//! `joulectl models verify FILE…`: files here against what is known of them.

use super::list::SHORT;
use super::provenance::Provenance;
use super::{background, bar};
use crate::config::{self, CatalogueEntry};
use crate::lab::submit::aligned;
use crate::lab::{LabError, hashed};
use crate::print::harmless;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Right,
    /// Another file than the one that is vouched for.
    Wrong,
    /// Nothing says what it should be.
    Unknown,
    /// It, or what is said of it, for this reason.
    Unreadable(String),
}

impl Verdict {
    /// In JSON.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
            Self::Unreadable(_) => "unreadable",
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Right => "right".to_owned(),
            Self::Wrong => "WRONG: another file".to_owned(),
            Self::Unknown => "not known: no .json beside it, and in no catalogue".to_owned(),
            Self::Unreadable(why) => format!("UNREADABLE: {why}"),
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Unreadable(why) => Some(why),
            _ => None,
        }
    }
}

/// Against the `.json` beside each, and, where there is one, the catalogue of a configuration.
pub async fn files(
    files: &[PathBuf],
    catalogue: Option<&Path>,
    as_json: bool,
) -> Result<(), LabError> {
    let entries = match catalogue {
        Some(path) => {
            config::load(path, [])
                .map_err(|error| LabError::Usage(error.to_string()))?
                .catalogue
        }
        None => Vec::new(),
    };
    let bar = bar();
    let mut rows = vec![["model", "sha256", "verdict"].map(str::to_owned)];
    let mut doubtful = 0;
    for file in files {
        // The bar prints by itself.
        bar.set_message(harmless(&format!("hashing {}", file.display())));
        let (path, shown) = (file.clone(), bar.clone());
        let hashed = background::run(move || hashed::of_file(&path, &shown)).await;
        let verdict = match (&hashed, Provenance::read(file)) {
            (Ok(actual), Ok(known)) => verdict(file, actual, known.as_ref(), &entries),
            (Err(error), _) => Verdict::Unreadable(error.to_string()),
            (_, Err(error)) => Verdict::Unreadable(error.to_string()),
        };
        doubtful += usize::from(verdict != Verdict::Right);
        let name = file.display().to_string();
        let actual = hashed.ok();
        if as_json {
            println!(
                "{}",
                json!({"path": name, "sha256": actual, "verdict": verdict.as_str(),
                    "reason": verdict.reason()})
            );
        }
        let short = actual.map_or("–".to_owned(), |hash| hash.chars().take(SHORT).collect());
        rows.push([name, short, verdict.words()]);
    }
    bar.finish_and_clear();
    if !as_json {
        print!("{}", aligned(&rows));
    }
    match doubtful {
        0 => Ok(()),
        n => Err(LabError::Failed(format!(
            "{n} of {} are not known to be what they should be",
            files.len()
        ))),
    }
}

/// All that is said of the file must be true.
fn verdict(
    file: &Path,
    actual: &str,
    provenance: Option<&Provenance>,
    entries: &[CatalogueEntry],
) -> Verdict {
    let name = file.file_name().unwrap_or_default();
    let entry = entries.iter().find(|entry| entry.name.as_str() == name);
    let said: Vec<&str> = provenance
        .map(|provenance| provenance.sha256.as_str())
        .into_iter()
        .chain(entry.map(|entry| entry.sha256.as_str()))
        .collect();
    match said.as_slice() {
        [] => Verdict::Unknown,
        said if said.iter().all(|hash| hash.eq_ignore_ascii_case(actual)) => Verdict::Right,
        _ => Verdict::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::models::provenance::Origin;

    #[test]
    fn everything_that_is_said_must_be_true() {
        let hash = "ab".repeat(32);
        let file = Path::new("models/m.gguf");
        let origin = Origin::Wheels { parts: Vec::new() };
        let own = |sha256: &str| Provenance::new("m.gguf", sha256, 5, &origin);
        let entry = |sha256: &str| CatalogueEntry {
            name: "m.gguf".parse().unwrap(),
            url: String::new(),
            sha256: sha256.to_owned(),
            size_bytes: None,
            allow_http: false,
        };
        let other = "cd".repeat(32);
        let of = |own: Option<&Provenance>, entries: &[CatalogueEntry]| {
            verdict(file, &hash, own, entries)
        };
        assert_eq!(of(None, &[]), Verdict::Unknown);
        assert_eq!(of(Some(&own(&hash)), &[]), Verdict::Right);
        assert_eq!(of(None, &[entry(&hash.to_uppercase())]), Verdict::Right);
        assert_eq!(of(Some(&own(&hash)), &[entry(&other)]), Verdict::Wrong);
        assert_eq!(of(Some(&own(&other)), &[]), Verdict::Wrong);
    }
}
