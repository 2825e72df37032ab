//! What is too old, or too much, is removed, in pieces: a look at the store takes
//! milliseconds and its log stays short, however much has to go. In between others get at the
//! store.
//!
//! A board may have begun with a clock that was years late: what no broker has taken is only too
//! old where the caller knows that it is (`aged_upto`), whatever its time says.
//!
//! 1. Raw data of attempts that ended longer ago than it is kept, records that were made
//!    before that (of jobs that are open, published ones only), ended jobs with their ids.
//! 2. While the database and the raw data hold more than they may: what was published first,
//!    raw data before records of the same moment, since a result says more in less. What no
//!    broker has taken is never dropped for its size.
//! 3. Free pages beyond a reserve go back to the disk.

use super::raw::{self, Aged, RawFile};
use super::room::used_bytes;
use super::{Store, StoreError};
use rusqlite::{OptionalExtension, Transaction, params};
use std::collections::{HashSet, VecDeque};

/// Records that one piece removes at most, and their payload.
const RECORDS: usize = 1_000;
const BYTES: i64 = 4 << 20;
const JOBS: u32 = 200;
/// Pages that stay free for what comes next: moving others to give all back would wear the
/// card for nothing.
const FREE_PAGES: i64 = 1_024;
const PAGES_GIVEN_BACK: i64 = 256;

/// What expiry removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    pub records: u64,
    /// Of these, records that no broker ever took.
    pub undelivered: u64,
    pub jobs: u64,
    pub raw_files: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Raw,
    Records,
    Jobs,
    Size,
    Pages,
    Done,
}

/// One run of expiry, between its pieces.
#[derive(Debug)]
pub struct Expiry {
    now_s: i64,
    /// What was made before is too old.
    before_s: i64,
    max_bytes: u64,
    /// The newest of the records that are old enough by a clock that is never set.
    aged_upto: i64,
    stage: Stage,
    /// Raw data that is young enough, the oldest first.
    raw: VecDeque<Aged>,
    /// When and as what the last record was made that was looked at for its size.
    seen: (i64, i64),
    pub expired: Expired,
}

impl Expiry {
    /// Of what is older than `keep_s`, and more than `max_bytes`. Undelivered records after
    /// `aged_upto` stay.
    pub fn new(keep_s: i64, max_bytes: u64, unix_s: i64, aged_upto: i64) -> Self {
        Self {
            now_s: unix_s,
            before_s: unix_s.saturating_sub(keep_s),
            max_bytes,
            aged_upto,
            stage: Stage::Raw,
            raw: VecDeque::new(),
            seen: (i64::MIN, 0),
            expired: Expired::default(),
        }
    }

    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }
}

impl Store {
    /// The newest record that was ever made, published or not.
    pub fn newest_record(&self) -> Result<i64, StoreError> {
        let newest = self
            .db
            .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")
            .and_then(|mut newest| newest.query_row([], |row| row.get(0)).optional());
        Ok(self.named(newest)?.unwrap_or(0))
    }

    /// Removes the next piece.
    ///
    /// Errors: after one the next piece goes on with what can be removed all the same.
    pub fn expire(&mut self, expiry: &mut Expiry) -> Result<(), StoreError> {
        match expiry.stage {
            Stage::Raw => self.expire_raw(expiry),
            Stage::Records => {
                let (before_s, aged_upto) = (expiry.before_s, expiry.aged_upto);
                let gone = self.change(|tx| remove(tx, &too_old(tx, before_s, aged_upto)?));
                self.or_next(gone, expiry, Stage::Jobs)
            }
            Stage::Jobs => {
                let (before_s, now_s) = (expiry.before_s, expiry.now_s);
                let gone = self.change(|tx| forget_jobs(tx, before_s, now_s));
                let gone = gone.inspect_err(|_| expiry.stage = Stage::Size)?;
                expiry.expired.jobs += u64::from(gone);
                if gone < JOBS {
                    expiry.stage = Stage::Size;
                }
                Ok(())
            }
            Stage::Size => self.make_room(expiry),
            Stage::Pages => self.give_back(expiry),
            Stage::Done => Ok(()),
        }
    }

