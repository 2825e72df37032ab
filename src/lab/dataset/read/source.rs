//! Where rows are read from.

use super::super::error::DatasetError;
use super::super::format::{self, Format};
use super::super::record::kept_result;
use super::super::table::Table;
use super::super::{csv, parquet, sqlite};
use super::{Row, named};
use crate::lab::file;
use crate::record::Stamped;
use crate::record::result::JobResult;
use arrow_array::RecordBatch;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) enum Source {
    Files {
        root: PathBuf,
        format: Format,
    },
    Sqlite {
        file: PathBuf,
    },
    /// A result record in a file of its own.
    Result {
        file: PathBuf,
    },
}

impl Source {
    pub fn open(path: &Path) -> Result<Vec<Self>, DatasetError> {
        let metadata = fs::metadata(path).map_err(DatasetError::io(path))?;
        if !metadata.is_dir() {
            return Ok(vec![Self::Result {
                file: path.to_owned(),
            }]);
        }
        let root = path.to_owned();
        match format::of(path)? {
            Some(Format::Sqlite) => Ok(vec![Self::Sqlite {
                file: path.join(sqlite::FILE),
            }]),
            Some(format) => Ok(vec![Self::Files { root, format }]),
            None => {
                let files = format::named(path, "", ".json")?;
                if files.is_empty() {
                    let why = "neither a dataset of `joulectl collect` nor a folder of result \
                               records (.json)";
                    return Err(DatasetError::foreign(path, why));
                }
                Ok(files
                    .into_iter()
                    .map(|file| Self::Result { file })
                    .collect())
            }
        }
    }

    /// Every result that is there, and why one that is there can't be read.
    pub fn results(
        &self,
        each: &mut dyn FnMut(Result<Stamped<JobResult>, String>),
    ) -> Result<(), DatasetError> {
        if let Self::Result { file } = self {
            let read = file::read_result(file);
            each(Ok(
                read.map_err(|error| DatasetError::Result(error.to_string()))?
            ));
            return Ok(());
        }
        self.rows(Table::Results, &["record_json", "id"], &mut |_, row| {
            let json = row.value(0).text().unwrap_or_default();
            each(kept_result(json).map_err(|error| {
                let id = row.value(1).text().unwrap_or_default();
                let path = self.path().display();
                format!("{path}: the `record_json` of {id} is no result record ({error})")
            }));
        })
    }

    /// Every row of a table with its device, as values of these columns. Loose results have no
    /// tables.
    pub fn rows(
        &self,
        table: Table,
        columns: &[&str],
        each: &mut dyn FnMut(&str, &Row<'_>),
    ) -> Result<(), DatasetError> {
        self.batches(table, columns, &mut |device, batch| {
            for number in 0..batch.num_rows() {
                each(device, &Row { batch, number });
            }
            Ok(())
        })
    }

    /// The same, batch by batch.
    pub fn batches(
        &self,
        table: Table,
        columns: &[&str],
        each: &mut dyn FnMut(&str, &RecordBatch) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        let columns = named(table, columns);
        match self {
            Self::Result { .. } => {}
            Self::Sqlite { file } if !file.exists() => {}
            Self::Sqlite { file } => sqlite::read(file, table, &columns, each)?,
            Self::Files { root, format } => {
                let read = match format {
                    Format::Csv => csv::read,
                    Format::Parquet | Format::Sqlite => parquet::read,
                };
                for (device, path) in format::parts(root, table, *format)? {
                    read(&path, &columns, &mut |batch| each(&device, batch))?;
                }
            }
        }
        Ok(())
    }

    fn path(&self) -> &Path {
        match self {
            Self::Files { root, .. } => root,
            Self::Sqlite { file } | Self::Result { file } => file,
        }
    }
}
