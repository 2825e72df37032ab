//! The MQTT contract against a real broker, without sensors and models: what a lab sees of
//! a board's commands, records and presence.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use jouled::mqtt::{Command, CommandHandler, DeviceIdentity, LiveRecord, MqttConfig, MqttHandle};
use jouled::record::answer::Refusal;
use jouled::store::{self, Cancelled, Counts, Finished, Moment, Outgoing, Store, Submitted};
use jouled::workload::{Job, JobId, Limits};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::lab::{Lab, PATIENCE};
use support::mosquitto::Mosquitto;
use support::proxy::{Cut, Proxy};

const DEVICE: &str = "bench";

/// What the daemon does with commands, without the part that runs jobs.
struct Queue {
    store: Arc<Mutex<Store>>,
}

fn refusal(code: &str, message: &str) -> Refusal {
    Refusal {
        code: code.to_owned(),
        message: message.to_owned(),
        field: None,
    }
}

impl CommandHandler for Queue {
    fn handle(&self, command: Command<'_>) -> Result<Value, Refusal> {
        let mut store = store::lock(&self.store);
        let now = Moment::now(DEVICE);
        match command {
            Command::Submit { payload } => {
                let job = Job::parse(payload, &Limits::default()).map_err(|error| Refusal {
                    code: serde_json::to_value(error.code)
                        .ok()
                        .and_then(|code| code.as_str().map(str::to_owned))
                        .expect("a unit variant"),
                    message: error.message,
                    field: error.field,
                })?;
                match store.submit(&job, 10, &now).expect("writable") {
                    Submitted::Accepted(row) | Submitted::Known(row) => {
                        Ok(json!({"id": row.id, "state": row.state}))
                    }
                    Submitted::Conflict => Err(refusal("conflict", "another job has this id")),
                    Submitted::QueueFull => Err(refusal("queue-full", "10 jobs wait")),
                    Submitted::Draining => Err(refusal("draining", "no new jobs")),
                }
            }
            Command::Cancel { id } => match store.cancel(&id, &now).expect("writable") {
                Cancelled::Unknown => Err(refusal("unknown-job", "no such job")),
                Cancelled::Done(row) | Cancelled::Running(row) | Cancelled::Final(row) => {
                    Ok(json!({"id": row.id, "state": row.state}))
                }
            },
            Command::Jobs { limit } => Ok(json!({"jobs": store.jobs(limit).expect("readable")})),
            Command::JobsAfter { after, limit } => {
                let (jobs, _) = store.jobs_after(after, limit).expect("readable");
                Ok(json!({"jobs": jobs.len()}))
            }
            Command::Job { id } => Ok(json!({"jobs": [store.state(&id).expect("readable")]})),
            Command::Queue { .. } => Ok(json!({"mode": store.queue_mode().expect("readable")})),
            Command::Replay {
                id,
                attempt,
                from_seq,
            } => {
                let records = store.replay(&id, attempt, from_seq).expect("writable");
                Ok(json!({"id": id, "records": records}))
            }
            Command::Models { .. } => panic!("a fault in the handler"),
        }
    }
}

struct Board {
    mqtt: MqttHandle,
    store: Arc<Mutex<Store>>,
    _dir: Arc<tempfile::TempDir>,
}

fn start(url: &str, machine_id: &str) -> Board {
    let dir = Arc::new(tempfile::tempdir().expect("a temporary directory"));
    start_in(dir, url, machine_id)
}

fn start_in(dir: Arc<tempfile::TempDir>, url: &str, machine_id: &str) -> Board {
    let store = Store::open(dir.path()).expect("the store opens");
    let store = Arc::new(Mutex::new(store));
    let config = MqttConfig {
        url: url.to_owned(),
        ..MqttConfig::default()
    };
    let identity = DeviceIdentity {
        device: DEVICE.to_owned(),
        machine_id: machine_id.to_owned(),
        version: "0.0.0".to_owned(),
    };
    let handler = Arc::new(Queue {
        store: store.clone(),
    });
    let mqtt = MqttHandle::start(&config, "homeassistant", identity, store.clone(), handler)
        .expect("the thread starts");
    Board {
        mqtt,
        store,
        _dir: dir,
    }
}

