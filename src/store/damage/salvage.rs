//! Takes over from a damaged store what can still be read, row by row: jobs with their
//! attempts, the queue's mode, and records that had not left.
//!
//! Keys are gathered from both ends of each table and from its indices, so that one broken
//! page costs the rows on it and no others.

use super::super::{jobs, setting};
use crate::workload::{Job, JobId, JobState, QueueMode};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, config::DbConfig, params};
use serde::de::IgnoredAny;
use std::collections::BTreeSet;
use std::path::Path;

/// What was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    pub jobs: u64,
    pub attempts: u64,
    /// Those that had not left; what was published stays where it is.
    pub records: u64,
    /// Rows that are there and can't be read.
    pub unreadable: u64,
}

/// Records in one transaction.
const BATCH: usize = 500;

/// Fills the new store `to` from the damaged file `from`. What can't be read is left out.
///
/// Errors: the new store can't be written.
pub fn take_over(from: &Path, to: &mut Connection) -> rusqlite::Result<Taken> {
    let mut taken = Taken::default();
    // SQLite takes an empty file for an empty store, and removes its log.
    if std::fs::metadata(from).map_or(0, |file| file.len()) == 0 {
        return Ok(taken);
    }
    let Ok(from) = open(from) else {
        return Ok(taken);
    };
    let tx = to.transaction()?;
    if let Ok(mode) = setting::queue_mode(&from)
        && mode != QueueMode::Open
    {
        setting::set(&tx, setting::QUEUE, mode.as_str())?;
    }
    for (topic, said) in setting::discoveries(&from).unwrap_or_default() {
        setting::set_discovery(&tx, &topic, &said)?;
    }
    for arrival in keys(&from, &JOB_KEYS) {
        let Some(job) = readable(job_row(&from, arrival), &mut taken) else {
            continue;
        };
        if insert_job(&tx, &job)? {
            taken.jobs += 1;
            taken.attempts += take_attempts(&from, &tx, &job.id)?;
        }
    }
    tx.commit()?;
    let records: Vec<i64> = record_keys(&from).into_iter().collect();
    for batch in records.chunks(BATCH) {
        let tx = to.transaction()?;
        let mut count = 0;
        for &seq in batch {
            let Some(record) = readable(record_row(&from, seq), &mut taken) else {
                continue;
            };
            count += u64::from(insert_record(&tx, &record)?);
        }
        tx.commit()?;
        taken.records += count;
    }
    Ok(taken)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // It stays as it was found.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(db)
}

/// Counts rows that are there and can't be read.
fn readable<T>(row: rusqlite::Result<Option<T>>, taken: &mut Taken) -> Option<T> {
    row.unwrap_or_else(|_| {
        taken.unreadable += 1;
        None
    })
}

const JOB_KEYS: [&str; 3] = [
    "SELECT arrival FROM job NOT INDEXED ORDER BY arrival",
    "SELECT arrival FROM job NOT INDEXED ORDER BY arrival DESC",
    "SELECT arrival FROM job INDEXED BY job_by_state",
];

const WAITING_KEYS: [&str; 4] = [
    "SELECT seq FROM pending NOT INDEXED ORDER BY seq",
    "SELECT seq FROM pending NOT INDEXED ORDER BY seq DESC",
    "SELECT seq FROM parked ORDER BY seq",
    "SELECT seq FROM parked ORDER BY seq DESC",
];

const RECORD_KEYS: [&str; 3] = [
    "SELECT seq FROM outbox NOT INDEXED ORDER BY seq",
    "SELECT seq FROM outbox NOT INDEXED ORDER BY seq DESC",
    "SELECT seq FROM outbox INDEXED BY outbox_by_job",
];

/// What waits for a broker. Where that can't be read to its end it is everything: a record
/// that leaves twice does no harm, one that never leaves does.
fn record_keys(db: &Connection) -> BTreeSet<i64> {
    let mut records = keys(db, &WAITING_KEYS);
    if !WAITING_KEYS.iter().all(|query| is_whole(db, query)) {
        records.extend(keys(db, &RECORD_KEYS));
    }
    records
}

fn is_whole(db: &Connection, query: &str) -> bool {
    let Ok(mut query) = db.prepare(query) else {
        return false;
    };
    let rows = query.query_map([], |_| Ok(()));
    rows.is_ok_and(|mut rows| rows.all(|row| row.is_ok()))
}

/// Every key that any of the queries yields before it fails.
fn keys(db: &Connection, queries: &[&str]) -> BTreeSet<i64> {
    let mut keys = BTreeSet::new();
    for query in queries {
        let Ok(mut query) = db.prepare(query) else {
            continue;
        };
        let Ok(rows) = query.query_map([], |row| row.get::<_, i64>(0)) else {
            continue;
        };
        keys.extend(rows.map_while(Result::ok));
    }
    keys
}

struct JobRow {
    arrival: i64,
    id: String,
    content: String,
    spec: String,
    priority: i32,
    deadline_s: Option<i64>,
    state: String,
    attempt: u32,
    rev: i64,
    reason: Option<String>,
    submitted_s: i64,
    changed_s: i64,
}

fn job_row(db: &Connection, arrival: i64) -> rusqlite::Result<Option<JobRow>> {
    db.prepare_cached(
        "SELECT id, content, spec, priority, deadline_s, state, attempt, rev, reason,
                submitted_s, changed_s
         FROM job NOT INDEXED WHERE arrival = ?1",
    )?
    .query_row([arrival], |row| sound_job(arrival, row))
    .optional()
}

