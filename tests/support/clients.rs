//! mosquitto_pub and mosquitto_sub: what a user has who has installed nothing of jouled.

use super::contract;
use super::lab::{PATIENCE, Seen};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

fn client(program: &str, port: u16) -> Command {
    let mut command = Command::new(program);
    command
        .args(["-V", "5", "-h", "127.0.0.1", "-q", "1", "-p"])
        .arg(port.to_string())
        .stdin(Stdio::null());
    command
}

/// Publishes with mosquitto_pub and these further arguments.
pub fn mosquitto_pub(port: u16, topic: &str, payload: &str, arguments: &[&str]) {
    let status = client("mosquitto_pub", port)
        .args(["-t", topic, "-m", payload])
        .args(arguments)
        .status()
        .expect("mosquitto_pub is installed: apt-get install mosquitto-clients");
    assert!(status.success(), "mosquitto_pub: {status}");
}

/// A mosquitto_sub that goes on until it is dropped.
pub struct MosquittoSub {
    process: Child,
    inbox: Receiver<Seen>,
    /// Everything that arrived, in order.
    pub seen: Vec<Seen>,
}

impl MosquittoSub {
    pub fn start(port: u16, topics: &[&str]) -> Self {
        let mut command = client("mosquitto_sub", port);
        for topic in topics {
            command.args(["-t", topic]);
        }
        let mut process = command
            .args(["--retain-as-published", "-F", "%t|%r|%D|%p"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub is installed: apt-get install mosquitto-clients");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let (out, inbox) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if out.send(parse(&line)).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            inbox,
            seen: Vec::new(),
        }
    }

    /// The first message that fits, of those that came and those to come.
    pub fn wait(&mut self, what: &str, fits: impl Fn(&Seen) -> bool) -> Seen {
        if let Some(seen) = self.seen.iter().find(|seen| fits(seen)) {
            return seen.clone();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(seen) => {
                    contract::check(&seen);
                    self.seen.push(seen.clone());
                    if fits(&seen) {
                        return seen;
                    }
                }
                Err(error) => panic!("no {what} ({error}); seen: {:#?}", self.seen),
            }
        }
    }
}

impl Drop for MosquittoSub {
    fn drop(&mut self) {
        // It may have lost its broker and ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        contract::check_rest(self.inbox.try_iter());
    }
}

fn parse(line: &str) -> Seen {
    let mut fields = line.splitn(4, '|');
    let mut next = || fields.next().expect("four fields").to_owned();
    Seen {
        topic: next(),
        retained: next() == "1",
        correlation: Some(next().into_bytes()).filter(|data| !data.is_empty()),
        text: next(),
        at: jouled::clock::now(),
    }
}
