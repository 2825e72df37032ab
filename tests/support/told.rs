//! joulectl as a process that tells of itself in JSON lines.

use super::lab::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

pub struct Told {
    child: Child,
    events: Receiver<Value>,
    /// Every line so far.
    pub seen: Vec<Value>,
}

impl Told {
    /// joulectl with these arguments, `--json` among them.
    pub fn start(arguments: &[&str], environment: &[(&'static str, PathBuf)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_joulectl"))
            .args(arguments)
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("joulectl starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (into, events) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line)
                    .unwrap_or_else(|_| panic!("no JSON on standard output: {line}"));
                if into.send(event).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            events,
            seen: Vec::new(),
        }
    }

    /// The next event of this name.
    pub fn wait_for(&mut self, name: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => {
                    self.seen.push(event.clone());
                    if event["event"] == name {
                        return event;
                    }
                }
                Err(error) => {
                    let said = self.last_words();
                    panic!("no {name} ({error}); seen: {:#?}; said: {said}", self.seen)
                }
            }
        }
    }

    /// SIGKILL. Returns everything that it told.
    pub fn kill(mut self) -> Vec<Value> {
        self.child.kill().expect("it runs, or has ended");
        self.child.wait().expect("its end");
        self.seen.extend(self.events.iter());
        std::mem::take(&mut self.seen)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// How it ended.
    pub fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.events.recv_timeout(Duration::from_millis(20)) {
                Ok(event) => self.seen.push(event),
                // Its standard output is closed: it ends.
                Err(RecvTimeoutError::Disconnected) => {
                    return self.child.wait().expect("its end");
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            assert!(Instant::now() < deadline, "it goes on: {:#?}", self.seen);
        }
    }

    /// What it said on standard error. To be asked once it has ended, or is to.
    pub fn last_words(&mut self) -> String {
        let _ = self.child.kill();
        let mut words = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut words).expect("readable");
        }
        words
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
