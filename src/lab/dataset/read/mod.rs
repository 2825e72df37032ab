//! Reading datasets and loose result files; what is there twice is read once.

mod sample;
mod source;

use super::column::ColumnInfo;
use super::error::DatasetError;
use super::record::Attempt;
use super::table::Table;
use super::value::Value;
use crate::record::Stamped;
use crate::record::result::JobResult;
use arrow_array::RecordBatch;
pub use sample::{RailSample, TokenSample, TraceSample};
use source::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What is done with each batch of rows.
pub(super) type Each<'e> = &'e mut dyn FnMut(&RecordBatch) -> Result<(), DatasetError>;

/// Datasets in any of the formats, and result records in files of their own.
#[derive(Debug)]
pub struct Dataset {
    sources: Vec<Source>,
}

impl Dataset {
    /// Each path is a dataset's folder, a result record (`.json`), or a folder of them.
    ///
    /// Errors: a path is none of these, or a dataset of a newer schema.
    pub fn open(paths: &[PathBuf]) -> Result<Self, DatasetError> {
        let mut sources = Vec::new();
        for path in paths {
            sources.extend(Source::open(path)?);
        }
        Ok(Self { sources })
    }

    /// Every attempt's result once, in the order of device, id and attempt. `warn` is told of
    /// those that can't be read, which are left out.
    pub fn results(
        &self,
        mut warn: impl FnMut(&str),
    ) -> Result<Vec<Stamped<JobResult>>, DatasetError> {
        let mut results = BTreeMap::new();
        for source in &self.sources {
            source.results(&mut |result| {
                let result = match result {
                    Ok(result) => result,
                    Err(why) => return warn(&why),
                };
                let attempt = Attempt {
                    device: result.stamp.device.clone(),
                    id: result.body.id.clone(),
                    attempt: result.body.attempt,
                };
                results.entry(attempt).or_insert(result);
            })?;
        }
        Ok(results.into_values().collect())
    }

    /// Tokens of these attempts, in the order of repetition and number. An attempt without any
    /// is left out.
    pub fn tokens(
        &self,
        of: &BTreeSet<Attempt>,
    ) -> Result<BTreeMap<Attempt, Vec<TokenSample>>, DatasetError> {
        self.of_attempts(Table::Tokens, of, TokenSample::COLUMNS, |row| {
            let sample = TokenSample::of(row)?;
            Some(((sample.rep, sample.i), sample))
        })
    }

    /// Windows of these attempts, in the order of rail and time. An attempt without any is left
    /// out.
    pub fn trace(
        &self,
        of: &BTreeSet<Attempt>,
    ) -> Result<BTreeMap<Attempt, Vec<TraceSample>>, DatasetError> {
        self.of_attempts(Table::Trace, of, TraceSample::COLUMNS, |row| {
            let sample = TraceSample::of(row)?;
            Some(((sample.rail.clone(), sample.t_mono_ns), sample))
        })
    }

    /// All live records of rails, in the order of device, rail and time.
    pub fn rails(&self) -> Result<Vec<RailSample>, DatasetError> {
        let mut samples = BTreeMap::new();
        for source in &self.sources {
            source.rows(Table::Rails, RailSample::COLUMNS, &mut |device, row| {
                if let Some((boot, sample)) = RailSample::of(device, row) {
                    let (device, rail) = (sample.device.clone(), sample.rail.clone());
                    samples
                        .entry((device, rail, sample.time, boot))
                        .or_insert(sample);
                }
            })?;
        }
        Ok(samples.into_values().collect())
    }

    /// A table's rows as these columns, batch by batch, with the device that they are of.
    #[cfg(test)]
    pub(super) fn batches(
        &self,
        table: Table,
        columns: &[&str],
        each: &mut dyn FnMut(&str, &RecordBatch) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        let mut sources = self.sources.iter();
        sources.try_for_each(|source| source.batches(table, columns, each))
    }

    /// The samples of a table whose first columns are `id` and `attempt`, once each by their
    /// keys and in the keys' order.
    fn of_attempts<K: Ord, S>(
        &self,
        table: Table,
        of: &BTreeSet<Attempt>,
        columns: &[&str],
        sample: impl Fn(&Row<'_>) -> Option<(K, S)>,
    ) -> Result<BTreeMap<Attempt, Vec<S>>, DatasetError> {
        let asked: BTreeMap<(&str, &str, u64), &Attempt> = of
            .iter()
            .map(|of| ((of.device.as_str(), of.id.as_str(), of.attempt.into()), of))
            .collect();
        let mut found: BTreeMap<Attempt, BTreeMap<K, S>> = BTreeMap::new();
        for source in &self.sources {
            source.rows(table, columns, &mut |device, row| {
                let Some((id, attempt)) = row.value(0).text().zip(row.value(1).int()) else {
                    return;
                };
                let Some(&attempt) = asked.get(&(device, id, attempt)) else {
                    return;
                };
                if let Some((key, sample)) = sample(row) {
                    let samples = found.entry(attempt.clone()).or_default();
                    samples.entry(key).or_insert(sample);
                }
            })?;
        }
        let in_order =
            |(attempt, samples): (_, BTreeMap<K, S>)| (attempt, samples.into_values().collect());
        Ok(found.into_iter().map(in_order).collect())
    }
}

/// One row of the columns that were asked for, by their order.
pub(super) struct Row<'a> {
    batch: &'a RecordBatch,
    number: usize,
}

impl<'a> Row<'a> {
    fn value(&self, column: usize) -> Value<'a> {
        Value::of(self.batch.column(column), self.number)
    }
}

/// The table's columns of these names.
fn named(table: Table, names: &[&str]) -> Vec<ColumnInfo> {
    let column = |name: &&str| {
        let mut columns = table.columns().iter();
        let column = columns.find(|column| column.name == *name);
        column.expect("the table has the column").clone()
    };
    names.iter().map(column).collect()
}