fn id(name: &str) -> JobId {
    name.parse().expect("a valid id")
}

fn spec(id: &str) -> String {
    json!({"id": id, "kind": "generate", "model": "m.gguf", "prompt": "Why?"}).to_string()
}

fn tokens(seq: u64) -> Outgoing {
    Outgoing::tokens(seq, json!({"seq": seq}).to_string().into_bytes())
}

impl Board {
    /// Runs the job on paper: its records go into the outbox.
    fn run(&self, name: &str, records: &[Outgoing]) {
        let mut store = store::lock(&self.store);
        let now = Moment::now(DEVICE);
        let begun = store
            .begin_attempt(&id(name), &now)
            .expect("writable")
            .expect("it waits");
        store
            .finish_attempt(
                &id(name),
                begun.attempt,
                Finished::Succeeded,
                None,
                records,
                &now,
            )
            .expect("writable")
            .expect("it ran");
        drop(store);
        self.mqtt.wake_outbox();
    }

    fn submit(&self, name: &str) {
        let job = Job::parse(spec(name).as_bytes(), &Limits::default()).expect("valid");
        let mut store = store::lock(&self.store);
        store
            .submit(&job, 10, &Moment::now(DEVICE))
            .expect("writable");
    }

    /// Until the broker has acknowledged everything.
    fn wait_delivered(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let waiting = store::lock(&self.store)
                .backlog()
                .expect("readable")
                .pending;
            if waiting == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{waiting} records wait");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn knows(&self, name: &str) -> bool {
        let found = store::lock(&self.store).state(&id(name)).expect("readable");
        found.is_some()
    }
}

fn online(lab: &mut Lab) {
    lab.wait("status online", |seen| {
        seen.topic == "jouled/bench/status" && seen.json()["state"] == "online"
    });
}

/// A board that is online, and a lab that sees everything.
fn bench(broker: &Mosquitto) -> (Board, Lab) {
    let mut lab = Lab::connect(broker.port, &["jouled/#", "answers/#"]);
    let board = start(&broker.url(), "aa");
    online(&mut lab);
    (board, lab)
}

const SUBMIT: &str = "jouled/bench/cmd/submit";

#[test]
fn a_submitted_job_is_answered_and_runs_once() {
    let broker = Mosquitto::start();
    let (board, mut lab) = bench(&broker);
    lab.ask(SUBMIT, &spec("a"), "answers/lab/1", "one");
    let answer = lab.wait_answer("one");
    assert_eq!(answer, json!({"ok": true, "id": "a", "state": "queued"}));
    let state = lab.wait_topic("jouled/bench/jobs/a/state").json();
    assert_eq!(
        (&state["state"], &state["rev"]),
        (&json!("queued"), &json!(1))
    );
    assert_eq!(state["device"], "bench");

    board.run(
        "a",
        &[tokens(0), tokens(1), Outgoing::result(b"{}".to_vec())],
    );
    lab.wait_topic("jouled/bench/jobs/a/result");
    let life: Vec<String> = lab
        .seen
        .iter()
        .filter_map(|seen| seen.topic.strip_prefix("jouled/bench/jobs/a/"))
        .map(str::to_owned)
        .collect();
    assert_eq!(life, ["state", "tokens", "tokens", "state", "result"]);

    lab.ask(SUBMIT, &spec("a"), "answers/lab/1", "again");
    let again = lab.wait_answer("again");
    assert_eq!(again, json!({"ok": true, "id": "a", "state": "succeeded"}));
    let other = spec("a").replace("Why?", "How?");
    lab.ask(SUBMIT, &other, "answers/lab/1", "other");
    assert_eq!(lab.wait_answer("other")["error"]["code"], "conflict");

    // Who comes later finds state and result.
    let mut late = Lab::connect(broker.port, &["jouled/bench/jobs/#"]);
    assert!(late.wait_topic("jouled/bench/jobs/a/result").retained);
    let state = late.wait_topic("jouled/bench/jobs/a/state");
    assert_eq!(state.json()["state"], "succeeded");
}

