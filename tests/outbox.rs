//! A backlog that was made while no broker was there reaches the lab, through a broker and a
//! daemon that die on the way. OUTBOX_RECORDS sets how many records (5,000).

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use jouled::store::{Finished, Moment, Outgoing, Store};
use jouled::workload::{Job, Limits};
use serde_json::json;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use support::daemon::{DEVICE, Daemon, STEADY};
use support::lab::{Lab, Seen};
use support::mosquitto::Mosquitto;

const JOBS: usize = 10;
/// A collector that the broker drops nothing for.
const NO_DROPS: &str = "max_queued_messages 0\nmax_inflight_messages 0";

fn per_job() -> usize {
    let records = std::env::var("OUTBOX_RECORDS").map_or(5_000, |n| n.parse().unwrap());
    records / JOBS
}

fn id(n: usize) -> String {
    format!("stand-in-{n}")
}

/// Runs jobs on paper, before the daemon starts.
fn fill(state: &Path) {
    let mut store = Store::open(state).unwrap();
    for n in 0..JOBS {
        let now = Moment::now(DEVICE);
        let spec = json!({"id": id(n), "kind": "generate", "model": "m.gguf", "prompt": "Why?"});
        let job = Job::parse(spec.to_string().as_bytes(), &Limits::default()).unwrap();
        store.submit(&job, 1_000, &now).unwrap();
        let begun = store.begin_attempt(&job.id, &now).unwrap().unwrap();
        let padding = "x".repeat(250);
        let mut records: Vec<Outgoing> = (0..per_job() as u64)
            .map(|seq| {
                let record = json!({"id": id(n), "attempt": 1, "seq": seq, "padding": padding});
                Outgoing::tokens(seq, record.to_string().into_bytes())
            })
            .collect();
        records.push(Outgoing::result(b"{}".to_vec()));
        let how = Finished::Succeeded;
        store
            .finish_attempt(&job.id, begun.attempt, how, None, &records, &now)
            .unwrap()
            .unwrap();
    }
}

fn filled(broker: &Mosquitto) -> Daemon {
    let daemon = Daemon::prepare(broker, STEADY);
    fill(&daemon.path().join("state"));
    daemon
}

/// How often each record arrived, by job and `seq`; a result has none.
#[derive(Default)]
struct Arrived(RefCell<HashMap<(String, Option<u64>), usize>>);

impl Arrived {
    /// Counts a message, and says whether everything is there.
    fn count(&self, seen: &Seen, all: usize) -> bool {
        let mut arrived = self.0.borrow_mut();
        let topic = seen.topic.split_once("/jobs/");
        if let Some((job, kind)) = topic.and_then(|(_, rest)| rest.split_once('/')) {
            let seq = match kind {
                "tokens" => Some(seen.json()["seq"].as_u64().unwrap()),
                "result" => None,
                _ => return arrived.len() >= all,
            };
            *arrived.entry((job.to_owned(), seq)).or_default() += 1;
        }
        arrived.len() >= all
    }

    fn wait(&self, lab: &mut Lab, all: usize) {
        lab.seen.clear();
        lab.wait(&format!("{all} records"), |seen| self.count(seen, all));
    }

    fn distinct(&self) -> usize {
        self.0.borrow().len()
    }

    fn messages(&self) -> usize {
        self.0.borrow().values().sum()
    }

    /// Jobs of which something is missing.
    fn gaps(&self) -> Vec<String> {
        let arrived = self.0.borrow();
        let whole = |job: &String| arrived.keys().filter(|(id, _)| id == job).count();
        let jobs = (0..JOBS).map(id);
        jobs.filter(|job| whole(job) < per_job() + 1).collect()
    }
}

fn all() -> usize {
    JOBS * (per_job() + 1)
}

/// What the daemon had not marked when it ended.
fn left(daemon: &Daemon) -> u64 {
    let store = Store::open(&daemon.path().join("state")).unwrap();
    store.backlog().unwrap().pending
}

#[test]
fn a_backlog_arrives_once() {
    let broker = Mosquitto::with_options(NO_DROPS);
    let mut daemon = filled(&broker);
    let mut lab = Lab::connect(broker.port, &["jouled/+/jobs/#"]);
    daemon.spawn();
    let arrived = Arrived::default();
    arrived.wait(&mut lab, all());
    assert!(daemon.terminate().0.success());
    assert_eq!(arrived.messages(), all());
    assert_eq!(left(&daemon), 0);
}

