//! `joulectl recompute`: makes the figures of an attempt again from its raw data, and compares
//! them with what was published.

mod compare;
mod source;
#[cfg(test)]
mod tests;

use super::LabError;
use super::file::{read_result_json, read_tokens_json};
use crate::measure::AttemptRecords;
use crate::record::Stamped;
use crate::record::result::JobResult;
use crate::store::{Kept, RawDirectory, RawFile, RecordKind};
use compare::Comparison;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};
pub use source::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// A raw file (ID.ATTEMPT.jsonl.gz); with --storage, jobs' ids [default: all there]
    #[arg(value_name = "RAW_FILE", required_unless_present = "storage")]
    pub what: Vec<String>,
    /// The result to compare with, as it was published
    #[arg(long, value_name = "FILE", conflicts_with = "storage")]
    pub result: Option<PathBuf>,
    /// Token records to compare with, as they were published, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "storage")]
    pub tokens: Option<PathBuf>,
    /// A board's [storage] dir: compare every raw file in it with what the board published
    #[arg(long, value_name = "DIR")]
    pub storage: Option<PathBuf>,
    /// Write the recomputed result to this file, also what was too large to be published
    #[arg(long, value_name = "FILE", conflicts_with = "storage")]
    pub write: Option<PathBuf>,
    /// Print the comparison as JSON
    #[arg(long)]
    pub json: bool,
}

/// One attempt, compared.
#[derive(Debug, Serialize)]
struct Compared {
    id: String,
    attempt: u32,
    /// Of the jouled that measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    jouled: Option<String>,
    /// Why it could not be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caution: Option<String>,
    /// Records that were compared; others are kept no longer.
    records: u64,
    #[serde(flatten)]
    found: Comparison,
}

/// What was published about an attempt, as far as it is at hand.
#[derive(Default)]
struct Published {
    result: Option<Value>,
    tokens: Vec<Value>,
    /// Whether a token record that is not here is one that is missing: of a board, which
    /// drops records after a time, it is not.
    tokens_are: Extent,
    traces: Vec<Value>,
}

#[derive(Default, PartialEq)]
enum Extent {
    Whole,
    #[default]
    Part,
}

pub fn run(options: &Options) -> Result<(), LabError> {
    let compared = match &options.storage {
        Some(storage) => of_storage(storage, &options.what)?,
        None => match of_file(options)? {
            Some(compared) => vec![compared],
            None => return Ok(()),
        },
    };
    report(&compared, options.json)
}

/// `None` where there is nothing to compare with: the result has been printed or written.
fn of_file(options: &Options) -> Result<Option<Compared>, LabError> {
    let [file] = &options.what[..] else {
        let one = "one raw file at a time; --storage DIR takes all of a board";
        return Err(LabError::Usage(one.to_owned()));
    };
    // What is there is read before anything is written.
    let source = Source::read(Path::new(file))?;
    let mut published = Published::default();
    if let Some(path) = &options.result {
        published.result = Some(read_result_json(path)?);
    }
    if let Some(path) = &options.tokens {
        published.tokens = read_tokens_json(path)?;
        published.tokens_are = Extent::Whole;
    }
    // A file has room for what the published record had to leave out.
    let whole = || String::from_utf8_lossy(&source.archive.whole().result.to_json()).into_owned();
    if let Some(path) = &options.write {
        let file = Some(PathBuf::from(file));
        let inputs = [&file, &options.result, &options.tokens];
        if inputs
            .into_iter()
            .flatten()
            .any(|input| is_same_file(path, input))
        {
            return Err(LabError::Usage(format!(
                "{}: --write would replace what is compared; name another file",
                path.display()
            )));
        }
        std::fs::write(path, format!("{}\n", whole()))
            .map_err(|error| LabError::Failed(format!("{}: {error}", path.display())))?;
    }
    if options.result.is_some() || options.tokens.is_some() {
        return Ok(Some(compare(&source, &source.records(), &published)));
    }
    if let Some(caution) = source.caution() {
        eprintln!("{caution}");
    }
    if options.write.is_none() {
        println!("{}", whole());
    }
    Ok(None)
}

