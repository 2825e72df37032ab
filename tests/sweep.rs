//! `joulectl sweep`: studies on real boards with a tiny model, which are killed, refused, moved
//! and cooled, and in the end have every point once.
//!
//! `SWEEP_KILLS` and `SWEEP_POINTS` scale the study that is killed: `make sweep-chaos`.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "llama", feature = "lab"))]

#[path = "collect/ledger.rs"]
mod ledger;
#[path = "sweep/resumed.rs"]
mod resumed;
mod support;
#[path = "boards/tree.rs"]
mod tree;

use ledger::{compare, count, of_board, of_dataset};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use support::daemon::{Daemon, STEADY};
use support::from_environment;
use support::lab::Lab;
use support::mosquitto::Mosquitto;
use support::rig::MODEL;
use support::tiny_gguf::{self, Damage};
use support::told::Told;
use support::tool::joulectl;

// Fields are dropped in this order: the broker last.
struct Boards {
    lab: Lab,
    boards: Vec<(String, Daemon)>,
    broker: Mosquitto,
    dir: tempfile::TempDir,
}

impl Boards {
    /// Boards of the group `lab`, each with the tiny model, once all are online.
    fn start(names: &[&str]) -> Self {
        Self::start_with(names, "")
    }

    fn start_with(names: &[&str], further: &str) -> Self {
        let broker = Mosquitto::start();
        let lab = Lab::connect(broker.port, &["jouled/#"]);
        let mut all = Self {
            lab,
            boards: Vec::new(),
            broker,
            dir: tempfile::tempdir().unwrap(),
        };
        for name in names {
            let mut board = Daemon::prepare(&all.broker, STEADY);
            let config = format!("[device]\nname = \"{name}\"\ngroup = \"lab\"\n{further}");
            board.configure("10.toml", &config);
            tiny_gguf::write(&board.models().join(MODEL), Damage::None).unwrap();
            board.spawn();
            all.boards.push(((*name).to_owned(), board));
        }
        for name in names {
            let (status, info) = (
                format!("jouled/{name}/status"),
                format!("jouled/{name}/info"),
            );
            all.lab.wait(&status, |seen| {
                seen.topic == status && seen.json()["state"] == "online"
            });
            all.lab.wait(&info, |seen| {
                seen.topic == info && seen.json()["models"][0]["sha256"].is_string()
            });
        }
        all
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("lab")
    }

    fn manifest(&self, text: &str) -> String {
        let path = self.dir.path().join("study.toml");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn arguments(&self, manifest: &str, further: &[&str]) -> Vec<String> {
        let out = self.out();
        let url = self.broker.url();
        let common = [
            "sweep",
            manifest,
            "--json",
            "--broker",
            &url,
            "--out",
            out.to_str().unwrap(),
        ];
        let all = common.iter().chain(further);
        all.map(|word| (*word).to_owned()).collect()
    }

    fn sweep(&self, manifest: &str, further: &[&str]) -> Told {
        let arguments = self.arguments(manifest, further);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Told::start(&arguments, &[])
    }

    /// To its end, which is to have this code. Returns the summary.
    fn ends(&self, manifest: &str, further: &[&str], code: i32) -> Value {
        finish(self.sweep(manifest, further), code)
    }

    fn plan(&self, manifest: &str, further: &[&str]) -> Value {
        let arguments = self.arguments(manifest, &[&["--plan"], further].concat());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let plan = joulectl(&arguments);
        assert!(plan.status.success(), "{plan:?}");
        serde_json::from_slice(&plan.stdout).unwrap()
    }

    /// Everything that the boards have stored is in the dataset, once.
    fn are_collected(&self) -> ledger::Ledger {
        let dataset = of_dataset(&self.out());
        let mut stored = ledger::Ledger::new();
        for (name, board) in &self.boards {
            stored.extend(of_board(name, &board.path().join("state")));
        }
        compare(&dataset, &stored);
        dataset
    }

    fn book(&self) -> Value {
        let mut books = books(&self.out());
        assert_eq!(books.len(), 1, "{books:?}");
        books.pop_first().unwrap().1
    }
}

fn finish(mut sweep: Told, code: i32) -> Value {
    let summary = sweep.wait_for("summary");
    let status = sweep.end();
    let said = sweep.last_words();
    assert_eq!(status.code(), Some(code), "{said}; told: {:#?}", sweep.seen);
    let mut ended = sweep.seen.iter().filter(|told| told["event"] == "ended");
    if let Some(last) = ended.next_back() {
        assert_eq!(last["done"], last["jobs"], "nothing more comes");
        assert_eq!(last["left_s"], 0.0, "{last}");
    }
    summary
}

/// Progress files by the hash of their study.
fn books(out: &Path) -> BTreeMap<String, Value> {
    let mut books = BTreeMap::new();
    for entry in std::fs::read_dir(out.join("studies")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let text = std::fs::read_to_string(&path).unwrap();
            let hash = path.file_stem().unwrap().to_str().unwrap().to_owned();
            books.insert(hash, serde_json::from_str(&text).unwrap());
        }
    }
    books
}

