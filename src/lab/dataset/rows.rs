//! Rows that wait to become a part of a dataset.

use super::column::Waiting;
use super::error::DatasetError;
use super::format::{Format, PartName};
use super::record::Record;
use super::table::Table;
use super::{csv, format, parquet, sqlite, tables};
use arrow_array::RecordBatch;
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::path::Path;

/// Rows of records that are added, until they are written as one part.
///
/// A record that is added twice is there twice: who adds them knows what it has had
/// ([`Record::key`]).
#[derive(Default)]
pub struct Rows {
    waiting: BTreeMap<Place, Waiting>,
    records: u64,
    bytes: usize,
}

/// What a place takes in memory before it has rows: the builders of its columns.
const PLACE_BYTES: usize = 4_096;

/// Where rows belong: a table's folder of one date and device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub table: Table,
    pub date: Date,
    pub device: String,
}

/// What a part came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    pub records: u64,
    pub rows: BTreeMap<Table, u64>,
    /// Files of Parquet and CSV, as they are on the disk; of SQLite none are counted.
    pub files: u64,
    pub bytes: u64,
}

/// Whether the folder has a dataset with a row of any table.
pub fn holds_rows(root: &Path) -> Result<bool, DatasetError> {
    let Some(format) = format::of(root)? else {
        return Ok(false);
    };
    if format == Format::Sqlite {
        return sqlite::holds_rows(root);
    }
    for table in Table::ALL {
        if !format::parts(root, table, format)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Rows {
    pub fn add(&mut self, record: &Record) {
        self.records += 1;
        tables::append(record, |table, append| {
            let place = Place {
                table,
                date: record.date,
                device: record.stamp.device.clone(),
            };
            let waiting = self.waiting.entry(place).or_insert_with(|| {
                self.bytes += PLACE_BYTES;
                Waiting::new(table.columns())
            });
            let before = waiting.bytes();
            append(waiting);
            self.bytes += waiting.bytes() - before;
        });
    }

    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Records that wait.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What the waiting rows take in memory, near enough to decide that a part is full.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the rows fit their tables, which those of a record may not that was made to harm.
    pub fn check(self) -> Result<(), DatasetError> {
        self.batches().map(|_| ())
    }

    fn batches(self) -> Result<Vec<(Place, RecordBatch)>, DatasetError> {
        let mut batches = Vec::new();
        for (place, mut waiting) in self.waiting {
            let table = place.table;
            let batch = waiting.take();
            let batch = batch.map_err(|source| DatasetError::Rows { table, source })?;
            if batch.num_rows() > 0 {
                batches.push((place, batch));
            }
        }
        Ok(batches)
    }

    /// Writes the rows as the part `name` of the dataset in the folder `root`, which is made
    /// where it is not there. After it returns they survive a power cut. A part of this name is
    /// replaced, if it was written from the same records: a part that was begun and not
    /// finished is repeated so. Results become visible last.
    ///
    /// Errors: the disk, or `root` holds something else. Then the rows are lost here, and the
    /// part may be there in part: make the same rows again, and write them again. Nothing is
    /// there where the rows don't fit their tables ([`Self::check`]).
    pub fn write(
        self,
        root: &Path,
        format: Format,
        name: &PartName,
    ) -> Result<Written, DatasetError> {
        format::prepare(root, format)?;
        let mut written = Written {
            records: self.records,
            ..Written::default()
        };
        let batches = self.batches()?;
        for (place, batch) in &batches {
            *written.rows.entry(place.table).or_default() += batch.num_rows() as u64;
        }
        match format {
            Format::Sqlite => sqlite::write(root, name, &batches)?,
            Format::Parquet => {
                for (place, batch) in &batches {
                    written.bytes += parquet::write(root, name, place, batch)?;
                }
                written.files = batches.len() as u64;
            }
            Format::Csv => {
                for (place, batch) in &batches {
                    written.bytes += csv::write(root, name, place, batch)?;
                }
                written.files = batches.len() as u64;
            }
        }
        Ok(written)
    }
}
