//! A board that works for hours: memory, open files, threads, processes and disk stay as they
//! were. By default a few jobs back to back; `make soak` runs one a minute for two hours.
//!
//! `SOAK_JOBS` jobs (at least 8), one each `SOAK_EVERY_S` seconds.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

mod support;

use serde_json::json;
use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};
use support::daemon::{STEADY, eventually};
use support::from_environment;
use support::rig::{Rig, job};

/// Jobs before anything is compared: the first ones fill caches and start threads.
const WARM_UP: usize = 3;
const JOBS: usize = 8;
/// How much more memory of its own the daemon may hold, late against early.
const GROWTH_KIB: f64 = 1024.0;
/// The same with pages of files, which come and go with what else the machine does.
const RSS_GROWTH_KIB: f64 = 16.0 * 1024.0;
/// SQLite's journal keeps the size that it once had: a thousand pages, until it is emptied.
const JOURNAL_BYTES: f64 = 4.5 * 1024.0 * 1024.0;

/// What the daemon holds once a job has ended.
#[derive(Debug, Clone, Copy)]
struct Sample {
    rss_kib: f64,
    anon_kib: f64,
    threads: f64,
    fds: f64,
    disk_bytes: f64,
    workers: f64,
}

type Field = fn(&Sample) -> f64;

const FIELDS: [(&str, Field); 6] = [
    ("rss_kib", |sample| sample.rss_kib),
    ("anon_kib", |sample| sample.anon_kib),
    ("threads", |sample| sample.threads),
    ("fds", |sample| sample.fds),
    ("disk_bytes", |sample| sample.disk_bytes),
    ("workers", |sample| sample.workers),
];

impl Sample {
    fn of(rig: &Rig) -> Self {
        let pid = rig.daemon.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |name: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let text = line.and_then(|line| line.split_whitespace().next());
            text.unwrap().parse().unwrap()
        };
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        Self {
            rss_kib: number("VmRSS:"),
            anon_kib: number("RssAnon:"),
            threads: number("Threads:"),
            fds: fds.count() as f64,
            disk_bytes: allocated(&rig.daemon.path().join("state")),
            workers: rig.daemon.processes().len() as f64 - 1.0,
        }
    }
}

/// Bytes on the disk below a directory. A file that goes meanwhile has none.
fn allocated(dir: &Path) -> f64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0.0;
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok()?;
            Some(match metadata.is_dir() {
                true => allocated(&entry.path()),
                false => metadata.blocks() as f64 * 512.0,
            })
        })
        .sum()
}

