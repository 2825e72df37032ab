//! `joulectl tune` on a real board with a tiny model: to the end, stopped and gone on with,
//! cancelled, and without a power sensor.
//!
//! `make tune-check` tunes a real model on this machine; `TUNE_TIME` and `TUNE_OBJECTIVE` set how.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "llama", feature = "lab"))]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use support::daemon::{DEVICE, eventually};
use support::rig::{MODEL, Rig, of_job, topic};
use support::tool::{joulectl, output};

/// What the machine's own load makes of one simulated INA219.
const CPU: &str = "[[sensor]]\nname = \"input\"\nkind = \"simulated\"\nboundary = \"board-input\"\n\
     waveform = \"cpu:0.5,2.0\"\nbus_v = 5.0\nshunt_ohm = 0.01\nmax_current_a = 3.0\n";

/// One candidate, with jobs of a few hundredths of a second.
const SHORT: [&str; 10] = [
    "--explore",
    "repack",
    "--seconds",
    "0.02",
    "--rungs",
    "1",
    "--rounds",
    "3",
    "--n-prompt",
    "64",
];

/// What has a figure however busy the machine is; sampling a sensor has not.
const DECODE: [&str; 2] = ["--objective", "decode"];

struct Tuned {
    rig: Rig,
    out: PathBuf,
}

impl Tuned {
    fn start(sensors: &str) -> Self {
        // Two threads of llama.cpp wait for each other, and for long where other tests run.
        let one_cpu = ["taskset", "-c", &first_cpu()].map(str::to_owned);
        let mut rig = Rig::start_with(sensors, |daemon| daemon.prefix = one_cpu.to_vec());
        rig.lab.wait("the model's hash", |seen| {
            seen.topic == topic("info") && seen.json()["models"][0]["sha256"].is_string()
        });
        let out = rig.daemon.path().join("tuned");
        Self { rig, out }
    }

    fn words(&self, further: &[&str]) -> Vec<String> {
        let broker = self.rig.broker.url();
        let out = self.out.to_str().unwrap();
        // Other tests share the CPUs of this machine.
        let words = [
            "tune",
            MODEL,
            "--broker",
            &broker,
            "--out",
            out,
            "--include-marked",
        ];
        let all = words.iter().chain(&SHORT).chain(further);
        all.map(|word| (*word).to_owned()).collect()
    }

