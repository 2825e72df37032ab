//! Connections one after the other, until the daemon stops or the name turns out to be
//! another board's.

use super::backoff::{Reconnect, chance};
use super::board::Shared;
use super::command::CommandHandler;
use super::config::{Broker, ConfigError, MqttConfig};
use super::handle::DeviceIdentity;
use super::link::{Greeting, Link, LinkEvent, Stored, Stuck};
use super::loss::Loss;
use super::rival::Rivalry;
use super::session::{Ended, Session};
use super::{MqttError, Topics};
use crate::clock;
use crate::record::answer::Event;
use crate::record::device::{Presence, Status};
use crate::record::{Stamp, Stamped};
use crate::store::Store;
use crate::units::Span;
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Commands wait at the broker for a board that is away for up to a day.
const SESSION_EXPIRY_S: u32 = 86_400;
/// A connection that stood this long was a good one: the next loss is tried again at once.
const STOOD: Span = Span::from_millis(10_000);
/// The same for one that another client ended: two that want the same place must not end
/// each other's connection every ten seconds for ever.
const STOOD_BESIDE_A_RIVAL: Span = Span::from_millis(600_000);
/// By then each step of opening a connection has come to its own end.
const OPENED_OR_NOT: Span = Span::from_millis(120_000);
/// How long a stored `status` may take after the subscription is confirmed. Brokers send it
/// with or right after the confirmation; only a name's very first use waits in vain.
const STORED_STATUS: Duration = Duration::from_millis(500);

/// Everything that stays the same from one connection to the next.
pub(super) struct Setup {
    pub config: MqttConfig,
    pub client_id: String,
    pub topics: Topics,
    pub identity: DeviceIdentity,
    pub store: Arc<Mutex<Store>>,
    pub handler: Arc<dyn CommandHandler>,
    pub shared: Arc<Shared>,
}

impl Setup {
    /// Says on `events`, once connected again, what the administrator should know.
    fn event(&self, code: &str, message: String) {
        let event = Event {
            code: code.to_owned(),
            message,
            id: None,
        };
        self.shared.lock().tell(&self.identity.device, &event);
    }

    /// The record `status`.
    pub fn status(&self, state: Presence, since: &str) -> Vec<u8> {
        let jobs = match state {
            Presence::Online => Some(self.shared.lock().jobs.clone()),
            // The broker may publish it long after: nobody knows then.
            Presence::Offline => None,
        };
        let status = Stamped {
            stamp: Stamp::now(&self.identity.device),
            body: Status {
                state,
                version: self.identity.version.clone(),
                machine_id: self.identity.machine_id.clone(),
                since: since.to_owned(),
                jobs_queued: jobs.as_ref().map(|jobs| jobs.queued),
                queue: jobs.as_ref().map(|jobs| jobs.mode),
                job_running: jobs.and_then(|jobs| jobs.running).map(String::from),
            },
        };
        status.to_json()
    }
}

/// Keeps the board connected. Returns when the daemon stops, or with the reason why the
/// board can't use its name.
pub(super) async fn run(setup: &Setup, mut broker: Broker) -> Result<(), MqttError> {
    let mut reconnect = Reconnect::default();
    let mut rivalry = Rivalry::default();
    let mut told = HashSet::new();
    let mut last_complaint = None;
    loop {
        let wait = reconnect.wait(chance());
        setup
            .shared
            .pulse
            .back_within(Span(wait.0 + OPENED_OR_NOT.0));
        let began = tokio::select! {
            () = setup.shared.stopping() => return Ok(()),
            opened = async {
                sleep(Duration::from_nanos(wait.0)).await;
                renew(&setup.config, &mut broker, &mut last_complaint);
                open(setup, &broker).await
            } => opened,
        };
        let connected_at = clock::now();
        let reason = match began {
            Ok(session) => {
                tracing::info!(broker = %broker, "connected");
                match session.run().await {
                    Ended::Stopped => return Ok(()),
                    Ended::Lost(reason) => reason,
                }
            }
            Err(Refusal::NameTaken(error)) => return Err(error),
            Err(Refusal::NotNow(reason)) => reason,
        };
        let stood = clock::now().since(connected_at);
        let reason = rivalry.judge(reason, stood);
        setup.shared.lock().trouble = Some(reason.to_string());
        // It came to rest: what happens next is news.
        if stood >= STOOD {
            told.clear();
        }
        match reason {
            Loss::TakenOver | Loss::ClosedAgain => {
                if stood >= STOOD_BESIDE_A_RIVAL {
                    reconnect.stood();
                }
                reconnect.pushed_out();
            }
            _ if stood >= STOOD => reconnect.stood(),
            _ => {}
        }
        // Once for each reason: a broker that is away for a night fills no log.
        if told.insert(reason.clone()) {
            tracing::warn!(broker = %broker, %reason, "not connected; trying again");
            match reason {
                Loss::TakenOver => setup.event("session-taken-over", reason.to_string()),
                Loss::ClosedAgain => setup.event("connection-unstable", reason.to_string()),
                _ => {}
            }
        }
    }
}