/// Least-squares slope of values one job apart, and twice its standard error.
fn slope(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let middle = (n - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / n;
    let indexed = || {
        values
            .iter()
            .enumerate()
            .map(|(i, v)| (i as f64 - middle, v - mean))
    };
    let spread: f64 = indexed().map(|(x, _)| x * x).sum();
    let slope = indexed().map(|(x, y)| x * y).sum::<f64>() / spread;
    let left: f64 = indexed().map(|(x, y)| (y - slope * x).powi(2)).sum();
    (slope, 2.0 * (left / (n - 2.0) / spread).sqrt())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn most(samples: &[Sample], of: Field) -> f64 {
    samples.iter().map(of).fold(f64::MIN, f64::max)
}

/// Printed now and then, so that a run that is cut short has told its figures.
fn print_summary(samples: &[Sample]) {
    let warm = &samples[WARM_UP - 1..];
    if warm.len() < 3 {
        return;
    }
    for (name, of) in FIELDS {
        let values: Vec<f64> = warm.iter().map(of).collect();
        let least = values.iter().copied().fold(f64::MAX, f64::min);
        let (slope, u95) = slope(&values);
        println!(
            "soak summary after {} jobs: {name}: first {}, last {}, least {least}, most {}, \
             slope {slope:+.3} ± {u95:.3} a job",
            samples.len(),
            values[0],
            values[values.len() - 1],
            most(warm, of),
        );
    }
}

#[test]
fn job_after_job_the_daemon_stays_as_it_was() {
    let jobs = (from_environment("SOAK_JOBS", JOBS as u64) as usize).max(8);
    let pause = Duration::from_secs(from_environment("SOAK_EVERY_S", 0));
    // Short enough for retention to bite well within the first half.
    let keep = match pause.is_zero() {
        true => Duration::from_secs(10),
        false => pause * (jobs as u32 / 8).max(1),
    };
    let keep_s = format!("{}s", keep.as_secs());
    let mut rig = Rig::start_with(STEADY, |daemon| {
        let variable = ("JOULED_STORAGE__KEEP", keep_s.into());
        daemon.environment.push(variable);
    });

    let mut samples: Vec<Sample> = Vec::new();
    // When each job ended, and the bytes of its records.
    let mut kept: VecDeque<(Instant, f64)> = VecDeque::new();
    let mut kept_most = 0.0_f64;
    let mut due = Instant::now();
    for number in 1..=jobs {
        // The pace of the jobs, as a lab would submit them.
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due += pause;
        rig.lab.seen.clear();
        let id = format!("soak-{number}");
        let result = rig.run(&job(&id, json!({"publish": {"trace": true}})));
        assert_eq!(result["state"], "succeeded", "{result}");
        rig.all_records(&id, "tokens");
        rig.all_records(&id, "trace");
        rig.reaches(&id, "succeeded");

        // Records may be twice as old as `keep` before they go.
        kept.retain(|(ended, _)| ended.elapsed() < 2 * keep + pause);
        let of_jobs = rig
            .lab
            .seen
            .iter()
            .filter(|seen| seen.topic.contains("/jobs/"));
        let bytes: usize = of_jobs.map(|seen| seen.text.len()).sum();
        kept.push_back((Instant::now(), bytes as f64));
        kept_most = kept_most.max(kept.iter().map(|(_, bytes)| bytes).sum());

        // What the end of a job gives back is given back once its worker is gone.
        let warm = samples.get(WARM_UP - 1).copied();
        let mut sample = Sample::of(&rig);
        eventually(|| {
            sample = Sample::of(&rig);
            let as_before =
                warm.is_none_or(|warm| sample.fds <= warm.fds && sample.threads <= warm.threads);
            sample.workers == 0.0 && as_before
        });
        samples.push(sample);
        println!(
            "soak job {number}/{jobs}: rss {} KiB ({} anonymous), {} threads, {} fds, \
             {} bytes on disk, {} workers; the job's records {bytes} bytes",
            sample.rss_kib,
            sample.anon_kib,
            sample.threads,
            sample.fds,
            sample.disk_bytes,
            sample.workers,
        );
        if number.is_multiple_of(10) || number == jobs {
            print_summary(&samples);
        }
    }

    let warm = &samples[WARM_UP - 1..];
    for (name, of) in [FIELDS[2], FIELDS[3]] {
        assert!(most(warm, of) <= of(&warm[0]), "{name} grew: {samples:#?}");
    }
    assert_eq!(
        most(&samples, |sample| sample.workers),
        0.0,
        "a worker is left"
    );

    let (early, late) = warm.split_at(warm.len() / 2);
    for (name, of, bound) in [
        ("anonymous memory", FIELDS[1].1, GROWTH_KIB),
        ("RSS", FIELDS[0].1, RSS_GROWTH_KIB),
    ] {
        let growth = median(late.iter().map(of)) - median(early.iter().map(of));
        println!("soak: the second half's median of {name} is {growth:+} KiB off the first's");
        assert!(growth <= bound, "{name} grew: {samples:#?}");
    }

    // Payloads once in their table, and as much again for indexes, free pages and raw data.
    let explained = 2.0 * kept_most + JOURNAL_BYTES;
    let disk = most(&samples, |sample| sample.disk_bytes);
    println!("soak: at most {disk} bytes on disk; the records kept explain {explained}");
    assert!(disk <= explained, "{disk} bytes on disk: {samples:#?}");
}
