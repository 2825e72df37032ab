//! Power cuts: whatever the disk made of what was not synced, the board keeps its promises.
//!
//! Promised is what somebody on the network saw before the cut: the answer to a command, and
//! every record of a job. It is compared with what a store holds that is rebuilt from the
//! daemon's own file calls.

use crate::support::disk::{Change, Disk, Entry};
use crate::support::lab::Seen;
use crate::support::power_cut::{Unsynced, cut};
use crate::support::rig::{Rig, endless, job, of_job, topic, watched};
use crate::support::{daemon::STEADY, lab::Lab};
use crate::{count, restless};
use jouled::store::{Kept, Moment, RecordKind, Store};
use jouled::workload::JobId;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// What happened to a board that was never cut off, and what its lab saw.
struct Life {
    journal: Vec<Entry>,
    seen: Vec<Seen>,
    /// Id and command of each question, by its correlation data.
    asked: BTreeMap<String, (String, String)>,
    rig: Rig,
}

struct Asking {
    rig: Rig,
    asked: BTreeMap<String, (String, String)>,
}

impl Asking {
    fn ask(&mut self, command: &str, payload: &Value) {
        let id = payload["id"].as_str().unwrap().to_owned();
        let correlation = format!("ask-{}", self.asked.len() + 1);
        self.asked.insert(correlation, (command.to_owned(), id));
        let answer = self.rig.ask(command, payload);
        assert_eq!(answer["ok"], true, "{answer}");
    }

    fn submit(&mut self, job: &Value) {
        self.ask("submit", job);
    }

    fn cancel(&mut self, id: &str) {
        self.ask("cancel", &json!({"id": id}));
    }
}

/// A life with everything in it that the store does: raw data, a job cancelled while it waits,
/// one that a stop interrupts and a kill cuts short, cancelled in its third attempt.
fn live() -> Life {
    let mut disk = None;
    let rig = Rig::start_with(STEADY, |daemon| disk = Some(Disk::of(daemon)));
    let disk = disk.unwrap();
    let mut board = Asking {
        rig,
        asked: BTreeMap::new(),
    };
    board.submit(&restless(job("raw", json!({"publish": {"trace": true}}))));
    board.submit(&restless(job("plain", json!({"repetitions": 2}))));
    board.submit(&restless(job("gone", json!({}))));
    board.cancel("gone");
    board.rig.all_records("raw", "trace");
    board.rig.all_records("plain", "tokens");
    board.rig.reaches("gone", "cancelled");

    board.submit(&restless(endless("long", watched())));
    decodes(&mut board.rig.lab, 1);
    board.rig.daemon.terminate();
    board.rig.daemon.spawn();
    decodes(&mut board.rig.lab, 2);
    board.rig.daemon.kill();
    board.rig.daemon.wait_until_nothing_runs();
    board.rig.daemon.spawn();
    decodes(&mut board.rig.lab, 3);
    board.cancel("long");
    board.rig.all_records("long", "tokens");
    board.rig.daemon.terminate();
    Life {
        journal: disk.journal(),
        seen: std::mem::take(&mut board.rig.lab.seen),
        asked: board.asked,
        rig: board.rig,
    }
}

fn decodes(lab: &mut Lab, attempt: u32) {
    let tokens = of_job("long", "tokens");
    lab.wait(&format!("tokens of attempt {attempt}"), |seen| {
        seen.topic == tokens && seen.json()["attempt"] == attempt
    });
}

/// Cuts that matter most: right before and after each sync, and some anywhere. At most so many.
fn cuts(journal: &[Entry], anywhere: usize, most: usize) -> Vec<usize> {
    let is_sync = |entry: &Entry| matches!(entry.change, Change::Sync | Change::SyncDir);
    let syncs = (0..journal.len()).filter(|at| is_sync(&journal[*at]));
    let mut cuts: Vec<usize> = syncs.flat_map(|at| [at, at + 1]).collect();
    let mut rng = fastrand::Rng::with_seed(7);
    cuts.extend((0..anywhere).map(|_| rng.usize(..=journal.len())));
    cuts.sort_unstable();
    cuts.dedup();
    let step = cuts.len().div_ceil(most);
    cuts.into_iter().step_by(step).collect()
}

