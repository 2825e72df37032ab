//! Commands: their small JSON, read strictly, and the answers to them.

use super::MAX_PAYLOAD;
use crate::record::answer::{Answer, Refusal};
use crate::strict_json;
use crate::workload::{JobId, ModelName, QueueMode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a client asks of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'p> {
    /// The job as it came; the handler parses it against the limits.
    Submit {
        payload: &'p [u8],
    },
    Cancel {
        id: JobId,
    },
    /// The queue and at most `limit` of the jobs that ended last.
    Jobs {
        limit: u32,
    },
    /// Jobs in the order of their arrival, whatever became of them: at most `limit` of those
    /// that came after the one of this number.
    JobsAfter {
        after: u64,
        limit: u32,
    },
    /// One job with its attempts.
    Job {
        id: JobId,
    },
    /// What the queue does with jobs from now on; `None` asks.
    Queue {
        mode: Option<QueueMode>,
    },
    Replay {
        id: JobId,
        attempt: Option<u32>,
        from_seq: Option<u64>,
    },
    /// Fetch a model of the catalogue; `None` asks what there is.
    Models {
        fetch: Option<ModelName>,
    },
}

/// Carries commands out. It runs on the MQTT thread, so it must be quick: what it does in
/// the store, and a word to the thread that runs jobs.
pub trait CommandHandler: Send + Sync {
    /// The body of the answer, a JSON object, or why the command changed nothing.
    fn handle(&self, command: Command<'_>) -> Result<Value, Refusal>;
}

const JOBS_LISTED: u32 = 50;

/// Cancels a job, whether it waits or runs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    id: JobId,
}

/// Asks for the queue and the jobs that ended last, for one job, or for all. An empty payload is
/// `{}`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Jobs {
    /// This job alone, with its attempts; not together with the others.
    id: Option<JobId>,
    /// Jobs that have ended, or with `after` jobs; `null` is 50.
    limit: Option<u32>,
    /// All jobs, in the order in which the board accepted them, from the one after this
    /// `arrival` on.
    after: Option<u64>,
}

/// Sets what the queue does, or asks. An empty payload is `{}`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// `null` asks.
    mode: Option<QueueMode>,
}

/// Has the kept records of a job sent again.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    id: JobId,
    /// `null` is every attempt.
    #[serde(default)]
    attempt: Option<u32>,
    /// Token and trace records from this `seq` on.
    #[serde(default)]
    from_seq: Option<u64>,
}

/// Asks for a model of the catalogue, or what there is. An empty payload is `{}`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Models {
    /// The model's name in the administrator's catalogue; `null` asks.
    fetch: Option<ModelName>,
}

fn refusal(code: &str, message: impl Into<String>, field: Option<String>) -> Refusal {
    Refusal {
        code: code.to_owned(),
        message: message.into(),
        field,
    }
}

fn read<'p, T: Deserialize<'p>>(payload: &'p [u8]) -> Result<T, Refusal> {
    strict_json::read(payload)
        .map_err(|error| refusal("invalid-command", error.message, error.field))
}

/// A command whose fields are all optional may come with no payload at all.
fn read_or_default<'p, T: Deserialize<'p> + Default>(payload: &'p [u8]) -> Result<T, Refusal> {
    match payload.trim_ascii().is_empty() {
        true => Ok(T::default()),
        false => read(payload),
    }
}

impl<'p> Command<'p> {
    /// Reads the command that arrived on `cmd/<name>`.
    pub fn parse(name: &str, payload: &'p [u8]) -> Result<Self, Refusal> {
        if payload.len() > MAX_PAYLOAD {
            let message = format!("{} bytes; at most {MAX_PAYLOAD} are read", payload.len());
            return Err(refusal("too-large", message, None));
        }
        match name {
            "submit" => Ok(Self::Submit { payload }),
            "cancel" => read(payload).map(|Cancel { id }| Self::Cancel { id }),
            "jobs" => match read_or_default(payload)? {
                Jobs {
                    id: None,
                    limit,
                    after,
                } => {
                    let limit = limit.unwrap_or(JOBS_LISTED);
                    Ok(match after {
                        Some(after) => Self::JobsAfter { after, limit },
                        None => Self::Jobs { limit },
                    })
                }
                Jobs {
                    id: Some(id),
                    limit: None,
                    after: None,
                } => Ok(Self::Job { id }),
                Jobs { limit, .. } => {
                    let message = "does not belong to a question for one job";
                    let field = if limit.is_some() { "limit" } else { "after" };
                    Err(refusal("invalid-command", message, Some(field.into())))
                }
            },
            "queue" => read_or_default(payload).map(|Queue { mode }| Self::Queue { mode }),
            "replay" => read(payload).map(|replay: Replay| Self::Replay {
                id: replay.id,
                attempt: replay.attempt,
                from_seq: replay.from_seq,
            }),
            "models" => read_or_default(payload).map(|Models { fetch }| Self::Models { fetch }),
            other => Err(refusal(
                "unknown-command",
                format!(
                    "{} is none of submit, cancel, jobs, queue, replay, models",
                    shown(other)
                ),
                None,
            )),
        }
    }
}

/// A command's topic for logs and events: whoever sends chooses the name, and its length.
pub(super) fn shown(name: &str) -> String {
    let is_plain = name.len() <= 32 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match is_plain {
        true => format!("cmd/{name}"),
        false => "the topic's last level".to_owned(),
    }
}

