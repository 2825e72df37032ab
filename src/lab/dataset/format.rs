//! The three forms of a dataset, and the names of its parts.

use super::error::DatasetError;
use super::rows::Place;
use super::table::Table;
use super::{SCHEMA_VERSION, atomic};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, fs};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Format {
    /// Parquet files, in a folder for each table, date and device
    Parquet,
    /// One SQLite file
    Sqlite,
    /// CSV files, in the same folders as Parquet
    Csv,
}

impl Format {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Sqlite => "sqlite",
            Self::Csv => "csv",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a part is called, in file names and in SQLite. Two collectors that write into one
/// dataset need names of their own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartName(String);

impl PartName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PartName {
    type Err = DatasetError;

    fn from_str(name: &str) -> Result<Self, DatasetError> {
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fine) {
            return Err(DatasetError::PartName);
        }
        Ok(Self(name.to_owned()))
    }
}

/// What `dataset.json` says.
#[derive(Debug, Serialize, Deserialize)]
struct Card {
    dataset: String,
    schema: u32,
    format: String,
    /// Table → columns, for people.
    #[serde(default)]
    tables: BTreeMap<String, BTreeMap<String, String>>,
}

const CARD: &str = "dataset.json";
const NAME: &str = "jouled";

/// Makes `root` a dataset of this format, if it is none yet.
///
/// Errors: it is one of another format or of a newer schema, or holds something else.
pub(super) fn prepare(root: &Path, format: Format) -> Result<(), DatasetError> {
    match of(root)? {
        Some(found) if found == format => Ok(()),
        Some(found) => {
            let why = format!("a dataset of {found} already; write {format} into another folder");
            Err(DatasetError::foreign(root, why))
        }
        None if is_free(root)? => write(root, format),
        None => Err(DatasetError::foreign(
            root,
            "no dataset, and not empty; give a new folder, or one of a dataset",
        )),
    }
}

/// The format of the dataset in `root`; `None` if there is no dataset.
pub(super) fn of(root: &Path) -> Result<Option<Format>, DatasetError> {
    let path = root.join(CARD);
    let Some(text) = atomic::read(&path)? else {
        return Ok(None);
    };
    let foreign = |why: &str| DatasetError::foreign(&path, why);
    let card: Card =
        serde_json::from_str(&text).map_err(|_| foreign("not what joulectl writes there"))?;
    if card.dataset != NAME {
        return Err(foreign("of another program's dataset"));
    }
    check_version(&path, Some(&card.schema.to_string()))?;
    let formats = Format::value_variants().iter();
    let format = formats.copied().find(|f| f.as_str() == card.format);
    let format = format.ok_or_else(|| foreign("a format that this joulectl does not know"))?;
    Ok(Some(format))
}

/// Hidden files don't count: a collector keeps its own there.
fn is_free(root: &Path) -> Result<bool, DatasetError> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        entries => entries.map_err(DatasetError::io(root))?,
    };
    for entry in entries {
        let name = entry.map_err(DatasetError::io(root))?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn write(root: &Path, format: Format) -> Result<(), DatasetError> {
    let columns = |table: Table| {
        let columns = table.columns().iter();
        let columns = columns.map(|c| (c.name.clone(), c.kind.as_str().to_owned()));
        (table.as_str().to_owned(), columns.collect())
    };
    let card = Card {
        dataset: NAME.to_owned(),
        schema: SCHEMA_VERSION,
        format: format.as_str().to_owned(),
        tables: Table::ALL.into_iter().map(columns).collect(),
    };
    let text = serde_json::to_string_pretty(&card).expect("strings and numbers are JSON");
    let path = root.join(CARD);
    atomic::replace(&path, |mut file| {
        let written = file.write_all(text.as_bytes());
        written.map(|()| file).map_err(DatasetError::io(&path))
    })?;
    Ok(())
}

/// Where a table's part of one date and device lies.
pub(super) fn part(root: &Path, place: &Place, name: &PartName, format: Format) -> PathBuf {
    let Place {
        table,
        date,
        device,
    } = place;
    root.join(table.as_str())
        .join(format!("date={date}"))
        .join(format!("device={device}"))
        .join(format!("part-{}.{format}", name.as_str()))
}

/// The parts of a table and the devices that they are of, in the order of date, device and name.
pub(super) fn parts(
    root: &Path,
    table: Table,
    format: Format,
) -> Result<Vec<(String, PathBuf)>, DatasetError> {
    let mut parts = Vec::new();
    for date in named(&root.join(table.as_str()), "date=", "")? {
        for folder in named(&date, "device=", "")? {
            let device = folder.file_name().unwrap_or_default().to_string_lossy();
            let device = device.trim_start_matches("device=").to_owned();
            for part in named(&folder, "", &format!(".{format}"))? {
                parts.push((device.clone(), part));
            }
        }
    }
    Ok(parts)
}

/// What lies in a folder and begins and ends so, sorted, without what is hidden. A folder that
/// is not there is empty.
pub(super) fn named(folder: &Path, begin: &str, end: &str) -> Result<Vec<PathBuf>, DatasetError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(DatasetError::io(folder))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(DatasetError::io(folder))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(['.', '_']) && name.starts_with(begin) && name.ends_with(end) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether this joulectl can read a schema of this version, where one is told.
pub(super) fn check_version(path: &Path, found: Option<&str>) -> Result<(), DatasetError> {
    let Some(found) = found else {
        return Ok(());
    };
    match found.parse::<u32>() {
        Ok(version) if version <= SCHEMA_VERSION => Ok(()),
        _ => Err(DatasetError::Version {
            path: path.to_owned(),
            found: found.to_owned(),
        }),
    }
}
