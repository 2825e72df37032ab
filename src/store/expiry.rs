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
pub(super) mod tests;
