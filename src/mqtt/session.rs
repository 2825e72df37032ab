//! What leaves over one connection, in this order: answers, status and info, events and live
//! records, the outbox ([`super::pump`]), samples. What arrives is in [`super::incoming`].

use super::board::{LiveState, Shared};
use super::connection::Setup;
use super::departures::Departures;
use super::inbox::Inbox;
use super::link::{Link, LinkEvent, OutMessage, Stored, Stuck};
use super::loss::Loss;
use crate::clock;
use crate::record::device::Presence;
use crate::store::{RecordKind, Topic};
use crate::units::Span;
use crate::workload::JobId;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};
use tokio::time::{sleep_until, timeout};

/// Kept back of the time to stop, for the last words.
const GOODBYE: Duration = Duration::from_millis(400);

/// With nothing to do, the loop goes round as often as this.
const SHOW_UP: Duration = Duration::from_secs(20);
/// A round may wait for a store that a slow card holds up.
const BACK_WITHIN: Span = Span::from_millis(80_000);

pub(super) enum Ended {
    Stopped,
    Lost(Loss),
}

/// A publish that the broker has not answered yet.
pub(super) enum Flying {
    Status,
    Info,
    /// On this topic; `true` where it takes back what was said.
    Announcement {
        topic: String,
        back: bool,
    },
    /// By its topic.
    Kept(String),
    Goodbye,
    Answer(OutMessage),
    Event(Vec<u8>),
    State(LiveState),
    Tokens(JobId),
    Record(Key),
}

impl Flying {
    /// Of a record that the broker keeps. At most one of a topic is in flight.
    pub fn retained_topic(&self) -> Option<Topic> {
        match self {
            Self::Record(key) if key.topic.kind.retained() => Some(key.topic.clone()),
            Self::State(state) => Some(state_topic(&state.job)),
            _ => None,
        }
    }
}

fn state_topic(job: &JobId) -> Topic {
    Topic {
        job: job.clone(),
        kind: RecordKind::State,
    }
}

/// A record of the outbox, without its payload.
pub(super) struct Key {
    pub seq: i64,
    pub topic: Topic,
    pub rev: Option<u64>,
    pub bytes: usize,
}

/// What of the window each kind of message leaves free for those that go before it.
#[derive(Clone, Copy)]
pub(super) enum Reserve {
    Answers = 0,
    Live = 2,
    Outbox = 4,
}

pub(super) struct Session<'s> {
    pub(super) setup: &'s Setup,
    pub(super) shared: &'s Shared,
    pub(super) link: Link,
    since: String,
    next_token: u64,
    pub(super) flying: HashMap<u64, Flying>,
    pub(super) answers: VecDeque<OutMessage>,
    pub(super) departures: Departures,
    /// Of records of jobs, from the outbox or live.
    pub(super) retained_in_flight: HashSet<Topic>,
    /// Payload of the outbox.
    pub(super) bytes_in_flight: usize,
    /// Topics that were reported as refused.
    pub(super) reported: HashSet<Topic>,
    goodbye_sent: bool,
    /// Whether the store has failed since it last took something.
    pub(super) store_fails: Cell<bool>,
    /// Commands that wait for their turn: those that came before the subscription was confirmed,
    /// and those that came faster than answers leave.
    pub(super) inbox: Inbox,
}

impl<'s> Session<'s> {
    /// Subscribes to commands and waits for the broker's word on it.
    pub async fn open(setup: &'s Setup, mut link: Link, since: String) -> Result<Self, Loss> {
        // Before anything can fail: the next connection finds a session.
        setup.shared.lock().states_due |= !link.remembered();
        let filter = setup.topics.commands();
        // A stored retained command is reported once for each new subscription, never run.
        if let Err(Stuck) = link.subscribe(&filter, Stored::OnNewSubscription) {
            return Err(link.why_stuck());
        }
        let mut inbox = Inbox::default();
        loop {
            match timeout(Duration::from_secs(10), link.next()).await {
                Ok(LinkEvent::Subscribed(true)) => break,
                Ok(LinkEvent::Subscribed(false)) => {
                    let refused = format!(
                        "the broker refuses the subscription to {filter}: no command can arrive; \
                         check its access list"
                    );
                    return Err(Loss::Other(refused));
                }
                // Commands that waited in the session come before the confirmation.
                Ok(LinkEvent::Message(message)) => inbox.push(message),
                Ok(LinkEvent::Acked(..) | LinkEvent::Wrote) => {}
                Ok(LinkEvent::Lost(reason)) => return Err(reason),
                Err(_) => {
                    let unanswered = format!("no answer to the subscription to {filter}");
                    return Err(Loss::Other(unanswered));
                }
            }
        }
        let mut departures = Departures::default();
        departures.look();
        Ok(Self {
            setup,
            shared: &setup.shared,
            link,
            since,
            next_token: 0,
            flying: HashMap::new(),
            answers: std::mem::take(&mut setup.shared.lock().answers),
            departures,
            retained_in_flight: HashSet::new(),
            bytes_in_flight: 0,
            reported: HashSet::new(),
            goodbye_sent: false,
            store_fails: Cell::new(false),
            inbox,
        })
    }

