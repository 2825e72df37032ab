//! Parquet files.

use super::column::ColumnInfo;
use super::error::DatasetError;
use super::format::{self, Format, PartName};
use super::read::Each;
use super::rows::Place;
use super::{SCHEMA_VERSION, atomic};
use arrow_array::{Array, ArrayRef, RecordBatch, new_null_array};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::path::Path;

/// The key of the schema's version in a file's metadata.
const SCHEMA_KEY: &str = "jouled.schema";

const ROWS_AT_ONCE: usize = 65_536;

/// Writes a part's rows of one place. Returns the file's size.
pub(super) fn write(
    root: &Path,
    name: &PartName,
    place: &Place,
    batch: &RecordBatch,
) -> Result<u64, DatasetError> {
    let path = format::part(root, place, name, Format::Parquet);
    let failed = |error: parquet::errors::ParquetError| DatasetError::foreign(&path, error);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(format!("joulectl {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(vec![
            KeyValue::new(SCHEMA_KEY.to_owned(), SCHEMA_VERSION.to_string()),
            KeyValue::new("jouled.table".to_owned(), place.table.to_string()),
        ]))
        .build();
    atomic::replace(&path, |file| {
        let writer = ArrowWriter::try_new(file, batch.schema(), Some(properties));
        let mut writer = writer.map_err(failed)?;
        writer.write(batch).map_err(failed)?;
        writer.into_inner().map_err(failed)
    })
}

/// Gives `each` the rows of a file, as columns of these names and types.
pub(super) fn read(
    path: &Path,
    columns: &[ColumnInfo],
    each: Each<'_>,
) -> Result<(), DatasetError> {
    let failed = |error: parquet::errors::ParquetError| {
        DatasetError::foreign(path, format!("no whole Parquet file ({error})"))
    };
    let file = File::open(path).map_err(DatasetError::io(path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
    let keys = builder.metadata().file_metadata().key_value_metadata();
    let version = keys.and_then(|keys| keys.iter().find(|key| key.key == SCHEMA_KEY));
    format::check_version(path, version.and_then(|key| key.value.as_deref()))?;
    let names = columns.iter().map(|column| column.name.as_str());
    let mask = ProjectionMask::columns(builder.parquet_schema(), names);
    let builder = builder.with_projection(mask).with_batch_size(ROWS_AT_ONCE);
    let batches = builder.build().map_err(failed)?;
    for batch in batches {
        let batch = batch.map_err(|error| failed(error.into()))?;
        each(&conformed(path, columns, &batch)?)?;
    }
    Ok(())
}

/// The batch with exactly these columns. A file of an older schema lacks what was added since;
/// one that another program rewrote has its own order.
fn conformed(
    path: &Path,
    columns: &[ColumnInfo],
    batch: &RecordBatch,
) -> Result<RecordBatch, DatasetError> {
    let foreign = |why: String| DatasetError::foreign(path, why);
    let column = |info: &ColumnInfo| -> Result<ArrayRef, DatasetError> {
        let (name, kind) = (&info.name, info.kind.arrow());
        match batch.column_by_name(name) {
            Some(found) if *found.data_type() != kind => {
                let is = found.data_type();
                Err(foreign(format!("its column `{name}` is {is}, not {kind}")))
            }
            Some(found) if !info.nullable && found.null_count() > 0 => {
                Err(foreign(format!("its column `{name}` misses values")))
            }
            Some(found) => Ok(found.clone()),
            None if info.nullable => Ok(new_null_array(&kind, batch.num_rows())),
            None => Err(foreign(format!("it has no column `{name}`"))),
        }
    };
    let found = columns.iter().map(column).collect::<Result<_, _>>()?;
    super::column::batch(columns, found).map_err(|error| foreign(error.to_string()))
}
