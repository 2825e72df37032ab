//! Daemon, workers and broker die again and again while a lab submits jobs. Afterwards every
//! accepted job has one final state, every result came once for its attempt, and every
//! attempt that was cut short is known as such.
//!
//! `CHAOS_KILLS`, `CHAOS_JOBS` (at least so many) and `CHAOS_SEED` set the run: `make chaos`.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

#[path = "chaos/audit.rs"]
mod audit;
#[path = "chaos/kills.rs"]
mod kills;
#[path = "chaos/ledger.rs"]
mod ledger;
mod support;

use kills::{Moment, Plan, Victim};
use ledger::Ledger;
use rustix::process::Pid;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::collector::Collector;
use support::daemon::{Daemon, STEADY};
use support::from_environment;
use support::mosquitto::Mosquitto;
use support::proxy::Proxy;
use support::rig::{MODEL, job, topic};
use support::tiny_gguf::{self, Damage};

/// How long the lab waits for something before it looks around again.
const LOOK: Duration = Duration::from_millis(3);
/// An answer that takes longer may never come: the lab asks again.
const ASK_AGAIN: Duration = Duration::from_millis(1_500);
/// Longest time without any progress. The daemon waits up to a minute between its tries to
/// reach the broker.
const RECOVERY: Duration = Duration::from_secs(180);
/// Jobs that are open at a time.
const OPEN: usize = 4;

const KEPT: &str = "persistence true\nmax_queued_messages 0";

#[derive(Debug, Default)]
struct Totals {
    daemon_kills: u64,
    worker_kills: u64,
    stops: u64,
    broker_kills: u64,
    broker_restarts: u64,
    cuts: u64,
    stalls: u64,
    asked_again: u64,
    replays: u64,
    cancels: u64,
    /// Records that the board sent again with the content that they had before.
    duplicates: u64,
}

impl Totals {
    fn kills(&self) -> u64 {
        self.daemon_kills + self.worker_kills
    }
}

struct Tracked {
    spec: Value,
    asked: Instant,
    accepted: bool,
    cancel_at: Option<Instant>,
}

// Fields are dropped in this order: the broker last.
struct Chaos {
    lab: Collector,
    daemon: Daemon,
    proxy: Proxy,
    broker: Mosquitto,
    random: fastrand::Rng,
    jobs: BTreeMap<String, Tracked>,
    ledger: Ledger,
    totals: Totals,
    plan: Plan,
    worker: Option<Pid>,
    /// When a blocked or cut line flows again, and a stopped broker runs again.
    heal_at: Option<Instant>,
    broker_at: Option<Instant>,
    daemon_at: Option<Instant>,
}

#[test]
#[should_panic(expected = "the daemon had ended by itself")]
fn a_daemon_that_ends_by_itself_is_not_taken_for_a_killed_one() {
    let mut daemon = Daemon::prepare_at("mqtt://127.0.0.1:1", "no configuration");
    daemon.spawn();
    let id = Pid::from_raw(daemon.pid().cast_signed()).unwrap();
    let ended = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::Pid(id), ended).unwrap();
    daemon.kill();
}

#[test]
fn no_job_and_no_result_is_lost_whatever_dies() {
    let kills = from_environment("CHAOS_KILLS", 12);
    let jobs = from_environment("CHAOS_JOBS", 6);
    let seed = from_environment("CHAOS_SEED", 20_261_121);
    println!("CHAOS_SEED={seed}");
    let began = Instant::now();
    let mut chaos = Chaos::begin(seed);
    let mut told = 0;
    let (mut least, mut since) = (u64::MAX, began);
    loop {
        let left = kills.saturating_sub(chaos.totals.kills())
            + jobs.saturating_sub(chaos.jobs.len() as u64);
        if left == 0 {
            break;
        }
        if left < least {
            (least, since) = (left, Instant::now());
        }
        assert!(since.elapsed() < RECOVERY, "{left} kills and jobs are left");
        chaos.submit_more();
        chaos.look();
        chaos.strike_when_due();
        if chaos.totals.kills() >= told + 25 {
            told = chaos.totals.kills();
            println!(
                "{:>6.0} s  {told} kills, {} jobs, {} ended",
                began.elapsed().as_secs_f64(),
                chaos.jobs.len(),
                chaos.ended(),
            );
        }
    }
    chaos.recover();
    // So many kills cannot all have missed the workers.
    assert!(kills < 100 || chaos.totals.worker_kills > 0);
    chaos.settle();
    let attempts = chaos.audit();
    println!("{attempts}");
    println!("{:#?}", chaos.totals);
    println!(
        "{} kills, {} jobs, {} duplicates, {} attempt-lost events, {:.0} s",
        chaos.totals.kills(),
        chaos.jobs.len(),
        chaos.totals.duplicates,
        chaos.ledger.lost_events,
        began.elapsed().as_secs_f64()
    );
}

