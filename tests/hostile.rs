//! Hostile messages on the command topics of a live board: it answers each that may be answered
//! once, touches nothing outside of its state directory, and runs the next good job. A seed
//! makes the same messages each time: `HOSTILE_SEED`, `HOSTILE_PAYLOADS` of them
//! (`make hostile`: ten thousand).
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

mod support;

use rumqttc::v5::mqttbytes::v5::PublishProperties;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::daemon::STEADY;
use support::from_environment;
use support::hostile::{Attack, Attacks, INTRUDER, Response};
use support::lab::{Lab, PATIENCE, Seen};
use support::rig::{Rig, job, topic};

const PAYLOADS: u64 = 1_500;
/// Messages that are under way at once.
const BATCH: u64 = 64;
/// Room for what waits to be sent, and for what the allocator keeps of it.
const RSS_GROWTH_KIB: u64 = 24 * 1024;

/// Every file and folder below `dir`, but those named, with a hash of what it holds.
fn tree(dir: &Path, but: &[&str]) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if but.iter().any(|name| path.file_name().unwrap() == *name) {
            continue;
        }
        let kind = fs::symlink_metadata(&path).unwrap();
        let holds = if kind.is_dir() {
            found.extend(tree(&path, &[]));
            "folder".to_owned()
        } else if kind.is_symlink() {
            format!("link to {:?}", fs::read_link(&path).unwrap())
        } else {
            format!("{:x?}", Sha256::digest(fs::read(&path).unwrap()).as_slice())
        };
        found.insert(path, holds);
    }
    found
}

/// What an attacker would like to read or to write.
fn lay_out_canaries(rig: &Rig) {
    let root = rig.daemon.path();
    let deep = root.join("outside/deep");
    fs::create_dir_all(&deep).unwrap();
    for file in [root.join("secret.gguf"), deep.join("secret.gguf")] {
        fs::write(file, "GGUF, but not for jobs").unwrap();
    }
    symlink("../secret.gguf", rig.daemon.models().join("link.gguf")).unwrap();
}

fn rss_kib(rig: &Rig) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", rig.daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .strip_suffix(" kB")
        .unwrap()
        .parse()
        .unwrap()
}

fn send(lab: &Lab, attack: &Attack) {
    let response_topic = match &attack.response {
        Response::None => None,
        Response::Allowed(topic) | Response::Forbidden(topic) => Some(topic.clone()),
    };
    let with = PublishProperties {
        response_topic,
        correlation_data: attack.correlation.clone().map(Into::into),
        ..PublishProperties::default()
    };
    let command = topic(&format!("cmd/{}", attack.command));
    lab.publish_with(&command, attack.payload.clone(), attack.retained, with);
}

/// What came of all attacks.
#[derive(Default)]
struct Tally {
    damages: BTreeMap<&'static str, u64>,
    outcomes: BTreeMap<String, u64>,
}

impl Tally {
    /// Each attack that may be answered has one answer, and no other has any.
    fn check(&mut self, attacks: &[Attack], seen: &[Seen]) {
        for attack in attacks {
            let what = || {
                let start = &attack.payload[..attack.payload.len().min(300)];
                let text = String::from_utf8_lossy(start);
                format!("{} to {:?}: {text}", attack.damage, attack.command)
            };
            *self.damages.entry(attack.damage).or_default() += 1;
            let answers: Vec<&Seen> = match &attack.response {
                Response::Allowed(topic) => {
                    seen.iter().filter(|seen| seen.topic == *topic).collect()
                }
                Response::None => continue,
                Response::Forbidden(_) => seen
                    .iter()
                    .filter(|seen| seen.correlation == attack.correlation)
                    .collect(),
            };
            let may_be_answered =
                matches!(attack.response, Response::Allowed(_)) && attack.fits && !attack.retained;
            assert_eq!(answers.len(), usize::from(may_be_answered), "{}", what());
            let Some(answer) = answers.first() else {
                continue;
            };
            let given = |data: &Option<Vec<u8>>| data.clone().unwrap_or_default();
            assert!(
                given(&answer.correlation) == given(&attack.correlation),
                "other correlation data: {}",
                what()
            );
            let json = answer.json();
            let outcome = match &json["ok"] {
                Value::Bool(true) => "accepted".to_owned(),
                _ => {
                    let text = |name: &str| json["error"][name].as_str().unwrap_or_default();
                    assert!(!text("message").is_empty(), "{json}: {}", what());
                    assert!(!text("code").is_empty(), "{json}: {}", what());
                    assert_ne!(text("code"), "internal", "{json}: {}", what());
                    text("code").to_owned()
                }
            };
            *self.outcomes.entry(outcome).or_default() += 1;
        }
    }
}

