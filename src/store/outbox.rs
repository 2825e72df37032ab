//! The outbox: records that wait for the broker's acknowledgement, and those kept after it
//! for a replay.
//!
//! A record leaves in the order of its making, for each job and kind. Kinds of a job don't
//! wait for each other: token records that nobody listens to must not hold back the state.

use super::{Moment, StateRow, Store, StoreError};
use crate::record::{Stamped, job::State};
use crate::units::{MonoNs, Span};
use crate::workload::JobId;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::HashSet;

/// The records of a job, each a topic under `jobs/<id>/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    State,
    Tokens,
    Trace,
    Result,
}

impl RecordKind {
    const ALL: [Self; 4] = [Self::State, Self::Tokens, Self::Trace, Self::Result];

    /// The last level of the topic, and the name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Tokens => "tokens",
            Self::Trace => "trace",
            Self::Result => "result",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether the broker keeps the newest for later subscribers.
    pub fn retained(self) -> bool {
        matches!(self, Self::State | Self::Result)
    }

    /// Seconds after which the broker forgets the record.
    pub fn expiry_s(self) -> Option<u32> {
        const DAY: u32 = 86_400;
        match self {
            Self::State => Some(DAY),
            Self::Result => Some(7 * DAY),
            Self::Tokens | Self::Trace => None,
        }
    }
}

/// A record of an attempt on its way into the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub kind: RecordKind,
    /// The record's own `seq`, for a replay from there on.
    pub seq: Option<u64>,
    pub payload: Vec<u8>,
}

impl Outgoing {
    pub fn tokens(seq: u64, payload: Vec<u8>) -> Self {
        Self {
            kind: RecordKind::Tokens,
            seq: Some(seq),
            payload,
        }
    }

    pub fn trace(seq: u64, payload: Vec<u8>) -> Self {
        Self {
            kind: RecordKind::Trace,
            seq: Some(seq),
            payload,
        }
    }

    pub fn result(payload: Vec<u8>) -> Self {
        Self {
            kind: RecordKind::Result,
            seq: None,
            payload,
        }
    }
}

/// A record that waits for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its number in the outbox.
    pub seq: i64,
    pub job: JobId,
    pub kind: RecordKind,
    /// Of a state; see the module `store`.
    pub rev: Option<u64>,
    pub payload: Vec<u8>,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    pub pending: u64,
    /// When the oldest of them was made, seconds of the Unix epoch.
    pub oldest_unix_s: Option<i64>,
    pub parked: u64,
}

/// Puts the state of `row` into the outbox. An older state that still waits is dropped: the
/// topic is retained, only the newest matters.
pub(super) fn enqueue_state(
    tx: &Transaction<'_>,
    row: &StateRow,
    now: &Moment,
) -> rusqlite::Result<()> {
    let record = Stamped {
        stamp: now.stamp.clone(),
        body: State {
            id: row.id.as_str().to_owned(),
            attempt: row.attempt,
            rev: row.rev,
            state: row.state,
            phase: None,
            progress: None,
            reason: row.reason.clone(),
        },
    };
    insert(tx, row, RecordKind::State, None, &record.to_json(), now)
}

pub(super) fn enqueue(
    tx: &Transaction<'_>,
    row: &StateRow,
    record: &Outgoing,
    now: &Moment,
) -> rusqlite::Result<()> {
    insert(tx, row, record.kind, record.seq, &record.payload, now)
}

fn insert(
    tx: &Transaction<'_>,
    row: &StateRow,
    kind: RecordKind,
    seq: Option<u64>,
    payload: &[u8],
    now: &Moment,
) -> rusqlite::Result<()> {
    if kind.retained() {
        tx.prepare_cached(
            "DELETE FROM outbox WHERE job = ?1 AND kind = ?2 AND delivery = 'pending'",
        )?
        .execute([row.id.as_str(), kind.as_str()])?;
    }
    let rev = (kind == RecordKind::State).then_some(row.rev as i64);
    tx.prepare_cached(
        "INSERT INTO outbox (job, attempt, kind, record_seq, rev, payload, created_s)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        row.id.as_str(),
        row.attempt,
        kind.as_str(),
        seq.map(|seq| seq as i64),
        rev,
        payload,
        now.unix_s
    ])?;
    Ok(())
}

fn pending_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Pending> {
    let job: String = row.get(1)?;
    let kind: String = row.get(2)?;
    Ok(Pending {
        seq: row.get(0)?,
        job: JobId::try_from(job).map_err(|error| super::jobs::unreadable(1, error))?,
        kind: RecordKind::parse(&kind)
            .ok_or_else(|| super::jobs::unreadable(2, format!("unknown record kind {kind:?}")))?,
        rev: row.get::<_, Option<i64>>(3)?.map(|rev| rev as u64),
        payload: row.get(4)?,
    })
}

