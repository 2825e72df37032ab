//! A published record worth keeping, checked.

use super::RecordError;
use crate::record::answer::Event;
use crate::record::device::{Health, RailRecord};
use crate::record::job::{State, Tokens, Trace};
use crate::record::result::JobResult;
use crate::record::{Stamp, Stamped, VERSION};
use crate::strict_json;
use crate::workload::JobId;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

/// No record is larger (docs/mqtt.md).
pub(super) const MOST_BYTES: usize = 128 * 1024;

/// An execution of a job on a board.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    pub device: String,
    pub id: String,
    pub attempt: u32,
}

/// What a record says, by the last level of its topic.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Result(Box<Published>),
    Tokens(Tokens),
    Trace(Trace),
    State(State),
    Rail(RailRecord),
    Health(Box<Health>),
    Event(Event),
}

/// A result, and the record as it was published.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    pub result: JobResult,
    pub json: String,
}

/// Names and numbers are within the contract's bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub stamp: Stamp,
    pub body: Body,
    /// `stamp.time` in microseconds of the Unix epoch.
    pub time_us: i64,
    /// The day of `stamp.time` in UTC: the record's partition.
    pub date: Date,
}

impl Record {
    /// `None` for a topic of which nothing is kept: `status`, `info`, `cmd/…`, other prefixes.
    ///
    /// Errors: the message is not the record that its topic promises.
    pub fn parse(prefix: &str, topic: &str, payload: &[u8]) -> Result<Option<Self>, RecordError> {
        let levels = topic.strip_prefix(prefix).and_then(|t| t.strip_prefix('/'));
        let Some((device, rest)) = levels.and_then(|levels| levels.split_once('/')) else {
            return Ok(None);
        };
        let read = match *rest.split('/').collect::<Vec<_>>() {
            ["jobs", id, "result"] => result(payload, id),
            ["jobs", id, "tokens"] => tokens(payload, id),
            ["jobs", id, "trace"] => trace(payload, id),
            ["jobs", id, "state"] => state(payload, id),
            ["rails", rail] => rail_record(payload, rail),
            ["health"] => {
                stamped(payload).map(|(stamp, body)| (stamp, Body::Health(Box::new(body))))
            }
            ["events"] => stamped(payload).map(|(stamp, body)| (stamp, Body::Event(body))),
            _ => return Ok(None),
        };
        if !is_device(device) {
            return Err(RecordError::Device);
        }
        let (stamp, body) = read?;
        same("device", &stamp.device, device)?;
        Self::checked(stamp, body).map(Some)
    }

    fn checked(stamp: Stamp, body: Body) -> Result<Self, RecordError> {
        let time: jiff::Timestamp = stamp.time.parse().map_err(|_| RecordError::Field {
            field: "time",
            expected: "must be a time of RFC 3339",
        })?;
        let date = time.to_zoned(TimeZone::UTC).date();
        // Each date is a folder. A board without a clock of its own starts anywhere in between.
        must(
            (1970..2100).contains(&date.year()),
            "time",
            "must be between 1970 and 2100",
        )?;
        in_range(stamp.mono_ns, "mono_ns")?;
        let boot_id = stamp.boot_id.as_bytes();
        let fine = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
        must(
            (1..=64).contains(&boot_id.len()) && boot_id.iter().all(fine),
            "boot_id",
            "must be 1 to 64 characters of [A-Za-z0-9-]",
        )?;
        Ok(Self {
            time_us: time.as_microsecond(),
            date,
            stamp,
            body,
        })
    }

    pub fn device(&self) -> &str {
        &self.stamp.device
    }

    /// The attempt that it belongs to. States have none: a job has some before its first attempt.
    pub fn attempt(&self) -> Option<Attempt> {
        let (id, attempt) = match &self.body {
            Body::Result(published) => (&published.result.id, published.result.attempt),
            Body::Tokens(tokens) => (&tokens.id, tokens.attempt),
            Body::Trace(trace) => (&trace.id, trace.attempt),
            Body::State(_) | Body::Rail(_) | Body::Health(_) | Body::Event(_) => return None,
        };
        Some(Attempt {
            device: self.stamp.device.clone(),
            id: id.clone(),
            attempt,
        })
    }

