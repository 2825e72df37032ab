//! Datasets written and read back.

use super::column::{ColumnInfo, Type};
use super::read::Dataset;
use super::*;
use crate::lab::testing::{self, DEVICE, ID};
use crate::record::Stamped;
use crate::record::job::Trace;
use arrow_array::RecordBatch;
use clap::ValueEnum;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Nothing is to be wrong.
fn unheard(why: &str) {
    panic!("{why}");
}

fn part(name: &str) -> PartName {
    name.parse().unwrap()
}

fn record(topic: &str, payload: &[u8]) -> Record {
    let topic = format!("jouled/{DEVICE}/{topic}");
    Record::parse("jouled", &topic, payload).unwrap().unwrap()
}

fn stamped(mut body: Value, mono_ns: u64) -> Vec<u8> {
    let stamp = json!({"v": 1, "device": DEVICE, "time": "2026-11-21T10:00:00.000Z",
        "mono_ns": mono_ns, "boot_id": "6c0f", "clock_sync": true});
    let fields = stamp.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body.to_string().into_bytes()
}

/// The chunk with a gap in it.
fn chunk() -> Stamped<Trace> {
    testing::trace(DEVICE, ID).swap_remove(2)
}

/// A record of each kind.
fn records() -> Vec<Record> {
    let of_job = |kind: &str| format!("jobs/{ID}/{kind}");
    let mut records = Vec::new();
    for tokens in testing::tokens(DEVICE, ID) {
        records.push(record(&of_job("tokens"), &tokens.to_json()));
    }
    records.push(record(&of_job("trace"), &chunk().to_json()));
    records.push(record(&of_job("result"), &testing::result().to_json()));
    let state = json!({"id": ID, "attempt": 1, "rev": 3, "state": "succeeded", "phase": null,
        "progress": 1.0, "reason": null});
    records.push(record(&of_job("state"), &stamped(state, 1)));
    let rail = json!({"rail": "input", "simulated": true, "power_w": 3.125, "voltage_v": 5.0,
        "current_a": null, "energy_wh": 0.1 + 0.2, "quality": "near-full-scale"});
    records.push(record("rails/input", &stamped(rail, 2)));
    let health = json!({"sensors": {
            "input": {"rate_hz": 208.7, "missed_deadlines": 1, "dropped": 0, "errors": 0,
                "state": "ok", "reason": null},
            "usb": {"rate_hz": null, "missed_deadlines": 1, "dropped": 0, "errors": 3,
                "state": "failed", "reason": "no answer,\n at \"0x44\""}},
        "queue": 2, "queue_mode": "paused", "outbox": {"pending": 12, "oldest_s": 3.0,
            "parked": 0, "expired": 0, "dropped": 4},
        "rss_bytes": 9_000_000, "disk_free_bytes": null});
    records.push(record("health", &stamped(health, 3)));
    let event = json!({"code": "sensor-failed", "message": "usb: no answer, again"});
    records.push(record("events", &stamped(event, 4)));
    records
}

fn rows(records: &[Record]) -> Rows {
    let mut rows = Rows::default();
    for record in records {
        rows.add(record);
    }
    rows
}

fn attempts() -> BTreeSet<Attempt> {
    BTreeSet::from([Attempt {
        device: DEVICE.to_owned(),
        id: ID.to_owned(),
        attempt: 1,
    }])
}

/// All columns of a table as they are read back.
fn all(dataset: &Dataset, table: Table) -> Vec<(String, RecordBatch)> {
    let names: Vec<&str> = table.columns().iter().map(|c| c.name.as_str()).collect();
    let mut batches = Vec::new();
    dataset
        .batches(table, &names, &mut |device, batch| {
            batches.push((device.to_owned(), batch.clone()));
            Ok(())
        })
        .unwrap();
    batches
}

fn open(root: &Path) -> Dataset {
    Dataset::open(&[root.to_owned()]).unwrap()
}

#[test]
fn every_table_comes_back_as_it_was_in_every_format() {
    let mut written = BTreeMap::new();
    for format in Format::value_variants() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("lab");
        let came_to = rows(&records())
            .write(&root, *format, &part("a-1"))
            .unwrap();
        assert_eq!(came_to.rows[&Table::Tokens], 3 * 128);
        assert_eq!(came_to.rows.len(), Table::ALL.len(), "{format}");
        let dataset = open(&root);
        for table in Table::ALL {
            let batches = all(&dataset, table);
            assert_eq!(batches.len(), 1, "{format} {table}");
            let (device, batch) = &batches[0];
            assert_eq!(device, DEVICE);
            assert_eq!(
                batch.num_rows() as u64,
                came_to.rows[&table],
                "{format} {table}"
            );
            // The first format is what the others are held against.
            let first = written.entry(table).or_insert_with(|| batch.clone());
            assert_eq!(batch, first, "{format} {table}");
        }
        assert_eq!(
            dataset.results(unheard).unwrap(),
            [testing::result()],
            "{format}"
        );
    }
}