impl Store {
    /// The first `limit` records that may leave at `now`, in their order, but those that are
    /// `flying` already.
    pub fn pending(
        &self,
        limit: usize,
        now: MonoNs,
        flying: &HashSet<i64>,
    ) -> Result<Vec<Pending>, StoreError> {
        let rows = (|| {
            let mut query = self.db.prepare_cached(
                "SELECT seq, job, kind, rev, payload FROM outbox o
                 WHERE delivery = 'pending' AND NOT EXISTS (
                     SELECT 1 FROM temp.waiting w
                     WHERE w.job = o.job AND w.kind = o.kind AND w.until_ns > ?1)
                 ORDER BY seq",
            )?;
            let mut rows = query.query([now.0 as i64])?;
            let mut pending = Vec::new();
            // The payload of a row that is left out here is never read from the disk.
            while pending.len() < limit
                && let Some(row) = rows.next()?
            {
                if !flying.contains(&row.get(0)?) {
                    pending.push(pending_row(row)?);
                }
            }
            Ok(pending)
        })();
        self.named(rows)
    }

    /// Marks records as acknowledged. This commit is not synced to the disk: a mark that a
    /// power cut loses costs a duplicate, which readers expect, and an SD card one write less.
    pub fn mark_published(&mut self, seqs: &[i64], unix_s: i64) -> Result<(), StoreError> {
        if seqs.is_empty() {
            return Ok(());
        }
        let lazily = self.db.pragma_update(None, "synchronous", "NORMAL");
        self.named(lazily)?;
        let marked = self.change(|tx| {
            let mut mark = tx.prepare_cached(
                "UPDATE outbox SET delivery = 'published', settled_s = ?2
                 WHERE seq = ?1 AND delivery = 'pending'",
            )?;
            let mut due = tx.prepare_cached(
                "DELETE FROM temp.waiting WHERE (job, kind) =
                     (SELECT job, kind FROM outbox WHERE seq = ?1)",
            )?;
            for seq in seqs {
                mark.execute(params![seq, unix_s])?;
                due.execute([seq])?;
            }
            Ok(())
        });
        let safely = self.db.pragma_update(None, "synchronous", "FULL");
        self.named(safely)?;
        marked
    }

