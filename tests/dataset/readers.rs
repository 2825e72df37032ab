//! DuckDB, pandas, polars, PyArrow and SQLite read every table as it is.

use super::{Message, in_repository, job, python, write};
use jouled::lab::dataset::{Body, Format, Table, Type, Written};
use serde_json::Value;
use std::path::Path;

struct Expected {
    written: Written,
    /// Sum of the tokens' energies, and how many have none.
    energy_j: f64,
    missing: u64,
}

/// Two boards, of which one has a number for a name, on two days.
fn messages() -> Vec<Message> {
    let jobs = [
        ("pi5-01", "smol-1", "2026-11-21"),
        ("pi5-01", "smol-2", "2026-11-22"),
        ("007", "smol-1", "2026-11-22"),
    ];
    let messages = jobs.map(|(device, id, day)| job(device, id, day));
    messages.into_iter().flatten().collect()
}

fn dataset(root: &Path, format: Format) -> Expected {
    let messages = messages();
    let mut expected = Expected {
        written: write(root, format, "one", &messages),
        energy_j: 0.0,
        missing: 0,
    };
    for message in &messages {
        if let Body::Tokens(tokens) = message.record().body {
            for token in tokens.tokens {
                match token.energy_j {
                    Some(energy) => expected.energy_j += energy,
                    None => expected.missing += 1,
                }
            }
        }
    }
    expected
}

/// What a reader finds is what was written.
fn reads(reader: &str, format: Format, types: fn(Type) -> &'static [&'static str]) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("lab");
    let expected = dataset(&root, format);
    let output = python()
        .arg(in_repository("tests/dataset/read.py"))
        .arg(reader)
        .arg(&root)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{reader}: {errors}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let places = [
        ["2026-11-21", "pi5-01"],
        ["2026-11-22", "007"],
        ["2026-11-22", "pi5-01"],
    ];
    for table in Table::ALL {
        let of = &found[table.as_str()];
        assert_eq!(
            of["rows"], expected.written.rows[&table],
            "{reader} {table}"
        );
        assert_eq!(of["places"], serde_json::json!(places), "{reader} {table}");
        for column in table.columns() {
            let kind = of["types"][&column.name].as_str().unwrap_or("missing");
            // A column without any value has no type in what guesses types.
            let fits = types(column.kind).contains(&kind);
            assert!(fits, "{reader} {table}.{}: {kind}", column.name);
        }
    }
    let sum = found["sum"]["energy_j"].as_f64().unwrap();
    assert!((sum - expected.energy_j).abs() < 1e-9, "{reader}: {sum}");
    assert_eq!(found["sum"]["missing"], expected.missing, "{reader}");
    assert_eq!(
        found["sum"]["reasons"],
        serde_json::json!(["in-prefill"]),
        "{reader}"
    );
    assert_eq!(found["time_us"], 1_795_255_200_000_000_i64, "{reader}");
}

#[test]
fn duckdb_reads_parquet() {
    reads("duckdb_parquet", Format::Parquet, |kind| match kind {
        Type::Bool => &["BOOLEAN"],
        Type::Int => &["BIGINT"],
        Type::Float => &["DOUBLE"],
        Type::Text => &["VARCHAR"],
        Type::Time => &["TIMESTAMP WITH TIME ZONE"],
    });
}

/// An integer column with missing values is of floats in pandas, and one of booleans of objects.
#[test]
fn pandas_reads_parquet() {
    reads("pandas_parquet", Format::Parquet, |kind| match kind {
        Type::Bool => &["bool", "object"],
        Type::Int => &["int64", "float64"],
        Type::Float => &["float64"],
        Type::Text => &["str"],
        Type::Time => &["datetime64[us, UTC]"],
    });
}

#[test]
fn polars_reads_parquet() {
    reads("polars_parquet", Format::Parquet, |kind| match kind {
        Type::Bool => &["Boolean"],
        Type::Int => &["Int64"],
        Type::Float => &["Float64"],
        Type::Text => &["String"],
        Type::Time => &["Datetime(time_unit='us', time_zone='UTC')"],
    });
}

/// Types are what DuckDB guesses from the text: a column that is empty is one of text.
#[test]
fn duckdb_reads_csv() {
    reads("duckdb_csv", Format::Csv, |kind| match kind {
        Type::Bool => &["BOOLEAN", "VARCHAR"],
        Type::Int => &["BIGINT", "VARCHAR"],
        Type::Float => &["DOUBLE", "VARCHAR"],
        Type::Text => &["VARCHAR"],
        Type::Time => &["TIMESTAMP WITH TIME ZONE", "TIMESTAMP"],
    });
}

#[test]
fn pyarrow_reads_csv() {
    reads("pyarrow_csv", Format::Csv, |kind| match kind {
        Type::Bool => &["bool", "object"],
        Type::Int => &["int64", "float64", "object"],
        Type::Float => &["float64", "object"],
        Type::Text => &["str", "object"],
        Type::Time => &["datetime64[us, UTC]", "datetime64[ns, UTC]"],
    });
}

#[test]
fn sqlite_and_pandas_read_sqlite() {
    let of_sqlite = |kind| -> &'static [&'static str] {
        match kind {
            Type::Bool | Type::Int => &["INTEGER"],
            Type::Float => &["REAL"],
            Type::Text | Type::Time => &["TEXT"],
        }
    };
    reads("sqlite", Format::Sqlite, of_sqlite);
    reads("pandas_sqlite", Format::Sqlite, |kind| match kind {
        Type::Bool | Type::Int => &["int64", "float64", "object"],
        Type::Float => &["float64", "object"],
        Type::Text => &["str", "object"],
        Type::Time => &["datetime64[us, UTC]", "datetime64[ns, UTC]"],
    });
}