/// Also by another name.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((place(one), place(other)), (Ok(one), Ok(other)) if one == other)
}

/// Every raw file of a storage directory, or those of the jobs `ids`.
fn of_storage(storage: &Path, ids: &[String]) -> Result<Vec<Compared>, LabError> {
    let usage = |error: &dyn std::fmt::Display| LabError::Usage(error.to_string());
    let kept = Kept::open(storage).map_err(|error| usage(&error))?;
    let mut files = RawDirectory::of(storage)
        .files()
        .map_err(|error| usage(&format!("{}: {error}", storage.display())))?;
    for id in ids {
        if !files.iter().any(|file| file.id.as_str() == id) {
            return Err(LabError::Usage(format!(
                "{}: no raw data of job \"{id}\"; was publish.trace set?",
                storage.display()
            )));
        }
    }
    files.retain(|file| ids.is_empty() || ids.iter().any(|id| id == file.id.as_str()));
    let bar = bar(files.len());
    let mut all = Vec::new();
    for file in files {
        bar.set_message(file.id.to_string());
        // One that can't be compared takes no other with it.
        let compared = of_attempt(&kept, &file);
        all.push(compared.unwrap_or_else(|error| Compared::failed(&file, &error)));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(all)
}

fn of_attempt(kept: &Kept, file: &RawFile) -> Result<Compared, LabError> {
    let source = Source::read(&file.path)?;
    let payloads = |kind| {
        let records = kept.records(&file.id, file.attempt, kind);
        let parsed = records.map(|records| {
            let parse = |payload: &Vec<u8>| serde_json::from_slice(payload);
            records.iter().map(parse).collect::<Result<Vec<Value>, _>>()
        });
        parsed
            .map_err(|error| LabError::Failed(error.to_string()))?
            .map_err(|error| LabError::Failed(format!("a record of {}: {error}", file.id)))
    };
    let published = Published {
        result: payloads(RecordKind::Result)?.pop(),
        tokens: payloads(RecordKind::Tokens)?,
        tokens_are: Extent::Part,
        traces: payloads(RecordKind::Trace)?,
    };
    Ok(compare(&source, &source.records(), &published))
}

/// Only where there is something to wait for.
fn bar(files: usize) -> ProgressBar {
    if files < 2 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}");
    ProgressBar::new(files as u64).with_style(style.expect("a valid template"))
}

fn compare(source: &Source, records: &AttemptRecords, published: &Published) -> Compared {
    let context = &source.archive.context;
    let mut compared = Compared {
        id: context.job.id.to_string(),
        attempt: context.attempt,
        jouled: Some(context.jouled.version.clone()),
        error: None,
        caution: source.caution(),
        records: 0,
        found: Comparison::default(),
    };
    if let Some(result) = &published.result {
        compared.records += 1;
        let found = &mut compared.found;
        // The file itself is what the board kept, or it is not.
        if let Some(named) = result["raw"]["sha256"].as_str() {
            found.values += 1;
            if named != source.sha256 {
                found.differs("raw.sha256", Some(json!(named)), Some(json!(source.sha256)));
            }
        }
        found.record("", result, &as_published(&records.result));
    }
    let tokens: Vec<Value> = records.tokens.iter().map(as_published).collect();
    if published.tokens_are == Extent::Whole {
        compared.token_records(published, &records.result.body);
    }
    compared.each("tokens", &published.tokens, &tokens, &["seq"]);
    let traces: Vec<Value> = records.traces.iter().map(as_published).collect();
    compared.each("trace", &published.traces, &traces, &["rail", "seq"]);
    compared
}

/// A record as a reader of the wire has it.
fn as_published<T: Serialize>(record: &Stamped<T>) -> Value {
    serde_json::from_slice(&record.to_json()).expect("a record is JSON")
}

impl Compared {
    fn failed(file: &RawFile, error: &LabError) -> Self {
        Self {
            id: file.id.to_string(),
            attempt: file.attempt,
            jouled: None,
            error: Some(error.to_string()),
            caution: None,
            records: 0,
            found: Comparison::default(),
        }
    }

