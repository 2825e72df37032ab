//! joulectl and several real boards: jobs for a group, jobs taken away, models for everybody.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "llama", feature = "lab"))]

mod support;

use jouled::workload::job::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::process::Output;
use support::daemon::{Daemon, STEADY, eventually};
use support::lab::Lab;
use support::mosquitto::Mosquitto;
use support::rig::{MODEL, endless, job};
use support::tiny_gguf::{self, Damage};
use support::tool::joulectl_with;
use support::web::{Manner, Web};

// Fields are dropped in this order: the broker last.
struct Fleet {
    lab: Lab,
    boards: Vec<Daemon>,
    broker: Mosquitto,
    dir: tempfile::TempDir,
}

/// The name of a board, and further configuration of it.
type Wanted<'w> = (&'w str, &'w str);

impl Fleet {
    /// Boards of the group `pi5`, each with the tiny model, once all are online.
    fn start(wanted: &[Wanted<'_>]) -> Self {
        let broker = Mosquitto::start();
        let lab = Lab::connect(broker.port, &["jouled/#", "answers/#"]);
        let mut fleet = Self {
            lab,
            boards: Vec::new(),
            broker,
            dir: tempfile::tempdir().unwrap(),
        };
        for (name, further) in wanted {
            let mut board = Daemon::prepare(&fleet.broker, STEADY);
            let config = format!("[device]\nname = \"{name}\"\ngroup = \"pi5\"\n{further}");
            board.configure("10.toml", &config);
            tiny_gguf::write(&board.models().join(MODEL), Damage::None).unwrap();
            board.spawn();
            fleet.boards.push(board);
            // One after the other, so that the first is the one that is there longest.
            fleet.wait(&format!("jouled/{name}/status"), |status| {
                status["state"] == "online"
            });
        }
        for (name, _) in wanted {
            fleet.wait(&format!("jouled/{name}/info"), |info| {
                info["models"][0]["sha256"].is_string()
            });
        }
        fleet
    }

    fn wait(&mut self, topic: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let seen = self
            .lab
            .wait(topic, |seen| seen.topic == topic && fits(&seen.json()));
        seen.json()
    }

    fn wait_state(&mut self, board: &str, id: &str, state: &str) -> Value {
        self.wait(&format!("jouled/{board}/jobs/{id}/state"), |seen| {
            seen["state"] == state
        })
    }

    /// What the broker keeps of a topic has expired.
    fn forget(&mut self, topic: &str) {
        self.lab.publish_retained(topic, "");
        self.lab.wait("the record to be cleared", |seen| {
            seen.topic == topic && seen.text.is_empty()
        });
    }

    fn joulectl(&self, arguments: &[&str]) -> Output {
        joulectl_with(&[("JOULED_BROKER", &self.broker.url())], arguments)
    }

    /// One that has to go well; what it printed.
    fn joulectl_ok(&self, arguments: &[&str]) -> String {
        let done = self.joulectl(arguments);
        assert!(done.status.success(), "{arguments:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// One that has to end with this code; what it complained of.
    fn refused(&self, code: i32, arguments: &[&str]) -> String {
        let done = self.joulectl(arguments);
        let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {complaint}");
        complaint
    }

    fn file(&self, name: &str, jobs: &[Value]) -> String {
        let path = self.dir.path().join(name);
        let lines: String = jobs.iter().map(|job| format!("{job}\n")).collect();
        std::fs::write(&path, lines).unwrap();
        path.display().to_string()
    }

    /// Ids that a board knows.
    fn jobs(&self, board: &str) -> Vec<String> {
        let list = self.joulectl_ok(&["jobs", "--json", "--device", board]);
        let list: Value = serde_json::from_str(&list).unwrap();
        let jobs = list["jobs"].as_array().unwrap().iter();
        let mut ids: Vec<String> = jobs
            .map(|job| job["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    }
}

fn short(id: &str) -> Value {
    job(
        id,
        json!({"idle": {"before_s": 0, "after_s": 0}, "n_predict": 4}),
    )
}

#[test]
fn a_group_s_least_busy_board_gets_the_job() {
    let mut fleet = Fleet::start(&[("b1", ""), ("b2", "")]);
    let long = fleet.file("long", &[endless("long", json!({}))]);
    let file = fleet.file("job", &[short("a")]);
    assert_eq!(
        fleet.joulectl_ok(&["submit", "-f", &long, "--device", "b1"]),
        "long  queued\n"
    );
    fleet.wait("jouled/b1/status", |status| status["job_running"] == "long");

    // Nothing is sent to find out.
    let tried = fleet.joulectl_ok(&[
        "submit",
        "-f",
        &file,
        "--group",
        "pi5",
        "--dry-run",
        "--json",
    ]);
    let tried: Value = serde_json::from_str(&tried).unwrap();
    assert_eq!(
        (&tried["device"], &tried["jobs"]),
        (&json!("b2"), &json!(0))
    );
    // With its defaults.
    assert_eq!(tried["job"]["timeout_s"], 900);
    assert!(fleet.jobs("b2").is_empty());

    let group = ["submit", "-f", &file, "--group", "pi5"];
    assert_eq!(fleet.joulectl_ok(&group), "a  queued  b2\n");
    fleet.wait_state("b2", "a", "succeeded");
    // Its id is known there: sent again it runs nowhere else.
    fleet.joulectl_ok(&["queue", "pause", "--device", "b2"]);
    assert_eq!(fleet.joulectl_ok(&group), "a  succeeded  b2\n");
    // Another one goes to whoever takes jobs, however busy.
    let sent = fleet.joulectl(&["submit", "-f", &file, "--id", "b", "--group", "pi5"]);
    assert!(sent.status.success(), "{sent:?}");
    assert_eq!(String::from_utf8_lossy(&sent.stdout), "b  queued  b1\n");
    let said = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(said.contains("left out b2: its queue is paused"), "{said}");
    fleet.joulectl_ok(&["queue", "drain", "--device", "b1"]);
    let nobody = fleet.refused(1, &["submit", "-f", &file, "--id", "c", "--group", "pi5"]);
    assert!(nobody.contains("b1: its queue is draining"), "{nobody}");
    let no_group = fleet.refused(3, &["submit", "-f", &file, "--group", "pi4"]);
    assert!(no_group.contains("there are pi5"), "{no_group}");
    assert_eq!(fleet.jobs("b1"), ["b", "long"]);
    fleet.joulectl_ok(&["cancel", "long", "--device", "b1"]);
}

#[test]
fn a_wrong_job_is_found_before_it_is_sent() {
    let fleet = Fleet::start(&[("b1", "[limits]\nrepetitions = 2\n")]);
    let file = fleet.file("job", &[short("a")]);
    for (flags, code, part) in [
        (&["-r", "3"][..], 2, "repetitions must be 1 to 2"),
        (&["-m", "other.gguf"], 2, "no model other.gguf"),
        (&["--model-sha256", &"ab".repeat(32)], 2, "another SHA-256"),
        (&["--n-gen", "5"], 2, "n_gen"),
        (&["--device", "b9"], 3, "no board named b9"),
    ] {
        let line = [&["submit", "-f", &file, "--dry-run"][..], flags].concat();
        let complaint = fleet.refused(code, &line);
        assert!(complaint.contains(part), "{complaint}");
    }
    let fine = fleet.joulectl(&["submit", "-f", &file, "--dry-run"]);
    assert!(fine.status.success(), "{fine:?}");
    let shown: Value = serde_json::from_slice(&fine.stdout).unwrap();
    assert_eq!(shown["repetitions"], 1);
    let said = String::from_utf8_lossy(&fine.stderr).into_owned();
    assert!(said.contains("would go to b1"), "{said}");
    assert!(fleet.jobs("b1").is_empty());
}

/// The second job of `b1` is one too many in its minute, and `b2` takes it.
#[test]
fn several_jobs_are_shared_out_and_awaited() {
    let fleet = Fleet::start(&[("b1", "[limits]\ncommands_per_min = 1\n"), ("b2", "")]);
    let jobs: Vec<Value> = (0..4).map(|n| short(&format!("j{n}"))).collect();
    let file = fleet.file("jobs", &jobs);
    let out = fleet.dir.path().join("out");
    let line = ["submit", "-f", &file, "--group", "pi5", "--json", "--out"];
    let done = fleet.joulectl(&[&line[..], &[out.to_str().unwrap()]].concat());
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    assert!(said.contains("b1 refused j2: rate-limited"), "{said}");
    let mut placed: Vec<(String, String)> = String::from_utf8(done.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let result: Value = serde_json::from_str(line).unwrap();
            assert_eq!(result["state"], "succeeded", "{result}");
            let text = |field: &str| result[field].as_str().unwrap().to_owned();
            (text("id"), text("device"))
        })
        .collect();
    placed.sort();
    let placed: Vec<_> = placed
        .iter()
        .map(|(id, device)| (id.as_str(), device.as_str()))
        .collect();
    assert_eq!(
        placed,
        [("j0", "b1"), ("j1", "b2"), ("j2", "b2"), ("j3", "b2")]
    );
    assert!(out.join("j3.json").exists());
    // The same again shows what there is, as a table.
    let again = fleet.joulectl_ok(&["submit", "-f", &file, "--group", "pi5", "--wait"]);
    assert_eq!(again.lines().count(), 5, "{again}");
    assert!(
        again.contains("SIMULATED") && again.contains("tok/s"),
        "{again}"
    );
    assert_eq!(fleet.jobs("b1"), ["j0"]);
}

#[test]
fn what_the_broker_keeps_no_more_of_a_job_its_board_sends_again() {
    let mut fleet = Fleet::start(&[("b1", "")]);
    let jobs: Vec<Value> = ["j0", "j1"]
        .map(|id| job(id, json!({"n_predict": 16})))
        .to_vec();
    let file = fleet.file("jobs", &jobs);
    let submit = ["submit", "-f", &file, "--group", "pi5", "--wait", "--json"];
    fleet.joulectl_ok(&submit);
    for leaf in ["state", "result"] {
        fleet.forget(&format!("jouled/b1/jobs/j0/{leaf}"));
    }
    let again = fleet.joulectl_ok(&submit);
    let records: Vec<Value> = again
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |id: &str| {
        records
            .iter()
            .filter(|r| r["id"] == id && r["reps"].is_array())
            .count()
    };
    assert_eq!((of("j0"), of("j1")), (1, 1), "{again}");
}

#[test]
fn a_job_is_taken_away_only_after_its_cancel() {
    let mut fleet = Fleet::start(&[("b1", ""), ("b2", "")]);
    let long = fleet.file("long", &[endless("long", json!({}))]);
    let again = fleet.file("again", &[short("long")]);
    fleet.joulectl_ok(&["submit", "-f", &long, "--device", "b1"]);
    fleet.wait_state("b1", "long", "running");
    let move_it = ["submit", "-f", &again, "--reassign", "long"];
    // Nothing is cancelled where nobody else could take it.
    let same = fleet.refused(2, &[&move_it[..], &["--device", "b1"]].concat());
    assert!(same.contains("b1 has the job already"), "{same}");
    let lacks = [&move_it[..], &["--group", "pi5", "-m", "absent.gguf"]].concat();
    assert!(fleet.refused(2, &lacks).contains("no model absent.gguf"));
    let to_group = [&move_it[..], &["--group", "pi5"]].concat();
    assert_eq!(fleet.joulectl_ok(&to_group), "long  queued  b2\n");
    fleet.wait_state("b1", "long", "cancelled");
    fleet.wait_state("b2", "long", "succeeded");
    // Where it has succeeded there is nothing to take away.
    let done = fleet.refused(1, &to_group);
    assert!(done.contains("has succeeded on board b2"), "{done}");
    for wrong in [
        &["--from", "b1", "--id", "x"][..],
        &["--force"],
        &["--reassign", "x", "--dry-run"],
    ] {
        let complaint = fleet.refused(2, &[&["submit", "-f", &again], wrong].concat());
        assert!(complaint.contains("--reassign"), "{complaint}");
    }
}

#[test]
fn a_job_of_a_board_that_is_gone_is_moved_by_force_and_not_run_twice() {
    let mut fleet = Fleet::start(&[("b1", ""), ("b2", "")]);
    let file = fleet.file("job", &[short("a")]);
    fleet.joulectl_ok(&["queue", "pause", "--device", "b1"]);
    fleet.joulectl_ok(&["submit", "-f", &file, "--device", "b1"]);
    fleet.wait_state("b1", "a", "queued");
    fleet.boards[0].kill();
    fleet.wait("jouled/b1/status", |status| status["state"] == "offline");
    let move_it = ["submit", "-f", &file, "--reassign", "a", "--group", "pi5"];
    let careful = fleet.refused(1, &move_it);
    assert!(
        careful.contains("b1") && careful.contains("--force"),
        "{careful}"
    );
    assert!(fleet.jobs("b2").is_empty());
    let forced = fleet.joulectl(&[&move_it[..], &["--force"]].concat());
    assert!(forced.status.success(), "{forced:?}");
    assert_eq!(String::from_utf8_lossy(&forced.stdout), "a  queued  b2\n");
    let warned = String::from_utf8_lossy(&forced.stderr).into_owned();
    assert!(warned.contains("it may run twice"), "{warned}");
    fleet.wait_state("b2", "a", "succeeded");
    // It comes back, and finds the cancel that waited for it.
    fleet.boards[0].spawn();
    fleet.wait_state("b1", "a", "cancelled");
}

#[test]
fn models_are_listed_fetched_and_verified_on_several_boards() {
    const NAME: &str = "new.gguf";
    let web = Web::http();
    let model = tiny_gguf::bytes(Damage::None);
    web.put("m", &model, Manner::Well);
    web.put("absent", &[], Manner::Status(404));
    let sha256 = hex(&Sha256::digest(&model));
    let entry = |name: &str, file: &str| {
        format!(
            "[[catalogue]]\nname = \"{name}\"\nurl = \"{}\"\nsha256 = \"{sha256}\"\n\
             allow_http = true\n",
            web.url(file)
        )
    };
    let config = entry(NAME, "m") + &entry("gone.gguf", "absent");
    let fleet = Fleet::start(&[("b1", &config), ("b2", &config), ("b3", "")]);
    let list = fleet.joulectl_ok(&["models", "list", "--device", "b1"]);
    assert!(
        list.contains("new.gguf") && list.contains("absent"),
        "{list}"
    );
    assert!(list.contains("present, in no catalogue"), "{list}");
    let several = fleet.refused(2, &["models", "list"]);
    assert!(several.contains("several boards"), "{several}");

    // b3 has no catalogue, which does not keep the others from fetching.
    let done = fleet.joulectl(&[
        "models", "fetch", NAME, "--group", "pi5", "--wait", "--json",
    ]);
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        said.contains("b3") && said.contains("no catalogue"),
        "{said}"
    );
    let mut ready: Vec<Value> = String::from_utf8_lossy(&done.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    ready.sort_by_key(|line| line["device"].to_string());
    assert_eq!(ready.len(), 2, "{ready:?}");
    for (line, board) in ready.iter().zip(["b1", "b2"]) {
        assert_eq!(
            (&line["device"], &line["state"]),
            (&json!(board), &json!("ready"))
        );
        assert_eq!(line["bytes"], model.len());
    }
    let failed = fleet.refused(
        1,
        &["models", "fetch", "gone.gguf", "--device", "b1", "--wait"],
    );
    assert!(failed.contains("answers 404"), "{failed}");

    let all_right = fleet.joulectl_ok(&["models", "verify", "--device", "b2"]);
    assert!(all_right.contains("right"), "{all_right}");
    std::fs::write(fleet.boards[1].models().join(NAME), "something else").unwrap();
    let wrong = || {
        let verified = fleet.joulectl(&["models", "verify", "--all", "--json"]);
        let wrong = json!({"device": "b2", "model": NAME, "verdict": "wrong"});
        let mut lines = String::from_utf8_lossy(&verified.stdout)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .collect::<Vec<_>>()
            .into_iter();
        verified.status.code() == Some(1) && lines.any(|line| line == wrong)
    };
    assert!(eventually(wrong));
    fleet.joulectl_ok(&["models", "fetch", NAME, "--device", "b2", "--wait"]);
    assert!(
        fleet
            .joulectl_ok(&["models", "verify", "--device", "b2"])
            .contains("right")
    );
}
