//! Calls that fail at every point of a board's life: no job is lost, none ends without its
//! result, and the daemon goes on when the disk does.

use crate::support::daemon::STEADY;
use crate::support::disk::Disk;
use crate::support::rig::{Rig, job, lasting, watched};
use crate::{at_rest, count, restless};
use rustix::io::Errno;
use serde_json::{Value, json};

/// A board on a disk that fails on command.
struct Board {
    rig: Rig,
    disk: Disk,
    jobs: u32,
    /// How often a call that was to fail was made.
    hits: usize,
}

impl Board {
    fn start() -> Self {
        let mut disk = None;
        let rig = Rig::start_with(STEADY, |daemon| disk = Some(Disk::of(daemon)));
        let disk = disk.unwrap();
        disk.only_pretend_to_sync();
        Self {
            rig,
            disk,
            jobs: 0,
            hits: 0,
        }
    }

    /// Everything that the store does for a job: raw data, traces, tokens, result.
    fn next_job(&mut self) -> Value {
        self.jobs += 1;
        restless(job(
            &format!("job-{}", self.jobs),
            json!({"publish": {"trace": true}, "n_predict": 8}),
        ))
    }

    /// How many calls a job makes that change the disk, from its submission to the last mark.
    fn calls_of_a_job(&mut self) -> u64 {
        // The first one makes what the others find.
        self.run_through();
        at_rest(&mut self.rig, &self.disk);
        let before = self.disk.calls();
        self.run_through();
        at_rest(&mut self.rig, &self.disk);
        let calls = self.disk.calls() - before;
        assert!(calls > 20, "the disk has seen only {calls} calls of a job");
        calls
    }

    /// Runs a job on a disk that works.
    fn run_through(&mut self) {
        let job = self.next_job();
        assert_eq!(self.rig.run(&job)["state"], "succeeded");
    }

    /// Submits a job. What a failing disk refuses is not known afterwards, and accepted when
    /// the disk works.
    fn submit(&mut self, job: &Value) {
        let answer = self.rig.ask("submit", job);
        if answer["ok"] == true {
            return;
        }
        assert!(self.disk.failed() > 0, "{answer}");
        assert_refused(&answer);
        self.disk.heal();
        let known = self.rig.ask("cancel", &json!({"id": job["id"]}));
        assert_eq!(known["error"]["code"], "unknown-job", "{known}");
        self.rig.submit(job);
    }

    /// The job was run once, and its result has all records, or says which it had to leave.
    fn ended_well(&mut self, job: &Value, what: &str) {
        let id = job["id"].as_str().unwrap();
        let result = self.rig.result(id);
        let facts = (&result["state"], &result["attempt"]);
        assert_eq!(facts, (&json!("succeeded"), &json!(1)), "{what}");
        let warnings = result["warnings"].to_string();
        for kind in ["tokens", "trace"] {
            let none = result["records"][kind] == 0;
            let said = warnings.contains(&format!("{kind}: not stored"));
            assert_eq!(none, said, "{what}: {kind}: {warnings}");
            self.rig.all_records(id, kind);
        }
        assert_eq!(
            result["raw"].is_null(),
            warnings.contains("raw data:"),
            "{what}"
        );
        self.rig.reaches(id, "succeeded");
        assert!(self.rig.daemon.is_running(), "{what}");
    }

    /// One call fails, and all others work.
    fn one_call_fails(&mut self, number: u64, error: Errno) {
        let job = self.next_job();
        self.disk.fail(number..=number, error);
        self.submit(&job);
        self.ended_well(&job, &format!("call {number} failed with {error:?}"));
        if self.disk.failed() == 0 {
            // Some calls come after the last record.
            at_rest(&mut self.rig, &self.disk);
        }
        self.hits += usize::from(self.disk.failed() > 0);
        self.disk.heal();
    }