fn sound_job(arrival: i64, row: &Row<'_>) -> rusqlite::Result<JobRow> {
    let mut job = JobRow {
        arrival,
        id: row.get(0)?,
        content: row.get(1)?,
        spec: row.get(2)?,
        priority: row.get(3)?,
        deadline_s: row.get(4)?,
        state: row.get(5)?,
        attempt: row.get(6)?,
        rev: row.get(7)?,
        reason: row.get(8)?,
        submitted_s: row.get(9)?,
        changed_s: row.get(10)?,
    };
    JobId::try_from(job.id.clone()).map_err(|error| jobs::unreadable(0, error))?;
    if JobState::parse(&job.state).is_none() {
        return Err(jobs::unreadable(5, "unknown job state"));
    }
    // A job that is not the one that was accepted must not run: the queue fails it as
    // unreadable, and its id stays known.
    let spec: Option<Job> = serde_json::from_str(&job.spec).ok();
    if spec.is_none_or(|spec| spec.content_hash() != job.content) {
        job.spec.clear();
    }
    Ok(job)
}

/// `false` where its id is there already.
fn insert_job(to: &Connection, job: &JobRow) -> rusqlite::Result<bool> {
    let inserted = to
        .prepare_cached(
            "INSERT OR IGNORE INTO job (arrival, id, content, spec, priority, deadline_s, state,
                                        attempt, rev, reason, submitted_s, changed_s)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            job.arrival,
            job.id,
            job.content,
            job.spec,
            job.priority,
            job.deadline_s,
            job.state,
            job.attempt,
            job.rev,
            job.reason,
            job.submitted_s,
            job.changed_s
        ])?;
    Ok(inserted == 1)
}

type Attempt = (u32, String, Option<String>, i64, Option<i64>);

fn take_attempts(from: &Connection, to: &Connection, job: &str) -> rusqlite::Result<u64> {
    let mut count = 0;
    for attempt in attempts(from, job).unwrap_or_default() {
        let (number, state, reason, begun_s, ended_s) = attempt;
        count +=
            to.prepare_cached(
                "INSERT OR IGNORE INTO attempt (job, attempt, state, reason, begun_s, ended_s)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![job, number, state, reason, begun_s, ended_s])? as u64;
    }
    Ok(count)
}

/// Those that can be read before the first that can't.
fn attempts(from: &Connection, job: &str) -> rusqlite::Result<Vec<Attempt>> {
    let mut query = from.prepare_cached(
        "SELECT attempt, state, reason, begun_s, ended_s FROM attempt WHERE job = ?1",
    )?;
    let rows = query.query_map([job], |row| {
        Ok((
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
        ))
    })?;
    Ok(rows.map_while(Result::ok).collect())
}

struct RecordRow {
    seq: i64,
    job: String,
    attempt: u32,
    kind: String,
    record_seq: Option<i64>,
    rev: Option<i64>,
    payload: Vec<u8>,
    created_s: i64,
    /// Why it is parked.
    parked: Option<String>,
}

fn record_row(db: &Connection, seq: i64) -> rusqlite::Result<Option<RecordRow>> {
    // One whose reason can't be read is tried again.
    let parked = db
        .prepare_cached("SELECT reason FROM parked WHERE seq = ?1")
        .and_then(|mut reason| reason.query_row([seq], |row| row.get(0)))
        .ok();
    db.prepare_cached(
        "SELECT job, attempt, kind, record_seq, rev, payload, created_s FROM outbox
         WHERE seq = ?1",
    )?
    .query_row([seq], |row| {
        let record = RecordRow {
            seq,
            job: row.get(0)?,
            attempt: row.get(1)?,
            kind: row.get(2)?,
            record_seq: row.get(3)?,
            rev: row.get(4)?,
            payload: row.get(5)?,
            created_s: row.get(6)?,
            parked,
        };
        // Nothing that was garbled reaches the lab.
        serde_json::from_slice::<IgnoredAny>(&record.payload)
            .map_err(|error| jobs::unreadable(5, error))?;
        Ok(record)
    })
    .optional()
}

/// `false` where it is there already, or its job is not.
fn insert_record(to: &Connection, record: &RecordRow) -> rusqlite::Result<bool> {
    let inserted = to
        .prepare_cached(
            "INSERT OR IGNORE INTO outbox (seq, job, attempt, kind, record_seq, rev, payload,
                                           created_s)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
             WHERE EXISTS (SELECT 1 FROM job WHERE id = ?2)",
        )?
        .execute(params![
            record.seq,
            record.job,
            record.attempt,
            record.kind,
            record.record_seq,
            record.rev,
            record.payload,
            record.created_s
        ])?;
    if inserted == 0 {
        return Ok(false);
    }
    match &record.parked {
        Some(reason) => to
            .prepare_cached("INSERT INTO parked (seq, reason) VALUES (?1, ?2)")?
            .execute(params![record.seq, reason])?,
        None => to
            .prepare_cached("INSERT INTO pending (seq, job, kind, bytes) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                record.seq,
                record.job,
                record.kind,
                record.payload.len() as i64
            ])?,
    };
    Ok(true)
}