    /// While their jobs are known.
    fn expire_raw(&mut self, expiry: &mut Expiry) -> Result<(), StoreError> {
        expiry.stage = Stage::Records;
        let raw = self.raw();
        let files = raw.files().map_err(|source| raw.unusable(source))?;
        let (aged, announced) = self.change(|tx| {
            Ok((
                raw::by_age(tx, files)?,
                still_to_leave(tx, expiry.aged_upto)?,
            ))
        })?;
        let (old, young): (Vec<Aged>, Vec<Aged>) = aged.into_iter().partition(|aged| {
            aged.ended_s < expiry.before_s && !announced.contains(aged.file.id.as_str())
        });
        expiry.raw = young.into();
        let old: Vec<RawFile> = old.into_iter().map(|aged| aged.file).collect();
        expiry.expired.raw_files += raw.remove(&old)?;
        Ok(())
    }

    fn make_room(&mut self, expiry: &mut Expiry) -> Result<(), StoreError> {
        let next = Stage::Pages;
        let used = self.named(used_bytes(&self.db));
        let used = used.inspect_err(|_| expiry.stage = next)?;
        let raw: u64 = expiry.raw.iter().map(|aged| aged.file.bytes).sum();
        let excess = (used + raw).saturating_sub(expiry.max_bytes);
        if excess == 0 {
            expiry.stage = next;
            return Ok(());
        }
        // Raw data of this moment goes before records of this moment.
        let horizon_s = expiry.raw.front().map_or(i64::MAX, |aged| aged.ended_s);
        let seen = &mut expiry.seen;
        let before = *seen;
        let gone = self.change(|tx| {
            let oldest = published(tx, seen, horizon_s, excess as i64)?;
            remove(tx, &oldest)
        });
        let gone = gone.inspect_err(|_| expiry.stage = next)?;
        expiry.expired.records += gone.records;
        if expiry.seen != before {
            return Ok(());
        }
        match expiry.raw.pop_front() {
            Some(aged) => {
                expiry.expired.raw_files += self.raw().remove(&[aged.file])?;
            }
            None => expiry.stage = next,
        }
        Ok(())
    }

    fn give_back(&mut self, expiry: &mut Expiry) -> Result<(), StoreError> {
        let free = self
            .db
            .pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0));
        let free = self
            .named(free)
            .inspect_err(|_| expiry.stage = Stage::Done)?;
        let surplus = (free - FREE_PAGES).clamp(0, PAGES_GIVEN_BACK);
        if surplus == 0 {
            expiry.stage = Stage::Done;
            return Ok(());
        }
        let given = self
            .db
            .execute_batch(&format!("PRAGMA incremental_vacuum({surplus})"));
        self.named(given)
            .inspect_err(|_| expiry.stage = Stage::Done)
    }

    /// Counts what is gone; once nothing is, or on an error, the next stage follows.
    fn or_next(
        &self,
        gone: Result<Expired, StoreError>,
        expiry: &mut Expiry,
        next: Stage,
    ) -> Result<(), StoreError> {
        let gone = gone.inspect_err(|_| expiry.stage = next)?;
        if gone.records == 0 {
            expiry.stage = next;
        }
        expiry.expired.records += gone.records;
        expiry.expired.undelivered += gone.undelivered;
        Ok(())
    }
}

/// A record that may go.
struct Goes {
    seq: i64,
    undelivered: bool,
}

const ENDED: &str = "SELECT id FROM job WHERE state NOT IN ('queued', 'running')";
const UNDELIVERED: &str = "(EXISTS (SELECT 1 FROM pending p WHERE p.seq = o.seq)
                        OR EXISTS (SELECT 1 FROM parked q WHERE q.seq = o.seq))";

/// Jobs with records after `aged_upto` that no broker has taken.
fn still_to_leave(tx: &Transaction<'_>, aged_upto: i64) -> rusqlite::Result<HashSet<String>> {
    tx.prepare(
        "SELECT job FROM pending WHERE seq > ?1
         UNION SELECT job FROM parked JOIN outbox USING (seq) WHERE seq > ?1",
    )?
    .query_map([aged_upto], |row| row.get(0))?
    .collect()
}

