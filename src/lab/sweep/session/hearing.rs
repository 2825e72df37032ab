//! What boards and the collector say, and what a session makes of it.

use super::Session;
use crate::clock;
use crate::lab::LabError;
use crate::lab::client::Message;
use crate::lab::sweep::book::Item;
use crate::lab::sweep::cooling::Reading;
use crate::record::Reason;
use crate::record::device::Health;
use crate::record::job::State;
use std::time::Duration;
use tokio::time::Instant;

const TICK: Duration = Duration::from_millis(300);

impl Session<'_> {
    /// Takes what has come, for a moment.
    pub(super) async fn listen(&mut self) -> Result<(), LabError> {
        let mut deadline = Instant::now() + TICK;
        while let Some(message) = self.client.next(deadline).await? {
            self.take(&message)?;
            // What is there already is taken too.
            deadline = deadline.min(Instant::now() + TICK / 10);
        }
        while let Ok(told) = self.told.try_recv() {
            if !matches!(told.event.as_str(), "connected" | "rolled") {
                self.show.note(&told.event, &told.text);
            }
        }
        Ok(())
    }

    fn take(&mut self, message: &Message) -> Result<(), LabError> {
        let Some((device, rest)) = message
            .topic
            .strip_prefix(self.prefix)
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.split_once('/'))
        else {
            return Ok(());
        };
        let Some(at) = self
            .posts
            .iter()
            .position(|post| post.board.name() == device)
        else {
            return Ok(());
        };
        match rest {
            "status" => {
                // What is none changes nothing.
                if let Ok(status) = serde_json::from_slice(&message.payload) {
                    self.posts[at].status = Some(status);
                }
            }
            "health" => {
                let health = serde_json::from_slice(&message.payload);
                if let (Ok(health), Some(cooling)) = (health, &mut self.posts[at].cooling) {
                    cooling.hear(reading(&health), clock::now());
                }
            }
            _ => {
                let Ok(state) = serde_json::from_slice::<State>(&message.payload) else {
                    return Ok(());
                };
                return self.hear(at, state);
            }
        }
        Ok(())
    }

    /// A job of the board is in a state.
    fn hear(&mut self, at: usize, state: State) -> Result<(), LabError> {
        let device = self.posts[at].board.name();
        let items = &self.book.items;
        let is_it = |item: &Item| item.id == state.id && item.device == device;
        let Some(item) = items.iter().rposition(is_it) else {
            return Ok(());
        };
        let key = (device.to_owned(), state.id.clone());
        let is_news = self.heard.get(&key).is_none_or(|old| state.rev >= old.rev);
        if !is_news {
            return Ok(());
        }
        let was_sent = self.posts[at].sent.iter().any(|sent| sent.item == item);
        let (job_state, reason) = (state.state, state.reason.clone());
        self.heard.insert(key, state);
        match was_sent && job_state.is_final() {
            true => self.end(at, item, job_state, reason),
            false => Ok(()),
        }
    }
}

fn reading(health: &Health) -> Reading {
    match (health.temperature_c, health.reasons.get("temperature_c")) {
        (Some(celsius), _) => Reading::Celsius(celsius),
        (None, Some(Reason::NotMeasured)) => Reading::Busy,
        (None, _) => Reading::Untold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_temperature_is_told_or_a_job_runs_or_there_is_none() {
        let health = |temperature: Value, reason: Value| -> Health {
            let outbox = json!({"pending": 0, "oldest_s": null, "parked": 0, "expired": 0,
                                "dropped": 0});
            serde_json::from_value(json!({"sensors": {}, "queue": 0, "outbox": outbox,
                "rss_bytes": null, "disk_free_bytes": null, "temperature_c": temperature,
                "reasons": reason}))
            .unwrap()
        };
        assert_eq!(
            reading(&health(json!(48.2), json!({}))),
            Reading::Celsius(48.2)
        );
        let busy = json!({"temperature_c": "not-measured"});
        assert_eq!(reading(&health(Value::Null, busy)), Reading::Busy);
        let none = json!({"temperature_c": "not-supported"});
        assert_eq!(reading(&health(Value::Null, none)), Reading::Untold);
    }
}
