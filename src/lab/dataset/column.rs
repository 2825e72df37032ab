//! What a column is called, how its values come out of a record, and the rows that wait to be
//! written.

use super::record::Record;
use crate::record::Reason;
use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;

/// The types of all tables: those that every reader of Parquet and SQLite has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Bool,
    /// 64 bits with sign; Spark has no others of that size.
    Int,
    Float,
    Text,
    /// Microseconds in UTC.
    Time,
}

impl Type {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int64",
            Self::Float => "float64",
            Self::Text => "text",
            Self::Time => "timestamp",
        }
    }

    pub(super) fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnInfo {
    pub name: String,
    pub kind: Type,
    /// Whether a value may be missing. An empty text is missing.
    pub nullable: bool,
    /// What it says, in a line.
    pub about: &'static str,
}

/// The schema of these columns in Arrow, from which Parquet's follows.
pub(super) fn schema(columns: &[ColumnInfo]) -> SchemaRef {
    let field = |column: &ColumnInfo| {
        let kind = column.kind.arrow();
        Field::new(&column.name, kind, column.nullable)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

type TextOf<B> = for<'b> fn(&'b B, usize) -> Option<Cow<'b, str>>;

/// How a value comes out of a record: of its stamp, or of its body and the row's number in it.
enum Source<B> {
    Time,
    BootId,
    StampInt(fn(&Record) -> u64),
    StampBool(fn(&Record) -> bool),
    Bool(fn(&B, usize) -> Option<bool>),
    Int(fn(&B, usize) -> Option<u64>),
    Float(fn(&B, usize) -> Option<f64>),
    Text(TextOf<B>),
    Reason(fn(&B, usize) -> Option<Reason>),
}

/// The columns of a table whose rows come out of a `B`.
pub(super) struct Columns<B> {
    infos: Vec<ColumnInfo>,
    sources: Vec<Source<B>>,
}

impl<B> Columns<B> {
    pub fn new() -> Self {
        Self {
            infos: Vec::new(),
            sources: Vec::new(),
        }
    }

    pub fn infos(&self) -> &[ColumnInfo] {
        &self.infos
    }

    fn push(&mut self, name: &str, kind: Type, about: &'static str, source: Source<B>) {
        self.infos.push(ColumnInfo {
            name: name.to_owned(),
            kind,
            nullable: true,
            about,
        });
        self.sources.push(source);
    }

    /// The last column always has a value.
    pub fn always(&mut self) {
        let last = self.infos.last_mut().expect("a column was added before");
        last.nullable = false;
    }

    pub fn time(&mut self) {
        self.push("time", Type::Time, "when the record was made", Source::Time);
        self.always();
    }

    /// What every record carries besides its device.
    pub fn stamp(&mut self) {
        self.time();
        let mono_ns = Source::StampInt(|record| record.stamp.mono_ns);
        let about = "the board's CLOCK_MONOTONIC then";
        self.push("mono_ns", Type::Int, about, mono_ns);
        self.always();
        let about = "the boot that monotonic times belong to";
        self.push("boot_id", Type::Text, about, Source::BootId);
        self.always();
        let sync = Source::StampBool(|record| record.stamp.clock_sync);
        let about = "whether the clock of `time` was synchronised";
        self.push("clock_sync", Type::Bool, about, sync);
        self.always();
    }

    pub fn bool(&mut self, name: &str, about: &'static str, get: fn(&B, usize) -> Option<bool>) {
        self.push(name, Type::Bool, about, Source::Bool(get));
    }

    /// Values beyond 63 bits are missing.
    pub fn int(&mut self, name: &str, about: &'static str, get: fn(&B, usize) -> Option<u64>) {
        self.push(name, Type::Int, about, Source::Int(get));
    }

    pub fn float(&mut self, name: &str, about: &'static str, get: fn(&B, usize) -> Option<f64>) {
        self.push(name, Type::Float, about, Source::Float(get));
    }

    pub fn text(&mut self, name: &str, about: &'static str, get: TextOf<B>) {
        self.push(name, Type::Text, about, Source::Text(get));
    }

    /// Why `name` is null.
    pub fn reason(&mut self, name: &str, get: fn(&B, usize) -> Option<Reason>) {
        let about = "why it is null";
        self.push(
            &format!("{name}_reason"),
            Type::Text,
            about,
            Source::Reason(get),
        );
    }

    /// Appends `count` rows of `body` to the rows that wait, column by column.
    pub fn append(&self, waiting: &mut Waiting, record: &Record, body: &B, count: usize) {
        for (source, column) in self.sources.iter().zip(&mut waiting.columns) {
            for row in 0..count {
                match (source, &mut *column) {
                    (Source::Time, Builder::Time(out)) => out.append_value(record.time_us),
                    (Source::BootId, Builder::Text(out)) => out.append_value(&record.stamp.boot_id),
                    (Source::StampInt(get), Builder::Int(out)) => {
                        out.append_option(i64::try_from(get(record)).ok());
                    }
                    (Source::StampBool(get), Builder::Bool(out)) => out.append_value(get(record)),
                    (Source::Bool(get), Builder::Bool(out)) => out.append_option(get(body, row)),
                    (Source::Int(get), Builder::Int(out)) => {
                        out.append_option(get(body, row).and_then(|v| i64::try_from(v).ok()));
                    }
                    (Source::Float(get), Builder::Float(out)) => {
                        out.append_option(get(body, row));
                    }
                    (Source::Text(get), Builder::Text(out)) => {
                        out.append_option(get(body, row).filter(|text| !text.is_empty()));
                    }
                    (Source::Reason(get), Builder::Text(out)) => {
                        out.append_option(get(body, row).map(wire));
                    }
                    _ => unreachable!("builders are made of the same columns"),
                }
            }
        }
        waiting.rows += count;
    }
}

/// An enum's name on the wire.
pub(super) fn wire<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("an enum of names is one: {other:?}"),
    }
}