    /// Runs until the connection is lost or the daemon stops.
    pub async fn run(mut self) -> Ended {
        let ended = self.speak().await;
        self.shared.lock().disconnected();
        // What is in the store is sent again; what was only in memory waits here. A command
        // may be acknowledged already: nothing but its answer tells what became of it.
        self.shared.lock().answers = std::mem::take(&mut self.answers);
        let mut left: Vec<_> = self.flying.drain().collect();
        left.sort_by_key(|(token, _)| Reverse(*token));
        for (_, flying) in left {
            match flying {
                Flying::State(state) => self.shared.lock().give_back_state(state),
                Flying::Event(payload) => self.shared.lock().events.push_front(payload),
                Flying::Answer(message) => self.shared.lock().answers.push_front(message),
                _ => {}
            }
        }
        // A commit would disturb an attempt that is measured; without it what has a verdict
        // merely leaves once more.
        let measuring = {
            let board = self.shared.lock();
            board.held && board.stop.is_none()
        };
        if !measuring {
            self.mark(clock::now());
        }
        ended
    }

    async fn speak(&mut self) -> Ended {
        {
            let mut board = self.shared.lock();
            board.connected = true;
            board.status_due = true;
            board.info_due = board.info.is_some();
            board.announcements_due = board.announced.keys().cloned().collect();
            board.keep_again();
        }
        loop {
            self.shared.pulse.back_within(BACK_WITHIN);
            let wake = match self.take_commands().and_then(|()| self.pump()) {
                Ok(wake) => wake,
                Err(Stuck) => return Ended::Lost(self.link.why_stuck()),
            };
            if self.can_take_a_command() {
                continue;
            }
            if self.inbox.is_to_be_fetched_again() && self.has_answered() {
                let reason = "more commands came at once than are kept in memory";
                return Ended::Lost(Loss::Other(reason.to_owned()));
            }
            let stop = self.shared.lock().stop;
            if let Some(deadline) = stop
                && (self.goodbye_sent && self.flying.is_empty() || Instant::now() >= deadline)
            {
                let unheard = |flying: &Flying| matches!(flying, Flying::Goodbye);
                if self.goodbye_sent && !self.flying.values().any(unheard) {
                    let _ = self.link.disconnect();
                    // The broker closes once it has read everything.
                    let _ = timeout(Duration::from_millis(200), self.link.next()).await;
                }
                // Else the last will says it.
                return Ended::Stopped;
            }
            let silence = self.link.silent_at();
            if Instant::now() >= silence {
                return Ended::Lost("nothing was heard from the broker for too long".into());
            }
            tokio::select! {
                event = self.link.next() => {
                    // All that has come, before a look at what may leave.
                    let mut next = Some(event);
                    while let Some(event) = next {
                        if let Err(reason) = self.heard(event) {
                            return Ended::Lost(reason);
                        }
                        next = self.link.ready();
                    }
                }
                () = self.shared.changed() => {}
                () = sleep_until(wake.min(silence).min(Instant::now() + SHOW_UP).into()) => {}
            }
        }
    }

    /// The error says why the connection is lost.
    fn heard(&mut self, event: LinkEvent) -> Result<(), Loss> {
        match event {
            LinkEvent::Lost(reason) => return Err(reason),
            LinkEvent::Acked(token, verdict) => self.verdict(token, verdict),
            LinkEvent::Subscribed(_) | LinkEvent::Wrote => {}
            LinkEvent::Message(message) => self.inbox.push(message),
        }
        Ok(())
    }

