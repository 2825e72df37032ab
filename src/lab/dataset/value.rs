//! One value of a row, for formats that are written value by value.

use super::column::{Builder, Type};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use jiff::Timestamp;
use std::fmt::Write;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Missing,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// Microseconds of the Unix epoch.
    Time(i64),
}

impl<'a> Value<'a> {
    pub fn of(column: &'a ArrayRef, row: usize) -> Self {
        if column.is_null(row) {
            return Self::Missing;
        }
        match column.data_type() {
            DataType::Boolean => Self::Bool(column.as_boolean().value(row)),
            DataType::Int64 => Self::Int(column.as_primitive::<Int64Type>().value(row)),
            DataType::Float64 => Self::Float(column.as_primitive::<Float64Type>().value(row)),
            DataType::Timestamp(..) => {
                Self::Time(column.as_primitive::<TimestampMicrosecondType>().value(row))
            }
            _ => Self::Text(column.as_string::<i32>().value(row)),
        }
    }

    pub fn bool(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub fn int(self) -> Option<u64> {
        match self {
            Self::Int(value) => value.try_into().ok(),
            _ => None,
        }
    }

    pub fn float(self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(value),
            _ => None,
        }
    }

    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(value) => Some(value),
            _ => None,
        }
    }

    pub fn time(self) -> Option<Timestamp> {
        match self {
            Self::Time(value) => Timestamp::from_microsecond(value).ok(),
            _ => None,
        }
    }

    /// As text; nothing for what is missing.
    pub fn write(self, out: &mut String) {
        let written = match self {
            Self::Missing => Ok(()),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Int(value) => write!(out, "{value}"),
            // With an exponent where it is large, and never as an integer.
            Self::Float(value) => write!(out, "{value:?}"),
            Self::Text(value) => out.write_str(value),
            Self::Time(value) => out.write_str(&rfc3339(value)),
        };
        written.expect("a string takes everything");
    }

    /// Reads what [`Value::write`] wrote; `None` if it is nothing of this type.
    pub fn read(text: &'a str, kind: Type) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Missing);
        }
        match kind {
            Type::Bool => text.parse().ok().map(Self::Bool),
            Type::Int => text.parse().ok().map(Self::Int),
            Type::Float => text.parse().ok().map(Self::Float),
            Type::Text => Some(Self::Text(text)),
            Type::Time => {
                let time: Timestamp = text.parse().ok()?;
                Some(Self::Time(time.as_microsecond()))
            }
        }
    }

    /// `None` if the column is of another type.
    pub fn append(self, column: &mut Builder) -> Option<()> {
        match (self, column) {
            (Self::Missing, column) => column.append_null(),
            (Self::Bool(value), Builder::Bool(out)) => out.append_value(value),
            (Self::Int(value), Builder::Int(out)) => out.append_value(value),
            (Self::Float(value), Builder::Float(out)) => out.append_value(value),
            (Self::Text(value), Builder::Text(out)) => out.append_value(value),
            (Self::Time(value), Builder::Time(out)) => out.append_value(value),
            _ => return None,
        }
        Some(())
    }
}

/// A time as records have it, but with microseconds.
pub(super) fn rfc3339(microseconds: i64) -> String {
    let time = Timestamp::from_microsecond(microseconds);
    let time = time.expect("the time of a record was read from text");
    format!("{time:.6}")
}
