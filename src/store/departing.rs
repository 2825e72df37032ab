//! Reading the outbox in pieces of bounded size, so that a backlog of any length leaves in
//! constant memory, and no look at it keeps others from the store for long.

use super::jobs::unreadable;
use super::outbox::RecordKind;
use super::{Store, StoreError};
use crate::workload::JobId;
use rusqlite::{CachedStatement, OptionalExtension, Row, Rows, params};

/// One topic of the outbox: the records of a kind of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic {
    pub job: JobId,
    pub kind: RecordKind,
}

/// A record that waits for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its number in the outbox.
    pub seq: i64,
    pub topic: Topic,
    /// Of a state; see the module `store`.
    pub rev: Option<u64>,
    pub payload: Vec<u8>,
}

/// How much one look may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub records: usize,
    /// Of payload; the first record may be larger.
    pub bytes: usize,
    /// Rows that are looked at, wanted or not.
    pub rows: usize,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub records: Vec<Pending>,
    /// Rows that name no topic: a card changed them, and no record can be made of them.
    pub unreadable: Vec<i64>,
    /// The last row that was looked at.
    pub upto: i64,
    /// Whether the look ended before the outbox did.
    pub more: bool,
}

/// Records that may leave again, or that an earlier look left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The first of them in the outbox.
    pub from_seq: i64,
    pub jobs: Vec<JobId>,
}

impl Store {
    /// The records behind `after` that wait and are `wanted`, in their order.
    pub fn pending_after(
        &self,
        after: i64,
        piece: Piece,
        mut wanted: impl FnMut(i64, &Topic) -> bool,
    ) -> Result<Found, StoreError> {
        let found = (|| {
            let mut rows = self
                .db
                .prepare_cached("SELECT seq, job, kind FROM pending WHERE seq > ?1 ORDER BY seq")?;
            self.look(rows.query([after])?, after, piece, |seq, row| {
                let topic = topic(row)?;
                Ok(wanted(seq, &topic).then_some(topic))
            })
        })();
        self.named(found)
    }

    /// The records of one topic behind `after` and up to `last` that wait and are `wanted`.
    pub fn pending_of(
        &self,
        topic: &Topic,
        after: i64,
        last: i64,
        piece: Piece,
        wanted: impl Fn(i64) -> bool,
    ) -> Result<Found, StoreError> {
        let found = (|| {
            let mut rows = self.db.prepare_cached(
                "SELECT seq FROM outbox WHERE job = ?1 AND kind = ?2 AND seq > ?3 AND seq <= ?4
                   AND EXISTS (SELECT 1 FROM pending WHERE pending.seq = outbox.seq)
                 ORDER BY seq",
            )?;
            let topic_key = (topic.job.as_str(), topic.kind.as_str());
            let rows = rows.query(params![topic_key.0, topic_key.1, after, last])?;
            self.look(rows, after, piece, |seq, _| {
                Ok(wanted(seq).then(|| topic.clone()))
            })
        })();
        self.named(found)
    }

    /// Reads the records of those rows, `seq` first, that `choose` gives a topic.
    fn look(
        &self,
        mut rows: Rows<'_>,
        after: i64,
        piece: Piece,
        mut choose: impl FnMut(i64, &Row<'_>) -> rusqlite::Result<Option<Topic>>,
    ) -> rusqlite::Result<Found> {
        let mut payload = self
            .db
            .prepare_cached("SELECT rev, payload FROM outbox WHERE seq = ?1")?;
        let mut taken = Taken::new(after, piece);
        while taken.has_room() {
            let Some(row) = rows.next()? else {
                return Ok(taken.found(false));
            };
            let seq = row.get(0)?;
            match choose(seq, row) {
                Ok(Some(topic)) => {
                    if let Some(record) = read(&mut payload, seq, topic)? {
                        taken.take(record);
                    }
                }
                Ok(None) => {}
                Err(_) => taken.unreadable.push(seq),
            }
            taken.looked_at(seq);
        }
        Ok(taken.found(true))
    }

    /// What was renewed since the last call, for whoever is past it already.
    pub fn take_renewed(&mut self) -> Option<Renewed> {
        self.renewed.take()
    }

    /// Notes that records of `job` wait again.
    pub(super) fn renew(&mut self, job: JobId, from_seq: i64) {
        let renewed = self.renewed.get_or_insert(Renewed {
            from_seq,
            jobs: Vec::new(),
        });
        renewed.from_seq = renewed.from_seq.min(from_seq);
        if !renewed.jobs.contains(&job) {
            renewed.jobs.push(job);
        }
    }
}

/// What a look has taken so far.
struct Taken {
    left: Piece,
    records: Vec<Pending>,
    unreadable: Vec<i64>,
    upto: i64,
}

impl Taken {
    fn new(after: i64, piece: Piece) -> Self {
        Self {
            left: piece,
            records: Vec::new(),
            unreadable: Vec::new(),
            upto: after,
        }
    }

