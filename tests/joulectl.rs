//! joulectl against a real broker and an invented board that answers by the contract.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "lab")]

#[path = "common/board.rs"]
mod board;
#[path = "common/canned.rs"]
mod canned;

use board::Board;
use jouled::lab::broker::{Broker, Choice};
use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// Far above what any of it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Lab {
    broker: Broker,
    dir: tempfile::TempDir,
}

impl Lab {
    async fn new(choice: Choice) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let broker = Broker::start(choice, dir.path()).await.unwrap();
        Self { broker, dir }
    }

    fn joulectl(&self, arguments: &[&str]) -> Command {
        let mut command = joulectl(arguments);
        let url = format!("mqtt://127.0.0.1:{}", self.broker.port());
        command.env("JOULED_BROKER", url);
        command
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn joulectl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_joulectl"));
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn output(mut command: Command) -> Output {
    tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("joulectl ends")
        .expect("joulectl starts")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const SMOL: [&str; 7] = ["submit", "-m", "smol.gguf", "-p", "Why?", "--id", "smol-1"];

async fn a_job_is_submitted_followed_and_shown(choice: Choice) {
    let lab = Lab::new(choice).await;
    let _board = Board::start(lab.broker.port(), "pi5-01").await;
    let results = lab.path().join("results");
    let mut command = lab.joulectl(&SMOL);
    command.arg("--wait").arg("--out").arg(&results);
    let done = output(command).await;
    assert!(done.status.success(), "{}", err(&done));
    assert!(out(&done).contains("SIMULATED"), "{}", out(&done));
    assert!(out(&done).contains("47.25 ± 0.70 mJ"), "{}", out(&done));
    assert!(err(&done).contains("smol-1: decode"), "{}", err(&done));
    assert!(!out(&done).contains('\u{1b}'), "NO_COLOR is honoured");

    let saved = std::fs::read(results.join("smol-1.json")).unwrap();
    let saved: Value = serde_json::from_slice(&saved).unwrap();
    assert_eq!(saved["summary"]["n"], 3);
    // A field that this joulectl does not know is kept.
    assert_eq!(saved["from_the_future"], true);
    lab.broker.stop().await;
}

#[tokio::test]
async fn a_job_on_mosquitto() {
    a_job_is_submitted_followed_and_shown(Choice::Mosquitto).await;
}

#[cfg(feature = "broker")]
#[tokio::test]
async fn a_job_on_the_embedded_broker() {
    a_job_is_submitted_followed_and_shown(Choice::Embedded).await;
}

#[tokio::test]
async fn without_wait_the_answer_is_printed() {
    let lab = Lab::new(Choice::Mosquitto).await;
    let _board = Board::start(lab.broker.port(), "pi5-01").await;
    let done = output(lab.joulectl(&SMOL)).await;
    assert_eq!(out(&done), "smol-1  queued\n");
    let mut command = lab.joulectl(&SMOL);
    command.args(["--json", "--device", "pi5-01"]);
    let answer: Value = serde_json::from_str(&out(&output(command).await)).unwrap();
    assert_eq!(answer["state"], "queued");
}

#[tokio::test]
async fn the_queue_is_listed_and_a_job_cancelled() {
    let lab = Lab::new(Choice::Mosquitto).await;
    let _board = Board::start(lab.broker.port(), "pi5-01").await;
    let list = output(lab.joulectl(&["jobs"])).await;
    assert!(
        out(&list).contains("smol-0"),
        "{}{}",
        out(&list),
        err(&list)
    );
    let list = output(lab.joulectl(&["jobs", "--json"])).await;
    let list: Value = serde_json::from_str(&out(&list)).unwrap();
    assert_eq!(list["jobs"][0]["state"], "succeeded");

    let done = output(lab.joulectl(&["cancel", "smol-0"])).await;
    assert_eq!(out(&done), "smol-0  cancelled\n");
    let done = output(lab.joulectl(&["cancel", "nobody"])).await;
    assert_eq!(done.status.code(), Some(2));
    assert!(err(&done).contains("unknown-job"), "{}", err(&done));
}

#[tokio::test]
async fn a_failed_job_fails_the_command_and_says_why() {
    let lab = Lab::new(Choice::Mosquitto).await;
    let _board = Board::start(lab.broker.port(), "pi5-01").await;
    let done = output(lab.joulectl(&[
        "submit",
        "-m",
        "smol.gguf",
        "-p",
        "x",
        "--id",
        "dies",
        "--wait",
    ]))
    .await;
    assert_eq!(done.status.code(), Some(1));
    assert!(err(&done).contains("SIGKILL"), "{}", err(&done));
}

#[tokio::test]
async fn nothing_to_talk_to_is_exit_code_3() {
    let nobody = output(joulectl(&["jobs", "--broker", "mqtt://127.0.0.1:1"])).await;
    assert_eq!(nobody.status.code(), Some(3));
    assert!(err(&nobody).contains("--broker"), "{}", err(&nobody));

    let lab = Lab::new(Choice::Mosquitto).await;
    let no_board = output(lab.joulectl(&["jobs"])).await;
    assert_eq!(no_board.status.code(), Some(3));
    assert!(
        err(&no_board).contains("no board is online"),
        "{}",
        err(&no_board)
    );
    let wrong_name = output(lab.joulectl(&["jobs", "--device", "pi9"])).await;
    assert_eq!(wrong_name.status.code(), Some(3));
    assert!(
        err(&wrong_name).contains("no board named pi9"),
        "{}",
        err(&wrong_name)
    );
}

#[tokio::test]
async fn a_wrong_command_line_or_job_is_exit_code_2() {
    for wrong in [
        &["submit", "-m", "smol.gguf"][..],
        &["submit", "--nonsense"],
        &["jobs", "--broker", "http://x"],
        &["submit", "-m", "../x", "-p", "x"],
    ] {
        let done = output(joulectl(wrong)).await;
        assert_eq!(done.status.code(), Some(2), "{wrong:?}: {}", err(&done));
    }
}

#[tokio::test]
async fn of_several_boards_one_must_be_named() {
    let lab = Lab::new(Choice::Mosquitto).await;
    let _one = Board::start(lab.broker.port(), "pi5-01").await;
    let _two = Board::start(lab.broker.port(), "pi5-02").await;
    let done = output(lab.joulectl(&["jobs"])).await;
    assert_eq!(done.status.code(), Some(2));
    assert!(err(&done).contains("pi5-01, pi5-02"), "{}", err(&done));
    let done = output(lab.joulectl(&["jobs", "--device", "pi5-02"])).await;
    assert!(done.status.success(), "{}", err(&done));
}

#[tokio::test]
async fn ctrl_c_says_that_the_job_goes_on() {
    let lab = Lab::new(Choice::Mosquitto).await;
    let mut board = Board::start(lab.broker.port(), "pi5-01").await;
    let mut command = lab.joulectl(&[
        "submit",
        "-m",
        "smol.gguf",
        "-p",
        "x",
        "--id",
        "endless",
        "--wait",
    ]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = rustix::process::Pid::from_raw(child.id().unwrap() as i32).unwrap();
    let done = async {
        board.took_job().await;
        // It may not listen for the signal yet when the job arrives; its first line of
        // progress shows that it does.
        let mut child = child;
        let mut lines = tokio::io::BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains("running") {
            tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut seen)
                .await
                .unwrap();
        }
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        tokio::io::AsyncReadExt::read_to_string(&mut lines, &mut seen)
            .await
            .unwrap();
        (child.wait().await.unwrap(), seen)
    };
    let (status, seen) = tokio::time::timeout(PATIENCE, done).await.unwrap();
    assert_eq!(status.code(), Some(130), "{seen}");
    assert!(
        seen.contains("joulectl cancel endless --device pi5-01"),
        "{seen}"
    );
}

#[tokio::test]
async fn the_demo_without_its_daemon_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let alone = dir.path().join("joulectl");
    std::fs::copy(env!("CARGO_BIN_EXE_joulectl"), &alone).unwrap();
    let mut command = Command::new(alone);
    command.arg("demo").current_dir(dir.path());
    command.env("XDG_STATE_HOME", dir.path());
    let done = output(command).await;
    assert_eq!(done.status.code(), Some(1));
    assert!(
        err(&done).contains("cargo build --release"),
        "{}",
        err(&done)
    );
}

/// A result record in a file, as `submit --out` writes it.
fn saved(dir: &Path, id: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut record = serde_json::to_value(canned::result("pi5-01", id)).unwrap();
    change(&mut record);
    let path = dir.join(format!("{id}.json"));
    std::fs::write(&path, record.to_string()).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_figure_is_explained_from_a_file_and_from_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let file = saved(dir.path(), "smol-1", |_| ());
    let figure = "reps.1.j_per_prompt_token_net";
    let done = output(joulectl(&["explain", &file, figure])).await;
    assert!(done.status.success(), "{}", err(&done));
    for part in ["SIMULATED", "below-noise", "smaller than its noise"] {
        assert!(out(&done).contains(part), "{part}: {}", out(&done));
    }
    let mut piped = joulectl(&["explain", "-", "--json", figure]);
    piped.stdin(std::fs::File::open(&file).unwrap());
    let done = output(piped).await;
    let json: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(json["simulated"], true);
    assert_eq!(json["figures"][0]["reason"], "below-noise");

    let done = output(joulectl(&["explain", "/dev/null"])).await;
    assert_eq!(done.status.code(), Some(2));
    assert!(err(&done).contains("no JSON"), "{}", err(&done));
}

#[tokio::test]
async fn a_reader_that_has_gone_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = saved(dir.path(), "smol-1", |_| ());
    let missing = dir.path().join("missing.json").display().to_string();
    for (arguments, code) in [
        (vec!["explain", &file, "--list"], 0),
        (vec!["explain", &file, "--json"], 0),
        (vec!["explain", &missing], 2),
    ] {
        let mut command = joulectl(&arguments);
        for stream in [Command::stdout, Command::stderr] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            stream(&mut command, Stdio::from(writer));
        }
        let ended = tokio::time::timeout(PATIENCE, command.status());
        let status = ended.await.expect("joulectl ends").unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[tokio::test]
async fn two_results_are_compared_and_marked_ones_named() {
    let dir = tempfile::tempdir().unwrap();
    let clean = |record: &mut Value| record["left_out"] = serde_json::json!([]);
    let (a, b) = (saved(dir.path(), "a", clean), saved(dir.path(), "b", clean));
    let marked = saved(dir.path(), "c", |_| ());
    let done = output(joulectl(&["compare", &a, &b, &marked])).await;
    assert!(done.status.success(), "{}", err(&done));
    assert!(out(&done).contains("NOT RESOLVED"), "{}", out(&done));
    let left_out = format!("left out of C: {marked}: contended");
    let text = out(&done).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(&left_out), "{text}");

    let json = [
        "compare",
        "--json",
        "--include-marked",
        &a,
        "--with",
        &marked,
    ];
    let done = output(joulectl(&json)).await;
    let json: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(json["figures"][0]["ratios"][0]["verdict"], "not-resolved");
    assert_eq!(json["include_marked"], true);
}
