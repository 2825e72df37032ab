//! CSV files (RFC 4180): a heading, missing values empty, times in RFC 3339, numbers with all
//! their digits.

use super::atomic;
use super::column::{Builder, ColumnInfo};
use super::error::DatasetError;
use super::format::{self, Format, PartName};
use super::read::Each;
use super::rows::Place;
use super::value::Value;
use arrow_array::RecordBatch;
use std::io::BufWriter;
use std::path::Path;

/// Writes a part's rows of one place. Returns the file's size.
pub(super) fn write(
    root: &Path,
    name: &PartName,
    place: &Place,
    batch: &RecordBatch,
) -> Result<u64, DatasetError> {
    let path = format::part(root, place, name, Format::Csv);
    atomic::replace(&path, |file| {
        let mut out = ::csv::Writer::from_writer(BufWriter::new(file));
        let rows = || -> Result<_, ::csv::Error> {
            out.write_record(place.table.columns().iter().map(|column| &column.name))?;
            let mut text = String::new();
            for row in 0..batch.num_rows() {
                for column in batch.columns() {
                    text.clear();
                    Value::of(column, row).write(&mut text);
                    out.write_field(&text)?;
                }
                out.write_record(None::<&[u8]>)?;
            }
            Ok(out)
        };
        let failed = |error: std::io::Error| DatasetError::io(&path)(error);
        let out = rows().map_err(|error| failed(error.into()))?;
        let buffer = out
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        buffer
            .into_inner()
            .map_err(|error| failed(error.into_error()))
    })
}

/// Gives `each` the rows of a file, as columns of these names and types.
pub(super) fn read(
    path: &Path,
    columns: &[ColumnInfo],
    each: Each<'_>,
) -> Result<(), DatasetError> {
    let broken =
        |error: ::csv::Error| DatasetError::foreign(path, format!("no whole CSV file ({error})"));
    let foreign = |why: String| DatasetError::foreign(path, why);
    let mut file = ::csv::Reader::from_path(path).map_err(broken)?;
    let heading = file.headers().map_err(broken)?;
    let places: Vec<Option<usize>> = columns
        .iter()
        .map(|column| heading.iter().position(|name| name == column.name))
        .collect();
    let mut builders: Vec<Builder> = columns.iter().map(|c| Builder::new(c.kind)).collect();
    for row in file.records() {
        let row = row.map_err(broken)?;
        let line = row.position().map_or(0, ::csv::Position::line);
        for ((place, info), out) in places.iter().zip(columns).zip(&mut builders) {
            let text = place.and_then(|place| row.get(place)).unwrap_or_default();
            let value = Value::read(text, info.kind);
            let value = value.filter(|value| info.nullable || *value != Value::Missing);
            let (name, kind) = (&info.name, info.kind.as_str());
            value
                .and_then(|value| value.append(out))
                .ok_or_else(|| foreign(format!("line {line}: its `{name}` is no {kind}")))?;
        }
    }
    let found = builders.iter_mut().map(Builder::finish).collect();
    let batch = super::column::batch(columns, found);
    each(&batch.map_err(|error| DatasetError::foreign(path, error))?)
}
