//! A writer that is killed leaves whole parts, and the next run of the same part makes it
//! whole.

use super::{job, support, write};
use jouled::lab::dataset::{Attempt, Dataset, Format};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROOT: &str = "DATASET_ROOT";
const PARTS: u64 = 4;

fn format() -> Format {
    match std::env::var("DATASET_FORMAT").as_deref() {
        Ok("csv") => Format::Csv,
        Ok("sqlite") => Format::Sqlite,
        _ => Format::Parquet,
    }
}

/// The same parts again and again, each with a job of its own.
#[test]
#[ignore = "the next test starts it, and kills it"]
fn a_writer_without_end() {
    let Some(root) = std::env::var_os(ROOT).map(PathBuf::from) else {
        return;
    };
    for round in 0.. {
        let part = round % PARTS;
        let messages = job("pi5-01", &format!("job-{part}"), "2026-11-21");
        write(&root, format(), &format!("part-{part}"), &messages);
    }
}

#[test]
fn a_killed_writer_leaves_whole_parts() {
    let kills = support::from_environment("DATASET_KILLS", 3);
    for format in [Format::Parquet, Format::Csv, Format::Sqlite] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("lab");
        for _ in 0..kills {
            killed_at_work(&root, format);
            whole(&root, BTreeSet::new());
        }
        for part in 0..PARTS {
            let messages = job("pi5-01", &format!("job-{part}"), "2026-11-21");
            write(&root, format, &format!("part-{part}"), &messages);
        }
        let all = (0..PARTS).map(|part| Attempt {
            device: "pi5-01".to_owned(),
            id: format!("job-{part}"),
            attempt: 1,
        });
        whole(&root, all.collect());
    }
}

/// Reads everything there is; results come with their tokens.
fn whole(root: &Path, expected: BTreeSet<Attempt>) {
    let dataset = Dataset::open(&[root.to_owned()]).unwrap();
    let attempts: BTreeSet<Attempt> = dataset
        .results(|why| panic!("{why}"))
        .unwrap()
        .into_iter()
        .map(|result| Attempt {
            device: result.stamp.device,
            id: result.body.id,
            attempt: result.body.attempt,
        })
        .collect();
    assert!(attempts.is_superset(&expected), "{attempts:?}");
    let tokens = dataset.tokens(&attempts).unwrap();
    assert_eq!(tokens.len(), attempts.len());
    for tokens in tokens.values() {
        assert_eq!(tokens.len(), 3 * 128);
    }
    let trace = dataset.trace(&attempts).unwrap();
    assert_eq!(trace.len(), attempts.len());
}

/// Starts the writer and kills it somewhere in its work.
fn killed_at_work(root: &Path, format: Format) {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "torn::a_writer_without_end"])
        .env(ROOT, root)
        .env("DATASET_FORMAT", format.as_str())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Work has begun when the dataset is there; how far it comes is left to chance.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !root.join("dataset.json").exists() {
        assert!(Instant::now() < deadline, "the writer does not begin");
        std::thread::yield_now();
    }
    let chance = Instant::now() + Duration::from_millis(fastrand::u64(..300));
    while Instant::now() < chance {
        assert!(writer.try_wait().unwrap().is_none(), "the writer ended");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&writer), Signal::KILL).unwrap();
    let end = writer.wait().unwrap();
    assert_eq!(end.signal(), Some(9), "{end}");
}