#[test]
fn samples_are_the_records_figures_and_missing_ones_are_missing() {
    let dir = tempfile::tempdir().unwrap();
    rows(&records())
        .write(dir.path(), Format::Parquet, &part("a"))
        .unwrap();
    let dataset = open(dir.path());
    let tokens = &dataset.tokens(&attempts()).unwrap();
    let tokens = tokens.values().next().unwrap();
    let published: Vec<_> = testing::tokens(DEVICE, ID)
        .iter()
        .flat_map(|record| record.body.tokens.clone())
        .collect();
    assert_eq!(tokens.len(), published.len());
    for (token, published) in tokens.iter().zip(&published) {
        assert_eq!(token.i, published.i);
        assert_eq!(token.energy_j, published.energy_j);
        assert_eq!(token.u_ran_j, published.u_ran_j);
    }
    assert_eq!(tokens[0].energy_j, None);
    assert_eq!(tokens[0].reason.as_deref(), Some("in-prefill"));
    let trace = &dataset.trace(&attempts()).unwrap();
    let trace = trace.values().next().unwrap();
    let published = chunk().body.power_w;
    assert!(published.contains(&None));
    let read: Vec<Option<f64>> = trace.iter().map(|sample| sample.power_w).collect();
    assert_eq!(read, published);
    assert!(
        trace
            .windows(2)
            .all(|w| w[0].t_mono_ns + w[0].dt_ns == w[1].t_mono_ns)
    );
    let rails = dataset.rails().unwrap();
    assert_eq!(
        (rails[0].current_a, rails[0].energy_wh),
        (None, Some(0.1 + 0.2))
    );
    assert_eq!(rails[0].time.to_string(), "2026-11-21T10:00:00Z");
}

#[test]
fn a_part_that_is_written_again_is_there_once_and_so_is_what_two_datasets_have() {
    for format in Format::value_variants() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        for _ in 0..2 {
            rows(&records()).write(&one, *format, &part("a")).unwrap();
        }
        rows(&records()).write(&one, *format, &part("b")).unwrap();
        rows(&records())
            .write(&two, Format::Csv, &part("a"))
            .unwrap();
        let loose = dir.path().join("smol-1.json");
        fs::write(&loose, testing::result().to_json()).unwrap();
        let dataset = open(&one);
        let runs: usize = all(&dataset, Table::Runs)
            .iter()
            .map(|(_, b)| b.num_rows())
            .sum();
        assert_eq!(runs, 6, "{format}: three of each part");
        let dataset = Dataset::open(&[one, two, loose]).unwrap();
        assert_eq!(dataset.results(unheard).unwrap().len(), 1);
        assert_eq!(
            dataset.tokens(&attempts()).unwrap()[&attempts().pop_first().unwrap()].len(),
            384
        );
        assert_eq!(dataset.rails().unwrap().len(), 1);
    }
}

/// What a board may add that this version doesn't know, however odd.
#[test]
fn a_result_that_was_accepted_is_read_back_and_one_that_is_broken_stops_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let published = String::from_utf8(testing::result().to_json()).unwrap();
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    for (number, odd) in ["1e999", r#""\ud800""#, &deep].into_iter().enumerate() {
        let odd = published.replacen('{', &format!("{{\"new\": {odd},"), 1);
        let odd = record(&format!("jobs/{ID}/result"), odd.as_bytes());
        let name = part(&format!("a-{number}"));
        rows(&[odd]).write(dir.path(), Format::Csv, &name).unwrap();
        assert_eq!(open(dir.path()).results(unheard).unwrap().len(), 1);
    }
    let mut broken = record(&format!("jobs/{ID}/result"), published.as_bytes());
    if let Body::Result(published) = &mut broken.body {
        published.json = "{".to_owned();
    }
    rows(&[broken])
        .write(dir.path(), Format::Csv, &part("b"))
        .unwrap();
    let mut warnings = Vec::new();
    let results = open(dir.path()).results(|why| warnings.push(why.to_owned()));
    assert_eq!((results.unwrap().len(), warnings.len()), (1, 1));
    assert!(warnings[0].contains(ID), "{}", warnings[0]);
}

