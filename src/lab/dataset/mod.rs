//! What `joulectl collect` writes and everything else on the lab side reads: the records of many
//! boards as tables.
//!
//! ```text
//! topic + payload ─▶ Record ─▶ Rows ─▶ ROOT/<table>/date=…/device=…/part-<name>.parquet (or .csv)
//!                                  └─▶ ROOT/dataset.sqlite
//! ROOT, or result files ─▶ Dataset ─▶ results, tokens, trace, rails, health
//! ```
//!
//! A record is hostile until it is checked ([`Record::parse`]): a device's name becomes the name
//! of a folder. A part is written whole or not at all, and writing it again replaces it, so a
//! collector that was killed repeats its last part. `results` keeps each result as it was
//! published (`record_json`); every other column of every table is described in
//! [`Table::columns`] and in docs/dataset.md. Missing figures are null, and where the record says
//! why, `<name>_reason` does.

mod atomic;
mod column;
mod csv;
mod error;
mod format;
mod parquet;
mod read;
mod record;
mod rows;
mod sqlite;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod value;

pub(in crate::lab) use atomic::replace;
pub use column::{ColumnInfo, Type};
pub use error::{DatasetError, RecordError};
pub use format::{Format, PartName};
pub use read::{Dataset, RailSample, TokenSample, TraceSample};
pub use record::{Attempt, Body, Published, Record};
pub use rows::{Rows, Written, holds_rows};
pub use table::Table;

/// Version of tables and columns. A column or table that is added leaves it; it rises when one
/// is taken away, renamed, or changes its type or meaning.
pub const SCHEMA_VERSION: u32 = 1;