/// Records made before `before_s`, the first of them.
fn too_old(tx: &Transaction<'_>, before_s: i64, aged_upto: i64) -> rusqlite::Result<Vec<Goes>> {
    let sql = format!(
        "SELECT seq, length(payload), {UNDELIVERED} AS waits FROM outbox o
         WHERE created_s < ?1 AND (NOT waits OR seq <= ?2 AND job IN ({ENDED}))
         ORDER BY created_s"
    );
    let mut rows = tx.prepare_cached(&sql)?;
    let mut rows = rows.query([before_s, aged_upto])?;
    let mut go = Vec::new();
    let mut bytes = 0;
    while go.len() < RECORDS
        && bytes < BYTES
        && let Some(row) = rows.next()?
    {
        bytes += row.get::<_, i64>(1)?;
        go.push(Goes {
            seq: row.get(0)?,
            undelivered: row.get(2)?,
        });
    }
    Ok(go)
}

/// The oldest published records behind `seen` that were made before `horizon_s`, of about
/// `excess` bytes.
fn published(
    tx: &Transaction<'_>,
    seen: &mut (i64, i64),
    horizon_s: i64,
    excess: i64,
) -> rusqlite::Result<Vec<Goes>> {
    let sql = format!(
        "SELECT created_s, seq, length(payload), {UNDELIVERED} FROM outbox o
         WHERE created_s < ?1 AND (created_s, seq) > (?2, ?3) ORDER BY created_s, seq"
    );
    let mut rows = tx.prepare_cached(&sql)?;
    let mut rows = rows.query(params![horizon_s, seen.0, seen.1])?;
    let mut go = Vec::new();
    let mut bytes = 0;
    for _ in 0..RECORDS {
        if bytes >= BYTES.min(excess) {
            break;
        }
        let Some(row) = rows.next()? else { break };
        *seen = (row.get(0)?, row.get(1)?);
        let undelivered: bool = row.get(3)?;
        if !undelivered {
            bytes += row.get::<_, i64>(2)?;
            go.push(Goes {
                seq: seen.1,
                undelivered,
            });
        }
    }
    Ok(go)
}

fn remove(tx: &Transaction<'_>, records: &[Goes]) -> rusqlite::Result<Expired> {
    let mut delete = tx.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?;
    let mut gone = Expired::default();
    for record in records {
        gone.records += delete.execute([record.seq])? as u64;
        gone.undelivered += u64::from(record.undelivered);
    }
    Ok(gone)
}

/// Until when a job's signature is good: the digits before its dot. A damaged job has none.
const NOT_AFTER: &str = "CASE WHEN json_valid(spec)
    THEN CAST(json_extract(spec, '$.signature') AS INTEGER) END";

