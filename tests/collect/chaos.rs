//! Two boards, a mosquitto with its default limits, two collectors of one group and dataset.
//! Collectors are killed at random, and stay away for some jobs at random: longer than the
//! broker keeps messages for them.

use super::ledger::{Ledger, compare, count, of_board, of_dataset};
use super::process::Collect;
use super::support::daemon::{Daemon, STEADY};
use super::support::from_environment;
use super::support::lab::{Lab, Seen};
use super::support::mosquitto::Mosquitto;
use super::support::rig::{MODEL, job};
use super::support::tiny_gguf::{self, Damage};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

const BOARDS: [&str; 2] = ["board-1", "board-2"];
const COLLECTORS: [&str; 2] = ["a", "b"];
/// So many jobs that some messages don't find their way.
const LARGE: u64 = 100;
/// Of a board, at a time.
const OPEN: u64 = 2;

struct Chaos {
    lab: Lab,
    collectors: [Option<Collect>; 2],
    /// After how many jobs each is killed, or comes back.
    turns: [u64; 2],
    boards: Vec<Daemon>,
    broker: Mosquitto,
    random: fastrand::Rng,
    out: PathBuf,
    kills: u64,
    /// Asked for by collectors that were killed.
    replays: u64,
    _folder: tempfile::TempDir,
}

#[test]
fn every_record_is_in_the_dataset_once_whatever_becomes_of_the_collectors() {
    let jobs = from_environment("COLLECT_JOBS", 8);
    let seed = from_environment("COLLECT_SEED", 20_261_122);
    println!("COLLECT_SEED={seed}");
    let began = Instant::now();
    let mut chaos = Chaos::begin(seed);
    let mut ended = BTreeSet::new();
    for submitted in 0..jobs {
        chaos.submit(submitted);
        while ended.len() as u64 + OPEN * BOARDS.len() as u64 <= submitted {
            chaos.wait_for_an_end(&mut ended);
            chaos.strike(ended.len() as u64);
        }
    }
    while (ended.len() as u64) < jobs {
        chaos.wait_for_an_end(&mut ended);
        chaos.strike(ended.len() as u64);
    }
    let summaries = chaos.settle();
    let dropped = chaos.dropped();
    let (dataset, boards) = chaos.audit();
    compare(&dataset, &boards);
    let asked = summaries.iter().filter_map(|said| said["replays"].as_u64());
    let replays = chaos.replays + asked.sum::<u64>();
    // Otherwise nothing was tried.
    assert!(chaos.kills > 0, "nobody was killed");
    assert!(jobs < LARGE || replays > 0, "nothing was missing");
    assert_eq!(count(&dataset, "result") as u64, jobs);
    println!(
        "{jobs} jobs, {} results, {} records of tokens, {} of trace; {} kills of collectors; \
         {replays} replays; the broker dropped {dropped} messages; {:.0} s",
        count(&dataset, "result"),
        count(&dataset, "tokens"),
        count(&dataset, "trace"),
        chaos.kills,
        began.elapsed().as_secs_f64()
    );
    for summary in summaries {
        println!("{summary}");
    }
}

impl Chaos {
    fn begin(seed: u64) -> Self {
        let broker = Mosquitto::start();
        let folder = tempfile::tempdir().unwrap();
        let boards = BOARDS.map(|name| {
            let mut daemon = Daemon::prepare(&broker, STEADY);
            tiny_gguf::write(&daemon.models().join(MODEL), Damage::None).unwrap();
            daemon.configure("name.toml", &format!("[device]\nname = \"{name}\"\n"));
            daemon.spawn();
            daemon
        });
        let filters = ["jouled/+/status", "jouled/+/jobs/+/state", "answers/test"];
        let mut lab = Lab::connect(broker.port, &filters);
        for name in BOARDS {
            let topic = format!("jouled/{name}/status");
            lab.wait(&format!("{name} online"), |seen| {
                seen.topic == topic && seen.json()["state"] == "online"
            });
        }
        let out = folder.path().join("dataset");
        let mut chaos = Self {
            lab,
            collectors: [None, None],
            turns: [0, 0],
            boards: boards.into(),
            broker,
            random: fastrand::Rng::with_seed(seed),
            out,
            kills: 0,
            replays: 0,
            _folder: folder,
        };
        for which in 0..2 {
            chaos.start(which);
            chaos.collectors[which]
                .as_mut()
                .unwrap()
                .wait_for("connected");
            chaos.turns[which] = chaos.random.u64(1..4);
        }
        chaos
    }

