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
use super::backoff::doubled;
use super::link::{Stuck, Verdict};
use super::session::{Flying, Key, Reserve, Session};
use crate::clock;
use crate::store::{self, Moment, Pending, RecordKind, StoreError};
use crate::units::MonoNs;
use std::collections::HashSet;

impl Session<'_> {
    pub(super) fn send_outbox(&mut self, now: MonoNs) -> Result<(), Stuck> {
        while self.look_at_outbox && self.room(Reserve::Outbox) > 0 {
            let batch = self.room(Reserve::Outbox);
            let pending = store::lock(&self.setup.store).pending(batch, now, &self.seqs);
            let pending = self.stored(pending).unwrap_or_default();
            if pending.is_empty() {
                self.look_at_outbox = false;
            }
            let mut sent = 0;
            // A job whose next record has to wait for a verdict waits as a whole, so that its
            // last state goes before its result.
            let mut waits = HashSet::new();
            for record in pending {
                if waits.contains(&record.job) {
                    continue;
                }
                if record.kind.retained() && self.topic_flies(&record.job, record.kind) {
                    waits.insert(record.job);
                    continue;
                }
                self.send_record(record)?;
                sent += 1;
            }
            // What is left waits for a verdict on what is in flight.
            if sent == 0 {
                break;
            }
        }
        Ok(())
    }

    fn send_record(&mut self, record: Pending) -> Result<(), Stuck> {
        let Pending {
            seq,
            job,
            kind,
            rev,
            payload,
        } = record;
        if let Some(rev) = rev {
            let newer_left = {
                let mut board = self.shared.lock();
                board.forget_states(&job, rev);
                board.sent_revs.get(&job).is_some_and(|live| *live > rev)
            };
            if newer_left {
                // This one would take the newer one back.
                self.seqs.insert(seq);
                self.acknowledged.push(seq);
                return Ok(());
            }
        }
        let size = payload.len();
        let message = self.record(&job, kind, payload);
        let key = Key {
            seq,
            job,
            kind,
            rev,
        };
        if size > MAX_PAYLOAD || !self.link.fits(&message) {
            self.park(&key, &format!("{size} bytes are too large for the broker"));
            return Ok(());
        }
        self.seqs.insert(seq);
        self.publish(Flying::Record(key), message)
    }

    pub(super) fn verdict(&mut self, token: u64, verdict: Verdict) {
        let Some(flying) = self.flying.remove(&token) else {
            return;
        };
        match (flying, verdict) {
            (Flying::Record(key), verdict) => self.record_verdict(key, verdict),
            (_, Verdict::Delivered | Verdict::NoSubscriber) => {}
            (flying, Verdict::Refused(reason) | Verdict::Later(reason)) => {
                let topic = match flying {
                    Flying::Answer(message) => message.topic,
                    Flying::Status | Flying::Goodbye => self.setup.topics.status(),
                    Flying::Info => self.setup.topics.info(),
                    Flying::Event(_) => self.setup.topics.events(),
                    Flying::State(state) => self.setup.topics.job(&state.job, RecordKind::State),
                    Flying::Tokens(job) => self.setup.topics.job(&job, RecordKind::Tokens),
                    Flying::Record(key) => self.setup.topics.job(&key.job, key.kind),
                };
                tracing::warn!(topic, reason, "the broker did not take a message");
            }
        }
    }

    fn record_verdict(&mut self, key: Key, verdict: Verdict) {
        match verdict {
            Verdict::Delivered => self.delivered(key),
            // The broker keeps a retained record for whoever subscribes later.
            Verdict::NoSubscriber if key.kind.retained() => self.delivered(key),
            Verdict::NoSubscriber | Verdict::Later(_) => {
                self.seqs.remove(&key.seq);
                let now = clock::now();
                let waits =
                    store::lock(&self.setup.store).retry_later(&key.job, key.kind, now, doubled);
                self.stored(waits);
            }
            Verdict::Refused(reason) => self.park(&key, reason),
        }
        self.look_at_outbox = true;
    }

    fn delivered(&mut self, key: Key) {
        if let Some(rev) = key.rev {
            let mut board = self.shared.lock();
            if board
                .sent_revs
                .get(&key.job)
                .is_some_and(|live| *live < rev)
            {
                board.sent_revs.remove(&key.job);
            }
        }
        self.acknowledged.push(key.seq);
    }

    fn park(&mut self, key: &Key, reason: &str) {
        let parked = store::lock(&self.setup.store).park(key.seq, reason, clock::unix_seconds());
        // Not marked, it would leave and be refused again at once: then not over this connection.
        match self.stored(parked) {
            Some(()) => self.seqs.remove(&key.seq),
            None => self.seqs.insert(key.seq),
        };
        // Of a thousand records of one topic, one event is enough; `health` has the count.
        if self.reported.insert((key.job.clone(), key.kind)) {
            let topic = self.setup.topics.job(&key.job, key.kind);
            let message = format!("{topic}: {reason}; cmd/replay sends parked records again");
            self.event("record-parked", message, Some(key.job.clone().into()));
        }
    }

    /// Sends the states of all open jobs again, to a broker that has forgotten them.
    pub(super) fn renew_states(&mut self) {
        let now = Moment::now(&self.setup.identity.device);
        let renewed = store::lock(&self.setup.store).republish_open_states(&now);
        self.states_due = self.stored(renewed).is_none();
        self.look_at_outbox = true;
    }

    /// Marks what the broker has taken.
    pub(super) fn acknowledged_now(&mut self) {
        let seqs = std::mem::take(&mut self.acknowledged);
        let marked = store::lock(&self.setup.store).mark_published(&seqs, clock::unix_seconds());
        if self.stored(marked).is_some() {
            for seq in &seqs {
                self.seqs.remove(seq);
                self.store_fails.set(false);
            }
        } else {
            self.acknowledged = seqs;
        }
    }

    pub(super) fn next_due(&self, now: MonoNs) -> Option<MonoNs> {
        let due = store::lock(&self.setup.store).next_due(now);
        self.stored(due).flatten()
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