/// Forgets ended jobs of which nothing is left. While its signature is good, a job that was
/// forgotten could be sent again by anyone, and would run.
fn forget_jobs(tx: &Transaction<'_>, before_s: i64, now_s: i64) -> rusqlite::Result<u32> {
    let sql = format!(
        "DELETE FROM job WHERE id IN (
             SELECT id FROM job WHERE id IN ({ENDED}) AND changed_s < ?1
               AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.job = job.id)
               AND coalesce({NOT_AFTER}, 0) < ?2 LIMIT {JOBS})"
    );
    Ok(tx.prepare_cached(&sql)?.execute([before_s, now_s])? as u32)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::RawDirectory;
    use super::super::outbox::tests::*;
    use super::super::testing::*;
    use super::super::{Finished, Outgoing};
    use super::*;

    const NO_LIMIT: u64 = u64::MAX;

    pub fn expire(store: &mut Store, keep_s: i64, max_bytes: u64, unix_s: i64) -> Expired {
        finish(store, Expiry::new(keep_s, max_bytes, unix_s, i64::MAX))
    }

    fn finish(store: &mut Store, mut expiry: Expiry) -> Expired {
        while !expiry.is_done() {
            store.expire(&mut expiry).unwrap();
        }
        expiry.expired
    }

    /// A job that left 20 token records of 20,000 bytes and a result.
    fn run_large(store: &mut Store, name: &str, unix_s: i64) {
        store.submit(&job(name), 100, &at(unix_s)).unwrap();
        let begun = store.begin_attempt(&id(name), &at(unix_s)).unwrap();
        let mut records: Vec<Outgoing> = (0..20)
            .map(|seq| Outgoing::tokens(seq, vec![seq as u8; 20_000]))
            .collect();
        records.push(Outgoing::result(vec![9; 100]));
        let attempt = begun.unwrap().attempt;
        let how = Finished::Succeeded;
        let done = store.finish_attempt(&id(name), attempt, how, None, &records, &at(unix_s));
        done.unwrap().unwrap();
    }

    fn held(store: &Store) -> u64 {
        used_bytes(&store.db).unwrap()
    }

    #[test]
    fn expiry_takes_the_oldest_published_first_and_never_an_open_job() {
        let (_dir, mut store) = new_store();
        run_large(&mut store, "old", 10);
        publish_all(&mut store);
        store.submit(&job("waits"), 100, &at(10)).unwrap();
        run_large(&mut store, "new", 1000);
        let expired = expire(&mut store, 100, NO_LIMIT, 1000);
        // `queued` and `running` of "old" were replaced before they left.
        assert_eq!(
            (expired.records, expired.jobs, expired.undelivered),
            (22, 1, 0)
        );
        assert!(store.state(&id("old")).unwrap().is_none());
        assert!(store.state(&id("waits")).unwrap().is_some());

        publish_all(&mut store);
        let max = held(&store) - 100_000;
        let expired = expire(&mut store, 100, max, 1000);
        assert!((5..10).contains(&expired.records), "{expired:?}");
        assert!(held(&store) <= max);
        store.replay(&id("new"), None, None).unwrap();
        let left = kinds(&store);
        assert_eq!(left.last(), Some(&"result"), "{left:?}");
    }

    /// Signed for longer than `storage.keep` has become meanwhile.
    #[test]
    fn a_signed_job_is_known_until_its_signature_is_good_no_more() {
        let (_dir, mut store) = new_store();
        for (name, signature) in [("signed", "2000.AA"), ("expired", "999.AA")] {
            let job = job_with(name, |job| job["signature"] = signature.into());
            store.submit(&job, 100, &at(10)).unwrap();
            store.cancel(&id(name), &at(10)).unwrap();
        }
        publish_all(&mut store);
        assert_eq!(expire(&mut store, 100, NO_LIMIT, 1000).jobs, 1);
        assert!(store.state(&id("expired")).unwrap().is_none());
        assert_eq!(expire(&mut store, 100, NO_LIMIT, 2000).jobs, 0);
        assert!(store.state(&id("signed")).unwrap().is_some());
        store.db.execute("UPDATE job SET spec = '{'", []).unwrap();
        assert_eq!(expire(&mut store, 100, NO_LIMIT, 2000).jobs, 1);
    }

    #[test]
    fn records_that_nobody_took_expire_by_age_and_are_counted() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 10);
        let seq = store.waiting(1)[0].seq;
        store.park(&[(seq, "not authorised".to_owned())]).unwrap();
        let expired = expire(&mut store, 100, NO_LIMIT, 1000);
        assert_eq!(
            (expired.records, expired.undelivered, expired.jobs),
            (5, 5, 1)
        );
        assert_eq!(store.backlog().unwrap(), Default::default());
    }

    #[test]
    fn a_clock_that_jumps_drops_nothing_that_was_made_since() {
        let (_dir, mut store) = new_store();
        let raw = store.raw();
        run(&mut store, "before", 10);
        let aged_upto = store.newest_record().unwrap();
        run(&mut store, "since", 10);
        for name in ["before", "since"] {
            raw.keep(&id(name), 1, |out| out.write_all(&[7; 100]))
                .unwrap();
        }
        let refused = store.waiting(100).pop().unwrap();
        store
            .park(&[(refused.seq, "not authorised".to_owned())])
            .unwrap();
        const LATER: i64 = 1_700_000_000;
        let expired = finish(&mut store, Expiry::new(100, NO_LIMIT, LATER, aged_upto));
        let (records, undelivered) = (expired.records, expired.undelivered);
        assert_eq!((records, undelivered, expired.jobs), (5, 5, 1));
        assert_eq!(expired.raw_files, 1);
        assert_eq!(kinds(&store).len(), 4);
        assert!(store.state(&id("since")).unwrap().is_some());
        // Once that is old too, it goes.
        let aged_upto = store.newest_record().unwrap();
        let expired = finish(&mut store, Expiry::new(100, NO_LIMIT, LATER, aged_upto));
        assert_eq!(
            (expired.records, expired.jobs, expired.raw_files),
            (5, 1, 1)
        );
    }

    #[test]
    fn records_that_nobody_took_are_not_dropped_for_their_size() {
        let (_dir, mut store) = new_store();
        run_large(&mut store, "a", 10);
        assert!(!store.is_full(500_000).unwrap());
        run_large(&mut store, "b", 10);
        assert!(store.is_full(500_000).unwrap());
        assert_eq!(expire(&mut store, 100, 500_000, 50), Expired::default());
        // Once they are published there is something to drop.
        publish_all(&mut store);
        assert!(!store.is_full(500_000).unwrap());
        assert!(expire(&mut store, 100, 500_000, 50).records > 10);
        assert!(held(&store) <= 500_000);
    }

    #[test]
    fn much_goes_in_pieces_and_its_pages_go_back_to_the_disk() {
        let (_dir, mut store) = new_store();
        for n in 0..30 {
            run_large(&mut store, &format!("job-{n}"), 10);
            publish_all(&mut store);
        }
        let size = |store: &Store| std::fs::metadata(&store.path).unwrap().len();
        let checkpoint = |store: &Store| {
            let done = store.db.query_row("PRAGMA wal_checkpoint", [], |_| Ok(()));
            done.unwrap();
        };
        checkpoint(&store);
        let before = size(&store);
        let mut expiry = Expiry::new(100, NO_LIMIT, 1000, i64::MAX);
        let mut most = 0;
        while !expiry.is_done() {
            let records = expiry.expired.records;
            store.expire(&mut expiry).unwrap();
            most = most.max(expiry.expired.records - records);
        }
        assert_eq!((expiry.expired.records, expiry.expired.jobs), (660, 30));
        // 4 MiB of 20,000 bytes each.
        assert!(most <= 230, "{most}");
        checkpoint(&store);
        assert!(before > 12_000_000 && size(&store) < 6_000_000);
    }

    #[test]
    fn raw_data_goes_with_its_job_and_counts_into_what_is_held() {
        let (_dir, mut store) = new_store();
        let raw = store.raw();
        const RAW: u64 = 400_000;
        for (name, unix_s) in [("old", 10), ("middle", 900), ("new", 1000)] {
            run_large(&mut store, name, unix_s);
            raw.keep(&id(name), 1, |out| out.write_all(&[7; RAW as usize]))
                .unwrap();
        }
        publish_all(&mut store);
        let left = |raw: &RawDirectory| -> Vec<String> {
            let files = raw.files().unwrap();
            files.iter().map(|file| file.id.to_string()).collect()
        };
        let expired = expire(&mut store, 500, NO_LIMIT, 1000);
        assert_eq!((expired.raw_files, expired.jobs), (1, 1));
        assert_eq!(left(&raw), ["middle", "new"]);

        // Of one moment, raw data goes before records.
        let max = held(&store) + RAW;
        let expired = expire(&mut store, 500, max, 1000);
        assert_eq!((expired.raw_files, expired.records), (1, 0));
        assert_eq!(left(&raw), ["new"]);

        // Of two moments, the older one's records go before the younger one's raw data.
        let max = held(&store) + RAW - 300_000;
        let expired = expire(&mut store, 500, max, 1000);
        assert_eq!(expired.raw_files, 0);
        assert!(held(&store) + RAW <= max);
        assert_eq!(left(&raw), ["new"]);
    }

    #[test]
    fn records_expire_also_where_raw_data_can_t_be_listed() {
        let (dir, mut store) = new_store();
        run(&mut store, "old", 10);
        run(&mut store, "new", 1000);
        publish_all(&mut store);
        std::fs::write(dir.path().join("raw"), "in the way").unwrap();
        let mut expiry = Expiry::new(100, 0, 1000, i64::MAX);
        let error = store.expire(&mut expiry).unwrap_err();
        assert!(error.to_string().contains("raw"), "{error}");
        while !expiry.is_done() {
            store.expire(&mut expiry).unwrap();
        }
        assert!(store.state(&id("old")).unwrap().is_none());
        assert!(store.state(&id("new")).unwrap().is_some());
        assert_eq!(store.replay(&id("new"), None, None).unwrap(), 0);
    }
}
