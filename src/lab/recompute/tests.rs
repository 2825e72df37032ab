use super::*;
use crate::measure::archive::{self, Archive};
use crate::measure::testing::{Play, context, job, rail};
use crate::measure::{Ending, TokenBatches, records};
use crate::runtime::protocol::StopReason;
use crate::store::{Finished, Moment, Outgoing, Store};
use tempfile::TempDir;

const TOKENS: u32 = 600;

/// An attempt of a job, as a board has it before it is committed.
fn measured(id: &str) -> Archive {
    let mut play = Play::begin();
    play.generate(1, TOKENS, StopReason::Length);
    let play = play.end(Ending::Succeeded);
    Archive {
        context: context(job(|job| job["id"] = json!(id))),
        rails: vec![play.recorded(rail("input"))],
        observed: play.observed,
        live: Vec::new(),
    }
}

fn raw_file(archive: &Archive) -> Vec<u8> {
    archive::write(
        Vec::new(),
        &archive.context,
        &archive.observed,
        &archive.rails,
        &archive.live,
    )
    .unwrap()
}

/// Files of a lab: the raw file, the published result and the token records.
struct Copies {
    dir: TempDir,
    tokens: Vec<String>,
}

impl Copies {
    fn new() -> Self {
        let archive = measured("a");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.1.jsonl.gz"), raw_file(&archive)).unwrap();
        let records = archive.records();
        std::fs::write(dir.path().join("result.json"), records.result.to_json()).unwrap();
        let line = |json: Vec<u8>| String::from_utf8(json).unwrap() + "\n";
        let tokens = records.tokens.iter().map(|record| line(record.to_json()));
        Self {
            tokens: tokens.collect(),
            dir,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn options(&self) -> Options {
        Options {
            what: vec![self.path("a.1.jsonl.gz").display().to_string()],
            result: Some(self.path("result.json")),
            tokens: None,
            storage: None,
            write: None,
            json: false,
        }
    }
}

fn exit_code(options: &Options) -> u8 {
    run(options).map_or_else(|error| error.exit_code(), |()| 0)
}

#[test]
fn what_is_compared_is_not_written_over() {
    let copies = Copies::new();
    let published = std::fs::read(copies.path("result.json")).unwrap();
    std::os::unix::fs::symlink("result.json", copies.path("link.json")).unwrap();
    for name in ["result.json", "link.json", "a.1.jsonl.gz"] {
        let options = Options {
            write: Some(copies.path(name)),
            ..copies.options()
        };
        assert_eq!(exit_code(&options), 2, "{name}");
    }
    assert_eq!(
        std::fs::read(copies.path("result.json")).unwrap(),
        published
    );
    let elsewhere = Options {
        write: Some(copies.path("again.json")),
        ..copies.options()
    };
    assert_eq!(exit_code(&elsewhere), 0);
    assert!(copies.path("again.json").exists());
}

#[test]
fn nothing_is_written_where_there_is_no_result_to_compare_with() {
    let copies = Copies::new();
    for text in ["{}", "[]", "{\"v\":1,\"dt_ns\":[]}", "{\"v\":1,"] {
        let options = Options {
            result: Some(copies.write("other.json", text)),
            write: Some(copies.path("again.json")),
            ..copies.options()
        };
        assert_eq!(exit_code(&options), 2, "{text}");
    }
    assert!(!copies.path("again.json").exists());
}

#[test]
fn token_records_are_compared_whole() {
    let copies = Copies::new();
    let [first, middle, last] = &copies.tokens[..] else {
        panic!("{} records", copies.tokens.len());
    };
    let with = |lines: &[&String], result: Option<PathBuf>| {
        let text: String = lines.iter().map(|line| line.as_str()).collect();
        exit_code(&Options {
            tokens: Some(copies.write("tokens.jsonl", &text)),
            result,
            ..copies.options()
        })
    };
    let result = || Some(copies.path("result.json"));
    assert_eq!(with(&[first, middle, last], result()), 0);
    assert_eq!(with(&[last, first, middle, first], None), 0);
    assert_eq!(with(&[first, middle], result()), 1);
    assert_eq!(with(&[first, middle, middle], None), 1);
    assert_eq!(with(&[], result()), 1);
    let cut = middle[..middle.len() / 2].to_owned();
    assert_eq!(with(&[first, &cut], result()), 2);
}

/// A board's storage with the attempts of these jobs.
fn storage(ids: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let now = Moment::now("bench");
    for id in ids {
        let archive = measured(id);
        let job = &archive.context.job;
        store.submit(job, 100, &now).unwrap();
        let begun = store.begin_attempt(&job.id, &now).unwrap().unwrap();
        assert_eq!(begun.attempt, archive.context.attempt);
        let kept = store.raw().keep(&job.id, begun.attempt, |out| {
            out.write_all(&raw_file(&archive))
        });
        let mut records = records(
            &archive.context,
            &archive.observed,
            &archive.rails,
            TokenBatches::default(),
        );
        records.note_raw(Ok(kept.unwrap()));
        let result = [Outgoing::result(records.result.to_json())];
        let how = Finished::Succeeded;
        store
            .finish_attempt(&job.id, begun.attempt, how, None, &result, &now)
            .unwrap()
            .unwrap();
    }
    dir
}

#[test]
fn a_damaged_file_takes_no_other_comparison_with_it() {
    let dir = storage(&["a", "b", "c"]);
    let compared = of_storage(dir.path(), &[]).unwrap();
    assert!(
        compared
            .iter()
            .all(|one| one.error.is_none() && one.records == 1)
    );
    assert!(report(&compared, true).is_ok());

    let damaged = dir.path().join("raw/b.1.jsonl.gz");
    let whole = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, &whole[..whole.len() / 2]).unwrap();
    let compared = of_storage(dir.path(), &[]).unwrap();
    let failed: Vec<bool> = compared.iter().map(|one| one.error.is_some()).collect();
    assert_eq!(failed, [false, true, false]);
    assert!(compared.iter().all(|one| one.found.differences.is_empty()));
    let error = report(&compared, false).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(
        error.to_string().contains("1 attempts could not"),
        "{error}"
    );
}
