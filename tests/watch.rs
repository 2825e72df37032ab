//! joulectl watch with a real board and a real broker, in a terminal and in a pipe.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "llama", feature = "lab"))]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;
use support::daemon::{DEVICE, STEADY};
use support::lab::PATIENCE;
use support::rig::{Rig, endless, job, watched};
use support::terminal::Terminal;
use support::tool::joulectl_with;

/// `joulectl watch` of this broker, in a terminal.
fn watch(rig: &Rig, dir: &tempfile::TempDir, arguments: &str) -> Terminal {
    let program = env!("CARGO_BIN_EXE_joulectl");
    let command = format!("{program} watch --broker {} {arguments}", rig.broker.url());
    Terminal::start(dir.path(), 30, 110, &command)
}

#[test]
fn a_live_job_is_watched_through_a_restart_of_the_broker_and_cancelled() {
    let mut rig = Rig::start(STEADY);
    let dir = tempfile::tempdir().unwrap();
    let mut terminal = watch(&rig, &dir, "");
    // Before the first job: power of a sensor that is none.
    terminal.wait("an idle board", |screen| {
        screen.contains(DEVICE) && screen.contains("· idle") && screen.contains("5.000 W")
    });
    assert!(
        terminal.screen().contains("SIMULATED"),
        "{}",
        terminal.screen()
    );

    rig.submit(&endless("long", watched()));
    terminal.wait("a running job", |screen| {
        screen.contains("▶ running") && screen.contains("long")
    });
    terminal.press("\r");
    let screen = terminal.wait("tokens as they come", |screen| {
        screen.contains("tok/s") && screen.contains("per token") && screen.contains("decode")
    });
    assert!(screen.contains("board-input"), "{screen}");

    rig.broker.terminate();
    let screen = terminal.wait("the loss of the broker", |screen| {
        screen.contains("reconnecting for")
    });
    assert!(screen.contains("input"), "what was heard is kept: {screen}");
    rig.broker.restart();
    terminal.wait("the broker and the board again", |screen| {
        !screen.contains("reconnecting") && screen.contains("▶ running")
    });

    terminal.press("c");
    terminal.wait("the question", |screen| {
        screen.contains("Cancel long on board?")
    });
    terminal.press("y");
    terminal.wait("the end of the job", |screen| {
        screen.contains("cancelled") && screen.contains("No job runs.")
    });
    terminal.press("q");
    let ended = terminal.ended();
    assert_eq!(ended.code, 0);
    assert!(ended.restored, "the terminal is as before");
    assert!(!ended.screen.contains("No job runs."), "{}", ended.screen);
}

#[test]
fn a_measured_job_is_shown_as_one_and_a_signal_restores_the_terminal() {
    let mut rig = Rig::start(STEADY);
    let dir = tempfile::tempdir().unwrap();
    let terminal = watch(&rig, &dir, &format!("--device {DEVICE}"));
    terminal.wait("an idle board", |screen| screen.contains("No job runs."));
    rig.submit(&endless("quiet", json!({})));
    terminal.wait("a board that measures", |screen| {
        screen.contains("measuring: board is silent until the attempt ends")
            && screen.contains("quiet")
    });
    terminal.signal(Signal::TERM);
    let ended = terminal.ended();
    assert_eq!(ended.code, 130);
    assert!(ended.restored, "the terminal is as before");
    assert!(
        ended.screen.contains("stopped watching"),
        "{}",
        ended.screen
    );
}

/// `joulectl watch --json`.
struct Lines {
    process: Child,
    lines: Receiver<Value>,
}

impl Lines {
    fn start(rig: &Rig) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_joulectl"))
            .args(["watch", "--json", "--broker", &rig.broker.url()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect("a line is JSON");
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Self { process, lines }
    }

    fn wait(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if fits(&line) => return line,
                Ok(_) => {}
                Err(_) => panic!("waited for {what} in vain"),
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn lines_tell_what_the_screen_shows() {
    let mut rig = Rig::start(STEADY);
    let mut lines = Lines::start(&rig);
    lines.wait("the link", |line| {
        line["type"] == "link" && line["state"] == "connected"
    });
    lines.wait("an idle board", |line| {
        line["type"] == "activity" && line["device"] == DEVICE && line["activity"] == "idle"
    });
    let rail = lines.wait("power", |line| line["type"] == "rail");
    assert_eq!(rail["record"]["simulated"], true, "{rail}");

    rig.submit(&job(
        "short",
        json!({"idle": {"before_s": 4.0, "after_s": 0.2}}),
    ));
    lines.wait("silence", |line| {
        line["activity"] == "measuring-silently" && line["job"] == "short"
    });
    let result = lines.wait("its result", |line| line["type"] == "result");
    assert_eq!(result["record"]["id"], "short");

    rig.broker.terminate();
    let lost = lines.wait("the loss", |line| line["state"] == "reconnecting");
    assert_eq!(lost["type"], "link");
    assert!(lost["reason"].is_string(), "{lost}");
    rig.broker.restart();
    lines.wait("the way back", |line| line["state"] == "connected");
    lines.wait("power again", |line| line["type"] == "rail");

    let pid = Pid::from_child(&lines.process);
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(lines.process.wait().unwrap().code(), Some(130));
}

#[test]
fn without_terminal_or_broker_it_says_what_to_do() {
    let done = joulectl_with(&[("JOULED_BROKER", "mqtt://127.0.0.1:1")], &["watch"]);
    let words = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{words}");
    assert!(words.contains("joulectl watch --json"), "{words}");
    let done = joulectl_with(
        &[("JOULED_BROKER", "mqtt://127.0.0.1:1")],
        &["watch", "--json"],
    );
    let words = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(3), "{words}");
    assert!(words.contains("127.0.0.1:1"), "{words}");
}