    /// The same for the same record, however often it is published: `tokens/pi5-01/smol-1/1/3/7`.
    pub fn key(&self) -> String {
        let Stamp {
            device,
            boot_id,
            mono_ns,
            ..
        } = &self.stamp;
        match &self.body {
            Body::Result(published) => {
                let JobResult { id, attempt, .. } = &published.result;
                format!("result/{device}/{id}/{attempt}")
            }
            Body::Tokens(t) => {
                let (id, attempt, rep, seq) = (&t.id, t.attempt, t.rep, t.seq);
                format!("tokens/{device}/{id}/{attempt}/{rep}/{seq}")
            }
            Body::Trace(t) => {
                let (id, attempt, rail, seq) = (&t.id, t.attempt, &t.rail, t.seq);
                format!("trace/{device}/{id}/{attempt}/{rail}/{seq}")
            }
            Body::State(state) => format!("state/{device}/{}/{}", state.id, state.rev),
            Body::Rail(rail) => format!("rail/{device}/{boot_id}/{mono_ns}/{}", rail.rail),
            Body::Health(_) => format!("health/{device}/{boot_id}/{mono_ns}"),
            Body::Event(event) => format!("event/{device}/{boot_id}/{mono_ns}/{}", event.code),
        }
    }
}

type Read = Result<(Stamp, Body), RecordError>;

fn result(payload: &[u8], id: &str) -> Read {
    let (stamp, result) = stamped::<JobResult>(payload)?;
    of_job(&result.id, id)?;
    must(result.attempt >= 1, "attempt", "must be at least 1")?;
    in_range(result.t0_mono_ns, "t0_mono_ns")?;
    for rail in result.timeline.keys() {
        is_rail(rail)?;
    }
    for interval in result.timeline.values().flatten() {
        in_range(interval.t0_ns, "timeline")?;
        in_range(interval.t1_ns, "timeline")?;
    }
    let json = std::str::from_utf8(payload).map_err(|_| RecordError::Field {
        field: "tags",
        expected: "must be UTF-8, as all of the record",
    })?;
    let json = json.to_owned();
    Ok((stamp, Body::Result(Box::new(Published { result, json }))))
}

fn tokens(payload: &[u8], id: &str) -> Read {
    let (stamp, tokens) = stamped::<Tokens>(payload)?;
    of_job(&tokens.id, id)?;
    must(tokens.attempt >= 1, "attempt", "must be at least 1")?;
    in_range(tokens.seq, "seq")?;
    Ok((stamp, Body::Tokens(tokens)))
}

fn trace(payload: &[u8], id: &str) -> Read {
    let (stamp, trace) = stamped::<Trace>(payload)?;
    of_job(&trace.id, id)?;
    must(trace.attempt >= 1, "attempt", "must be at least 1")?;
    is_rail(&trace.rail)?;
    in_range(trace.seq, "seq")?;
    let mut ends = trace.dt_ns.iter();
    let end = ends.try_fold(trace.t0_mono_ns, |t, &dt| t.checked_add(dt));
    must(
        end.is_some_and(|end| i64::try_from(end).is_ok()),
        "dt_ns",
        "must end before the 63 bits of a monotonic clock do",
    )?;
    must(
        trace.dt_ns.len() == trace.power_w.len(),
        "power_w",
        "must be as long as `dt_ns`",
    )?;
    Ok((stamp, Body::Trace(trace)))
}

fn state(payload: &[u8], id: &str) -> Read {
    let (stamp, state) = stamped::<State>(payload)?;
    of_job(&state.id, id)?;
    in_range(state.rev, "rev")?;
    Ok((stamp, Body::State(state)))
}

fn rail_record(payload: &[u8], rail: &str) -> Read {
    let (stamp, record) = stamped::<RailRecord>(payload)?;
    same("rail", &record.rail, rail)?;
    is_rail(rail)?;
    Ok((stamp, Body::Rail(record)))
}

/// A result as it is kept in a dataset, read as it was when it came: fields that this version
/// does not know may hold anything that is JSON.
pub(super) fn kept_result(json: &str) -> Result<Stamped<JobResult>, RecordError> {
    let (stamp, body) = stamped(json.as_bytes())?;
    Ok(Stamped { stamp, body })
}

/// Stamp and body each read what is theirs, which is faster than one type of both: that would
/// hold every token as a generic value first.
fn stamped<'p, T: Deserialize<'p>>(payload: &'p [u8]) -> Result<(Stamp, T), RecordError> {
    if payload.len() > MOST_BYTES {
        return Err(RecordError::TooLarge(payload.len()));
    }
    let is_object = payload.trim_ascii_start().starts_with(b"{");
    if !is_object {
        strict_json::read::<Stamp>(payload)?;
    }
    let stamp: Stamp = quickly(payload)?;
    if stamp.v != VERSION {
        return Err(RecordError::Version(stamp.v));
    }
    Ok((stamp, quickly(payload)?))
}