#[test]
fn a_malformed_job_is_refused_with_its_field_and_touches_no_job_topic() {
    let broker = Mosquitto::start();
    let (_board, mut lab) = bench(&broker);
    let bad = json!({"id": "b", "kind": "generate", "model": "m", "prompt": "x", "n_predict": "x"});
    lab.ask(SUBMIT, &bad.to_string(), "answers/lab/1", "bad");
    let error = &lab.wait_answer("bad")["error"];
    assert_eq!(
        (&error["code"], &error["field"]),
        (&json!("invalid-spec"), &json!("n_predict"))
    );

    lab.publish(SUBMIT, &bad.to_string());
    let event = lab.wait_event("invalid-spec");
    assert_eq!(event["id"], "b");
    assert!(
        event["message"]
            .as_str()
            .is_some_and(|text| text.contains("n_predict"))
    );

    lab.ask("jouled/bench/cmd/reboot", "", "answers/lab/1", "reboot");
    assert_eq!(
        lab.wait_answer("reboot")["error"]["code"],
        "unknown-command"
    );
    assert!(!lab.seen.iter().any(|seen| seen.topic.contains("/jobs/")));
}

#[test]
fn a_fault_in_a_handler_is_answered_and_the_board_goes_on() {
    let broker = Mosquitto::start();
    let (_board, mut lab) = bench(&broker);
    lab.ask("jouled/bench/cmd/models", "{}", "answers/lab/1", "models");
    assert_eq!(lab.wait_answer("models")["error"]["code"], "internal");
    lab.ask(SUBMIT, &spec("a"), "answers/lab/1", "a");
    assert_eq!(lab.wait_answer("a")["ok"], true);
    lab.ask("jouled/bench/cmd/jobs", "", "answers/lab/1", "jobs");
    assert_eq!(lab.wait_answer("jobs")["jobs"][0]["id"], "a");
    lab.ask(
        "jouled/bench/cmd/cancel",
        r#"{"id":"a"}"#,
        "answers/lab/1",
        "cancel",
    );
    assert_eq!(lab.wait_answer("cancel")["state"], "cancelled");
}

#[test]
fn retained_commands_do_nothing() {
    let broker = Mosquitto::start();
    let mut lab = Lab::connect(broker.port, &["jouled/#", "answers/#"]);
    // One that waits at the broker, and one that arrives live.
    lab.publish_retained(SUBMIT, &spec("stored"));
    lab.wait_topic(SUBMIT);
    let board = start(&broker.url(), "aa");
    online(&mut lab);
    lab.publish_retained(SUBMIT, &spec("live"));
    for name in ["stored", "live"] {
        lab.wait("event retained-command", |seen| {
            seen.topic.ends_with("/events") && seen.json()["id"] == name
        });
        assert!(!board.knows(name), "{name}");
    }
    assert!(!lab.seen.iter().any(|seen| seen.topic.contains("/jobs/")));
}

#[test]
fn answers_go_to_no_forbidden_topic() {
    let broker = Mosquitto::start();
    let (board, mut lab) = bench(&broker);
    for (name, topic) in [
        ("x1", "jouled/bench/jobs/x/state"),
        ("x2", "homeassistant/device/x/config"),
        ("x3", "$SYS/x"),
    ] {
        lab.ask(SUBMIT, &spec(name), topic, name);
        lab.wait("event forbidden-response-topic", |seen| {
            seen.topic.ends_with("/events")
                && seen.json()["code"] == "forbidden-response-topic"
                && seen.json()["id"] == name
        });
        assert!(!board.knows(name), "{topic}");
    }
}