    fn start(&mut self, which: usize) {
        self.collectors[which] = Some(self.collector(which, &["--roll", "200ms"]));
    }

    fn collector(&self, which: usize, more: &[&str]) -> Collect {
        let usual = [
            "--name",
            COLLECTORS[which],
            "--share",
            "lab",
            "--grace",
            "1s",
        ];
        Collect::start(self.broker.port, &self.out, &[&usual, more].concat())
    }

    fn submit(&mut self, number: u64) {
        let id = format!("job-{number:04}");
        let live = self.random.f64() < 0.5;
        let publish = json!({"tokens": if live { "live" } else { "after" }, "tokens_every_ms": 0,
                             "trace": self.random.f64() < 0.2});
        let spec = job(
            &id,
            json!({
                "n_predict": self.random.u32(4..40),
                "repetitions": self.random.u32(1..20), "publish": publish,
                "idle": {"before_s": 0, "after_s": 0},
            }),
        );
        let board = BOARDS[number as usize % BOARDS.len()];
        let topic = format!("jouled/{board}/cmd/submit");
        self.lab.ask(&topic, &spec.to_string(), "answers/test", &id);
        let answer = self.lab.wait_answer(&id);
        assert_eq!(answer["ok"], true, "{answer}");
    }

    fn wait_for_an_end(&mut self, ended: &mut BTreeSet<String>) {
        let news = |seen: &Seen| is_end(seen) && !ended.contains(&seen.topic);
        // Thousands of states come, and are looked at once.
        self.lab.seen.retain(news);
        let seen = self.lab.wait("the end of a job", news);
        assert_eq!(seen.json()["state"], "succeeded", "{seen:?}");
        ended.insert(seen.topic);
    }

    /// Kills a collector, or lets it come back, when enough jobs have ended.
    fn strike(&mut self, ended: u64) {
        for which in 0..2 {
            if self.turns[which] > ended {
                continue;
            }
            match self.collectors[which].take() {
                Some(collector) => {
                    self.replays += replays(&collector.kill());
                    self.kills += 1;
                    // Back at once, after a while, or after more than the broker keeps.
                    let away = match self.random.u32(..10) {
                        0..4 => 0,
                        4..8 => self.random.u64(1..6),
                        _ => self.random.u64(10..40),
                    };
                    self.turns[which] = ended + away;
                    if away == 0 {
                        self.start(which);
                        self.turns[which] = ended + self.random.u64(1..8);
                    }
                }
                None => {
                    self.start(which);
                    self.turns[which] = ended + self.random.u64(1..8);
                }
            }
        }
    }

    /// Both are there in the end, until nothing is missing.
    fn settle(&mut self) -> Vec<Value> {
        for collector in &mut self.collectors {
            if let Some(collector) = collector.take() {
                self.replays += replays(&collector.kill());
            }
        }
        let last = [0, 1].map(|which| self.collector(which, &["--until-idle", "3s"]));
        last.map(Collect::finish).into()
    }

    /// What mosquitto says that it dropped. It says so every ten seconds.
    fn dropped(&mut self) -> String {
        let topic = "$SYS/broker/publish/messages/dropped";
        let mut late = Lab::connect(self.broker.port, &[topic]);
        late.wait("a count of what was dropped", |seen| seen.topic == topic)
            .text
    }

    fn audit(&mut self) -> (Ledger, Ledger) {
        let mut boards = Ledger::new();
        for (daemon, name) in self.boards.iter_mut().zip(BOARDS) {
            daemon.terminate();
            boards.extend(of_board(name, &daemon.path().join("state")));
        }
        (of_dataset(&self.out), boards)
    }
}

fn replays(events: &[Value]) -> u64 {
    events
        .iter()
        .filter(|event| event["event"] == "replay")
        .count() as u64
}

fn is_end(seen: &Seen) -> bool {
    let is_open = |state: &Value| matches!(state["state"].as_str(), Some("queued" | "running"));
    seen.topic.ends_with("/state") && !is_open(&seen.json())
}