    fn has_room(&self) -> bool {
        let Piece {
            records,
            bytes,
            rows,
        } = self.left;
        records > 0 && bytes > 0 && rows > 0
    }

    fn take(&mut self, record: Pending) {
        self.left.records -= 1;
        self.left.bytes = self.left.bytes.saturating_sub(record.payload.len());
        self.records.push(record);
    }

    fn looked_at(&mut self, seq: i64) {
        self.left.rows -= 1;
        self.upto = seq;
    }

    fn found(self, more: bool) -> Found {
        Found {
            records: self.records,
            unreadable: self.unreadable,
            upto: self.upto,
            more,
        }
    }
}

/// Of a row `seq, job, kind`.
fn topic(row: &Row<'_>) -> rusqlite::Result<Topic> {
    let job: String = row.get(1)?;
    let kind = row.get_ref(2)?.as_str()?;
    Ok(Topic {
        kind: RecordKind::parse(kind)
            .ok_or_else(|| unreadable(2, format!("unknown record kind {kind:?}")))?,
        job: JobId::try_from(job).map_err(|error| unreadable(1, error))?,
    })
}

fn read(
    payload: &mut CachedStatement<'_>,
    seq: i64,
    topic: Topic,
) -> rusqlite::Result<Option<Pending>> {
    payload
        .query_row([seq], |row| {
            Ok(Pending {
                seq,
                topic,
                rev: row.get::<_, Option<i64>>(0)?.map(|rev| rev as u64),
                payload: row.get(1)?,
            })
        })
        .optional()
}

#[cfg(test)]
mod tests {
    use super::super::outbox::tests::{id, kinds, run};
    use super::super::testing::*;
    use super::*;

    const ALL: Piece = Piece {
        records: 100,
        bytes: 1 << 20,
        rows: 100,
    };

    fn seqs(found: &Found) -> Vec<i64> {
        found.records.iter().map(|record| record.seq).collect()
    }

    #[test]
    fn a_look_ends_with_its_records_bytes_or_rows_and_goes_on_from_there() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 1);
        let all = store.pending_after(0, ALL, |_, _| true).unwrap();
        assert_eq!((all.records.len(), all.more), (5, false));
        let all = seqs(&all);
        for piece in [
            Piece { records: 2, ..ALL },
            // Records of 100 bytes.
            Piece { bytes: 101, ..ALL },
            Piece { rows: 2, ..ALL },
        ] {
            let first = store.pending_after(0, piece, |_, _| true).unwrap();
            assert_eq!((seqs(&first), first.more), (all[..2].to_vec(), true));
            let rest = store.pending_after(first.upto, ALL, |_, _| true).unwrap();
            assert_eq!(seqs(&rest), all[2..]);
        }
    }

    #[test]
    fn what_is_not_wanted_is_passed_over() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 1);
        let found = store.pending_after(0, ALL, |_, topic| topic.kind.retained());
        let found = found.unwrap();
        assert_eq!(found.records.len(), 2);
        let piece = Piece { rows: 3, ..ALL };
        let tokens = store.pending_after(0, piece, |_, topic| topic.kind.retained());
        assert_eq!(tokens.unwrap().records, []);
    }

    #[test]
    fn a_topic_is_read_by_itself_within_bounds() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 1);
        run(&mut store, "b", 1);
        let topic = Topic {
            job: id("b"),
            kind: RecordKind::Tokens,
        };
        let of = |after, last| {
            let found = store.pending_of(&topic, after, last, ALL, |_| true);
            seqs(&found.unwrap())
        };
        let all = of(0, i64::MAX);
        assert_eq!(all.len(), 3);
        assert_eq!(of(all[0], i64::MAX), all[1..]);
        assert_eq!(of(0, all[1]), all[..2]);
    }

    #[test]
    fn what_was_renewed_is_told_once() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 1);
        run(&mut store, "b", 1);
        let first = store.waiting(100)[0].seq;
        let waiting = store.waiting(100);
        let seqs: Vec<i64> = waiting.iter().map(|record| record.seq).collect();
        store.mark_published(&seqs).unwrap();
        assert_eq!(kinds(&store), Vec::<&str>::new());
        store.replay(&id("b"), None, None).unwrap();
        store.replay(&id("a"), None, None).unwrap();
        let renewed = store.take_renewed().unwrap();
        assert_eq!(renewed.jobs, [id("b"), id("a")]);
        assert_eq!(renewed.from_seq, first);
        assert_eq!(store.take_renewed(), None);
        assert_eq!(kinds(&store).len(), 10);
    }
}