#[test]
fn presence_is_retained_and_a_clean_stop_says_offline() {
    let broker = Mosquitto::start();
    let (board, mut lab) = bench(&broker);
    board.mqtt.set_info(br#"{"group":"pi5"}"#.to_vec());
    board.mqtt.set_jobs(Counts {
        queued: 3,
        running: Some(id("a")),
        ..Counts::default()
    });
    lab.wait_topic("jouled/bench/info");
    lab.wait("status with jobs", |seen| {
        seen.topic.ends_with("/status") && seen.json()["jobs_queued"] == 3
    });
    let mut late = Lab::connect(broker.port, &["jouled/bench/+"]);
    let status = late.wait_topic("jouled/bench/status");
    assert!(status.retained);
    let status = status.json();
    assert_eq!(
        (&status["state"], &status["machine_id"]),
        (&json!("online"), &json!("aa"))
    );
    assert_eq!(status["job_running"], "a");
    assert!(late.wait_topic("jouled/bench/info").retained);

    assert!(board.mqtt.stop(PATIENCE));
    lab.wait("status offline", |seen| {
        seen.topic.ends_with("/status") && seen.json()["state"] == "offline"
    });
}

#[test]
fn commands_sent_while_the_board_is_away_arrive() {
    let broker = Mosquitto::start();
    let (board, mut lab) = bench(&broker);
    assert!(board.mqtt.stop(PATIENCE));
    let dir = board._dir.clone();
    drop(board);
    lab.ask(SUBMIT, &spec("a"), "answers/lab/1", "away");
    let board = start_in(dir, &broker.url(), "aa");
    assert_eq!(lab.wait_answer("away")["state"], "queued");
    assert!(board.knows("a"));
}

#[test]
fn the_broker_tells_when_a_board_drops_out() {
    let broker = Mosquitto::start();
    let mut lab = Lab::connect(broker.port, &["jouled/#"]);
    let proxy = Proxy::to(broker.port);
    let _board = start(&proxy.url(), "aa");
    online(&mut lab);
    proxy.refuse();
    proxy.cut(Cut::Finish);
    let will = lab.wait("last will", |seen| {
        seen.topic.ends_with("/status") && seen.json()["state"] == "offline"
    });
    assert_eq!(will.json()["machine_id"], "aa");
    assert_eq!(will.json()["jobs_queued"], Value::Null);
    let mut late = Lab::connect(broker.port, &["jouled/bench/status"]);
    assert!(late.wait_topic("jouled/bench/status").retained);
}

#[test]
fn a_name_of_another_board_stops_the_daemon_and_disturbs_nobody() {
    let broker = Mosquitto::start();
    let (first, mut lab) = bench(&broker);
    let second = start(&broker.url(), "bb");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let error = runtime
        .block_on(async { tokio::time::timeout(PATIENCE, second.mqtt.fatal()).await })
        .expect("it notices")
        .to_string();
    assert!(error.contains("machine id aa"), "{error}");
    assert!(second.mqtt.stop(PATIENCE));
    // The first board never noticed.
    lab.ask(SUBMIT, &spec("a"), "answers/lab/1", "still");
    assert_eq!(lab.wait_answer("still")["ok"], true);
    assert!(first.mqtt.connected());
    let statuses = lab
        .seen
        .iter()
        .filter(|seen| seen.topic.ends_with("/status"));
    assert!(
        statuses
            .clone()
            .all(|seen| seen.json()["machine_id"] == "aa")
    );
    assert!(
        statuses
            .clone()
            .all(|seen| seen.json()["state"] == "online")
    );
}

#[test]
fn records_survive_a_broker_that_dies() {
    let mut broker = Mosquitto::start();
    let (board, mut lab) = bench(&broker);
    lab.ask(SUBMIT, &spec("a"), "answers/lab/1", "a");
    lab.wait_answer("a");
    let mut records: Vec<Outgoing> = (0..200).map(tokens).collect();
    records.push(Outgoing::result(b"{}".to_vec()));
    // It dies while the records leave.
    board.run("a", &records);
    lab.wait_topic("jouled/bench/jobs/a/tokens");
    broker.kill();
    let before = std::mem::take(&mut lab.seen);
    broker.restart();
    let mut lab = Lab::connect(broker.port, &["jouled/#", "answers/#"]);
    // What was acknowledged to a broker that forgot it is the replay's business; what was
    // not comes by itself, the last at last.
    lab.wait_topic("jouled/bench/jobs/a/result");
    board.wait_delivered();

    // Subscriptions are back.
    let replay = r#"{"id":"a"}"#;
    lab.ask("jouled/bench/cmd/replay", replay, "answers/lab/2", "replay");
    assert_eq!(lab.wait_answer("replay")["records"], 202);
    for seq in 0..200 {
        let text = json!({"seq": seq}).to_string();
        lab.wait(&format!("tokens {seq}"), |seen| seen.text == text);
    }
    let of_job = |seen: &&support::lab::Seen| seen.topic.ends_with("/tokens");
    let mut all: Vec<String> = before
        .iter()
        .chain(&lab.seen)
        .filter(of_job)
        .map(|seen| seen.text.clone())
        .collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 200);
}

