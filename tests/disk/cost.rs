//! What a job and an idle board cost the card, counted at the system calls.

use crate::support::daemon::STEADY;
use crate::support::disk::{Change, Disk, Entry};
use crate::support::rig::{Rig, job};
use crate::{at_rest, next};
use serde_json::{Value, json};

/// What reached the files, and how often the disk had to have it at once.
#[derive(Default)]
struct Cost {
    log: u64,
    database: u64,
    raw: u64,
    syncs: u64,
    checkpoints: u64,
}

impl Cost {
    fn of(entries: &[Entry]) -> Self {
        let mut cost = Self::default();
        let mut in_checkpoint = false;
        for entry in entries {
            let path = entry.path.as_str();
            match &entry.change {
                Change::Write { data, .. } => {
                    let bytes = data.len() as u64;
                    let into_database = path.ends_with(".db");
                    if into_database && !in_checkpoint {
                        cost.checkpoints += 1;
                    }
                    in_checkpoint = into_database;
                    match path {
                        _ if into_database => cost.database += bytes,
                        _ if path.contains("/raw/") => cost.raw += bytes,
                        // Its index is a shared mapping, which no sync ever forces out.
                        _ if path.ends_with("-shm") => {}
                        _ => cost.log += bytes,
                    }
                }
                Change::Sync | Change::SyncDir => cost.syncs += 1,
                _ => {}
            }
        }
        cost
    }

    fn bytes(&self) -> u64 {
        self.log + self.database + self.raw
    }
}

#[test]
fn an_idle_board_writes_nothing() {
    let mut disk = None;
    let mut rig = Rig::start_with(STEADY, |daemon| disk = Some(Disk::of(daemon)));
    let disk = disk.unwrap();
    rig.run(&job("before", json!({})));
    at_rest(&mut rig, &disk);
    let before = disk.journal().len();
    assert!(before > 20, "the disk has seen only {before} changes");
    // Within its ten seconds the runner looks at the queue as well.
    next(&mut rig, "health");
    let journal = disk.journal();
    assert_eq!(journal.len(), before, "{:?}", &journal[before..]);
}

#[test]
#[ignore = "five minutes: make disk-cost"]
fn cost_of_jobs_and_of_an_idle_minute() {
    let mut disk = None;
    let mut rig = Rig::start_with(STEADY, |daemon| disk = Some(Disk::of(daemon)));
    let disk = disk.unwrap();
    let mut table = Vec::new();
    at_rest(&mut rig, &disk);
    let mut from = disk.journal().len();
    table.push((
        "first start".to_owned(),
        1,
        Cost::of(&disk.journal()[..from]),
    ));
    let usual = json!({"n_predict": 128, "repetitions": 3, "warmup": 1});
    let with = |changes: Value| {
        let mut job = usual.clone();
        let changes = changes.as_object().unwrap().clone();
        job.as_object_mut().unwrap().extend(changes);
        job
    };
    let scenarios = [
        ("default job (3 × 128 tokens)", 100, with(json!({}))),
        ("40 repetitions", 10, with(json!({"repetitions": 40}))),
        (
            "trace and raw data, 10 s attempt",
            5,
            with(json!({"publish": {"trace": true}, "idle": {"before_s": 5, "after_s": 4}})),
        ),
    ];
    for (scenario, (what, jobs, changes)) in scenarios.into_iter().enumerate() {
        for number in 0..jobs {
            let id = format!("cost-{scenario}-{number}");
            assert_eq!(rig.run(&job(&id, changes.clone()))["state"], "succeeded");
        }
        at_rest(&mut rig, &disk);
        let journal = disk.journal();
        let cost = Cost::of(&journal[from..]);
        from = journal.len();
        table.push((what.to_owned(), jobs, cost));
    }
    for _ in 0..7 {
        next(&mut rig, "health");
    }
    let journal = disk.journal();
    table.push(("idle minute".to_owned(), 1, Cost::of(&journal[from..])));

    println!("per job or minute          kB written  (log, database, raw)  syncs  checkpoints");
    for (what, times, cost) in &table {
        let each = |n: u64| n as f64 / f64::from(*times);
        let kb = |n: u64| each(n) / 1000.0;
        println!(
            "{what:<34} {:>8.1}  ({:.1}, {:.1}, {:.1})  {:.2}  {:.2}",
            kb(cost.bytes()),
            kb(cost.log),
            kb(cost.database),
            kb(cost.raw),
            each(cost.syncs),
            each(cost.checkpoints),
        );
    }
    let job = &table[1];
    let day = job.2.bytes() as f64 / f64::from(job.1) * 1440.0;
    println!(
        "a job a minute: {:.2} GB a day; a 32 GB card is written once over in {:.0} days",
        day / 1e9,
        32e9 / day
    );
    let (_, _, idle) = table.last().unwrap();
    assert_eq!((idle.bytes(), idle.syncs), (0, 0), "an idle board writes");
}