    /// Sends what may leave now, and says when to look again at the latest.
    fn pump(&mut self) -> Result<Instant, Stuck> {
        let later = Instant::now() + Duration::from_secs(60);
        self.send_answers()?;
        let (held, stop, states_due) = {
            let mut board = self.shared.lock();
            if std::mem::take(&mut board.outbox_due) {
                self.departures.look();
            }
            (board.held, board.stop, board.states_due)
        };
        if self.goodbye_sent {
            return Ok(stop.unwrap_or(later));
        }
        self.send_own()?;
        if held && stop.is_none() {
            return Ok(later);
        }
        self.send_announcements()?;
        if states_due {
            self.renew_states();
        }
        self.tell_left_out();
        self.send_live()?;
        let now = clock::now();
        let looked = self.send_outbox(now)?;
        self.mark_what_is_due(now);
        self.send_samples()?;
        if let Some(deadline) = stop {
            let last_call = deadline.checked_sub(GOODBYE).unwrap_or(deadline);
            if self.flying.is_empty() || Instant::now() >= last_call {
                self.goodbye_sent = true;
                let payload = self.setup.status(Presence::Offline, &clock::wall_label());
                let message = retained(self.setup.topics.status(), payload);
                self.publish(Flying::Goodbye, message)?;
                return Ok(deadline);
            }
            return Ok(last_call);
        }
        let over_at = self.shared.lock().told.over_at();
        // Where there was no look, a verdict comes first, and is a reason for one.
        let fills_at = looked.then(|| self.departures.fills_at(now)).flatten();
        let due = [fills_at, self.departures.marks_at(), over_at];
        let due = due.into_iter().flatten().min();
        Ok(due.map_or(later, |due| {
            Instant::now() + Duration::from_nanos(due.since(now).0)
        }))
    }

    /// Publishes that may still be added.
    pub(super) fn room(&self, reserve: Reserve) -> usize {
        let usable = self.link.window().saturating_sub(reserve as usize).max(1);
        usable.saturating_sub(self.link.in_flight())
    }

    pub(super) fn publish(&mut self, flying: Flying, message: OutMessage) -> Result<(), Stuck> {
        let token = self.next_token;
        self.next_token += 1;
        self.link.publish(token, message)?;
        self.retained_in_flight.extend(flying.retained_topic());
        self.flying.insert(token, flying);
        Ok(())
    }

    fn send_answers(&mut self) -> Result<(), Stuck> {
        while self.room(Reserve::Answers) > 0
            && let Some(message) = self.answers.pop_front()
        {
            // It may come from an earlier connection, to a broker with other limits.
            if self.link.fits(&message) {
                self.publish(Flying::Answer(message.clone()), message)?;
            } else {
                let text = format!(
                    "the answer to {} is larger than the broker's packets",
                    message.topic
                );
                self.event("answer-too-large", text, None);
            }
        }
        Ok(())
    }

    /// Status, info and what else the broker keeps, at most one of each in flight.
    fn send_own(&mut self) -> Result<(), Stuck> {
        let flies = |what: fn(&Flying) -> bool| self.flying.values().any(what);
        let status_flies = flies(|flying| matches!(flying, Flying::Status));
        let info_flies = flies(|flying| matches!(flying, Flying::Info));
        let (status, info) = {
            let mut board = self.shared.lock();
            let status = !status_flies && std::mem::take(&mut board.status_due);
            let info_due = !info_flies && std::mem::take(&mut board.info_due);
            (status, info_due.then(|| board.info.clone()).flatten())
        };
        if status {
            let payload = self.setup.status(Presence::Online, &self.since);
            self.publish(
                Flying::Status,
                retained(self.setup.topics.status(), payload),
            )?;
        }
        if let Some(payload) = info {
            let message = retained(self.setup.topics.info(), payload);
            if self.link.fits(&message) {
                self.publish(Flying::Info, message)?;
            } else {
                tracing::error!("info is larger than the broker's packets and is not published");
            }
        }
        while self.room(Reserve::Live) > 0 {
            let flies = |topic: &str| {
                let mut flying = self.flying.values();
                flying.any(|flying| matches!(flying, Flying::Kept(other) if other == topic))
            };
            let next = self.shared.lock().next_kept(|topic| !flies(topic));
            let Some((topic, record)) = next else { break };
            let message = OutMessage {
                expiry_s: record.expiry_s,
                ..retained(topic.clone(), record.payload)
            };
            if self.link.fits(&message) {
                self.publish(Flying::Kept(topic), message)?;
            }
        }
        Ok(())
    }