    /// From one call on nothing works any more, until the disk is well again.
    fn calls_fail_for_a_while(&mut self, first: u64, error: Errno) {
        let job = self.next_job();
        let another = self.next_job();
        self.disk.fail(first..=u64::MAX, error);
        self.submit(&job);
        let id = job["id"].as_str().unwrap().to_owned();
        let disk = &self.disk;
        self.rig.look_on("a failed call, or the result", |rig| {
            disk.failed() > 0 || !rig.records(&id, "result").is_empty()
        });
        if self.disk.failed() > 0 {
            self.hits += 1;
            let refused = self.rig.ask("submit", &another);
            // A submission that came to its end was healed before.
            if refused["ok"] == false {
                assert_refused(&refused);
            }
        }
        self.disk.heal();
        self.ended_well(
            &job,
            &format!("calls from {first} on failed with {error:?}"),
        );
        self.run_through();
    }

    /// The last of a job's calls are not made for every job.
    fn has_hit(&self, tries: usize) {
        println!("{} of {tries} tries have met a call", self.hits);
        assert!(self.hits * 2 >= tries, "{} of {tries}", self.hits);
    }
}

fn assert_refused(answer: &Value) {
    let code = answer["error"]["code"].as_str().unwrap();
    assert!(["storage", "disk-full"].contains(&code), "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(!message.contains('/'), "a path of the board: {message}");
}

/// `most` numbers from 1 to `last`, with equal steps between them.
fn spread(last: u64, most: usize) -> Vec<u64> {
    let steps = (most as u64).min(last);
    (0..steps)
        .map(|step| 1 + step * (last - 1) / steps.max(2).saturating_sub(1))
        .collect()
}

#[test]
fn a_full_disk_at_any_call_loses_no_job() {
    let mut board = Board::start();
    let calls = board.calls_of_a_job();
    let numbers = spread(calls, count(4, usize::MAX));
    for number in &numbers {
        board.one_call_fails(*number, Errno::NOSPC);
    }
    board.has_hit(numbers.len());
    println!("each of {calls} calls of a job, or some of them");
}

#[test]
fn a_disk_that_is_full_for_a_while_loses_no_job() {
    let mut board = Board::start();
    let calls = board.calls_of_a_job();
    let numbers = spread(calls, count(3, 60));
    for number in &numbers {
        board.calls_fail_for_a_while(*number, Errno::NOSPC);
    }
    board.has_hit(numbers.len());
}

#[test]
fn a_disk_that_breaks_or_becomes_read_only_loses_no_job() {
    let mut board = Board::start();
    let calls = board.calls_of_a_job();
    let numbers = spread(calls, count(2, 40));
    for number in &numbers {
        board.one_call_fails(*number, Errno::IO);
        board.calls_fail_for_a_while(*number, Errno::ROFS);
    }
    board.has_hit(2 * numbers.len());
}

#[test]
fn writes_that_come_short_are_continued() {
    let mut board = Board::start();
    let job = board.next_job();
    board.disk.write_short(1..=u64::MAX);
    board.submit(&job);
    board.ended_well(&job, "every write came short");
    assert!(board.disk.failed() > 0);
    let result = board.rig.result(job["id"].as_str().unwrap());
    assert_eq!(result["raw"]["file"], "raw/job-1.1.jsonl.gz", "{result}");
}

/// What was measured is in memory then: the attempt counts as lost.
#[test]
fn a_daemon_that_ends_before_the_disk_works_runs_the_job_again() {
    let mut board = Board::start();
    board.rig.submit(&restless(lasting("long", watched())));
    board
        .rig
        .state("long", "decodes", |state| state["phase"] == "decode");
    board.disk.fail(1..=u64::MAX, Errno::NOSPC);
    board.rig.lab.wait_event("storage-failed");
    let (status, _) = board.rig.daemon.terminate();
    assert!(status.success(), "{status}");
    board.disk.heal();
    board.rig.daemon.spawn();
    assert_eq!(board.rig.lab.wait_event("attempt-lost")["id"], "long");
    let result = board.rig.result("long");
    let facts = (&result["state"], &result["attempt"]);
    assert_eq!(facts, (&json!("succeeded"), &json!(2)));
}