/// Finding out which field is at fault costs time: only for records that have one.
fn quickly<'p, T: Deserialize<'p>>(payload: &'p [u8]) -> Result<T, RecordError> {
    match serde_json::from_slice(payload) {
        Ok(body) => Ok(body),
        Err(_) => Ok(strict_json::read(payload)?),
    }
}

fn of_job(said: &str, topic: &str) -> Result<(), RecordError> {
    same("id", said, topic)?;
    let id = topic.parse::<JobId>();
    must(
        id.is_ok(),
        "id",
        "must be 1 to 64 characters of [A-Za-z0-9._-]",
    )
}

fn is_device(name: &str) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(fine)
}

fn is_rail(name: &str) -> Result<(), RecordError> {
    let fine = |c: char| !c.is_control() && c != '/';
    must(
        (1..=128).contains(&name.len()) && name.chars().all(fine),
        "rail",
        "must be a name of 1 to 128 bytes",
    )
}

fn same(field: &'static str, said: &str, topic: &str) -> Result<(), RecordError> {
    match said == topic {
        true => Ok(()),
        false => Err(RecordError::OtherTopic { field }),
    }
}

fn in_range(value: u64, field: &'static str) -> Result<(), RecordError> {
    let expected = "must fit 63 bits";
    must(i64::try_from(value).is_ok(), field, expected)
}