/// One column's values, as they are filled in.
pub(super) enum Builder {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Time(TimestampMicrosecondBuilder),
}

impl Builder {
    pub fn new(kind: Type) -> Self {
        match kind {
            Type::Bool => Self::Bool(BooleanBuilder::with_capacity(0)),
            Type::Int => Self::Int(Int64Builder::with_capacity(0)),
            Type::Float => Self::Float(Float64Builder::with_capacity(0)),
            Type::Text => Self::Text(StringBuilder::with_capacity(0, 0)),
            Type::Time => {
                let builder = TimestampMicrosecondBuilder::with_capacity(0);
                Self::Time(builder.with_data_type(kind.arrow()))
            }
        }
    }

    pub fn append_null(&mut self) {
        match self {
            Self::Bool(out) => out.append_null(),
            Self::Int(out) => out.append_null(),
            Self::Float(out) => out.append_null(),
            Self::Text(out) => out.append_null(),
            Self::Time(out) => out.append_null(),
        }
    }

    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(out) => Arc::new(out.finish()),
            Self::Int(out) => Arc::new(out.finish()),
            Self::Float(out) => Arc::new(out.finish()),
            Self::Text(out) => Arc::new(out.finish()),
            Self::Time(out) => Arc::new(out.finish()),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Bool(out) => out.values_slice().len(),
            Self::Int(out) => size_of_val(out.values_slice()),
            Self::Float(out) => size_of_val(out.values_slice()),
            Self::Text(out) => out.values_slice().len() + size_of_val(out.offsets_slice()),
            Self::Time(out) => size_of_val(out.values_slice()),
        }
    }
}

/// The rows of one table, date and device that are not written yet.
pub(super) struct Waiting {
    infos: &'static [ColumnInfo],
    columns: Vec<Builder>,
    rows: usize,
}

impl Waiting {
    pub fn new(infos: &'static [ColumnInfo]) -> Self {
        Self {
            infos,
            columns: infos.iter().map(|info| Builder::new(info.kind)).collect(),
            rows: 0,
        }
    }

    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Builder::bytes).sum()
    }

    /// The rows; none wait any more.
    pub fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        let columns = self.columns.iter_mut().map(Builder::finish).collect();
        batch(self.infos, columns)
    }
}

/// A batch of these columns.
///
/// Errors: a value is missing that never is, which a hostile record may have brought about.
pub(super) fn batch(
    infos: &[ColumnInfo],
    columns: Vec<ArrayRef>,
) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(schema(infos), columns)
}