/// Reads password and certificates again: they are renewed while the daemon runs. What can't
/// be used, such as a key whose certificate is not there yet, leaves those from before.
fn renew(config: &MqttConfig, broker: &mut Broker, last_complaint: &mut Option<ConfigError>) {
    let complaint = config.broker().map(|renewed| *broker = renewed).err();
    if let Some(error) = &complaint
        && *last_complaint != complaint
    {
        tracing::warn!(%error, "going on with what was read before");
    }
    *last_complaint = complaint;
}

enum Refusal {
    NameTaken(MqttError),
    NotNow(Loss),
}

async fn open<'s>(setup: &'s Setup, broker: &Broker) -> Result<Session<'s>, Refusal> {
    check_name(setup, broker).await?;
    let since = clock::wall_label();
    let greeting = Greeting {
        client_id: setup.client_id.clone(),
        session_expiry_s: Some(SESSION_EXPIRY_S),
        will: Some((
            setup.topics.status(),
            setup.status(Presence::Offline, &since),
        )),
    };
    let link = Link::connect(broker, &greeting)
        .await
        .map_err(Refusal::NotNow)?;
    Session::open(setup, link, since)
        .await
        .map_err(Refusal::NotNow)
}

/// Looks at the retained `status` before this board says anything. It asks as a client of
/// its own, since the board's client id would throw the other board of this name out, and
/// the last will would then speak for the wrong one.
async fn check_name(setup: &Setup, broker: &Broker) -> Result<(), Refusal> {
    let greeting = Greeting {
        // No board has this one by its name: device names have no dot.
        client_id: format!("{}.probe", setup.client_id),
        session_expiry_s: None,
        will: None,
    };
    let mut link = Link::connect(broker, &greeting)
        .await
        .map_err(Refusal::NotNow)?;
    let topic = setup.topics.status();
    if let Err(Stuck) = link.subscribe(&topic, Stored::Always) {
        return Err(Refusal::NotNow(link.why_stuck()));
    }
    let mut patience = Duration::from_secs(5);
    let found = loop {
        match timeout(patience, link.next()).await {
            Ok(LinkEvent::Message(message)) => break Some(message.payload),
            Ok(LinkEvent::Subscribed(true)) => patience = STORED_STATUS,
            Ok(LinkEvent::Subscribed(false)) => {
                tracing::warn!(
                    topic,
                    "not allowed to read it: a duplicate name goes unnoticed"
                );
                break None;
            }
            Ok(LinkEvent::Acked(..) | LinkEvent::Wrote) => {}
            Ok(LinkEvent::Lost(reason)) => return Err(Refusal::NotNow(reason)),
            Err(_) => break None,
        }
    };
    // Best effort: without it the broker merely logs a broken connection.
    let _ = link.disconnect();
    let _ = timeout(Duration::from_millis(200), link.next()).await;
    match found.and_then(|payload| other_machine(&payload, &setup.identity.machine_id)) {
        None => Ok(()),
        Some(other) => Err(Refusal::NameTaken(MqttError::NameTaken {
            topic,
            broker: broker.to_string(),
            other,
        })),
    }
}

/// The machine id in a `status`, if it is not `own`.
fn other_machine(status: &[u8], own: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Owner {
        machine_id: String,
    }
    let owner: Owner = serde_json::from_slice(status).ok()?;
    (owner.machine_id != own).then_some(owner.machine_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_machine_takes_a_name() {
        let status = br#"{"state":"offline","machine_id":"aa","new_field":1}"#;
        assert_eq!(other_machine(status, "aa"), None);
        assert_eq!(other_machine(status, "bb"), Some("aa".to_owned()));
        assert_eq!(other_machine(b"not ours", "bb"), None);
    }
}