fn items(book: &Value) -> &[Value] {
    book["items"].as_array().unwrap()
}

/// Short jobs of the tiny model, of as many points. They wait for no idle power to settle: on a
/// busy machine it may take minutes.
fn study(points: u64, more: &str) -> String {
    let sizes: Vec<String> = (1..=points).map(|n| n.to_string()).collect();
    format!(
        "name = \"tiny\"\n{more}\n[job]\nkind = \"bench\"\nrepetitions = 1\nwarmup = 0\n\
         idle = {{ before_s = 0, after_s = 0 }}\nparams = {{ threads = 1 }}\n\
         [[matrix]]\nmodel = \"{MODEL}\"\nn_prompt = 4\nn_gen = [{}]\n",
        sizes.join(", ")
    )
}

const BASELINE: &str = "[baseline]\nevery = 2\nmodel = \"tiny.gguf\"\nn_prompt = 4\nn_gen = 8\n";

#[test]
fn a_study_that_is_killed_again_and_again_has_every_point_once() {
    let boards = Boards::start(&["one"]);
    let (kills, points) = (
        from_environment("SWEEP_KILLS", 2),
        from_environment("SWEEP_POINTS", 3),
    );
    let text = study(points, "rounds = 2\norder = \"random\"") + BASELINE;
    let manifest = boards.manifest(&text);
    let mut told = Vec::new();
    for _ in 0..kills {
        let mut sweep = boards.sweep(&manifest, &[]);
        sweep.wait_for("sent");
        sweep.wait_for("ended");
        told.extend(sweep.kill());
    }
    let sweep = boards.sweep(&manifest, &["--device", "one"]);
    let summary = finish(sweep, 0);
    assert_eq!(summary["failures"], json!([]));
    assert_eq!(summary["points"].as_array().unwrap().len() as u64, points);
    let of_each = summary["points"].as_array().unwrap().iter();
    assert!(
        of_each.clone().all(|point| point["succeeded"] == 2),
        "{summary}"
    );
    assert!(
        summary["baseline"][0]["runs"].as_u64() >= Some(2),
        "{summary}"
    );

    let book = boards.book();
    let hash = book["hash"].as_str().unwrap();
    let kept = boards.out().join(format!("studies/{hash}.toml"));
    assert_eq!(std::fs::read_to_string(kept).unwrap(), text);
    let ids: BTreeSet<&str> = items(&book)
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), items(&book).len());
    let dataset = boards.are_collected();
    let results = dataset.keys().filter(|name| name.3 == "result");
    let measured: Vec<&str> = results.map(|name| name.1.as_str()).collect();
    assert_eq!(
        measured,
        ids.iter().copied().collect::<Vec<_>>(),
        "each once"
    );
    // What ended before a kill was not run again.
    let ended = told.iter().filter(|event| event["event"] == "ended");
    let ended: Vec<&str> = ended.map(|event| event["id"].as_str().unwrap()).collect();
    let different: BTreeSet<&&str> = ended.iter().collect();
    assert_eq!(different.len(), ended.len(), "{ended:?}");

    // And a study that is done stays so.
    let again = boards.ends(&manifest, &[], 0);
    assert_eq!(again["points"], summary["points"]);
    assert_eq!(boards.book(), book);
    boards.are_collected();
}