#[test]
fn no_power_cut_takes_back_what_was_said() {
    let life = live();
    let mut lost = Vec::new();
    let cuts = cuts(&life.journal, count(20, 100_000), count(40, usize::MAX));
    for at in &cuts {
        let torn = count(1, 8) as u64;
        let fates = [Unsynced::Lost, Unsynced::Kept].into_iter();
        for unsynced in fates.chain((0..torn).map(|n| Unsynced::Torn(n * 65_537 + *at as u64))) {
            let dir = tempfile::tempdir().unwrap();
            cut(&life.journal[..*at], unsynced, dir.path());
            for what in life.missing(*at, &dir.path().join("state")) {
                lost.push(format!("cut {at}, {unsynced:?}: {what}"));
            }
        }
    }
    let changes = life.journal.len();
    println!("{} cuts of {changes} changes to the disk", cuts.len());
    lost.truncate(20);
    assert!(lost.is_empty(), "{lost:#?}");
}

/// The daemon itself goes on from what a cut left, and ends every job that it had accepted.
#[test]
fn after_a_power_cut_the_daemon_ends_what_it_had_accepted() {
    let mut life = live();
    let mut rng = fastrand::Rng::with_seed(11);
    for round in 0..count(2, 20) {
        let at = rng.usize(life.journal.len() / 4..life.journal.len());
        let state = life.rig.daemon.path().join("state");
        std::fs::remove_dir_all(&state).unwrap();
        life.rig.daemon.environment.clear();
        let unsynced = Unsynced::Torn(round as u64);
        cut(&life.journal[..at], unsynced, life.rig.daemon.path());
        // As after a night: the broker has nothing either.
        life.rig.broker.kill();
        life.rig.broker.restart();
        life.rig.listen_anew();
        life.rig.daemon.spawn();
        life.rig.wait_online();
        for id in life.accepted(at) {
            let answer = life.rig.ask("cancel", &json!({"id": id}));
            assert_eq!(answer["ok"], true, "cut {at}: {id}: {answer}");
        }
        let rig = &mut life.rig;
        // One that the lab had not yet heard of, as the cut came.
        let open = rig.ask("jobs", &json!({"limit": 0}));
        for job in open["jobs"].as_array().unwrap() {
            rig.ask("cancel", &json!({"id": job["id"]}));
        }
        assert_eq!(
            rig.run(&restless(job("after", json!({}))))["state"],
            "succeeded"
        );
        let jobs = rig.ask("jobs", &json!({"limit": 50}));
        for job in jobs["jobs"].as_array().unwrap() {
            assert!(is_final(&job["state"]), "cut {at}: {job}");
        }
        rig.daemon.terminate();
    }
}

fn is_final(state: &Value) -> bool {
    ["succeeded", "failed", "cancelled"].contains(&state.as_str().unwrap())
}

impl Life {
    /// What was seen when the power went, before this change.
    fn before(&self, at: usize) -> impl Iterator<Item = &Seen> {
        let cut = self.journal.get(at).map_or(u64::MAX, |next| next.begin_ns);
        self.seen.iter().filter(move |seen| seen.at.0 < cut)
    }

    fn answered(&self, at: usize) -> Vec<(&str, &str, Value)> {
        // Its own questions come back to the lab, too.
        let answers = self
            .before(at)
            .filter(|seen| seen.topic.starts_with("answers/"));
        let answers = answers.filter_map(|seen| {
            let correlation = String::from_utf8(seen.correlation.clone()?).ok()?;
            let (command, id) = self.asked.get(&correlation)?;
            Some((command.as_str(), id.as_str(), seen.json()))
        });
        answers.collect()
    }