/// Parses and carries out a command. A panic of the handler is an answer like any other:
/// the daemon goes on.
pub(super) fn execute(
    handler: &dyn CommandHandler,
    name: &str,
    payload: &[u8],
) -> Result<Value, Refusal> {
    let command = Command::parse(name, payload)?;
    catch_unwind(AssertUnwindSafe(|| handler.handle(command))).unwrap_or_else(|_| {
        let message = "the command failed inside jouled; its log has the details";
        Err(refusal("internal", message, None))
    })
}

/// The answer on the wire.
pub fn answer(outcome: &Result<Value, Refusal>) -> Vec<u8> {
    let answer = match outcome {
        Ok(Value::Object(body)) => Answer::ok(body.clone()),
        Ok(other) => Answer::ok([("value".to_owned(), other.clone())].into_iter().collect()),
        Err(refusal) => Answer::refused(refusal.clone()),
    };
    serde_json::to_vec(&answer).expect("an answer has only JSON-able fields")
}

/// The job id that a refused payload names, as far as it can be read, for the event.
pub fn id_in(payload: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        id: JobId,
    }
    let named: Named = serde_json::from_slice(payload).ok()?;
    Some(named.id.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn commands_are_read_strictly() {
        let id: JobId = "a".parse().expect("a valid id");
        let parse = |name, text: &'static str| Command::parse(name, text.as_bytes());
        assert_eq!(
            parse("cancel", r#"{"id":"a"}"#),
            Ok(Command::Cancel { id: id.clone() })
        );
        assert_eq!(parse("jobs", ""), Ok(Command::Jobs { limit: JOBS_LISTED }));
        assert_eq!(
            parse("jobs", r#"{"limit":3}"#),
            Ok(Command::Jobs { limit: 3 })
        );
        assert_eq!(
            parse("jobs", r#"{"after":7}"#),
            Ok(Command::JobsAfter {
                after: 7,
                limit: JOBS_LISTED
            })
        );
        assert_eq!(
            parse("jobs", r#"{"id":"a"}"#),
            Ok(Command::Job { id: id.clone() })
        );
        assert_eq!(parse("queue", ""), Ok(Command::Queue { mode: None }));
        assert_eq!(
            parse("queue", r#"{"mode":"paused"}"#),
            Ok(Command::Queue {
                mode: Some(QueueMode::Paused)
            })
        );
        assert_eq!(
            parse("replay", r#"{"id":"a","from_seq":7}"#),
            Ok(Command::Replay {
                id,
                attempt: None,
                from_seq: Some(7)
            })
        );
        assert_eq!(parse("models", "{}"), Ok(Command::Models { fetch: None }));
        let field = |name, text| parse(name, text).expect_err("refused").field;
        assert_eq!(field("cancel", r#"{"id":"a","x":1}"#).as_deref(), Some("x"));
        assert_eq!(field("cancel", r#"{}"#).as_deref(), Some("id"));
        assert_eq!(field("cancel", r#"{"id":"../a"}"#).as_deref(), Some("id"));
        assert_eq!(
            field("jobs", r#"{"id":"a","limit":1}"#).as_deref(),
            Some("limit")
        );
        assert_eq!(
            field("queue", r#"{"mode":"shut"}"#).as_deref(),
            Some("mode")
        );
        assert_eq!(
            field("replay", r#"{"id":"a","attempt":-1}"#).as_deref(),
            Some("attempt")
        );
        assert_eq!(
            parse("reboot", "").expect_err("refused").code,
            "unknown-command"
        );
        assert!(parse("cancel", r#"{"id":"a"} x"#).is_err());
        for list in [r#"["a"]"#, r#"["a",0]"#, " [\"a\",1,2]"] {
            assert!(parse("cancel", list).is_err() && parse("replay", list).is_err());
        }
    }

    #[test]
    fn a_large_payload_is_not_even_parsed() {
        let payload = vec![b' '; MAX_PAYLOAD + 1];
        let error = Command::parse("submit", &payload).expect_err("refused");
        assert_eq!(error.code, "too-large");
    }

    struct Panics;
    impl CommandHandler for Panics {
        fn handle(&self, _: Command<'_>) -> Result<Value, Refusal> {
            panic!("a fault in the handler");
        }
    }

    #[test]
    fn a_panic_is_answered() {
        let error = execute(&Panics, "jobs", b"").expect_err("it panicked");
        assert_eq!(error.code, "internal");
    }

    #[test]
    fn answers_have_the_shape_of_the_contract() {
        let text = |outcome| String::from_utf8(answer(&outcome)).expect("UTF-8");
        assert_eq!(
            text(Ok(json!({"id":"a","state":"queued"}))),
            r#"{"ok":true,"id":"a","state":"queued"}"#
        );
        let refused = refusal("invalid-spec", "no", Some("n_predict".to_owned()));
        assert_eq!(
            text(Err(refused)),
            r#"{"ok":false,"error":{"code":"invalid-spec","message":"no","field":"n_predict"}}"#
        );
    }

    proptest! {
        #[test]
        fn no_payload_makes_it_panic(
            name in "(submit|cancel|jobs|queue|replay|models|x)",
            payload in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let _ = Command::parse(&name, &payload);
            let _ = id_in(&payload);
        }
    }
}
