//! The outbox on its way to the broker: which records leave, and what the broker's verdict
//! does to each.
//!
//! | verdict | record |
//! |---|---|
//! | success | published |
//! | 0x10, no subscriber | retained: published, the broker keeps it; else its topic waits, 1 s to 60 s |
//! | 0x87, 0x90, 0x99, too large | parked, with an event for the first of each topic |
//! | any other | its topic waits |
//! | none, the connection broke | leaves again over the next one |

use super::MAX_PAYLOAD;
use super::departures::Pass;
use super::link::{Stuck, Verdict};
use super::session::{Flying, Key, Reserve, Session};
use crate::clock;
use crate::store::{self, Moment, Pending, RecordKind, StoreError, Topic};
use crate::units::MonoNs;

/// Payload of the outbox in flight at most, but for a single larger record.
const MOST_BYTES_IN_FLIGHT: usize = 1 << 20;
/// Topics with a parked record that are remembered at most; then one may be told of again.
const MOST_REPORTED: usize = 1_024;

impl Session<'_> {
    /// Says whether it looked into the outbox.
    pub(super) fn send_outbox(&mut self, now: MonoNs) -> Result<bool, Stuck> {
        // Half a window at a time: one look at the store and one wake-up of the network task
        // for many records.
        if self.room(Reserve::Outbox) * 2 < self.link.window() && self.link.in_flight() > 1 {
            return Ok(false);
        }
        loop {
            let filled = self
                .departures
                .fill(&mut store::lock(&self.setup.store), now);
            self.stored(filled);
            let mut pass = Pass::default();
            let mut sent = 0;
            while self.room(Reserve::Outbox) > 0
                && self.bytes_in_flight < MOST_BYTES_IN_FLIGHT
                && let Some(record) = self
                    .departures
                    .next(&mut pass, |topic| self.retained_in_flight.contains(topic))
            {
                self.send_record(record, now)?;
                sent += 1;
            }
            // What is left waits for a verdict on what is in flight.
            if sent == 0 {
                return Ok(true);
            }
        }
    }

    fn send_record(&mut self, record: Pending, now: MonoNs) -> Result<(), Stuck> {
        let Pending {
            seq,
            topic,
            rev,
            payload,
        } = record;
        if let Some(rev) = rev {
            let newer_left = {
                let mut board = self.shared.lock();
                board.forget_states(&topic.job, rev);
                let live = board.sent_revs.get(&topic.job);
                live.is_some_and(|live| *live > rev)
            };
            if newer_left {
                // This one would take the newer one back.
                self.departures.superseded(seq, &topic, now);
                return Ok(());
            }
        }
        let bytes = payload.len();
        let message = self.record(&topic.job, topic.kind, payload);
        let fits = bytes <= MAX_PAYLOAD && self.link.fits(&message);
        let key = Key {
            seq,
            topic,
            rev,
            bytes,
        };
        if !fits {
            let reason = format!("{bytes} bytes are too large for the broker");
            self.park(&key, reason, now);
            return Ok(());
        }
        self.bytes_in_flight += bytes;
        self.publish(Flying::Record(key), message)
    }

    pub(super) fn verdict(&mut self, token: u64, verdict: Verdict) {
        let Some(flying) = self.flying.remove(&token) else {
            return;
        };
        if let Some(topic) = flying.retained_topic() {
            self.retained_in_flight.remove(&topic);
        }
        match (flying, verdict) {
            (Flying::Record(key), verdict) => self.record_verdict(key, verdict),
            (
                Flying::Announcement { topic, back: true },
                Verdict::Delivered | Verdict::NoSubscriber,
            ) => self.taken_back(&topic),
            (_, Verdict::Delivered | Verdict::NoSubscriber) => {}
            (flying, Verdict::Refused(reason) | Verdict::Later(reason)) => {
                let topic = match flying {
                    Flying::Answer(message) => message.topic,
                    Flying::Status | Flying::Goodbye => self.setup.topics.status(),
                    Flying::Info => self.setup.topics.info(),
                    Flying::Announcement { topic, .. } => topic,
                    Flying::Kept(topic) => topic,
                    Flying::Event(_) => self.setup.topics.events(),
                    Flying::State(state) => self.setup.topics.job(&state.job, RecordKind::State),
                    Flying::Tokens(job) => self.setup.topics.job(&job, RecordKind::Tokens),
                    Flying::Record(key) => self.setup.topics.job(&key.topic.job, key.topic.kind),
                };
                tracing::warn!(topic, reason, "the broker did not take a message");
            }
        }
    }

    /// Nobody has to take it back again, unless an attempt is measured, in which nothing is
    /// written: then the next start does.
    fn taken_back(&self, topic: &str) {
        {
            let mut board = self.shared.lock();
            if board.held
                || board
                    .announced
                    .get(topic)
                    .is_some_and(|said| !said.is_empty())
            {
                return;
            }
            board.announced.remove(topic);
        }
        let forgotten = store::lock(&self.setup.store).forget_discovery(topic);
        self.stored(forgotten);
    }

    fn record_verdict(&mut self, key: Key, verdict: Verdict) {
        self.bytes_in_flight -= key.bytes;
        let now = clock::now();
        match verdict {
            Verdict::Delivered => self.delivered(key, now),
            // The broker keeps a retained record for whoever subscribes later.
            Verdict::NoSubscriber if key.topic.kind.retained() => self.delivered(key, now),
            Verdict::NoSubscriber => self.departures.nobody_listens(key.seq, &key.topic, now),
            Verdict::Later(_) => self.departures.not_now(key.seq, &key.topic, now),
            Verdict::Refused(reason) => self.park(&key, reason.to_owned(), now),
        }
    }

    fn delivered(&mut self, key: Key, now: MonoNs) {
        if let Some(rev) = key.rev {
            let mut board = self.shared.lock();
            let live = board.sent_revs.get(&key.topic.job);
            if live.is_some_and(|live| *live < rev) {
                board.sent_revs.remove(&key.topic.job);
            }
        }
        self.departures.delivered(key.seq, &key.topic, now);
    }

    fn park(&mut self, key: &Key, reason: String, now: MonoNs) {
        let Topic { job, kind } = &key.topic;
        // Of a thousand records of one topic, one event is enough; `health` has the count.
        if !self.reported.contains(&key.topic) {
            if self.reported.len() >= MOST_REPORTED {
                self.reported.clear();
            }
            self.reported.insert(key.topic.clone());
            let topic = self.setup.topics.job(job, *kind);
            let message = format!("{topic}: {reason}; cmd/replay sends parked records again");
            self.event("record-parked", message, Some(job.clone().into()));
        }
        self.departures.parked(key.seq, &key.topic, reason, now);
    }

    /// Sends the states of all open jobs again, to a broker that has forgotten them.
    pub(super) fn renew_states(&mut self) {
        let now = Moment::now(&self.setup.identity.device);
        let renewed = store::lock(&self.setup.store).republish_open_states(&now);
        if self.stored(renewed).is_some() {
            self.shared.lock().states_due = false;
        }
        self.departures.look();
    }

    /// Marks what the broker has taken or refused, if it is time.
    pub(super) fn mark_what_is_due(&mut self, now: MonoNs) {
        if self.departures.marks_are_due(now) {
            self.mark(now);
        }
    }

    /// Marks what the broker has taken or refused.
    pub(super) fn mark(&mut self, now: MonoNs) {
        let marked = self
            .departures
            .mark(&mut store::lock(&self.setup.store), now);
        if self.stored(marked) == Some(true) {
            self.store_fails.set(false);
        }
    }

    /// A fault of the store must not end the connection: commands still need answers. It is
    /// logged once, since a full disk is met with each message.
    fn stored<T>(&self, result: Result<T, StoreError>) -> Option<T> {
        let told = |error: &StoreError| match self.store_fails.replace(true) {
            true => tracing::debug!(%error, "the outbox"),
            false => tracing::error!(%error, "the outbox"),
        };
        result.inspect_err(told).ok()
    }
}