    fn accepted(&self, at: usize) -> Vec<String> {
        let answers = self.answered(at).into_iter();
        let submitted = answers.filter(|(command, ..)| *command == "submit");
        submitted.map(|(_, id, _)| id.to_owned()).collect()
    }

    /// What was said before the cut and isn't true of this storage directory.
    fn missing(&self, at: usize, storage: &Path) -> Vec<String> {
        let mut store = match Store::open(storage) {
            Ok(store) => store,
            Err(error) => return vec![error.to_string()],
        };
        let damage = store.damage().iter();
        let mut missing: Vec<String> = damage.map(|damage| damage.message.clone()).collect();
        let now = Moment::now("board");
        store.recover(&now).unwrap();
        store.sweep_raw().unwrap();
        let kept = Kept::open(storage).unwrap();
        for (command, id, answer) in self.answered(at) {
            let found = store.state(&id_of(id)).unwrap();
            let wants_end = command == "cancel" && is_final(&answer["state"]);
            match found {
                None => missing.push(format!("{id}: accepted and not there")),
                Some(row) if wants_end && json!(row.state) != answer["state"] => {
                    missing.push(format!("{id}: cancelled and {:?}", row.state));
                }
                Some(_) => {}
            }
        }
        for seen in self.before(at) {
            let Some((id, kind)) = of_a_job(&seen.topic) else {
                continue;
            };
            let record = seen.json();
            let attempt = u32::try_from(record["attempt"].as_u64().unwrap()).unwrap();
            let name = id_of(id);
            let Some(row) = store.state(&name).unwrap() else {
                missing.push(format!("{id}: {kind} was published, and no such job"));
                continue;
            };
            if row.attempt < attempt {
                missing.push(format!("{id}: attempt {attempt} was not counted"));
            }
            let stored = |kind| {
                let records = kept.records(&name, attempt, kind).unwrap();
                records.iter().any(|record| record == seen.text.as_bytes())
            };
            let live = id == "long";
            let is_there = match kind {
                "result" => stored(RecordKind::Result),
                "trace" => stored(RecordKind::Trace),
                // Live ones leave before their attempt is committed.
                "tokens" => live || stored(RecordKind::Tokens),
                _ if is_final(&record["state"]) => json!(row.state) == record["state"],
                _ => row.rev >= record["rev"].as_u64().unwrap(),
            };
            if !is_there {
                missing.push(format!("{id}: {kind} was published: {record}, now {row:?}"));
            }
        }
        for id in ["raw", "plain", "long"] {
            for attempt in 1..=3 {
                let result = kept.result(&id_of(id), attempt).unwrap();
                let result = result.map(|json| serde_json::from_slice::<Value>(&json).unwrap());
                let raw = result.map_or(Value::Null, |mut result| result["raw"].take());
                if raw != Value::Null && !is_whole(storage, &raw) {
                    missing.push(format!("{id}: its result names {raw}"));
                }
            }
        }
        drop((store, kept));
        let db = rusqlite::Connection::open(storage.join("jouled.db")).unwrap();
        let check = db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
        if check.as_deref() != Ok("ok") {
            missing.push(format!("the database: {check:?}"));
        }
        missing
    }
}

fn is_whole(storage: &Path, raw: &Value) -> bool {
    let file = std::fs::read(storage.join(raw["file"].as_str().unwrap()));
    file.is_ok_and(|content| {
        let hash = Sha256::digest(&content);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        json!(content.len()) == raw["size_bytes"] && json!(hash) == raw["sha256"]
    })
}

fn id_of(id: &str) -> JobId {
    id.parse().unwrap()
}

/// Id and kind of a job's record.
fn of_a_job(name: &str) -> Option<(&str, &str)> {
    let jobs = topic("jobs/");
    name.strip_prefix(&jobs)?.split_once('/')
}