    fn run(&self, further: &[&str]) -> Output {
        let words = self.words(further);
        joulectl(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn spawn(&self, further: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_joulectl"))
            .args(self.words(further))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Ids of the jobs that the journal has.
    fn journal(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.out.join("journal.jsonl")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines().skip(1);
        lines
            .map(|line| {
                let entry: Value = serde_json::from_str(line).unwrap();
                entry["id"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    /// Ids of all jobs that the board knows.
    fn on_board(&mut self) -> BTreeSet<String> {
        let listing = self.rig.ask("jobs", &json!({"after": 0, "limit": 500}));
        let jobs = listing["jobs"].as_array().unwrap().iter();
        jobs.map(|job| job["id"].as_str().unwrap().to_owned())
            .collect()
    }

    fn results(&self) -> usize {
        std::fs::read_dir(self.out.join("results")).unwrap().count()
    }
}

/// The first CPU that this process may use.
fn first_cpu() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let first = list.unwrap().trim().split([',', '-']).next();
    first.unwrap().to_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_board_is_tuned_and_says_what_became_of_each_candidate() {
    let mut tuned = Tuned::start(CPU);
    let planned = tuned.run(&["--plan"]);
    let plan = String::from_utf8_lossy(&planned.stdout).into_owned();
    assert!(plan.contains("batch        repack off"), "{plan}");
    assert!(tuned.on_board().is_empty(), "a plan sends nothing");

    let first = report(&tuned.run(&[&DECODE[..], &["--json"]].concat()));
    assert_eq!(
        (&first["simulated"], &first["device"]),
        (&json!(true), &json!(DEVICE))
    );
    let candidates = first["candidates"].as_array().unwrap();
    let labels: BTreeSet<&str> = candidates
        .iter()
        .map(|entry| entry["label"].as_str().unwrap())
        .collect();
    assert_eq!(labels, BTreeSet::from(["repack off"]));
    let verdict = first["verdict"].as_str().unwrap();
    assert!(["gain", "no-gain-shown"].contains(&verdict), "{first}");
    match verdict {
        "gain" => assert!(first["checked"]["high"].as_f64() < Some(1.0), "{first}"),
        _ => assert_eq!(first["job"]["params"], json!({}), "{first}"),
    }

    // What is kept is what was run.
    let journal = tuned.journal();
    let ids: BTreeSet<String> = journal.iter().cloned().collect();
    assert_eq!(ids.len(), journal.len());
    assert_eq!(first["jobs"]["run"], journal.len());
    assert_eq!(tuned.results(), journal.len());
    assert_eq!(tuned.on_board(), ids);
    let kept = std::fs::read_to_string(tuned.out.join("tune.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), first);

    // The same command has nothing more to run, and says it in words.
    let again = tuned.run(&DECODE);
    assert!(again.status.success(), "{}", said(&again));
    let text = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(
        text.contains("SIMULATED") && text.contains("repack off"),
        "{text}"
    );
    assert!(text.contains("\"params\": "), "{text}");
    assert_eq!(tuned.on_board(), ids);

    // Other options are another tuning, and its results are a report's.
    let other = tuned.run(&[&DECODE[..], &["--n-gen", "32"]].concat());
    assert_eq!(other.status.code(), Some(2));
    assert!(said(&other).contains("--fresh"), "{}", said(&other));
    let page = tuned.out.join("report.html");
    let results = tuned.out.join("results");
    let reported = output(Command::new(env!("CARGO_BIN_EXE_joulectl")).args([
        Path::new("report"),
        &results,
        Path::new("--out"),
        &page,
    ]));
    assert!(reported.status.success(), "{}", said(&reported));
}

#[test]
fn a_tuning_that_is_stopped_goes_on_where_it_was() {
    let mut tuned = Tuned::start(CPU);
    let mut before = 0;
    for signal in [Signal::INT, Signal::KILL] {
        let child = tuned.spawn(&DECODE);
        let grown = eventually(|| tuned.journal().len() >= before + 3);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert!(grown, "{}", said(&ended));
        if signal == Signal::INT {
            assert_eq!(ended.status.code(), Some(130), "{}", said(&ended));
            assert!(said(&ended).contains("goes on"), "{}", said(&ended));
        }
        before = tuned.journal().len();
    }
    let kept = tuned.journal();
    let finished = report(&tuned.run(&[&DECODE[..], &["--json"]].concat()));
    let journal = tuned.journal();
    assert_eq!(journal[..kept.len()], kept);
    let ids: BTreeSet<String> = journal.iter().cloned().collect();
    assert_eq!(ids.len(), journal.len());
    assert_eq!(finished["jobs"]["run"], journal.len());
    // Nothing ran twice, and nothing ran that was not counted.
    assert_eq!(tuned.on_board(), ids);
}

/// A day after the last job its state has left the broker, a week after it the result too.
#[test]
fn a_job_whose_records_have_expired_is_not_waited_for_in_vain() {
    let mut tuned = Tuned::start("");
    let finished = report(&tuned.run(&[&DECODE[..], &["--json"]].concat()));
    let ids = tuned.journal();
    // The last two were not written down any more.
    let [.., a_day_ago, a_week_ago] = ids.as_slice() else {
        panic!("{ids:?}");
    };
    for (id, leaf) in [
        (a_day_ago, "state"),
        (a_week_ago, "state"),
        (a_week_ago, "result"),
    ] {
        tuned.rig.lab.publish_retained(&of_job(id, leaf), "");
        tuned.rig.lab.wait("the record to be cleared", |seen| {
            seen.topic == of_job(id, leaf) && seen.text.is_empty()
        });
    }
    let path = tuned.out.join("journal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let kept = lines[..lines.len() - 2].join("\n");
    std::fs::write(&path, format!("{kept}\n")).unwrap();
    for id in [a_day_ago, a_week_ago] {
        let result = tuned.out.join("results").join(format!("{id}.json"));
        std::fs::remove_file(result).unwrap();
    }

    let again = report(&tuned.run(&[&DECODE[..], &["--json"]].concat()));
    assert_eq!(tuned.journal(), ids);
    assert_eq!(tuned.results(), ids.len());
    assert_eq!(again["checked"], finished["checked"]);
    assert_eq!(again["candidates"], finished["candidates"]);
    assert_eq!(tuned.on_board().len(), ids.len());
}

#[test]
fn without_a_sensor_speed_is_tuned_and_a_cancelled_job_stops_it() {
    let mut tuned = Tuned::start("");
    let energy = tuned.run(&[]);
    assert_eq!(energy.status.code(), Some(2));
    assert!(
        said(&energy).contains("--objective decode"),
        "{}",
        said(&energy)
    );
    assert!(tuned.on_board().is_empty());

    let speed = ["--objective", "prefill", "--json"];
    assert_eq!(
        tuned.rig.ask("queue", &json!({"mode": "paused"}))["ok"],
        true
    );
    let child = tuned.spawn(&speed);
    let first = tuned.rig.lab.wait("the first job", |seen| {
        seen.topic.ends_with("/state") && seen.json()["state"] == "queued"
    });
    let id = first.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(first.topic, of_job(&id, "state"));
    // Another one would write over what this one writes down.
    for further in [&["--fresh"][..], &[]] {
        let second = tuned.run(&[&speed[..], further].concat());
        assert_eq!(second.status.code(), Some(2), "{}", said(&second));
        assert!(said(&second).contains("another joulectl tune works in"));
    }
    assert_eq!(tuned.rig.ask("cancel", &json!({"id": id}))["ok"], true);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
    assert!(said(&ended).contains("was cancelled"), "{}", said(&ended));

    tuned.rig.ask("queue", &json!({"mode": "open"}));
    let finished = report(&tuned.run(&speed));
    assert_eq!(tuned.journal()[..2], [id.clone(), format!("{id}-again1")]);
    assert_eq!(finished["simulated"], false);
    assert!(finished["candidates"][0]["against_defaults"]["ratio"].is_number());
    let sha256 = &finished["model_sha256"];
    assert_eq!(sha256.as_str().unwrap().len(), 64);
}

/// SmolLM2 on this machine, threads, batches, flash attention and KV types: what is recommended
/// is not shown to cost more than the defaults.
#[test]
#[ignore = "takes TUNE_TIME, and a quiet machine: make tune-check"]
fn a_real_model_is_tuned_on_this_machine() {
    let variable =
        |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let (time, objective) = (
        variable("TUNE_TIME", "15min"),
        variable("TUNE_OBJECTIVE", "energy"),
    );
    let model = support::smollm2::file();
    let name = model.file_name().unwrap().to_str().unwrap().to_owned();
    let mut rig = Rig::start_with(CPU, |daemon| {
        std::fs::hard_link(&model, daemon.models().join(&name))
            .or_else(|_| std::fs::copy(&model, daemon.models().join(&name)).map(|_| ()))
            .unwrap();
    });
    rig.lab.wait("the model's hash", |seen| {
        let info = seen.json();
        let models = info["models"].as_array();
        let hashed = |model: &Value| model["name"] == name && model["sha256"].is_string();
        seen.topic == topic("info") && models.is_some_and(|models| models.iter().any(hashed))
    });
    let out = rig.daemon.path().join("tuned");
    let words = [
        "tune",
        &name,
        "--broker",
        &rig.broker.url(),
        "--out",
        out.to_str().unwrap(),
    ]
    .map(str::to_owned);
    // Hours may pass, and somebody looks on.
    let ended = Command::new(env!("CARGO_BIN_EXE_joulectl"))
        .args(words)
        .args(["--objective", &objective, "--time", &time])
        .args(["--explore", "threads,n-batch,flash-attn,kv-type"])
        .args(variable("TUNE_OPTIONS", "").split_whitespace())
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(ended.success());
    let report = std::fs::read_to_string(out.join("tune.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let checked = &report["checked"];
    match report["verdict"].as_str().unwrap() {
        "gain" => assert!(checked["high"].as_f64() < Some(1.0), "{checked}"),
        "no-gain-shown" => assert_eq!(report["job"]["params"], json!({})),
        other => panic!("{other}: {report}"),
    }
}