    /// One of a topic in flight at most, so that the broker keeps the newest.
    fn send_announcements(&mut self) -> Result<(), Stuck> {
        while self.room(Reserve::Live) > 0 {
            let flies = |wanted: &String| {
                self.flying.values().any(
                    |flying| matches!(flying, Flying::Announcement { topic, .. } if topic == wanted),
                )
            };
            let next = {
                let mut board = self.shared.lock();
                let due = board.announcements_due.iter();
                let topic = due.filter(|topic| !flies(topic)).min().cloned();
                topic.and_then(|topic| {
                    board.announcements_due.remove(&topic);
                    let payload = board.announced.get(&topic)?.clone();
                    Some((topic, payload))
                })
            };
            let Some((topic, payload)) = next else { break };
            let back = payload.is_empty();
            let message = retained(topic.clone(), payload);
            if self.link.fits(&message) {
                self.publish(Flying::Announcement { topic, back }, message)?;
            } else {
                tracing::error!(
                    topic,
                    "it is larger than the broker's packets: not published"
                );
            }
        }
        Ok(())
    }

    fn send_live(&mut self) -> Result<(), Stuck> {
        while self.room(Reserve::Live) > 0 {
            let event = self.shared.lock().events.pop_front();
            let Some(payload) = event else { break };
            let message = OutMessage {
                topic: self.setup.topics.events(),
                payload: payload.clone(),
                ..OutMessage::default()
            };
            if self.link.fits(&message) {
                self.publish(Flying::Event(payload), message)?;
            }
        }
        while self.room(Reserve::Live) > 0 {
            let state = {
                let mut board = self.shared.lock();
                let free =
                    |state: &LiveState| !self.retained_in_flight.contains(&state_topic(&state.job));
                let next = board.states.iter().position(free);
                next.and_then(|index| board.states.remove(index))
            };
            let Some(state) = state else { break };
            self.shared
                .lock()
                .sent_revs
                .insert(state.job.clone(), state.rev);
            let message = self.record(&state.job, RecordKind::State, state.payload.clone());
            self.publish(Flying::State(state), message)?;
        }
        while self.room(Reserve::Live) > 0 {
            let tokens = self.shared.lock().tokens.pop_front();
            let Some((job, payload)) = tokens else { break };
            let message = self.record(&job, RecordKind::Tokens, payload);
            if self.link.fits(&message) {
                self.publish(Flying::Tokens(job), message)?;
            }
        }
        Ok(())
    }

    fn send_samples(&mut self) -> Result<(), Stuck> {
        while !self.link.busy() {
            let sample = self.shared.lock().samples.pop_first();
            let Some((topic, payload)) = sample else {
                break;
            };
            self.link.publish_at_most_once(OutMessage {
                topic,
                payload,
                ..OutMessage::default()
            })?;
        }
        Ok(())
    }

    pub(super) fn record(&self, job: &JobId, kind: RecordKind, payload: Vec<u8>) -> OutMessage {
        OutMessage {
            topic: self.setup.topics.job(job, kind),
            payload,
            retain: kind.retained(),
            expiry_s: kind.expiry_s(),
            correlation: None,
        }
    }

    /// Of the answers that wait or have no verdict yet.
    pub(super) fn answer_bytes(&self) -> usize {
        let flying = self.flying.values().filter_map(|flying| match flying {
            Flying::Answer(message) => Some(message),
            _ => None,
        });
        let answers = self.answers.iter().chain(flying);
        answers.map(|message| message.payload.len()).sum()
    }

    /// Whether every command that was taken is done with: answered and acknowledged.
    fn has_answered(&self) -> bool {
        let is_answer = |flying: &Flying| matches!(flying, Flying::Answer(_));
        let left = self.answers.is_empty() && self.link.acknowledgements_left();
        left && !self.flying.values().any(is_answer)
    }
}

fn retained(topic: String, payload: Vec<u8>) -> OutMessage {
    OutMessage {
        topic,
        payload,
        retain: true,
        ..OutMessage::default()
    }
}