#[test]
fn a_broker_that_stalls_and_dies_loses_nothing() {
    let mut broker = Mosquitto::start();
    let (board, _lab) = bench(&broker);
    broker.stall();
    board.submit("a");
    let mut records: Vec<Outgoing> = (0..100).map(tokens).collect();
    records.push(Outgoing::result(b"{}".to_vec()));
    board.run("a", &records);
    broker.kill();
    broker.restart();
    let mut lab = Lab::connect(broker.port, &["jouled/#"]);
    for seq in 0..100 {
        let text = json!({"seq": seq}).to_string();
        lab.wait(&format!("tokens {seq}"), |seen| seen.text == text);
    }
    lab.wait_topic("jouled/bench/jobs/a/result");
    board.wait_delivered();
}

#[test]
fn a_broker_that_forgot_everything_is_told_again() {
    let mut broker = Mosquitto::start();
    let (board, mut lab) = bench(&broker);
    board.mqtt.set_info(b"{}".to_vec());
    lab.ask(SUBMIT, &spec("a"), "answers/lab/1", "a");
    lab.wait_topic("jouled/bench/jobs/a/state");
    board.wait_delivered();
    broker.kill();
    broker.restart();
    let mut lab = Lab::connect(broker.port, &["jouled/#"]);
    let state = lab.wait_topic("jouled/bench/jobs/a/state").json();
    assert_eq!(
        (&state["state"], &state["rev"]),
        (&json!("queued"), &json!(1))
    );
    lab.wait_topic("jouled/bench/info");
    online(&mut lab);
}

#[test]
fn a_broker_that_forgot_everything_is_told_again_also_after_another_loss() {
    let mut broker = Mosquitto::start();
    let proxy = Proxy::to(broker.port);
    let mut lab = Lab::connect(broker.port, &["jouled/#"]);
    let board = start(&proxy.url(), "aa");
    online(&mut lab);
    board.submit("a");
    board.mqtt.wake_outbox();
    board.wait_delivered();
    board.mqtt.hold(true);
    broker.kill();
    broker.restart();
    let mut lab = Lab::connect(broker.port, &["jouled/#"]);
    online(&mut lab);
    // This time the broker remembers the board.
    lab.seen.clear();
    proxy.cut(Cut::Reset);
    proxy.heal();
    online(&mut lab);
    board.mqtt.hold(false);
    lab.wait_topic("jouled/bench/jobs/a/state");
}

#[test]
fn records_wait_for_a_subscriber() {
    let broker = Mosquitto::start();
    // A lab that doesn't listen to tokens.
    let mut lab = Lab::connect(
        broker.port,
        &[
            "jouled/+/status",
            "jouled/+/jobs/+/state",
            "jouled/+/jobs/+/result",
        ],
    );
    let board = start(&broker.url(), "aa");
    online(&mut lab);
    board.submit("a");
    board.run(
        "a",
        &[tokens(0), tokens(1), Outgoing::result(b"{}".to_vec())],
    );
    // They don't hold back the rest.
    lab.wait_topic("jouled/bench/jobs/a/result");
    let mut late = Lab::connect(broker.port, &["jouled/+/jobs/+/tokens"]);
    for seq in 0..2 {
        let text = json!({"seq": seq}).to_string();
        late.wait(&text, |seen| seen.text == text);
    }
}