    /// Lets the records of `kind` of `job` wait. `delay` gets the number of tries before.
    pub fn retry_later(
        &mut self,
        job: &JobId,
        kind: RecordKind,
        now: MonoNs,
        delay: impl FnOnce(u32) -> Span,
    ) -> Result<(), StoreError> {
        let key = [job.as_str(), kind.as_str()];
        self.change(|tx| {
            let waits: Option<(u32, i64)> = tx
                .query_row(
                    "SELECT tries, until_ns FROM temp.waiting WHERE job = ?1 AND kind = ?2",
                    key,
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            // Several records that were under way together are one try.
            if waits.is_some_and(|(_, until)| until > now.0 as i64) {
                return Ok(());
            }
            let tries = waits.map_or(0, |(tries, _)| tries);
            tx.execute(
                "INSERT OR REPLACE INTO temp.waiting (job, kind, tries, until_ns)
                 VALUES (?1, ?2, ?3, ?4)",
                params![key[0], key[1], tries + 1, (now + delay(tries)).0 as i64],
            )?;
            Ok(())
        })
    }

    /// When the next waiting records become due after `now`.
    pub fn next_due(&self, now: MonoNs) -> Result<Option<MonoNs>, StoreError> {
        let due: rusqlite::Result<Option<i64>> = self.db.query_row(
            "SELECT min(until_ns) FROM temp.waiting WHERE until_ns > ?1",
            [now.0 as i64],
            |row| row.get(0),
        );
        Ok(self.named(due)?.map(|ns| MonoNs(ns as u64)))
    }

    /// Makes every record due, for a new connection.
    pub fn retry_now(&mut self) -> Result<(), StoreError> {
        let cleared = self.db.execute("DELETE FROM temp.waiting", []);
        self.named(cleared).map(|_| ())
    }

    /// Sets a record aside that no broker will take as it is.
    pub fn park(&mut self, seq: i64, reason: &str, unix_s: i64) -> Result<(), StoreError> {
        self.change(|tx| {
            tx.execute(
                "UPDATE outbox SET delivery = 'parked', reason = ?2, settled_s = ?3
                 WHERE seq = ?1 AND delivery = 'pending'",
                params![seq, reason, unix_s],
            )?;
            Ok(())
        })
    }

    pub fn backlog(&self) -> Result<Backlog, StoreError> {
        self.named(backlog(&self.db))
    }
}

fn backlog(db: &Connection) -> rusqlite::Result<Backlog> {
    db.query_row(
        "SELECT count(*) FILTER (WHERE delivery = 'pending'),
                min(created_s) FILTER (WHERE delivery = 'pending'),
                count(*) FILTER (WHERE delivery = 'parked')
         FROM outbox",
        [],
        |row| {
            Ok(Backlog {
                pending: row.get::<_, i64>(0)? as u64,
                oldest_unix_s: row.get(1)?,
                parked: row.get::<_, i64>(2)? as u64,
            })
        },
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Finished;
    use super::super::testing::*;
    use super::*;

    pub const T0: MonoNs = MonoNs(0);

    pub fn id(name: &str) -> JobId {
        name.parse().expect("a valid id")
    }

    /// A job that succeeded with three token records and a result.
    pub fn run(store: &mut Store, name: &str, unix_s: i64) {
        store
            .submit(&job(name), 100, &at(unix_s))
            .expect("writable");
        let begun = store
            .begin_attempt(&id(name), &at(unix_s))
            .expect("writable")
            .expect("it waits");
        let mut records: Vec<Outgoing> = (0..3)
            .map(|seq| Outgoing::tokens(seq, vec![seq as u8; 100]))
            .collect();
        records.push(Outgoing::result(vec![9; 100]));
        store
            .finish_attempt(
                &id(name),
                begun.attempt,
                Finished::Succeeded,
                None,
                &records,
                &at(unix_s),
            )
            .expect("writable")
            .expect("it ran");
    }

    pub fn kinds(store: &Store, now: MonoNs) -> Vec<&'static str> {
        let pending = store.pending(100, now, &HashSet::new()).expect("readable");
        pending
            .into_iter()
            .map(|record| record.kind.as_str())
            .collect()
    }

    pub fn publish_all(store: &mut Store) {
        let pending = store.pending(100, T0, &HashSet::new()).expect("readable");
        let seqs: Vec<i64> = pending.iter().map(|record| record.seq).collect();
        store.mark_published(&seqs, 5).expect("writable");
    }

    #[test]
    fn a_newer_state_replaces_one_that_still_waits() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 1);
        assert_eq!(
            kinds(&store, T0),
            ["tokens", "tokens", "tokens", "state", "result"]
        );
        let pending = store.pending(100, T0, &HashSet::new()).expect("readable");
        let state: serde_json::Value =
            serde_json::from_slice(&pending[3].payload).expect("a state record");
        assert_eq!(state["state"], "succeeded");
        assert_eq!(state["device"], "bench");
        assert_eq!(state["rev"].as_u64(), pending[3].rev);
    }

    #[test]
    fn what_was_published_stays_published_after_a_restart() {
        let (dir, mut store) = new_store();
        run(&mut store, "a", 1);
        let first = store.pending(2, T0, &HashSet::new()).expect("readable");
        store
            .mark_published(&[first[0].seq, first[1].seq], 5)
            .expect("writable");
        drop(store);
        let store = Store::open(dir.path()).expect("opens again");
        assert_eq!(kinds(&store, T0), ["tokens", "state", "result"]);
    }

    #[test]
    fn a_topic_that_waits_does_not_hold_back_another() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 1);
        let second = Span::from_millis(1000);
        let mut later = |now, expect| {
            store
                .retry_later(&id("a"), RecordKind::Tokens, now, |tries| {
                    assert_eq!(tries, expect);
                    second
                })
                .expect("writable");
        };
        later(T0, 0);
        // Records that were under way together are one try.
        later(T0, 99);
        assert_eq!(kinds(&store, T0), ["state", "result"]);
        assert_eq!(store.next_due(T0).expect("readable"), Some(T0 + second));
        let due = T0 + second;
        assert_eq!(kinds(&store, due).len(), 5);
        store
            .retry_later(&id("a"), RecordKind::Tokens, due, |tries| {
                assert_eq!(tries, 1);
                second
            })
            .expect("writable");
        assert_eq!(kinds(&store, due).len(), 2);
        store.retry_now().expect("writable");
        assert_eq!(kinds(&store, due).len(), 5);
    }

    #[test]
    fn parked_records_are_counted_and_can_be_replayed() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 1);
        let seq = store.pending(1, T0, &HashSet::new()).expect("readable")[0].seq;
        store.park(seq, "not authorised", 5).expect("writable");
        let backlog = store.backlog().expect("readable");
        assert_eq!((backlog.pending, backlog.parked), (4, 1));
        assert_eq!(backlog.oldest_unix_s, Some(1));
        store.replay(&id("a"), None, None).expect("writable");
        assert_eq!(store.backlog().expect("readable").parked, 0);
    }
}
