//! What a message from a board is, by its topic.

use crate::record::answer::Event;
use crate::record::device::{Health, Info, RailRecord, Status};
use crate::record::job::{State, Tokens};
use crate::record::result::JobResult;
use crate::workload::JobId;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A record and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    pub device: String,
    pub record: Record,
    /// RFC 3339: when the board made the record.
    pub time: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Status(Status),
    Info(Box<Info>),
    Health(Box<Health>),
    Rail(RailRecord),
    Event(Event),
    State(State),
    Tokens(Tokens),
    Result(Box<JobResult>),
    /// The retained status was cleared: the board is no more.
    BoardGone,
    /// The retained state of this job was cleared, or has expired.
    JobGone(String),
}

impl Record {
    /// What lines of `--json` call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status(_) | Self::BoardGone => "status",
            Self::Info(_) => "info",
            Self::Health(_) => "health",
            Self::Rail(_) => "rail",
            Self::Event(_) => "event",
            Self::State(_) | Self::JobGone(_) => "state",
            Self::Tokens(_) => "tokens",
            Self::Result(_) => "result",
        }
    }
}

/// Why a message says nothing to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unheard {
    /// Its topic is none that is watched.
    Other,
    /// Its payload is not the record that its topic promises.
    NotUnderstood(String),
}

#[derive(Deserialize)]
struct Timed<T> {
    #[serde(default)]
    time: Option<String>,
    #[serde(flatten)]
    body: T,
}

/// Reads a message below `prefix`.
pub fn read(prefix: &str, topic: &str, payload: &[u8]) -> Result<Heard, Unheard> {
    let below = topic
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or(Unheard::Other)?;
    let levels: Vec<&str> = below.split('/').collect();
    let (device, leaf) = levels.split_first().ok_or(Unheard::Other)?;
    let heard = |record: Record, time: Option<String>| Heard {
        device: (*device).to_owned(),
        record,
        time,
    };
    if payload.is_empty() {
        return match leaf {
            ["status"] => Ok(heard(Record::BoardGone, None)),
            ["jobs", id, "state"] => Ok(heard(Record::JobGone((*id).to_owned()), None)),
            _ => Err(Unheard::Other),
        };
    }
    let (record, time) = match leaf {
        ["status"] => parse(payload, Record::Status),
        ["info"] => parse(payload, |info| Record::Info(Box::new(info))),
        ["health"] => parse(payload, |health| Record::Health(Box::new(health))),
        ["rails", _] => parse(payload, Record::Rail),
        ["events"] => parse(payload, Record::Event),
        ["jobs", _, "state"] => parse(payload, Record::State),
        ["jobs", _, "tokens"] => parse(payload, Record::Tokens),
        ["jobs", _, "result"] => parse(payload, |result| Record::Result(Box::new(result))),
        _ => return Err(Unheard::Other),
    }?;
    check_job(&record, leaf)?;
    Ok(heard(record, time))
}

/// Topics of a job are asked for by its id: one with a wildcard in it would make the broker
/// refuse them, or send those of all jobs.
fn check_job(record: &Record, leaf: &[&str]) -> Result<(), Unheard> {
    let id = match record {
        Record::Status(status) => status.job_running.as_deref(),
        Record::State(state) => Some(&*state.id),
        Record::Tokens(tokens) => Some(&*tokens.id),
        Record::Result(result) => Some(&*result.id),
        _ => None,
    };
    let Some(id) = id else { return Ok(()) };
    id.parse::<JobId>()
        .map_err(|error| Unheard::NotUnderstood(error.to_string()))?;
    match leaf {
        ["jobs", topic, _] if *topic != id => Err(Unheard::NotUnderstood(
            "its job is another than its topic's".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn parse<T: DeserializeOwned>(
    payload: &[u8],
    record: impl Fn(T) -> Record,
) -> Result<(Record, Option<String>), Unheard> {
    let timed: Timed<T> = serde_json::from_slice(payload)
        .map_err(|error| Unheard::NotUnderstood(error.to_string()))?;
    Ok((record(timed.body), timed.time))
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rail_of_a_board_is_heard_and_its_commands_are_not() {
        let rail = br#"{"v":1,"time":"2026-11-21T10:00:00.000Z","rail":"input","simulated":false,
            "power_w":5.1,"voltage_v":null,"current_a":null,"energy_wh":0.5,"quality":"good"}"#;
        let heard = read("lab/jouled", "lab/jouled/pi5/rails/input", rail).unwrap();
        assert_eq!(heard.device, "pi5");
        assert_eq!(heard.time.as_deref(), Some("2026-11-21T10:00:00.000Z"));
        assert!(matches!(heard.record, Record::Rail(rail) if rail.power_w == Some(5.1)));
        for other in ["pi5/cmd/submit", "pi5/jobs/a/trace", "pi5", "x/pi5/status"] {
            let topic = format!("lab/jouled/{other}");
            assert_eq!(
                read("lab/jouled", &topic, b"{}"),
                Err(Unheard::Other),
                "{topic}"
            );
        }
        assert!(matches!(
            read("jouled", "jouled/pi5/status", b"{}"),
            Err(Unheard::NotUnderstood(_))
        ));
    }

    #[test]
    fn an_empty_payload_clears() {
        let heard = read("jouled", "jouled/pi5/jobs/a/state", b"").unwrap();
        assert_eq!(heard.record, Record::JobGone("a".to_owned()));
        let heard = read("jouled", "jouled/pi5/status", b"").unwrap();
        assert_eq!(heard.record, Record::BoardGone);
    }

    #[test]
    fn a_job_is_one_that_a_topic_can_name() {
        let heard = |leaf: &str, record: serde_json::Value| {
            let topic = format!("jouled/pi5-01/{leaf}");
            read("jouled", &topic, record.to_string().as_bytes())
        };
        assert!(heard("status", testing::status(Some("a"))).is_ok());
        let state = |id| testing::state(id, 1, "queued", None, None);
        assert!(heard("jobs/a/state", state("a")).is_ok());
        for (leaf, record) in [
            ("status", testing::status(Some("#"))),
            ("jobs/a/state", state("#")),
            ("jobs/a/state", state("+")),
            ("jobs/a/state", state("b")),
            ("jobs/a/tokens", testing::tokens("a/b", 1, 2, 0.1)),
            ("jobs/a/result", testing::result("pi5-01", "b", true)),
        ] {
            let heard = heard(leaf, record);
            assert!(matches!(heard, Err(Unheard::NotUnderstood(_))), "{leaf}");
        }
    }

    proptest! {
        #[test]
        fn anything_can_come(topic in "jouled/[a-z/]{0,20}", payload: Vec<u8>) {
            let _ = read("jouled", &topic, &payload);
        }
    }
}