#[test]
fn a_backlog_arrives_through_a_broker_that_dies() {
    let mut broker = Mosquitto::with_options(NO_DROPS);
    let mut daemon = filled(&broker);
    let mut lab = Lab::connect(broker.port, &["jouled/+/jobs/#"]);
    daemon.spawn();
    let arrived = Arrived::default();
    arrived.wait(&mut lab, all() / 4);
    broker.kill();
    broker.restart();
    let topics = ["jouled/+/jobs/#", "jouled/+/status", "answers/#"];
    let mut lab = Lab::connect(broker.port, &topics);
    lab.wait("the daemon", |seen| {
        arrived.count(seen, all());
        seen.topic.ends_with("/status")
    });
    lab.seen.clear();
    // What the broker had taken and not passed on when it died is the replay's business.
    for job in arrived.gaps() {
        let replay = json!({"id": job}).to_string();
        let topic = format!("jouled/{DEVICE}/cmd/replay");
        lab.ask(&topic, &replay, "answers/lab/1", &job);
    }
    if arrived.distinct() < all() {
        arrived.wait(&mut lab, all());
    }
    assert_eq!(arrived.distinct(), all());
}

#[test]
fn a_backlog_arrives_through_a_daemon_that_is_killed() {
    let broker = Mosquitto::with_options(NO_DROPS);
    let mut daemon = filled(&broker);
    let mut lab = Lab::connect(broker.port, &["jouled/+/jobs/#"]);
    daemon.spawn();
    let arrived = Arrived::default();
    arrived.wait(&mut lab, all() / 4);
    daemon.kill();
    daemon.spawn();
    arrived.wait(&mut lab, all());
    assert!(daemon.terminate().0.success());
    assert_eq!(left(&daemon), 0);
    // What was sent and not marked: at most 512 records that wait for their mark together,
    // and two windows of 256.
    let duplicates = arrived.messages() - all();
    assert!(duplicates <= 1_024, "{duplicates}");
}

#[test]
fn records_that_nobody_hears_hold_nothing_back_and_leave_when_somebody_comes() {
    let broker = Mosquitto::with_options(NO_DROPS);
    let mut daemon = filled(&broker);
    let deaf = ["jouled/+/jobs/+/state", "jouled/+/jobs/+/result"];
    let mut lab = Lab::connect(broker.port, &deaf);
    daemon.spawn();
    let results = Arrived::default();
    results.wait(&mut lab, JOBS);
    let mut late = Lab::connect(broker.port, &["jouled/+/jobs/+/tokens"]);
    let tokens = Arrived::default();
    tokens.wait(&mut late, all() - JOBS);
    assert_eq!(tokens.messages(), all() - JOBS);
}

#[test]
fn replays_of_everything_come_in_between_and_are_answered() {
    let broker = Mosquitto::with_options(NO_DROPS);
    let mut daemon = filled(&broker);
    let mut lab = Lab::connect(broker.port, &["jouled/+/jobs/#", "answers/#"]);
    daemon.spawn();
    let arrived = Arrived::default();
    arrived.wait(&mut lab, all() / 4);
    let topic = format!("jouled/{DEVICE}/cmd/replay");
    for n in 0..JOBS {
        lab.ask(
            &topic,
            &json!({"id": id(n)}).to_string(),
            "answers/lab/1",
            &id(n),
        );
    }
    let answers = RefCell::new(0);
    lab.seen.clear();
    lab.wait("every answer and record", |seen| {
        if seen.topic.starts_with("answers/") {
            // Tokens, state and result.
            assert_eq!(seen.json()["records"], per_job() + 2, "{}", seen.text);
            *answers.borrow_mut() += 1;
        }
        arrived.count(seen, all()) && *answers.borrow() == JOBS
    });
    // Once for the backlog and once for the replay, and no more.
    assert!(arrived.0.borrow().values().all(|times| *times <= 2));
}

#[test]
fn a_board_full_of_records_that_nobody_took_takes_no_new_job() {
    let broker = Mosquitto::with_options(NO_DROPS);
    let mut daemon = filled(&broker);
    let config = daemon.path().join("jouled.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let limited = text.replace("[storage]\n", "[storage]\nmax = \"256KiB\"\n");
    std::fs::write(&config, limited).unwrap();
    std::fs::write(daemon.models().join("m.gguf"), "").unwrap();
    let mut lab = Lab::connect(broker.port, &["jouled/+/jobs/+/result", "answers/#"]);
    daemon.spawn();
    Arrived::default().wait(&mut lab, JOBS);
    let submit = format!("jouled/{DEVICE}/cmd/submit");
    let new = json!({"id": "new", "kind": "generate", "model": "m.gguf", "prompt": "Why?"});
    lab.ask(&submit, &new.to_string(), "answers/lab/1", "new");
    assert_eq!(lab.wait_answer("new")["error"]["code"], "outbox-full");
    // Jobs that are there are known as before.
    let known = json!({"id": id(0), "kind": "generate", "model": "m.gguf", "prompt": "Why?"});
    lab.ask(&submit, &known.to_string(), "answers/lab/1", "known");
    assert_eq!(lab.wait_answer("known")["state"], "succeeded");
}
