//! What a report is told besides what was measured: prices, bounds of usefulness, and values of
//! others. They stand in the manifests of a dataset's studies (`studies/*.toml`) and in the file of
//! `joulectl report --assumptions`, which has the last word.

mod cost;
mod reference;
mod stated;
#[cfg(test)]
mod tests;
mod usability;

use crate::lab::LabError;
use crate::strict_toml::TomlError;
pub use cost::{Api, BetweenUses, Cost, Electricity, Utilisation};
pub use reference::{Basis, Reference};
use serde::Deserialize;
use std::path::{Path, PathBuf};
pub use usability::{AtMost, Usability};

/// A file of nothing but assumptions.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumptions {
    pub cost: Option<Cost>,
    pub usability: Option<Usability>,
    #[serde(default, rename = "reference")]
    pub references: Vec<Reference>,
    /// What a reader of the report has to know of how they came about.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// Those of a study's manifest, whose other parts are not for reports.
#[derive(Deserialize)]
struct OfManifest {
    cost: Option<Cost>,
    usability: Option<Usability>,
    #[serde(default, rename = "reference")]
    references: Vec<Reference>,
}

impl Assumptions {
    /// Reads a file of assumptions.
    ///
    /// Errors: what is wrong in it, and on which line.
    pub fn parse(text: &str) -> Result<Self, TomlError> {
        toml::from_str(text).map_err(|error| TomlError::of(text, &error))
    }

    fn of_manifest(text: &str) -> Result<Self, TomlError> {
        let read: Result<OfManifest, _> = toml::from_str(text);
        let found = read.map_err(|error| TomlError::of(text, &error))?;
        Ok(Self {
            cost: found.cost,
            usability: found.usability,
            references: found.references,
            notes: Vec::new(),
        })
    }

    /// Those of the datasets at `paths`, and of `file`, whose sections stand in for theirs.
    ///
    /// Errors: `file` can't be read. What is wrong in a dataset is a warning and left out, since
    /// measurements don't depend on it.
    pub fn gather(paths: &[PathBuf], file: Option<&Path>) -> Result<Self, LabError> {
        let mut all = Vec::new();
        for manifest in paths.iter().flat_map(|path| manifests(path)) {
            match read(&manifest, Self::of_manifest) {
                Ok(found) => all.push(found),
                Err(why) => eprintln!("warning: {why}; its prices and bounds are left out"),
            }
        }
        let studies = Self::agreed(all);
        let Some(file) = file else {
            return Ok(studies);
        };
        let own = read(file, Self::parse).map_err(LabError::Usage)?;
        Ok(own.over(studies))
    }

    /// What several studies state alike: of two prices neither is better.
    fn agreed(all: Vec<Self>) -> Self {
        let mut agreed = Self::default();
        for one in &all {
            for reference in &one.references {
                if !agreed.references.contains(reference) {
                    agreed.references.push(reference.clone());
                }
            }
        }
        let mut notes = Vec::new();
        agreed.cost = same(all.iter().map(|one| &one.cost), "cost", &mut notes);
        agreed.usability = same(
            all.iter().map(|one| &one.usability),
            "usability",
            &mut notes,
        );
        agreed.notes = notes;
        agreed
    }

    fn over(mut self, studies: Self) -> Self {
        for reference in studies.references {
            if !self.references.contains(&reference) {
                self.references.push(reference);
            }
        }
        // What the file states is no longer in doubt.
        let settled = |note: &&String| {
            (self.cost.is_some() && note.contains("[cost]"))
                || (self.usability.is_some() && note.contains("[usability]"))
        };
        let open = studies.notes.iter().filter(|note| !settled(note));
        self.notes = open.cloned().collect();
        self.cost = self.cost.or(studies.cost);
        self.usability = self.usability.or(studies.usability);
        self
    }
}

fn same<'a, T: Clone + PartialEq + 'a>(
    all: impl Iterator<Item = &'a Option<T>>,
    section: &str,
    notes: &mut Vec<String>,
) -> Option<T> {
    let mut stated = all.flatten();
    let first = stated.next()?;
    if stated.all(|other| other == first) {
        return Some(first.clone());
    }
    notes.push(format!(
        "Studies of this dataset differ in [{section}]: none of them is taken; state it with \
         --assumptions."
    ));
    None
}

/// In the order of their names.
fn manifests(dataset: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dataset.join("studies"));
    let entries = entries.into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    found.sort();
    found
}

fn read(
    file: &Path,
    parse: fn(&str) -> Result<Assumptions, TomlError>,
) -> Result<Assumptions, String> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    parse(&text).map_err(|TomlError { line, message }| match line {
        Some(line) => format!("{name}, line {line}: {message}"),
        None => format!("{name}: {message}"),
    })
}
