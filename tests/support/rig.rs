//! A board with a tiny model beside its broker, and a lab that listens to everything.

use super::daemon::{DEVICE, Daemon};
use super::lab::{Lab, PATIENCE, Seen};
use super::mosquitto::Mosquitto;
use super::tiny_gguf::{self, Damage};
use serde_json::{Value, json};
use std::time::Instant;

pub const MODEL: &str = "tiny.gguf";

// Fields are dropped in this order: the broker last.
pub struct Rig {
    pub lab: Lab,
    pub daemon: Daemon,
    pub broker: Mosquitto,
    asked: u32,
}

impl Rig {
    /// Returns once the board is online.
    pub fn start(sensors: &str) -> Self {
        Self::start_with(sensors, |_| ())
    }

    /// The same, after a change to the daemon that is to be started.
    pub fn start_with(sensors: &str, change: impl FnOnce(&mut Daemon)) -> Self {
        let broker = Mosquitto::start();
        let url = broker.url();
        let mut rig = Self::prepare(broker, &url, sensors);
        change(&mut rig.daemon);
        rig.daemon.spawn();
        rig.wait_online();
        rig
    }

    /// A board that reaches the broker at `url`, before its first start.
    pub fn prepare(broker: Mosquitto, url: &str, sensors: &str) -> Self {
        let daemon = Daemon::prepare_at(url, sensors);
        tiny_gguf::write(&daemon.models().join(MODEL), Damage::None).expect("writable");
        let lab = listen(&broker);
        Self {
            lab,
            daemon,
            broker,
            asked: 0,
        }
    }

    pub fn wait_online(&mut self) {
        let status = topic("status");
        self.lab.wait("status online", |seen| {
            seen.topic == status && seen.json()["state"] == "online"
        });
    }

    /// A lab that comes anew, as after a restart of the broker, and sees what comes then.
    pub fn listen_anew(&mut self) {
        self.lab = listen(&self.broker);
    }

    /// Sends a command and returns its answer.
    pub fn ask(&mut self, command: &str, payload: &Value) -> Value {
        self.asked += 1;
        let correlation = format!("ask-{}", self.asked);
        let command = topic(&format!("cmd/{command}"));
        let payload = payload.to_string();
        self.lab
            .ask(&command, &payload, "answers/lab", &correlation);
        self.lab.wait_answer(&correlation)
    }

    /// Takes what arrives, and asks for the jobs meanwhile, until something is `reached`.
    pub fn look_on(&mut self, what: &str, reached: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !reached(self) {
            assert!(Instant::now() < deadline, "waited for {what} in vain");
            self.ask("jobs", &json!({}));
        }
    }

    /// Submits a job that has to be accepted.
    pub fn submit(&mut self, job: &Value) {
        let answer = self.ask("submit", job);
        assert_eq!(answer["ok"], true, "{answer}");
    }

    /// Submits a job and waits for its result.
    pub fn run(&mut self, job: &Value) -> Value {
        self.submit(job);
        self.result(job["id"].as_str().expect("an id"))
    }

    pub fn result(&mut self, id: &str) -> Value {
        self.lab.wait_topic(&of_job(id, "result")).json()
    }

    /// The first state of the job for which `fits`.
    pub fn state(&mut self, id: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let states = of_job(id, "state");
        self.lab
            .wait(&format!("{id} {what}"), |seen| {
                seen.topic == states && fits(&seen.json())
            })
            .json()
    }

    /// Waits until the job is in this state.
    pub fn reaches(&mut self, id: &str, state: &str) -> Value {
        self.state(id, state, |seen| seen["state"] == state)
    }

    /// Everything of a kind (`state`, `tokens`, `trace`, `result`) that came about a job.
    pub fn records(&self, id: &str, kind: &str) -> Vec<Value> {
        let wanted = of_job(id, kind);
        let of_kind = |seen: &&Seen| seen.topic == wanted;
        self.lab
            .seen
            .iter()
            .filter(of_kind)
            .map(Seen::json)
            .collect()
    }

    /// Waits for as many records of a kind as the result announces, and returns them by `seq`.
    pub fn all_records(&mut self, id: &str, kind: &str) -> Vec<Value> {
        let result = self.result(id);
        let count = result["records"][kind].as_u64().expect("a count");
        let wanted = of_job(id, kind);
        (0..count)
            .map(|seq| {
                self.lab
                    .wait(&format!("{kind} {seq} of {id}"), |seen| {
                        seen.topic == wanted && {
                            let record = seen.json();
                            record["seq"] == seq && record["attempt"] == result["attempt"]
                        }
                    })
                    .json()
            })
            .collect()
    }
}

fn listen(broker: &Mosquitto) -> Lab {
    Lab::connect(broker.port, &[&topic("#"), "answers/#"])
}

/// A topic below the board's base topic.
pub fn topic(rest: &str) -> String {
    format!("jouled/{DEVICE}/{rest}")
}

pub fn of_job(id: &str, kind: &str) -> String {
    topic(&format!("jobs/{id}/{kind}"))
}

/// A job of a second, with some top-level fields other than usual.
pub fn job(id: &str, changes: Value) -> Value {
    let job = json!({
        "id": id, "kind": "generate", "model": MODEL, "prompt": "Why is the sky blue?",
        "n_predict": 16, "ignore_eos": true, "repetitions": 1, "warmup": 0,
        "params": {"threads": 1}, "idle": {"before_s": 0.2, "after_s": 0.2},
    });
    with(job, changes)
}

/// A job that generates for minutes also on a fast machine, unless it is stopped: what a test
/// does with it meanwhile may take long on a slow one.
pub fn endless(id: &str, changes: Value) -> Value {
    let params = json!({"threads": 1, "n_ctx": 16_384});
    let endless = json!({"n_predict": 16_000, "repetitions": 40, "params": params});
    with(with(job(id, restless()), endless), changes)
}

/// A job of a second or more, for tests that do something to it at once and then await its end.
pub fn lasting(id: &str, changes: Value) -> Value {
    let lasting = json!({"n_predict": 1_000, "repetitions": 3});
    with(with(job(id, restless()), lasting), changes)
}

/// No idle phases: on a machine that is too busy for its sensor they don't settle for minutes.
fn restless() -> Value {
    json!({"idle": {"before_s": 0, "after_s": 0}})
}

fn with(mut job: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else {
        panic!("changes are an object");
    };
    job.as_object_mut().expect("an object").extend(changes);
    job
}

/// For a job whose tokens are published while they come, so that a test sees it decode.
pub fn watched() -> Value {
    json!({"publish": {"tokens": "live", "tokens_every_ms": 50}})
}
