//! Records after the broker has taken them: sent again on request, at last removed.

use super::jobs::{COLUMNS, state_row};
use super::outbox::enqueue_state;
use super::raw::{self, Aged, RawFile};
use super::{Moment, StateRow, Store, StoreError};
use crate::workload::JobId;
use rusqlite::{Transaction, params};

/// What expiry removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    pub records: u64,
    /// Of these, records that no broker ever took.
    pub undelivered: u64,
    pub jobs: u64,
    pub raw_files: u64,
}

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
        self.change(|tx| {
            tx.execute("DELETE FROM temp.waiting WHERE job = ?1", [id.as_str()])?;
            let chosen = params![id.as_str(), attempt, from_seq.map(|seq| seq as i64)];
            let replayed = tx.execute(
                "UPDATE outbox AS o SET delivery = 'pending', reason = NULL, settled_s = NULL
                 WHERE job = ?1 AND (?2 IS NULL OR attempt = ?2)
                   AND (record_seq IS NULL OR ?3 IS NULL OR record_seq >= ?3)
                   AND (kind NOT IN ('state', 'result') OR seq = (
                       SELECT max(n.seq) FROM outbox n WHERE n.job = o.job AND n.kind = o.kind))",
                chosen,
            )?;
            Ok(replayed as u64)
        })
    }

    /// At start, and for a broker that has forgotten them: the newest state of every job that
    /// is not final waits again, since the state of record is here and not there.
    pub fn republish_open_states(&mut self, now: &Moment) -> Result<u32, StoreError> {
        self.change(|tx| {
            let sql = format!(
                "SELECT {COLUMNS} FROM job WHERE state IN ('queued', 'running') ORDER BY arrival"
            );
            let open: Vec<StateRow> = tx
                .prepare(&sql)?
                .query_map([], state_row)?
                .collect::<rusqlite::Result<_>>()?;
            for row in &open {
                let again = tx.execute(
                    "UPDATE outbox SET delivery = 'pending', settled_s = NULL WHERE seq =
                         (SELECT max(seq) FROM outbox WHERE job = ?1 AND kind = 'state')",
                    [row.id.as_str()],
                )?;
                // Its record may have expired while the job waited.
                if again == 0 {
                    enqueue_state(tx, row, now)?;
                }
            }
            Ok(open.len() as u32)
        })
    }

    /// Removes what is older than `keep_s`: records (also those that no broker took, counted)
    /// and ended jobs with their ids, and raw data. Then published records and raw data, the
    /// oldest first, until the payload of the outbox and the raw files hold at most
    /// `max_bytes`.
    ///
    /// Errors: where raw data can't be listed or removed, records have expired all the same.
    pub fn expire(
        &mut self,
        keep_s: i64,
        max_bytes: u64,
        unix_s: i64,
    ) -> Result<Expired, StoreError> {
        let raw = self.raw();
        let (files, unlisted) = match raw.files() {
            Ok(files) => (files, None),
            Err(source) => (Vec::new(), Some(raw.unusable(source))),
        };
        let before_s = unix_s.saturating_sub(keep_s);
        let (mut expired, gone) = self.change(|tx| expire(tx, before_s, max_bytes, files))?;
        let removed = raw.remove(&gone);
        if expired.records > 0 {
            let vacuumed = self.db.execute_batch("PRAGMA incremental_vacuum");
            self.named(vacuumed)?;
        }
        expired.raw_files = removed?;
        match unlisted {
            Some(error) => Err(error),
            None => Ok(expired),
        }
    }
}

/// Also returns the raw files that have to go once this is committed.
fn expire(
    tx: &Transaction<'_>,
    before_s: i64,
    max_bytes: u64,
    files: Vec<RawFile>,
) -> rusqlite::Result<(Expired, Vec<RawFile>)> {
    const ENDED: &str = "SELECT id FROM job WHERE state NOT IN ('queued', 'running')";
    // While their jobs are known.
    let (aged, kept): (Vec<Aged>, Vec<Aged>) = raw::by_age(tx, files)?
        .into_iter()
        .partition(|file| file.ended_s < before_s);
    let undelivered: i64 = tx.query_row(
        &format!(
            "SELECT count(*) FROM outbox
             WHERE created_s < ?1 AND delivery <> 'published' AND job IN ({ENDED})"
        ),
        [before_s],
        |row| row.get(0),
    )?;
    let old = tx.execute(
        &format!(
            "DELETE FROM outbox
             WHERE created_s < ?1 AND (delivery = 'published' OR job IN ({ENDED}))"
        ),
        [before_s],
    )?;
    let jobs = tx.execute(
        &format!(
            "DELETE FROM job WHERE id IN ({ENDED}) AND changed_s < ?1
               AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.job = job.id)"
        ),
        [before_s],
    )?;
    let mut gone: Vec<RawFile> = aged.into_iter().map(|aged| aged.file).collect();
    let mut over = 0;
    let raw_bytes = kept.iter().map(|aged| aged.file.bytes).sum();
    let held = payload_bytes(tx)?.saturating_add_unsigned(raw_bytes);
    let mut excess = held.saturating_sub_unsigned(max_bytes);
    for aged in kept {
        over += drop_published(tx, aged.ended_s, &mut excess)?;
        if excess <= 0 {
            break;
        }
        excess = excess.saturating_sub_unsigned(aged.file.bytes);
        gone.push(aged.file);
    }
    over += drop_published(tx, i64::MAX, &mut excess)?;
    let expired = Expired {
        records: (old + over) as u64,
        undelivered: undelivered as u64,
        jobs: jobs as u64,
        raw_files: 0,
    };
    Ok((expired, gone))
}