#[test]
fn what_the_broker_refuses_is_parked_and_reported() {
    let acl = tempfile::tempdir().expect("a temporary directory");
    let file = acl.path().join("acl");
    std::fs::write(
        &file,
        "topic readwrite #\ntopic deny jouled/bench/jobs/+/trace\n",
    )
    .expect("writable");
    let broker = Mosquitto::with_options(&format!(
        "acl_file {}\nmax_packet_size 4000",
        file.display()
    ));
    let (board, mut lab) = bench(&broker);
    board.submit("a");
    let records = [
        Outgoing::trace(0, b"{}".to_vec()),
        Outgoing::trace(1, b"{}".to_vec()),
        Outgoing::tokens(0, vec![b' '; 5000]),
        tokens(1),
        Outgoing::result(b"{}".to_vec()),
    ];
    board.run("a", &records);
    lab.wait_topic("jouled/bench/jobs/a/result");
    for kind in ["trace", "tokens"] {
        lab.wait("event record-parked", |seen| {
            seen.topic.ends_with("/events")
                && seen.json()["code"] == "record-parked"
                && seen.json()["message"]
                    .as_str()
                    .is_some_and(|text| text.contains(kind))
        });
    }
    let text = json!({"seq": 1}).to_string();
    lab.wait("the small record", |seen| seen.text == text);
    // What became of records is written down together, a moment later.
    board.wait_delivered();
    assert_eq!(
        store::lock(&board.store)
            .backlog()
            .expect("readable")
            .parked,
        3
    );
}

#[test]
fn nothing_but_answers_and_presence_leaves_during_an_attempt() {
    let broker = Mosquitto::start();
    let (board, mut lab) = bench(&broker);
    board.mqtt.hold(true);
    board.mqtt.set_jobs(Counts {
        queued: 9,
        ..Counts::default()
    });
    lab.wait("status with jobs", |seen| {
        seen.topic.ends_with("/status") && seen.json()["jobs_queued"] == 9
    });
    lab.ask(SUBMIT, &spec("a"), "answers/lab/1", "a");
    assert_eq!(lab.wait_answer("a")["ok"], true);
    board.submit("b");
    board.mqtt.wake_outbox();
    board.mqtt.rail("input", b"{}".to_vec());
    // A later answer has overtaken everything that was there before it.
    lab.ask("jouled/bench/cmd/jobs", "", "answers/lab/1", "jobs");
    lab.wait_answer("jobs");
    let leaked = |seen: &support::lab::Seen| {
        ["/state", "/rails/input"]
            .iter()
            .any(|end| seen.topic.ends_with(end))
    };
    assert!(!lab.seen.iter().any(leaked), "{:#?}", lab.seen);
    board.mqtt.hold(false);
    lab.wait_topic("jouled/bench/jobs/a/state");
    lab.wait_topic("jouled/bench/jobs/b/state");
    lab.wait_topic("jouled/bench/rails/input");
}

#[test]
fn the_retained_state_never_goes_back() {
    let broker = Mosquitto::start();
    let (board, mut lab) = bench(&broker);
    board.submit("a");
    for rev in 3..40 {
        board.mqtt.live(LiveRecord::State {
            job: id("a"),
            rev,
            payload: json!({"rev": rev, "state": "running"})
                .to_string()
                .into_bytes(),
        });
    }
    board.run("a", &[Outgoing::result(b"{}".to_vec())]);
    lab.wait("state succeeded", |seen| {
        seen.topic.ends_with("/state") && seen.json()["state"] == "succeeded"
    });
    // Whatever was still under way would come before this answer.
    lab.ask("jouled/bench/cmd/jobs", "", "answers/lab/1", "jobs");
    lab.wait_answer("jobs");
    let revs: Vec<u64> = lab
        .seen
        .iter()
        .filter(|seen| seen.topic.ends_with("/state"))
        .filter_map(|seen| seen.json()["rev"].as_u64())
        .collect();
    assert!(revs.is_sorted(), "{revs:?}");
    let mut late = Lab::connect(broker.port, &["jouled/bench/jobs/a/state"]);
    let state = late.wait_topic("jouled/bench/jobs/a/state");
    assert_eq!(state.json()["state"], "succeeded");
}

#[test]
fn a_stop_without_a_broker_is_quick() {
    let board = start("mqtt://127.0.0.1:1", "aa");
    assert!(board.mqtt.stop(Duration::from_secs(20)));
    assert!(!board.mqtt.connected());
}