fn must(holds: bool, field: &'static str, expected: &'static str) -> Result<(), RecordError> {
    match holds {
        true => Ok(()),
        false => Err(RecordError::Field { field, expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::testing::{self, DEVICE, ID};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn parse(topic: &str, payload: &Value) -> Result<Option<Record>, RecordError> {
        Record::parse("jouled", topic, payload.to_string().as_bytes())
    }

    fn of_job(kind: &str) -> String {
        format!("jouled/{DEVICE}/jobs/{ID}/{kind}")
    }

    fn rail() -> Value {
        json!({"v": 1, "device": DEVICE, "time": "2026-11-21T23:59:59.999Z", "mono_ns": 5,
            "boot_id": "6c0f", "clock_sync": false, "rail": "input.vdd_in", "simulated": true,
            "power_w": null, "voltage_v": 5.0, "current_a": null, "energy_wh": 0.5,
            "quality": "stale"})
    }

    #[test]
    fn a_record_is_named_by_what_tells_it_apart() {
        let result = testing::result().to_json();
        let record = Record::parse("jouled", &of_job("result"), &result);
        let record = record.unwrap().unwrap();
        assert_eq!(record.key(), "result/pi5-01/smol-1/1");
        assert_eq!(record.date.to_string(), "2026-11-21");
        let Body::Result(published) = &record.body else {
            panic!("a result");
        };
        assert_eq!(published.json.as_bytes(), result);
        let tokens = testing::tokens(DEVICE, ID)[2].to_json();
        let record = Record::parse("jouled", &of_job("tokens"), &tokens);
        assert_eq!(record.unwrap().unwrap().key(), "tokens/pi5-01/smol-1/1/3/3");
        let trace = testing::trace(DEVICE, ID)[1].to_json();
        let record = Record::parse("jouled", &of_job("trace"), &trace);
        assert_eq!(
            record.unwrap().unwrap().key(),
            "trace/pi5-01/smol-1/1/input/1"
        );
        let record = parse("jouled/pi5-01/rails/input.vdd_in", &rail());
        let record = record.unwrap().unwrap();
        assert_eq!(record.key(), "rail/pi5-01/6c0f/5/input.vdd_in");
        assert_eq!(record.time_us, 1_795_305_599_999_000);
    }

    #[test]
    fn what_is_not_kept_is_passed_over() {
        for topic in [
            "jouled/pi5-01/status",
            "jouled/pi5-01/info",
            "jouled/pi5-01/cmd/submit",
            "jouled/pi5-01/jobs/a/b/result",
            "jouled/pi5-01",
            "jouledx/pi5-01/health",
            "homeassistant/device/pi5-01/config",
        ] {
            assert_eq!(parse(topic, &json!({})), Ok(None), "{topic}");
        }
    }

    #[test]
    fn what_is_not_as_its_topic_says_is_refused_without_repeating_it() {
        let tokens = serde_json::to_value(&testing::tokens(DEVICE, ID)[0]).unwrap();
        let trace = serde_json::to_value(&testing::trace(DEVICE, ID)[0]).unwrap();
        let result = serde_json::to_value(testing::result()).unwrap();
        let with = |record: &Value, field: &str, value: Value| {
            let mut record = record.clone();
            record[field] = value;
            record
        };
        let rails = "jouled/pi5-01/rails/input.vdd_in";
        for (topic, payload, part) in [
            (of_job("tokens"), with(&tokens, "v", json!(2)), "version 2"),
            (
                of_job("tokens"),
                with(&tokens, "device", json!("secret")),
                "`device`",
            ),
            (
                of_job("tokens"),
                with(&tokens, "id", json!("secret")),
                "`id`",
            ),
            (
                of_job("tokens"),
                with(&tokens, "attempt", json!(0)),
                "`attempt`",
            ),
            (
                of_job("tokens"),
                with(&tokens, "seq", json!(u64::MAX)),
                "`seq`",
            ),
            (
                of_job("tokens"),
                with(&tokens, "time", json!("secret")),
                "`time`",
            ),
            (
                of_job("tokens"),
                with(&tokens, "time", json!("1900-01-01T00:00:00Z")),
                "`time`",
            ),
            (
                of_job("tokens"),
                with(&tokens, "time", json!("2100-01-01T00:00:00Z")),
                "`time`",
            ),
            (
                of_job("result"),
                with(&result, "timeline", json!({"": [], "input": []})),
                "`rail`",
            ),
            (
                of_job("tokens"),
                with(&tokens, "boot_id", json!("a/b secret")),
                "`boot_id`",
            ),
            (
                of_job("tokens"),
                with(&tokens, "mono_ns", json!(u64::MAX)),
                "`mono_ns`",
            ),
            (
                of_job("tokens"),
                with(&tokens, "tokens", json!("secret")),
                "invalid type",
            ),
            (of_job("tokens"), json!(["secret"]), "invalid type"),
            (
                of_job("trace"),
                with(&trace, "power_w", json!([1.0])),
                "`power_w`",
            ),
            (
                of_job("trace"),
                with(&trace, "dt_ns", json!([u64::MAX])),
                "`dt_ns`",
            ),
            (
                of_job("trace"),
                with(&trace, "rail", json!("a/b")),
                "`rail`",
            ),
            (of_job("result"), json!({}), "missing field"),
            (
                rails.to_owned(),
                with(&rail(), "rail", json!("other")),
                "`rail`",
            ),
            ("jouled/Pi5/health".to_owned(), json!({}), "names no device"),
            ("jouled/../health".to_owned(), json!({}), "names no device"),
        ] {
            let error = parse(&topic, &payload).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let long = " ".repeat(MOST_BYTES) + "{}";
        let error = Record::parse("jouled", rails, long.as_bytes()).unwrap_err();
        assert_eq!(error, RecordError::TooLarge(MOST_BYTES + 2));
    }

    #[test]
    fn an_infinite_number_is_none() {
        let text = rail().to_string().replace("5.0", "1e999");
        let error = Record::parse(
            "jouled",
            "jouled/pi5-01/rails/input.vdd_in",
            text.as_bytes(),
        );
        assert!(error.unwrap_err().to_string().contains("out of range"));
    }

    proptest! {
        /// Its names become names of folders.
        #[test]
        fn an_accepted_record_stays_in_its_folders(
            device in "[a-z0-9./-]{0,8}", id in "[A-Za-z0-9._/-]{0,8}", kind in "state|health",
        ) {
            let payload = json!({"v": 1, "device": device, "time": "2026-11-21T00:00:00Z",
                "mono_ns": 5, "boot_id": "6c0f", "clock_sync": false, "id": id, "attempt": 0,
                "rev": 1, "state": "queued", "phase": null, "progress": null, "reason": null});
            let topic = format!("jouled/{device}/jobs/{id}/{kind}");
            if let Ok(Some(record)) = parse(&topic, &payload) {
                prop_assert_eq!(record.key().split('/').count(), 4);
                prop_assert!(!record.device().contains(['/', '.']) && !record.device().is_empty());
            }
        }

        #[test]
        fn no_bytes_do_harm(kind in "result|tokens|trace|state", payload: Vec<u8>) {
            let _ = Record::parse("jouled", &of_job(&kind), &payload);
        }
    }
}