impl Chaos {
    fn begin(seed: u64) -> Self {
        let broker = Mosquitto::with_options(KEPT);
        let proxy = Proxy::to(broker.port);
        let mut daemon = Daemon::prepare_at(&proxy.url(), STEADY);
        tiny_gguf::write(&daemon.models().join(MODEL), Damage::None).unwrap();
        daemon.configure("mqtt.toml", "[mqtt]\nkeep_alive_s = 5\n");
        let lab = Collector::start(broker.port, &[&topic("#"), "answers/#"]);
        daemon.spawn();
        let now = Instant::now();
        let mut chaos = Self {
            lab,
            daemon,
            proxy,
            broker,
            random: fastrand::Rng::with_seed(seed),
            jobs: BTreeMap::new(),
            ledger: Ledger::default(),
            totals: Totals::default(),
            plan: Plan {
                victim: Victim::Daemon,
                moment: Moment::AnyTime,
                then: Duration::ZERO,
                armed: now,
                due: None,
            },
            worker: None,
            heal_at: None,
            broker_at: None,
            daemon_at: None,
        };
        chaos.plan_next();
        chaos
    }

    fn random_ms(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.random.u64(..most * 1_000))
    }

    fn chance(&mut self, share: f64) -> bool {
        self.random.f64() < share
    }

    fn ended(&self) -> usize {
        let ended = |id: &&String| self.ledger.ended(id).is_some();
        self.jobs.keys().filter(ended).count()
    }

    fn submit_more(&mut self) {
        if self.jobs.len() - self.ended() >= OPEN {
            return;
        }
        let id = format!("job-{:05}", self.jobs.len());
        let live = self.chance(0.3);
        let tokens = if live { "live" } else { "after" };
        let attempts = if self.chance(0.2) { 2 } else { 10 };
        let long = self.chance(0.2);
        let n_predict = self.random.u32(4..if long { 400 } else { 40 });
        let spec = job(
            &id,
            json!({
                "n_predict": n_predict, "repetitions": self.random.u32(1..3),
                "idle": {"before_s": 0, "after_s": 0}, "max_attempts": attempts,
                "publish": {"tokens": tokens, "tokens_every_ms": 20, "trace": self.chance(0.1)},
            }),
        );
        let cancel = self.chance(0.06);
        let cancel_at = cancel.then(|| Instant::now() + self.random_ms(2_000));
        self.ask("submit", &spec, &id);
        self.jobs.insert(
            id,
            Tracked {
                spec,
                asked: Instant::now(),
                accepted: false,
                cancel_at,
            },
        );
    }

    fn ask(&self, command: &str, payload: &Value, correlation: &str) {
        let topic = topic(&format!("cmd/{command}"));
        self.lab
            .ask(&topic, &payload.to_string(), "answers/lab", correlation);
    }

    /// Takes in what has come, asks again where no answer came, and does what is due.
    fn look(&mut self) {
        let mut within = LOOK;
        while let Some(seen) = self.lab.next(within) {
            within = Duration::ZERO;
            self.heard(&seen);
        }
        assert!(
            self.daemon_at.is_some() || self.daemon.is_running(),
            "the daemon ended by itself"
        );
        self.watch_worker();
        let now = Instant::now();
        if self.heal_at.is_some_and(|at| at <= now) {
            self.heal_at = None;
            self.proxy.heal();
        }
        if self.broker_at.is_some_and(|at| at <= now) {
            self.broker_at = None;
            self.broker.restart();
        }
        if self.daemon_at.is_some_and(|at| at <= now) {
            self.daemon_at = None;
            self.daemon.spawn();
        }
        self.ask_again(now);
    }

    fn ask_again(&mut self, now: Instant) {
        let mut asks = Vec::new();
        for (id, job) in &mut self.jobs {
            if !job.accepted && now.duration_since(job.asked) > ASK_AGAIN {
                job.asked = now;
                self.totals.asked_again += 1;
                asks.push(("submit", job.spec.clone(), id.clone()));
            }
            if job.cancel_at.is_some_and(|at| at <= now) {
                job.cancel_at = None;
                self.totals.cancels += 1;
                asks.push(("cancel", json!({"id": id}), format!("cancel-{id}")));
            }
        }
        for (command, payload, correlation) in asks {
            self.ask(command, &payload, &correlation);
        }
    }

    fn heard(&mut self, seen: &support::lab::Seen) {
        if seen.topic.starts_with("answers/") {
            let correlation = seen.correlation.as_deref().unwrap();
            let id = std::str::from_utf8(correlation).unwrap();
            if let Some(job) = self.jobs.get_mut(id) {
                let answer = seen.json();
                // Whoever runs this next to a full disk gets on when there is room again.
                let no_room = answer["error"]["code"] == "disk-full";
                assert!(answer["ok"] == true || no_room, "{seen:?}");
                if !no_room && !job.accepted {
                    job.accepted = true;
                    self.came(Moment::Accepted);
                }
            }
            return;
        }
        let jobs = topic("jobs/");
        if let Some((id, kind)) = seen
            .topic
            .strip_prefix(&jobs)
            .and_then(|rest| rest.split_once('/'))
        {
            let known = self.ledger.note(id, kind, &seen.text);
            // What the broker keeps for late subscribers comes again after each restart of it.
            self.totals.duplicates += u64::from(known && !seen.retained);
            if kind == "tokens" {
                self.came(Moment::TokensArrive);
            }
        } else if seen.topic.ends_with("/events") {
            let event = seen.json();
            let code = event["code"].as_str().unwrap();
            match code {
                "attempt-lost" => self.ledger.lost_events += 1,
                // A cancel can come before its job does.
                "unknown-job" | "connection-unstable" => {}
                other => panic!("event {other}: {event}"),
            }
        }
    }

    fn watch_worker(&mut self) {
        let workers = self.daemon.workers();
        assert!(workers.len() <= 1, "{} workers at a time", workers.len());
        let now = workers.first().copied();
        if self.worker.is_none() && now.is_some() {
            self.came(Moment::WorkerStarts);
        }
        if self.worker.is_some() && now.is_none() {
            self.came(Moment::WorkerEnds);
        }
        self.worker = now;
    }

    /// Everything is up again, and stays so.
    fn recover(&mut self) {
        self.heal_at = None;
        self.proxy.heal();
        if self.broker_at.take().is_some() {
            self.broker.restart();
        }
        if self.daemon_at.take().is_some() {
            self.daemon.spawn();
        }
        assert!(self.daemon.is_running(), "the daemon ended by itself");
    }

    /// Waits until every job has its end, and asks for what the lab missed.
    fn settle(&mut self) {
        self.wait("an answer to every job", |chaos| {
            chaos.jobs.values().filter(|job| !job.accepted).count()
        });
        self.wait("the end of every job", |chaos| {
            chaos.jobs.len() - chaos.ended()
        });
        let mut replays = Vec::new();
        for id in self.jobs.keys() {
            if self.misses_something(id) {
                replays.push(id.clone());
            }
        }
        self.totals.replays = replays.len() as u64;
        for id in replays {
            self.ask("replay", &json!({"id": id}), &format!("replay-{id}"));
        }
        self.wait("what is to be replayed", |chaos| {
            chaos
                .jobs
                .keys()
                .filter(|id| chaos.misses_something(id))
                .count()
        });
    }

    /// A job that ran to an end has a result; one that was never run, or was lost too often,
    /// has none.
    fn misses_something(&self, id: &str) -> bool {
        let ended = self.ledger.ended(id).expect("it has ended");
        let has_result = match ended.state.as_str() {
            "succeeded" => true,
            "failed" => ended.reason.as_deref() != Some("attempts-lost"),
            _ => return false,
        };
        has_result && !self.ledger.jobs[id].is_complete()
    }

    fn wait(&mut self, what: &str, left: impl Fn(&Self) -> usize) {
        let mut least = usize::MAX;
        let mut since = Instant::now();
        loop {
            let now = left(self);
            if now == 0 {
                return;
            }
            if now < least {
                (least, since) = (now, Instant::now());
            }
            assert!(since.elapsed() < RECOVERY, "{what}: {now} are missing");
            self.look();
        }
    }
}
