//! The records of jobs, as a board's own store has them and as a dataset has them.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use jouled::record::job::{Tokens, Trace};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Device, job, attempt, kind, rail of a trace, and `seq`.
pub type Name = (String, String, i64, &'static str, String, i64);

/// What a record comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Content {
    /// Of tokens one a token, of trace one a window.
    rows: usize,
    /// Of all rows: places and lengths in time, bit by bit.
    sum: u64,
}

impl Content {
    fn add(&mut self, figure: u64) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(figure);
    }

    fn of(figures: impl Iterator<Item = u64>) -> Self {
        let mut content = Self::default();
        figures.for_each(|figure| content.add(figure));
        content
    }
}

pub type Ledger = BTreeMap<Name, Content>;

/// What a board has in its storage directory.
pub fn of_board(device: &str, state: &Path) -> Ledger {
    let path = state.join("jouled.db");
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut query = db
        .prepare("SELECT job, attempt, kind, payload FROM outbox WHERE kind != 'state'")
        .unwrap();
    let mut rows = query.query([]).unwrap();
    let mut ledger = Ledger::new();
    while let Some(row) = rows.next().unwrap() {
        let id: String = row.get(0).unwrap();
        let attempt: i64 = row.get(1).unwrap();
        let payload: Vec<u8> = row.get(3).unwrap();
        let (kind, rail, seq, content) = match row.get::<_, String>(2).unwrap().as_str() {
            "tokens" => {
                let tokens: Tokens = serde_json::from_slice(&payload).unwrap();
                (
                    "tokens",
                    String::new(),
                    tokens.seq as i64,
                    Content::of(tokens.tokens.iter().map(|token| token.t_s.to_bits())),
                )
            }
            "trace" => {
                let trace: Trace = serde_json::from_slice(&payload).unwrap();
                {
                    let content = Content::of(trace.dt_ns.iter().copied());
                    ("trace", trace.rail, trace.seq as i64, content)
                }
            }
            "result" => {
                let result: Value = serde_json::from_slice(&payload).unwrap();
                let t0 = result["t0_mono_ns"].as_u64().unwrap();
                ("result", String::new(), 0, Content::of([t0].into_iter()))
            }
            other => panic!("{other}"),
        };
        let name = (device.to_owned(), id, attempt, kind, rail, seq);
        assert_eq!(ledger.insert(name, content), None, "the board has it twice");
    }
    ledger
}

/// What is in a dataset of Parquet files. A row that is there twice counts twice.
pub fn of_dataset(root: &Path) -> Ledger {
    let mut ledger = Ledger::new();
    for (table, kind) in [
        ("tokens", "tokens"),
        ("trace", "trace"),
        ("results", "result"),
    ] {
        each_row(&root.join(table), |device, batch, row| {
            let int = |name: &str| batch[name].as_primitive::<Int64Type>().value(row);
            let text = |name: &str| batch[name].as_string::<i32>().value(row).to_owned();
            let (rail, seq) = match kind {
                "tokens" => (String::new(), int("seq")),
                "trace" => (text("rail"), int("seq")),
                _ => (String::new(), 0),
            };
            let name = (
                device.to_owned(),
                text("id"),
                int("attempt"),
                kind,
                rail,
                seq,
            );
            let figure = match kind {
                "tokens" => batch["t_s"]
                    .as_primitive::<Float64Type>()
                    .value(row)
                    .to_bits(),
                "trace" => int("dt_ns") as u64,
                _ => int("t0_mono_ns") as u64,
            };
            ledger.entry(name).or_default().add(figure);
        });
    }
    ledger
}

fn each_row(table: &Path, mut each: impl FnMut(&str, &RecordBatch, usize)) {
    for file in parts(table) {
        let folder = file.parent().unwrap().file_name().unwrap();
        let device = folder.to_str().unwrap().strip_prefix("device=").unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file).unwrap());
        for batch in reader.unwrap().build().unwrap() {
            let batch = batch.unwrap();
            (0..batch.num_rows()).for_each(|row| each(device, &batch, row));
        }
    }
}

/// The Parquet files of a table; any other file is one too many.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        match path.extension().is_some_and(|end| end == "parquet") {
            _ if path.is_dir() => files.extend(parts(&path)),
            true => files.push(path),
            false => panic!("{} is in the dataset", path.display()),
        }
    }
    files
}

/// Fails with the first differences.
pub fn compare(dataset: &Ledger, boards: &Ledger) {
    let lacks = boards
        .iter()
        .filter(|(name, _)| !dataset.contains_key(*name));
    let lacks: Vec<_> = lacks.take(10).collect();
    assert!(lacks.is_empty(), "not in the dataset: {lacks:#?}");
    let differs = dataset
        .iter()
        .filter(|(name, content)| boards.get(*name) != Some(content));
    let differs: Vec<_> = differs
        .map(|(name, content)| (name, content, boards.get(name)))
        .take(10)
        .collect();
    assert!(
        differs.is_empty(),
        "in the dataset, and of the boards: {differs:#?}"
    );
}

/// Records of a kind.
pub fn count(ledger: &Ledger, kind: &str) -> usize {
    ledger.keys().filter(|name| name.3 == kind).count()
}
