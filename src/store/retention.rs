//! Records after the broker has taken them: sent again on request.

use super::jobs::{COLUMNS, state_row};
use super::outbox::enqueue_state;
use super::{Moment, StateRow, Store, StoreError};
use crate::workload::JobId;
use rusqlite::{OptionalExtension, Transaction, params};

impl Store {
    /// Lets kept records leave again as they were: of one attempt or all, and of those with
    /// a `seq` of their own, the ones from `from_seq` on. Of state and result the newest,
    /// since an older one would replace it on the broker. Returns how many wait now.
    pub fn replay(
        &mut self,
        id: &JobId,
        attempt: Option<u32>,
        from_seq: Option<u64>,
    ) -> Result<u64, StoreError> {
        let (records, first) = self.change(|tx| {
            let chosen = params![id.as_str(), attempt, from_seq.map(|seq| seq as i64)];
            let mut replay = tx.prepare(
                "INSERT OR REPLACE INTO pending (seq, job, kind, bytes)
                 SELECT seq, job, kind, length(payload) FROM outbox AS o
                 WHERE job = ?1 AND (?2 IS NULL OR attempt = ?2)
                   AND (record_seq IS NULL OR ?3 IS NULL OR record_seq >= ?3)
                   AND (kind NOT IN ('state', 'result') OR seq = (
                       SELECT max(n.seq) FROM outbox n WHERE n.job = o.job AND n.kind = o.kind))
                 RETURNING seq",
            )?;
            let mut records = 0;
            let mut first = i64::MAX;
            let mut seqs = replay.query(chosen)?;
            while let Some(row) = seqs.next()? {
                records += 1;
                first = first.min(row.get(0)?);
            }
            unpark_pending(tx)?;
            Ok((records, first))
        })?;
        if records > 0 {
            self.renew(id.clone(), first);
        }
        Ok(records)
    }

    /// At start, and for a broker that has forgotten them: the newest state of every job that
    /// is not final waits again, since the state of record is here and not there.
    pub fn republish_open_states(&mut self, now: &Moment) -> Result<u32, StoreError> {
        let (count, renewed) = self.change(|tx| {
            let sql = format!(
                "SELECT {COLUMNS} FROM job WHERE state IN ('queued', 'running') ORDER BY arrival"
            );
            let open: Vec<StateRow> = tx
                .prepare(&sql)?
                .query_map([], state_row)?
                .collect::<rusqlite::Result<_>>()?;
            let mut again = tx.prepare(
                "INSERT OR REPLACE INTO pending (seq, job, kind, bytes)
                 SELECT seq, job, kind, length(payload) FROM outbox WHERE seq =
                     (SELECT max(seq) FROM outbox WHERE job = ?1 AND kind = 'state')
                 RETURNING seq",
            )?;
            let mut renewed = Vec::new();
            for row in &open {
                let seq: Option<i64> = again
                    .query_row([row.id.as_str()], |row| row.get(0))
                    .optional()?;
                match seq {
                    Some(seq) => renewed.push((row.id.clone(), seq)),
                    // Its record may have expired while the job waited.
                    None => enqueue_state(tx, row, now)?,
                }
            }
            unpark_pending(tx)?;
            Ok((open.len() as u32, renewed))
        })?;
        for (job, seq) in renewed {
            self.renew(job, seq);
        }
        Ok(count)
    }
}

/// What waits again is no longer set aside.
fn unpark_pending(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute(
        "DELETE FROM parked WHERE EXISTS (SELECT 1 FROM pending p WHERE p.seq = parked.seq)",
        [],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::outbox::tests::*;
    use super::super::testing::*;

    #[test]
    fn a_replay_sends_the_same_bytes_again() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 1);
        let before = store.waiting(100);
        publish_all(&mut store);
        assert_eq!(kinds(&store), Vec::<&str>::new());
        let count = store.replay(&id("a"), None, None).expect("writable");
        let after = store.waiting(100);
        assert_eq!((count, &after), (5, &before));

        publish_all(&mut store);
        store.replay(&id("a"), Some(1), Some(2)).expect("writable");
        assert_eq!(kinds(&store), ["tokens", "state", "result"]);
        assert_eq!(store.replay(&id("a"), Some(2), None).expect("writable"), 0);
        assert_eq!(store.replay(&id("other"), None, None).expect("writable"), 0);
    }

    #[test]
    fn open_states_are_published_again_at_start() {
        let (_dir, mut store) = new_store();
        run(&mut store, "done", 1);
        store.submit(&job("waits"), 100, &at(1)).expect("writable");
        publish_all(&mut store);
        assert_eq!(store.republish_open_states(&at(9)).expect("writable"), 1);
        let pending = store.waiting(100);
        assert_eq!(pending.len(), 1);
        assert_eq!(pending[0].topic.job, id("waits"));
    }
    #[test]
    fn a_state_that_is_published_again_can_be_refused_again() {
        let (_dir, mut store) = new_store();
        store.submit(&job("waits"), 100, &at(1)).expect("writable");
        let refused = [(store.waiting(1)[0].seq, "not authorised".to_owned())];
        for _ in 0..2 {
            store.park(&refused).expect("writable");
            let backlog = store.backlog().expect("readable");
            assert_eq!((backlog.pending, backlog.parked), (0, 1));
            store.republish_open_states(&at(2)).expect("writable");
            let backlog = store.backlog().expect("readable");
            assert_eq!((backlog.pending, backlog.parked), (1, 0));
        }
    }
}
