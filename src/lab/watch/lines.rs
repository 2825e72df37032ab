//! `--json`: a line for each change, for pipes and files.

use super::super::LabError;
use super::super::client::Message;
use super::super::interrupt::interrupted;
use super::fleet::{Fleet, Taken};
use super::link::{Arrival, Link};
use crate::clock;
use crate::units::MonoNs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write, stdout};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How soon it is told that a board has fallen silent.
const EVERY: Duration = Duration::from_millis(500);

/// Until it is interrupted or nobody reads any more.
pub async fn run(mut link: Link, fleet: Fleet) -> Result<(), LabError> {
    let mut lines = Lines::new(fleet);
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stop = interrupted();
    tokio::pin!(stop);
    let mut out = vec![lines.link()];
    loop {
        for line in out.drain(..) {
            if !write(&line)? {
                return Ok(());
            }
        }
        tokio::select! {
            () = &mut stop => {
                return Err(LabError::Interrupted("stopped watching".to_owned()));
            }
            arrival = link.arrivals.recv() => match arrival {
                Some(arrival) => out = lines.take(arrival, clock::now()),
                None => return Err(LabError::Failed("the connection has ended".to_owned())),
            },
            _ = ticks.tick() => {
                link.want(lines.fleet.wanted());
                out = lines.activities(clock::now());
            }
        }
    }
}

/// Whether somebody still reads.
fn write(line: &Value) -> Result<bool, LabError> {
    let text = crate::print::harmless(&format!("{line}\n"));
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(LabError::Failed(format!(
            "the standard output can't be written: {error}"
        ))),
    }
}

/// What has been told.
struct Lines {
    fleet: Fleet,
    activities: BTreeMap<String, (&'static str, Option<String>)>,
    reason: Option<String>,
}

impl Lines {
    fn new(fleet: Fleet) -> Self {
        Self {
            fleet,
            activities: BTreeMap::new(),
            reason: None,
        }
    }

    fn link(&self) -> Value {
        let state = match self.reason {
            None => "connected",
            Some(_) => "reconnecting",
        };
        json!({"type": "link", "time": clock::wall_label(), "broker": self.fleet.broker,
            "state": state, "reason": self.reason})
    }

    fn take(&mut self, arrival: Arrival, now: MonoNs) -> Vec<Value> {
        match arrival {
            Arrival::Message(message) => self.message(&message, now),
            Arrival::Connected => {
                self.fleet.connected(now);
                match self.reason.take() {
                    Some(_) => vec![self.link()],
                    None => Vec::new(),
                }
            }
            // One that goes on failing for the same reason is told once.
            Arrival::Lost(reason) if self.reason.as_ref() == Some(&reason) => Vec::new(),
            Arrival::Lost(reason) => {
                self.fleet.lost(&reason, now);
                self.reason = Some(reason);
                vec![self.link()]
            }
            Arrival::Refused => vec![json!({"type": "refused", "reason":
                "the broker does not let this user read all that boards publish"})],
        }
    }

    fn message(&mut self, message: &Message, now: MonoNs) -> Vec<Value> {
        let Message {
            topic,
            payload,
            retained,
            ..
        } = message;
        self.fleet.not_understood = None;
        let taken = self.fleet.take(topic, payload, *retained, now);
        if let Some((topic, why)) = &self.fleet.not_understood {
            return vec![json!({"type": "not-understood", "topic": topic, "reason": why})];
        }
        let Taken::New { device, kind } = taken else {
            return Vec::new();
        };
        // As it came, with fields that this version does not know; `null` where it was cleared.
        let record: Value = serde_json::from_slice(payload).unwrap_or_default();
        let mut lines = vec![json!({"type": kind, "device": device, "record": record})];
        lines.extend(self.activities(now));
        lines
    }

    /// What boards do, where it has changed.
    fn activities(&mut self, now: MonoNs) -> Vec<Value> {
        let sight = self.fleet.sight(now);
        let mut lines = Vec::new();
        for (name, board) in &self.fleet.boards {
            let activity = board.activity(sight).name();
            let job = board.run.as_ref().map(|run| run.id.clone());
            let told = Some((activity, job.clone()));
            if self.activities.get(name) != told.as_ref() {
                lines.push(json!({"type": "activity", "time": clock::wall_label(),
                    "device": name, "activity": activity, "job": job}));
                self.activities
                    .extend(told.map(|told| (name.clone(), told)));
            }
        }
        self.activities
            .retain(|name, _| self.fleet.boards.contains_key(name));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DEVICE, at, rail, send, status};
    use super::*;

    fn types(lines: &[Value]) -> Vec<&str> {
        let types = lines.iter().map(|line| line["type"].as_str().unwrap());
        types.collect()
    }

    #[test]
    fn a_board_that_falls_silent_is_told_once() {
        let mut lines = Lines::new(Fleet::new("jouled", "mqtt://lab", at(0)));
        let mut take = |topic: &str, record: &Value, s| {
            let message = Arrival::Message(send(topic, record));
            lines.take(message, at(s))
        };
        let told = take("status", &status(Some("smol-1")), 1);
        assert_eq!(types(&told), ["status", "activity"]);
        assert_eq!(told[1]["activity"], "running");
        assert_eq!(types(&take("rails/input", &rail(5.0), 2)), ["rail"]);
        assert_eq!(types(&lines.activities(at(4))), [""; 0]);
        let told = lines.activities(at(6));
        assert_eq!(told[0]["activity"], "measuring-silently");
        assert_eq!(
            (&told[0]["device"], &told[0]["job"]),
            (&json!(DEVICE), &json!("smol-1"))
        );
        assert_eq!(types(&lines.activities(at(60))), [""; 0]);
    }

    #[test]
    fn the_same_reason_is_told_once() {
        let mut lines = Lines::new(Fleet::new("jouled", "mqtt://lab", at(0)));
        assert!(lines.take(Arrival::Connected, at(0)).is_empty());
        let lost = || Arrival::Lost("the broker is gone".to_owned());
        let told = lines.take(lost(), at(1));
        assert_eq!(told[0]["state"], "reconnecting");
        assert!(lines.take(lost(), at(2)).is_empty());
        let told = lines.take(Arrival::Connected, at(3));
        assert_eq!(
            (&told[0]["state"], &told[0]["reason"]),
            (&json!("connected"), &json!(null))
        );
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let mut lines = Lines::new(Fleet::new("jouled", "mqtt://lab", at(0)));
        let message = Arrival::Message(send("health", &json!({"v": 9})));
        assert_eq!(types(&lines.take(message, at(1))), ["not-understood"]);
    }
}