fn payload_bytes(tx: &Transaction<'_>) -> rusqlite::Result<i64> {
    let sum = "SELECT coalesce(sum(length(payload)), 0) FROM outbox";
    tx.query_row(sum, [], |row| row.get(0))
}

/// Removes published records made before `before_s`, the oldest first, until `excess` bytes
/// of payload are gone, and lowers it by what is.
fn drop_published(
    tx: &Transaction<'_>,
    before_s: i64,
    excess: &mut i64,
) -> rusqlite::Result<usize> {
    if *excess <= 0 {
        return Ok(0);
    }
    let mut delete = tx.prepare(
        "DELETE FROM outbox WHERE seq IN (
             SELECT seq FROM (
                 SELECT seq, sum(length(payload)) OVER (ORDER BY seq) - length(payload) AS freed
                 FROM outbox WHERE delivery = 'published' AND created_s < ?1)
             WHERE freed < ?2)
         RETURNING length(payload)",
    )?;
    let dropped: Vec<i64> = delete
        .query_map([before_s, *excess], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    *excess -= dropped.iter().sum::<i64>();
    Ok(dropped.len())
}

#[cfg(test)]
mod tests {
    use super::super::outbox::tests::*;
    use super::super::testing::*;
    use super::super::{RawDirectory, Store};
    use std::collections::HashSet;

    #[test]
    fn a_replay_sends_the_same_bytes_again() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 1);
        let before = store.pending(100, T0, &HashSet::new()).expect("readable");
        publish_all(&mut store);
        assert_eq!(kinds(&store, T0), Vec::<&str>::new());
        let count = store.replay(&id("a"), None, None).expect("writable");
        let after = store.pending(100, T0, &HashSet::new()).expect("readable");
        assert_eq!((count, &after), (5, &before));

        publish_all(&mut store);
        store.replay(&id("a"), Some(1), Some(2)).expect("writable");
        assert_eq!(kinds(&store, T0), ["tokens", "state", "result"]);
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
        let pending = store.pending(100, T0, &HashSet::new()).expect("readable");
        assert_eq!(pending.len(), 1);
        assert_eq!(pending[0].job, id("waits"));
    }

    #[test]
    fn expiry_takes_the_oldest_published_first_and_never_an_open_job() {
        let (_dir, mut store) = new_store();
        run(&mut store, "old", 10);
        publish_all(&mut store);
        store.submit(&job("waits"), 100, &at(10)).expect("writable");
        run(&mut store, "new", 1000);
        let expired = store.expire(100, u64::MAX, 1000).expect("writable");
        // `queued` and `running` of "old" were replaced before they left.
        assert_eq!(
            (expired.records, expired.jobs, expired.undelivered),
            (5, 1, 0)
        );
        assert!(store.state(&id("old")).expect("readable").is_none());
        assert!(store.state(&id("waits")).expect("readable").is_some());

        publish_all(&mut store);
        let expired = store.expire(100, 450, 1000).expect("writable");
        assert!(expired.records >= 2, "{expired:?}");
        store.replay(&id("new"), None, None).expect("writable");
        let left = kinds(&store, T0);
        assert_eq!(left.last(), Some(&"result"), "{left:?}");
    }

    #[test]
    fn records_that_nobody_took_expire_and_are_counted() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 10);
        let expired = store.expire(100, u64::MAX, 1000).expect("writable");
        assert_eq!(
            (expired.records, expired.undelivered, expired.jobs),
            (5, 5, 1)
        );
    }

    #[test]
    fn raw_data_goes_with_its_job_and_counts_into_what_is_held() {
        let (_dir, mut store) = new_store();
        let raw = store.raw();
        for (name, unix_s) in [("old", 10), ("middle", 900), ("new", 1000)] {
            run(&mut store, name, unix_s);
            raw.keep(&id(name), 1, |out| out.write_all(&[7; 1000]))
                .expect("writable");
        }
        publish_all(&mut store);
        let left = |raw: &RawDirectory| -> Vec<String> {
            let files = raw.files().expect("readable");
            files.iter().map(|file| file.id.to_string()).collect()
        };
        let expired = store.expire(500, u64::MAX, 1000).expect("writable");
        assert_eq!((expired.raw_files, expired.jobs), (1, 1));
        assert_eq!(left(&raw), ["middle", "new"]);

        // Of one moment, raw data goes before records: a result says more in less.
        let held = |store: &mut Store| store.change(payload).expect("readable") as u64;
        let records = held(&mut store);
        let expired = store.expire(500, records + 1000, 1000).expect("writable");
        assert_eq!((expired.raw_files, expired.records), (1, 0));
        assert_eq!(left(&raw), ["new"]);

        // Of two moments, the older one's records go before the younger one's raw data.
        let expired = store.expire(500, records / 2 + 1000, 1000);
        assert_eq!(expired.expect("writable").raw_files, 0);
        assert!(held(&mut store) <= records / 2);
        assert_eq!(left(&raw), ["new"]);
    }

    #[test]
    fn records_expire_also_where_raw_data_can_t_be_listed() {
        let (dir, mut store) = new_store();
        run(&mut store, "old", 10);
        run(&mut store, "new", 1000);
        publish_all(&mut store);
        std::fs::write(dir.path().join("raw"), "in the way").expect("writable");
        let error = store.expire(100, u64::MAX, 1000).expect_err("no directory");
        assert!(error.to_string().contains("raw"), "{error}");
        assert!(store.state(&id("old")).expect("readable").is_none());
        assert!(store.state(&id("new")).expect("readable").is_some());
        assert!(store.expire(100, 0, 1000).is_err());
        assert_eq!(store.change(payload).expect("readable"), 0);
    }

    fn payload(tx: &rusqlite::Transaction<'_>) -> rusqlite::Result<i64> {
        super::payload_bytes(tx)
    }
}