/// Asks until the board has no reason to say that it was asked too often.
fn ask(rig: &mut Rig, command: &str, payload: &Value) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = rig.ask(command, payload);
        let limited = answer["error"]["code"] == "rate-limited";
        if !limited || Instant::now() > deadline {
            return answer;
        }
        // The board's pace.
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What damage has left valid is cancelled: nobody wants to wait for it.
fn cancel_everything(rig: &mut Rig) {
    let answer = ask(rig, "jobs", &json!({"limit": 0}));
    for job in answer["jobs"].as_array().unwrap() {
        let cancelled = ask(rig, "cancel", &json!({"id": job["id"]}));
        assert_eq!(cancelled["ok"], true, "{cancelled}");
    }
}

#[test]
fn hostile_messages_change_nothing_and_are_answered() {
    let payloads = from_environment("HOSTILE_PAYLOADS", PAYLOADS);
    let seed = from_environment("HOSTILE_SEED", 20_261_121);
    let mut rig = Rig::start(STEADY);
    lay_out_canaries(&rig);
    // Not what is sent itself, which would come back.
    let jobs = topic("jobs/#");
    let events = topic("events");
    let filters = ["answers/#", "homeassistant/#", &jobs, &events];
    rig.lab = Lab::connect(rig.broker.port, &filters);
    rig.run(&job("good-1", json!({})));
    let (pid, rss_before) = (rig.daemon.pid(), rss_kib(&rig));
    let own = ["state", "log"];
    let before = tree(rig.daemon.path(), &own);

    let mut attacks = Attacks::new(seed);
    let mut tally = Tally::default();
    let mut rss_most = rss_before;
    let mut left = payloads;
    while left > 0 {
        let batch: Vec<Attack> = (0..left.min(BATCH)).map(|_| attacks.next()).collect();
        left -= batch.len() as u64;
        rig.lab.seen.clear();
        batch.iter().for_each(|attack| send(&rig.lab, attack));
        // Commands are carried out, and answered, in the order of their arrival.
        cancel_everything(&mut rig);
        // What damage has left valid may have closed the queue.
        let open = ask(&mut rig, "queue", &json!({"mode": "open"}));
        assert_eq!(open["mode"], "open", "{open}");
        assert!(rig.daemon.is_running(), "the daemon has ended");
        tally.check(&batch, &rig.lab.seen);
        rss_most = rss_most.max(rss_kib(&rig));
    }
    println!("hostile: {payloads} messages of seed {seed}");
    println!("hostile: damage {:?}", tally.damages);
    println!("hostile: answers {:?}", tally.outcomes);
    println!("hostile: RSS {rss_before} KiB before, at most {rss_most} KiB");

    assert_eq!(rig.daemon.pid(), pid);
    rig.lab.seen.clear();
    let good = rig.run(&job("good-2", json!({})));
    assert_eq!(good["state"], "succeeded", "{good}");
    assert_eq!(
        tree(rig.daemon.path(), &own),
        before,
        "touched from outside"
    );
    let root = rig.daemon.path();
    for dir in [
        root,
        root.parent().unwrap(),
        Path::new("/"),
        Path::new("/tmp"),
        Path::new("."),
    ] {
        assert!(
            !dir.join(INTRUDER).exists(),
            "{INTRUDER} in {}",
            dir.display()
        );
    }
    for entry in fs::read_dir(root.join("state")).unwrap() {
        let name = entry.unwrap().file_name();
        let name = name.to_str().unwrap();
        assert!(
            name.starts_with("jouled.") || name == "raw",
            "{name} in the state directory"
        );
    }
    assert!(rss_most <= rss_before + RSS_GROWTH_KIB, "memory grew");
    assert!(
        tally.outcomes.len() > 5,
        "too few kinds of answers: {:?}",
        tally.outcomes
    );
}

/// More commands at once than the board keeps in memory.
#[test]
fn a_flood_of_commands_is_answered_in_full() {
    // Below what mosquitto keeps for one client.
    const FLOOD: usize = 900;
    let mut rig = Rig::start(STEADY);
    rig.lab = Lab::connect(rig.broker.port, &["answers/#"]);
    let correlation = "c".repeat(20_000);
    for number in 0..FLOOD {
        let to = format!("answers/flood/{number}");
        rig.lab.ask(&topic("cmd/jobs"), "{}", &to, &correlation);
    }
    let last = format!("answers/flood/{}", FLOOD - 1);
    rig.lab.wait("the last answer", |seen| seen.topic == last);
    println!("flood: {FLOOD} commands, RSS {} KiB", rss_kib(&rig));
    for number in 0..FLOOD {
        let to = format!("answers/flood/{number}");
        let answers = rig.lab.seen.iter().filter(|seen| seen.topic == to);
        assert_eq!(answers.count(), 1, "answers to {number}");
    }
}
