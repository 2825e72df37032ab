//! The outbox: records that wait for the broker's acknowledgement, and those kept after it
//! for a replay.
//!
//! A record leaves in the order of its making, for each job and kind. Kinds of a job don't
//! wait for each other: token records that nobody listens to must not hold back the state.
//! How it leaves is in `departing`.

use super::{Moment, StateRow, Store, StoreError};
use crate::record::{Stamped, job::State};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// The records of a job, each a topic under `jobs/<id>/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    State,
    Tokens,
    Trace,
    Result,
}

impl RecordKind {
    pub const ALL: [Self; 4] = [Self::State, Self::Tokens, Self::Trace, Self::Result];

    /// The last level of the topic, and the name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Tokens => "tokens",
            Self::Trace => "trace",
            Self::Result => "result",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
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
            "DELETE FROM outbox WHERE job = ?1 AND kind = ?2
               AND EXISTS (SELECT 1 FROM pending WHERE pending.seq = outbox.seq)",
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
    tx.prepare_cached("INSERT INTO pending (seq, job, kind, bytes) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            tx.last_insert_rowid(),
            row.id.as_str(),
            kind.as_str(),
            payload.len() as i64
        ])?;
    Ok(())
}

impl Store {
    /// Marks records as acknowledged. A mark that a power cut loses costs a duplicate, which
    /// readers expect. It is synced all the same: if several commits at the end of the log could
    /// be torn, they could not be told from damage (the module `damage::wal`).
    pub fn mark_published(&mut self, seqs: &[i64]) -> Result<(), StoreError> {
        if seqs.is_empty() {
            return Ok(());
        }
        self.change(|tx| {
            let mut mark = tx.prepare_cached("DELETE FROM pending WHERE seq BETWEEN ?1 AND ?2")?;
            for (first, last) in runs(seqs) {
                mark.execute([first, last])?;
            }
            Ok(())
        })
    }

    /// Sets records aside that no broker will take as they are, with the reasons.
    pub fn park(&mut self, records: &[(i64, String)]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        self.change(|tx| {
            let mut take = tx.prepare_cached("DELETE FROM pending WHERE seq = ?1")?;
            let mut park = tx.prepare_cached(
                // Stores of before may have one that waits and is set aside.
                "INSERT OR REPLACE INTO parked (seq, reason) VALUES (?1, ?2)",
            )?;
            for (seq, reason) in records {
                if take.execute([seq])? > 0 {
                    park.execute(params![seq, reason])?;
                }
            }
            Ok(())
        })
    }

    /// How much waits. Counting a long outbox takes a while, so that it is only done when
    /// something changed since.
    pub fn backlog(&self) -> Result<Backlog, StoreError> {
        let changes = self.db.total_changes();
        if let Some((then, backlog)) = self.counted.get()
            && then == changes
        {
            return Ok(backlog);
        }
        let backlog = self.named(backlog(&self.db))?;
        self.counted.set(Some((changes, backlog)));
        Ok(backlog)
    }

    /// Whether a state of any job waits for the broker.
    pub fn has_waiting_states(&self) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pending WHERE kind = 'state')";
        let waits = self
            .db
            .prepare_cached(sql)
            .and_then(|mut waits| waits.query_row([], |row| row.get(0)));
        self.named(waits)
    }
}

/// Stretches of neighbours, first and last.
fn runs(seqs: &[i64]) -> Vec<(i64, i64)> {
    let mut seqs = seqs.to_vec();
    seqs.sort_unstable();
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for seq in seqs {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 >= seq => *last = seq,
            _ => runs.push((seq, seq)),
        }
    }
    runs
}

fn backlog(db: &Connection) -> rusqlite::Result<Backlog> {
    let count = |table: &str| -> rusqlite::Result<u64> {
        let sql = format!("SELECT count(*) FROM {table}");
        let count: i64 = db.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
        Ok(count as u64)
    };
    let oldest = db
        .prepare_cached("SELECT created_s FROM outbox WHERE seq = (SELECT min(seq) FROM pending)")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(Backlog {
        pending: count("pending")?,
        oldest_unix_s: oldest,
        parked: count("parked")?,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Finished;
    use super::super::testing::*;
    use super::*;
    use crate::workload::JobId;

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

    pub fn kinds(store: &Store) -> Vec<&'static str> {
        let pending = store.waiting(100);
        pending
            .into_iter()
            .map(|record| record.topic.kind.as_str())
            .collect()
    }

    pub fn publish_all(store: &mut Store) {
        let pending = store.waiting(100);
        let seqs: Vec<i64> = pending.iter().map(|record| record.seq).collect();
        store.mark_published(&seqs).expect("writable");
    }

    #[test]
    fn a_newer_state_replaces_one_that_still_waits() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 1);
        assert_eq!(
            kinds(&store),
            ["tokens", "tokens", "tokens", "state", "result"]
        );
        let pending = store.waiting(100);
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
        let first = store.waiting(2);
        store
            .mark_published(&[first[0].seq, first[1].seq])
            .expect("writable");
        drop(store);
        let store = Store::open(dir.path()).expect("opens again");
        assert_eq!(kinds(&store), ["tokens", "state", "result"]);
    }

    #[test]
    fn parked_records_are_counted_and_can_be_replayed() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 1);
        let seq = store.waiting(1)[0].seq;
        store
            .park(&[(seq, "not authorised".to_owned())])
            .expect("writable");
        let backlog = store.backlog().expect("readable");
        assert_eq!((backlog.pending, backlog.parked), (4, 1));
        assert_eq!(backlog.oldest_unix_s, Some(1));
        store.replay(&id("a"), None, None).expect("writable");
        assert_eq!(store.backlog().expect("readable").parked, 0);
    }
}