#[test]
fn rows_that_fit_no_table_are_an_error_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut odd = record(&format!("jobs/{ID}/result"), &testing::result().to_json());
    if let Body::Result(published) = &mut odd.body {
        let intervals = published.result.timeline.values().next().unwrap().clone();
        published.result.timeline.insert(String::new(), intervals);
    }
    let rows = || rows(&[records(), vec![odd.clone()]].concat());
    let error = rows().write(dir.path(), Format::Parquet, &part("a"));
    assert!(matches!(
        error,
        Err(DatasetError::Rows {
            table: Table::Phases,
            ..
        })
    ));
    assert!(rows().check().is_err());
    assert_eq!(all(&open(dir.path()), Table::Tokens).len(), 0);
}

#[test]
fn what_waits_is_counted_with_its_places() {
    let mut rows = Rows::default();
    let trace = record(&format!("jobs/{ID}/trace"), &chunk().to_json());
    rows.add(&trace);
    let first = rows.bytes();
    rows.add(&trace);
    let rail = trace.attempt().unwrap().id.len();
    assert!(rows.bytes() < 2 * first && rows.bytes() - first > chunk().body.dt_ns.len() * rail);
}

#[test]
fn readers_pass_over_what_was_not_finished() {
    let dir = tempfile::tempdir().unwrap();
    rows(&records())
        .write(dir.path(), Format::Parquet, &part("a"))
        .unwrap();
    let (_, whole) = &format::parts(dir.path(), Table::Results, Format::Parquet).unwrap()[0];
    fs::write(whole.with_file_name(".part-b.parquet.tmp"), "PAR1").unwrap();
    assert_eq!(open(dir.path()).results(unheard).unwrap().len(), 1);
}

/// What befalls a file.
type Spoil = fn(&Path);

#[test]
fn torn_and_foreign_files_are_named() {
    let spoil: [(Format, Spoil, &str); 6] = [
        (Format::Parquet, cut, "no whole Parquet file"),
        (
            Format::Parquet,
            |path| fs::write(path, "hello").unwrap(),
            "no whole Parquet file",
        ),
        (
            Format::Csv,
            |path| fs::write(path, "id,attempt\na,b,c\n").unwrap(),
            "no whole CSV file",
        ),
        (
            Format::Csv,
            |path| fs::write(path, "id,attempt\na,\n").unwrap(),
            "`attempt` is no int64",
        ),
        (
            Format::Csv,
            |path| fs::write(path, "id\na\n").unwrap(),
            "`attempt` is no int64",
        ),
        (
            Format::Sqlite,
            |path| fs::write(path, "hello, I am no database").unwrap(),
            "not a database",
        ),
    ];
    for (format, spoil, part_of_error) in spoil {
        let dir = tempfile::tempdir().unwrap();
        rows(&records())
            .write(dir.path(), format, &part("a"))
            .unwrap();
        let path = match format {
            Format::Sqlite => dir.path().join(sqlite::FILE),
            format => format::parts(dir.path(), Table::Tokens, format).unwrap()[0]
                .1
                .clone(),
        };
        spoil(&path);
        let error = open(dir.path())
            .tokens(&attempts())
            .unwrap_err()
            .to_string();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            error.contains(name) && error.contains(part_of_error),
            "{error}"
        );
    }
}

fn cut(path: &Path) {
    let whole = fs::read(path).unwrap();
    fs::write(path, &whole[..whole.len() - 20]).unwrap();
}

#[test]
fn folders_of_something_else_and_newer_datasets_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let write = |format| rows(&records()).write(root, format, &part("a")).map(|_| ());
    let refused = |error: DatasetError| error.to_string();
    fs::write(root.join("thesis.tex"), "").unwrap();
    assert!(refused(write(Format::Csv).unwrap_err()).contains("not empty"));
    let error = refused(Dataset::open(&[root.to_owned()]).unwrap_err());
    assert!(error.contains("neither a dataset"), "{error}");
    fs::remove_file(root.join("thesis.tex")).unwrap();
    fs::create_dir(root.join(".collect")).unwrap();
    write(Format::Csv).unwrap();
    assert!(refused(write(Format::Parquet).unwrap_err()).contains("a dataset of csv already"));
    let card = root.join("dataset.json");
    let newer = fs::read_to_string(&card)
        .unwrap()
        .replace("\"schema\": 1", "\"schema\": 2");
    fs::write(&card, newer).unwrap();
    let error = refused(Dataset::open(&[root.to_owned()]).unwrap_err());
    assert!(
        error.contains("schema 2") && error.contains("knows schema 1"),
        "{error}"
    );
    for text in [
        "",
        "{}",
        "{\"dataset\":\"hub\",\"schema\":1,\"format\":\"csv\"}",
    ] {
        fs::write(&card, text).unwrap();
        assert!(refused(Dataset::open(&[root.to_owned()]).unwrap_err()).contains("dataset.json"));
    }
    let nowhere = Dataset::open(&[PathBuf::from("/nonexistent/lab")]).unwrap_err();
    assert_eq!(crate::lab::LabError::from(nowhere).exit_code(), 2);
}