    /// Are there as many token records as the result says? One may be there twice, as a
    /// broker may deliver it.
    fn token_records(&mut self, published: &Published, recomputed: &JobResult) {
        let seqs = published.tokens.iter().map(|record| key(record, &["seq"]));
        let there = seqs.collect::<BTreeSet<_>>().len();
        let said = published
            .result
            .as_ref()
            .map(|result| &result["records"]["tokens"]);
        let said = said
            .and_then(Value::as_u64)
            .unwrap_or(recomputed.records.tokens);
        self.found.values += 1;
        if there as u64 != said {
            self.found
                .differs("tokens", Some(json!(there)), Some(json!(said)));
        }
    }

    /// Compares the records that `fields` tell apart.
    fn each(&mut self, kind: &str, published: &[Value], recomputed: &[Value], fields: &[&str]) {
        let made: BTreeMap<String, &Value> = recomputed
            .iter()
            .map(|record| (key(record, fields), record))
            .collect();
        for record in published {
            self.records += 1;
            let wanted = key(record, fields);
            let path = format!("{kind}[{}]", wanted.replace('"', ""));
            match made.get(&wanted) {
                Some(made) => self.found.record(&format!("{path}."), record, made),
                None => self.found.differs(&path, Some(record.clone()), None),
            }
        }
    }
}

/// What tells a record from others of its kind.
fn key(record: &Value, fields: &[&str]) -> String {
    let values: Vec<String> = fields
        .iter()
        .map(|field| record[field].to_string())
        .collect();
    values.join(",")
}

fn report(all: &[Compared], as_json: bool) -> Result<(), LabError> {
    let values: u64 = all.iter().map(|one| one.found.values).sum();
    let differ: usize = all.iter().map(|one| one.found.differences.len()).sum();
    let failed = all.iter().filter(|one| one.error.is_some()).count();
    let alone = all.iter().filter(|one| one.records == 0).count();
    if as_json {
        println!(
            "{}",
            json!({"equal": differ == 0 && failed == 0, "values": values, "attempts": all})
        );
    } else {
        for one in all {
            print(one);
        }
    }
    if differ > 0 || failed > 0 {
        let differ = (differ > 0)
            .then(|| format!("{differ} of {values} values differ from what was published"));
        let failed =
            (failed > 0).then(|| format!("{failed} attempts could not be compared: see above"));
        let both: Vec<String> = differ.into_iter().chain(failed).collect();
        return Err(LabError::Failed(both.join("; ")));
    }
    if all.is_empty() || alone == all.len() {
        let nothing = "nothing to compare: no raw data with a published record is kept here";
        return Err(LabError::Failed(nothing.to_owned()));
    }
    if !as_json {
        println!(
            "{} attempts, {values} values: recomputed exactly as they were published",
            all.len() - alone
        );
    }
    Ok(())
}

fn print(one: &Compared) {
    let name = format!("{} attempt {}", one.id, one.attempt);
    if let Some(caution) = &one.caution {
        eprintln!("{name}: {caution}");
    }
    if let Some(error) = &one.error {
        println!("{name}: not compared: {error}");
        return;
    }
    let text = |value: &Option<Value>| match value {
        Some(value) => shortened(&value.to_string()),
        None => "absent".to_owned(),
    };
    for difference in &one.found.differences {
        println!(
            "{name}: {}: published {}, recomputed {}",
            difference.path,
            text(&difference.published),
            text(&difference.recomputed)
        );
    }
    match (one.records, one.found.differences.len()) {
        (0, _) => println!("{name}: no published record of it is kept"),
        (records, 0) => println!(
            "{name}: {records} records, {} values equal",
            one.found.values
        ),
        _ => {}
    }
}

/// A whole record that is missing needs no more than its beginning.
fn shortened(json: &str) -> String {
    const MOST: usize = 80;
    match json.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &json[..end]),
        None => json.to_owned(),
    }
}
