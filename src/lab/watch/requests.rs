//! Commands that wait for their answer.

use crate::units::{MonoNs, Span};
use serde_json::Value;
use std::collections::BTreeMap;

const ANSWER_WITHIN: Span = Span::from_millis(15_000);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Cancel { device: String, id: String },
    List { device: String },
}

/// What came of one.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered {
    Done(Asked, Value),
    /// In words for the last line of the screen.
    Failed(String),
}

#[derive(Debug, Default)]
pub struct Requests {
    count: u64,
    waiting: BTreeMap<Vec<u8>, (MonoNs, Asked)>,
}

impl Requests {
    /// Notes a command and returns its correlation data.
    pub fn begin(&mut self, asked: Asked, now: MonoNs) -> Vec<u8> {
        self.count += 1;
        let correlation = self.count.to_string().into_bytes();
        self.waiting.insert(correlation.clone(), (now, asked));
        correlation
    }

    /// Takes an answer; `None` when it answers nothing that was asked.
    pub fn answer(&mut self, correlation: &[u8], payload: &[u8]) -> Option<Answered> {
        let (_, asked) = self.waiting.remove(correlation)?;
        let answer: Value = serde_json::from_slice(payload).unwrap_or_default();
        if answer["ok"] == true {
            return Some(Answered::Done(asked, answer));
        }
        let why = answer["error"]["message"].as_str();
        let why = why.unwrap_or("its answer can't be read; are both of the same version?");
        Some(Answered::Failed(match asked {
            Asked::Cancel { device, id } => format!("{id} on {device} is not cancelled: {why}"),
            Asked::List { device } => format!("{device} does not list its jobs: {why}"),
        }))
    }

    /// Those whose time is over.
    pub fn overdue(&mut self, now: MonoNs) -> Vec<String> {
        let (over, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, (at, _))| now.since(*at) > ANSWER_WITHIN);
        self.waiting = waiting;
        let over: BTreeMap<Vec<u8>, (MonoNs, Asked)> = over;
        over.into_values()
            .map(|(_, asked)| match asked {
                Asked::Cancel { device, id } => format!(
                    "{device} did not answer whether {id} is cancelled; may you write its cmd/, \
                     and may it write answers/#?"
                ),
                Asked::List { device } => {
                    format!("{device} did not list its jobs; shown is what it published")
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancel() -> Asked {
        Asked::Cancel {
            device: "pi5".to_owned(),
            id: "a".to_owned(),
        }
    }

    #[test]
    fn each_answer_is_taken_once() {
        let mut requests = Requests::default();
        let correlation = requests.begin(cancel(), MonoNs(0));
        assert_eq!(requests.answer(b"other", b"{}"), None);
        let payload = br#"{"ok":true,"id":"a","state":"cancelled"}"#;
        let answered = requests.answer(&correlation, payload);
        assert!(matches!(answered, Some(Answered::Done(asked, _)) if asked == cancel()));
        assert_eq!(requests.answer(&correlation, payload), None);
    }

    #[test]
    fn a_refusal_and_silence_are_told() {
        let mut requests = Requests::default();
        let correlation = requests.begin(cancel(), MonoNs(0));
        let payload = br#"{"ok":false,"error":{"code":"unknown-job","message":"no such job"}}"#;
        let answered = requests.answer(&correlation, payload);
        let expected = "a on pi5 is not cancelled: no such job".to_owned();
        assert_eq!(answered, Some(Answered::Failed(expected)));
        requests.begin(cancel(), MonoNs(0));
        assert!(requests.overdue(MonoNs(15_000_000_000)).is_empty());
        assert_eq!(requests.overdue(MonoNs(15_000_000_001)).len(), 1);
        assert!(requests.overdue(MonoNs(90_000_000_000)).is_empty());
    }
}