#[test]
fn two_boards_run_each_point_each_or_share_them() {
    let boards = Boards::start(&["one", "two"]);
    let each = boards.manifest(&(study(2, "group = \"lab\"") + BASELINE));
    let summary = boards.ends(&each, &[], 0);
    assert_eq!(summary["points"].as_array().unwrap().len(), 4, "{summary}");
    let shared = study(6, "group = \"lab\"\nboards = \"any\"").replace("tiny\"\n", "shared\"\n");
    let shared = boards.manifest(&(shared + BASELINE));
    boards.ends(&shared, &[], 0);
    let books = books(&boards.out());
    let book = books
        .values()
        .find(|book| book["study"] == "shared")
        .unwrap();
    let points = || items(book).iter().filter(|item| item["role"] == "point");
    let mut numbers: Vec<u64> = points()
        .map(|item| item["number"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let devices: BTreeSet<&str> = points()
        .map(|item| item["device"].as_str().unwrap())
        .collect();
    assert_eq!(devices.len(), 2, "both had something to do");
    boards.are_collected();
}

#[test]
fn what_fails_is_tried_again_and_blocks_nothing() {
    let boards = Boards::start(&["one"]);
    let broken = boards.boards[0].1.models().join("broken.gguf");
    tiny_gguf::write(&broken, Damage::BlockCount(1_000)).unwrap();
    let info = "jouled/one/info";
    let mut boards = boards;
    boards.lab.wait("the broken model", |seen| {
        seen.topic == info && seen.text.contains("broken.gguf")
    });
    let models = format!("model = [\"broken.gguf\", \"nowhere.gguf\", \"{MODEL}\"]");
    let text = study(1, "").replace(&format!("model = \"{MODEL}\""), &models);
    let manifest = boards.manifest(&text);
    let plan = boards.plan(&manifest, &[]);
    assert_eq!(plan["total"]["jobs"], 2, "{plan}");
    assert_eq!(plan["total"]["without_time"], 2, "nothing is made up");
    let why = plan["points"][1]["unfit"]["one"].as_str().unwrap();
    assert!(why.contains("no model nowhere.gguf"), "{why}");
    assert!(!boards.out().exists(), "a plan writes nothing");

    let summary = boards.ends(&manifest, &[], 1);
    let failures = summary["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{summary}");
    assert!(
        failures[0].as_str().unwrap().contains("broken"),
        "{summary}"
    );
    let states = |book: &Value| -> Vec<(String, String)> {
        let told = |item: &Value| {
            let id = item["id"].as_str().unwrap().to_owned();
            (
                id[id.find("-p").unwrap()..].to_owned(),
                item["state"].as_str().unwrap().to_owned(),
            )
        };
        items(book).iter().map(told).collect()
    };
    let expected = [
        ("-p001-r1", "failed"),
        ("-p003-r1", "succeeded"),
        ("-p001-r1-t2", "failed"),
    ];
    let expected = expected.map(|(id, state)| (id.to_owned(), state.to_owned()));
    assert_eq!(states(&boards.book()), expected);
    let reason = boards.book()["items"][0]["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!reason.is_empty());

    // Nothing changes by itself; with a new model in its place it does.
    boards.ends(&manifest, &[], 1);
    assert_eq!(states(&boards.book()), expected);
    assert_eq!(boards.plan(&manifest, &[])["total"]["jobs"], 0);
    let plan = boards.plan(&manifest, &["--retry-failed"]);
    assert_eq!(plan["total"]["jobs"], 1, "{plan}");
    tiny_gguf::write(&broken, Damage::None).unwrap();
    boards.ends(&manifest, &["--retry-failed"], 1);
    let last = states(&boards.book()).pop().unwrap();
    assert_eq!(last, ("-p001-r1-t3".to_owned(), "succeeded".to_owned()));
}

#[test]
fn another_manifest_of_the_name_needs_a_word_and_takes_over_what_is_the_same() {
    let boards = Boards::start(&["one"]);
    let manifest = boards.manifest(&study(2, ""));
    boards.ends(&manifest, &[], 0);
    boards.manifest(&study(3, ""));
    let mut refused = boards.sweep(&manifest, &[]);
    assert_eq!(refused.end().code(), Some(2));
    let said = refused.last_words();
    assert!(
        said.contains("--extend") && said.contains("another --out"),
        "{said}"
    );
    let summary = boards.ends(&manifest, &["--extend"], 0);
    assert_eq!(summary["points"].as_array().unwrap().len(), 3, "{summary}");
    assert_eq!(summary["failures"], json!([]));
    let dataset = boards.are_collected();
    assert_eq!(count(&dataset, "result"), 3, "two of them are from before");
    let plan = boards.plan(&manifest, &["--extend"]);
    assert_eq!(
        (&plan["done"], &plan["total"]["jobs"]),
        (&json!(3), &json!(0)),
        "{plan}"
    );
}

#[test]
fn ctrl_c_leaves_a_study_that_goes_on() {
    let boards = Boards::start(&["one"]);
    let manifest = boards.manifest(&study(4, ""));
    let mut sweep = boards.sweep(&manifest, &[]);
    sweep.wait_for("sent");
    sweep.signal(Signal::INT);
    assert_eq!(sweep.end().code(), Some(130));
    let said = sweep.last_words();
    assert!(
        said.contains("goes on from here") && said.contains("study.toml"),
        "{said}"
    );
    boards.ends(&manifest, &[], 0);
    let dataset = boards.are_collected();
    assert_eq!(count(&dataset, "result"), 4);
}

#[test]
fn neither_a_broker_nor_a_board_that_goes_costs_a_point() {
    let mut boards = Boards::start(&["one"]);
    let manifest = boards.manifest(&study(4, ""));
    let mut sweep = boards.sweep(&manifest, &[]);
    sweep.wait_for("ended");
    boards.boards[0].1.kill();
    boards.boards[0].1.spawn();
    sweep.wait_for("ended");
    // Nothing is retained any more, and nobody's session is left.
    boards.broker.kill();
    boards.broker.restart();
    finish(sweep, 0);
    let dataset = boards.are_collected();
    assert_eq!(count(&dataset, "result"), 4);
}

#[test]
fn a_job_is_sent_when_the_board_is_cool() {
    let tree = tree::Tree::new();
    tree.is_board(
        &["raspberrypi,5-model-b", "brcm,bcm2712"],
        "Raspberry Pi 5 Model B Rev 1.0",
    );
    tree.write("sys/class/thermal/thermal_zone0/type", b"cpu-thermal\n");
    tree.write("sys/class/thermal/thermal_zone0/temp", b"70000\n");
    let roots = format!(
        "[board]\nsysfs_root = {:?}\ndevicetree_root = {:?}\n",
        tree.sysfs(),
        tree.devicetree()
    );
    let boards = Boards::start_with(&["one"], &roots);
    let manifest = boards.manifest(&(study(1, "") + "[cooldown]\nbelow_c = 50\n"));
    let mut sweep = boards.sweep(&manifest, &[]);
    sweep.wait_for("begin");
    tree.write("sys/class/thermal/thermal_zone0/temp", b"45500\n");
    let sent = sweep.wait_for("sent");
    assert_eq!(
        (&sent["cooled"]["how"], &sent["cooled"]["temperature_c"]),
        (&json!("below"), &json!(45.5)),
        "{sent}"
    );
    finish(sweep, 0);
    assert_eq!(boards.book()["items"][0]["cooled"]["temperature_c"], 45.5);
}

#[test]
fn a_wrong_manifest_names_its_line_before_anything_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("study.toml");
    std::fs::write(&path, study(1, "").replace("n_gen", "n_gem")).unwrap();
    let done = joulectl(&[
        "sweep",
        path.to_str().unwrap(),
        "--broker",
        "mqtt://127.0.0.1:1",
    ]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(
        said.contains("study.toml:12: unknown key `n_gem`"),
        "{said}"
    );
    assert!(said.contains("`n_gen`"), "{said}");
}

#[test]
fn without_a_broker_a_plan_says_so_and_a_study_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("study.toml");
    let rates = "[rates]\nload_s = 1\nprefill_tok_s = 40\ndecode_tok_s = 10\npower_w = 5\n";
    let text = study(1, "").replace("before_s = 0,", "before_s = 0.1,");
    std::fs::write(&path, text + rates).unwrap();
    let path = path.to_str().unwrap();
    let port = support::mosquitto::free_port();
    let broker = format!("mqtt://127.0.0.1:{port}");
    let out = dir.path().join("out");
    let words = [
        "sweep",
        path,
        "--broker",
        &broker,
        "--out",
        out.to_str().unwrap(),
    ];
    let plan = joulectl(&[&words[..], &["--plan"]].concat());
    let said = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.status.success(), "{plan:?}");
    // 1 s of loading, 0.1 s of prefill, 0.1 s of decode, 0.1 s of idling.
    assert!(said.contains("1 job to run: 1 s, 6.500 J in all"), "{said}");
    assert!(
        said.contains("[rates]") && said.contains(&port.to_string()),
        "{said}"
    );
    assert_eq!(joulectl(&words).status.code(), Some(3));
}