/// A file of an older schema lacks what was added since.
#[test]
fn a_column_that_a_file_lacks_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    rows(&records())
        .write(dir.path(), Format::Csv, &part("a"))
        .unwrap();
    let path = format::parts(dir.path(), Table::Trace, Format::Csv).unwrap()[0]
        .1
        .clone();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("power_w", "power_of_old", 1)).unwrap();
    let trace = open(dir.path()).trace(&attempts()).unwrap();
    assert!(
        trace
            .values()
            .flatten()
            .all(|sample| sample.power_w.is_none())
    );
}

#[test]
fn units_are_in_the_names_and_reasons_beside_what_may_be_missing() {
    for table in Table::ALL {
        let columns = table.columns();
        let named = |name: &str| columns.iter().find(|column| column.name == name);
        let names: BTreeSet<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names.len(), columns.len(), "{table}: a name twice");
        for ColumnInfo { name, kind, .. } in columns {
            let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(is_word), "{table}.{name}");
            assert!(
                !["date", "device"].contains(&name.as_str()),
                "{table}.{name}"
            );
            if let Some(of) = name.strip_suffix("_reason") {
                assert_eq!(*kind, Type::Text);
                let of = named(of).or_else(|| named(&format!("{of}_median")));
                assert!(
                    of.is_some_and(|of| of.nullable) || name == "stop_reason",
                    "{table}.{name}"
                );
            }
        }
        assert_eq!(
            named("time").map(|time| (time.kind, time.nullable)),
            Some((Type::Time, false))
        );
    }
}

/// Any finite number, with the awkward ones more often than chance has them.
fn figure() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        Just(None),
        Just(Some(0.0)),
        Just(Some(-0.0)),
        Just(Some(f64::MIN_POSITIVE)),
        Just(Some(f64::MAX)),
        any::<f64>().prop_map(|f| f.is_finite().then_some(f)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever a board publishes is in the dataset with the same digits, and what it says is
    /// missing is missing there.
    #[test]
    fn what_is_published_is_what_is_read(
        figures in prop::collection::vec((figure(), figure(), any::<u32>()), 1..40),
        reason in "[ -~\n\"]{0,12}",
        format in prop::sample::select(Format::value_variants()),
    ) {
        let tokens: Vec<Value> = figures.iter().enumerate().map(|(i, (energy, power, step))| {
            json!({"i": i, "t_s": i as f64 * 0.1, "energy_j": energy, "energy_j_u95": power,
                "u_ran_j": energy, "power_w": power, "step_n": step, "reason": null})
        }).collect();
        let body = json!({"id": ID, "attempt": 1, "rep": 1, "seq": 0, "resolved": false,
            "u_sys_rel": null, "reason": "too-coarse", "tokens": tokens});
        let state = json!({"id": ID, "attempt": 1, "rev": 3, "state": "failed", "phase": "decode",
            "progress": null, "reason": reason});
        let records = [
            record(&format!("jobs/{ID}/tokens"), &stamped(body, 1)),
            record(&format!("jobs/{ID}/state"), &stamped(state, 2)),
        ];
        let dir = tempfile::tempdir().unwrap();
        rows(&records).write(dir.path(), format, &part("a")).unwrap();
        let dataset = open(dir.path());
        let read = dataset.tokens(&attempts()).unwrap().pop_first().unwrap().1;
        prop_assert_eq!(read.len(), figures.len());
        for (token, (energy, power, step)) in read.iter().zip(&figures) {
            prop_assert_eq!(token.energy_j, *energy);
            prop_assert_eq!(token.power_w, *power);
            prop_assert_eq!(token.step_n, Some(*step));
        }
        let states = all(&dataset, Table::States);
        let names: Vec<&str> = Table::States.columns().iter().map(|c| c.name.as_str()).collect();
        let column = names.iter().position(|name| *name == "reason").unwrap();
        let read = value::Value::of(states[0].1.column(column), 0).text();
        prop_assert_eq!(read.unwrap_or_default(), reason);
    }
}
