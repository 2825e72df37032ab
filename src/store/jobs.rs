//! The queue: accepting jobs, choosing the next, cancelling, and telling where each stands.

use super::outbox::enqueue_state;
use super::setting::queue_mode;
use super::{Moment, Store, StoreError};
use crate::workload::{Job, JobId, JobState, QueueMode};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateRow {
    pub id: JobId,
    /// Attempts begun so far; 0 before the first.
    pub attempt: u32,
    pub rev: u64,
    pub state: JobState,
    pub reason: Option<String>,
    pub priority: i32,
    pub submitted_unix_s: i64,
}

/// A job in the order in which the board accepted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Rises with each job.
    pub arrival: u64,
    pub row: StateRow,
}

/// What became of a submitted job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// New, and on disk now.
    Accepted(StateRow),
    /// The same id with the same content was submitted before.
    Known(StateRow),
    /// The id belongs to a job with other content.
    Conflict,
    QueueFull,
    /// The queue takes no new jobs.
    Draining,
}

/// The job to run next, and the jobs that will never run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Next {
    /// The job, and the attempts begun so far.
    pub job: Option<(Job, u32)>,
    /// Failed while they waited: `deadline`, or `unreadable` after a change of version.
    pub failed: Vec<StateRow>,
}

/// What a request to cancel met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// It was waiting and is cancelled now.
    Done(StateRow),
    /// It runs, and is marked: the caller ends the attempt, and whatever comes between, the
    /// job doesn't run again.
    Running(StateRow),
    /// It had ended before.
    Final(StateRow),
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    pub queued: u32,
    pub running: Option<JobId>,
    pub mode: QueueMode,
}

/// The reason of a running job that was asked to be cancelled. It is on disk before the
/// client is told, so that a crash before the attempt's end doesn't run the job again.
pub(super) const CANCELLING: &str = "cancelling";

pub(super) const COLUMNS: &str = "id, attempt, rev, state, reason, priority, submitted_s";

pub(super) fn state_row(row: &Row<'_>) -> rusqlite::Result<StateRow> {
    let id: String = row.get(0)?;
    let state: String = row.get(3)?;
    Ok(StateRow {
        id: JobId::try_from(id).map_err(|error| unreadable(0, error))?,
        attempt: row.get(1)?,
        rev: row.get::<_, i64>(2)? as u64,
        state: JobState::parse(&state)
            .ok_or_else(|| unreadable(3, format!("unknown job state {state:?}")))?,
        reason: row.get(4)?,
        priority: row.get(5)?,
        submitted_unix_s: row.get(6)?,
    })
}

pub(super) fn unreadable(
    column: usize,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
}

pub(super) fn find(db: &Connection, id: &JobId) -> rusqlite::Result<Option<StateRow>> {
    let sql = format!("SELECT {COLUMNS} FROM job WHERE id = ?1");
    db.prepare_cached(&sql)?
        .query_row([id.as_str()], state_row)
        .optional()
}

/// Moves a job to `state` with revision `rev` and announces it.
pub(super) fn enter(
    tx: &Transaction<'_>,
    mut row: StateRow,
    rev: u64,
    state: JobState,
    reason: Option<&str>,
    now: &Moment,
) -> rusqlite::Result<StateRow> {
    row.rev = rev;
    row.state = state;
    row.reason = reason.map(str::to_owned);
    tx.prepare_cached(
        "UPDATE job SET state = ?2, attempt = ?3, rev = ?4, reason = ?5, changed_s = ?6
         WHERE id = ?1",
    )?
    .execute(params![
        row.id.as_str(),
        state.as_str(),
        row.attempt,
        row.rev as i64,
        row.reason,
        now.unix_s
    ])?;
    enqueue_state(tx, &row, now)?;
    Ok(row)
}

impl Store {
    /// Accepts a job, at most once for each id and content. When this returns, the job and
    /// its first state are on disk.
    pub fn submit(
        &mut self,
        job: &Job,
        max_queue: u32,
        now: &Moment,
    ) -> Result<Submitted, StoreError> {
        let content = job.content_hash();
        self.change(|tx| {
            if let Some(row) = find(tx, &job.id)? {
                let known: String = tx.query_row(
                    "SELECT content FROM job WHERE id = ?1",
                    [job.id.as_str()],
                    |row| row.get(0),
                )?;
                return Ok(match known == content {
                    true => Submitted::Known(row),
                    false => Submitted::Conflict,
                });
            }
            if queue_mode(tx)? == QueueMode::Draining {
                return Ok(Submitted::Draining);
            }
            if counts(tx)?.queued >= max_queue {
                return Ok(Submitted::QueueFull);
            }
            let spec = serde_json::to_string(job).expect("a job has only JSON-able fields");
            tx.execute(
                "INSERT INTO job (id, content, spec, priority, deadline_s, state, attempt, rev,
                                  submitted_s, changed_s)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'queued', 0, 0, ?6, ?6)",
                params![
                    job.id.as_str(),
                    content,
                    spec,
                    job.priority,
                    job.deadline_unix_s,
                    now.unix_s
                ],
            )?;
            let row = find(tx, &job.id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            let row = enter(tx, row, 1, JobState::Queued, None, now)?;
            Ok(Submitted::Accepted(row))
        })
    }

    /// The waiting job of the highest priority, of equals the one that came first. Jobs
    /// whose deadline has passed fail on the way. A paused queue starts none.
    pub fn next_queued(&mut self, now: &Moment) -> Result<Next, StoreError> {
        self.change(|tx| {
            let mut next = Next {
                failed: fail_overdue(tx, now)?,
                ..Next::default()
            };
            if queue_mode(tx)? == QueueMode::Paused {
                return Ok(next);
            }
            let sql = format!(
                "SELECT {COLUMNS}, spec FROM job WHERE state = 'queued'
                 ORDER BY priority DESC, arrival LIMIT 1"
            );
            while let Some((row, spec)) = tx
                .query_row(&sql, [], |row| {
                    Ok((state_row(row)?, row.get::<_, String>(7)?))
                })
                .optional()?
            {
                if let Ok(job) = serde_json::from_str(&spec) {
                    next.job = Some((job, row.attempt));
                    break;
                }
                let rev = row.rev + 1;
                let failed = enter(tx, row, rev, JobState::Failed, Some("unreadable"), now)?;
                next.failed.push(failed);
            }
            Ok(next)
        })
    }

    /// Cancels a job that waits, and marks one that runs, whose attempt the caller ends.
    pub fn cancel(&mut self, id: &JobId, now: &Moment) -> Result<Cancelled, StoreError> {
        self.change(|tx| {
            let Some(row) = find(tx, id)? else {
                return Ok(Cancelled::Unknown);
            };
            Ok(match row.state {
                JobState::Queued => {
                    let rev = row.rev + 1;
                    let reason = Some("cancelled");
                    Cancelled::Done(enter(tx, row, rev, JobState::Cancelled, reason, now)?)
                }
                JobState::Running => {
                    tx.execute(
                        "UPDATE job SET reason = ?2 WHERE id = ?1 AND reason IS NOT ?2",
                        [id.as_str(), CANCELLING],
                    )?;
                    Cancelled::Running(StateRow {
                        reason: Some(CANCELLING.to_owned()),
                        ..row
                    })
                }
                _ => Cancelled::Final(row),
            })
        })
    }

    pub fn state(&self, id: &JobId) -> Result<Option<StateRow>, StoreError> {
        self.named(find(&self.db, id))
    }

    /// Every job that runs or waits, in the order of running, then the `limit` jobs that
    /// ended last.
    pub fn jobs(&self, limit: u32) -> Result<Vec<StateRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM (
                 SELECT * FROM job WHERE state IN ('running', 'queued')
                 UNION ALL
                 SELECT * FROM (
                     SELECT * FROM job WHERE state NOT IN ('running', 'queued')
                     ORDER BY changed_s DESC, arrival DESC LIMIT ?1))
             ORDER BY CASE state WHEN 'running' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END,
                      CASE state WHEN 'queued' THEN -priority END,
                      CASE state WHEN 'queued' THEN arrival END,
                      changed_s DESC, arrival DESC"
        );
        let rows = (|| {
            let mut query = self.db.prepare_cached(&sql)?;
            query.query_map([limit], state_row)?.collect()
        })();
        self.named(rows)
    }

    /// At most `limit` jobs that were accepted after the one of this number, in their order,
    /// and the number of the newest job of all: 0 where there is none.
    pub fn jobs_after(&self, after: u64, limit: u32) -> Result<(Vec<Arrived>, u64), StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, arrival FROM job WHERE arrival > ?1 ORDER BY arrival LIMIT ?2"
        );
        let found = (|| {
            // No board has seen more jobs than SQLite can count.
            let after = i64::try_from(after).unwrap_or(i64::MAX);
            let mut query = self.db.prepare_cached(&sql)?;
            let rows = query.query_map(params![after, limit], |row| {
                Ok(Arrived {
                    row: state_row(row)?,
                    arrival: row.get::<_, i64>(7)? as u64,
                })
            })?;
            let rows = rows.collect::<rusqlite::Result<_>>()?;
            let sql = "SELECT coalesce(max(arrival), 0) FROM job";
            let newest: i64 = self.db.query_row(sql, [], |row| row.get(0))?;
            Ok((rows, newest as u64))
        })();
        self.named(found)
    }

    pub fn counts(&self) -> Result<Counts, StoreError> {
        self.named(counts(&self.db))
    }
}

fn counts(db: &Connection) -> rusqlite::Result<Counts> {
    let queued = db.query_row(
        "SELECT count(*) FROM job WHERE state = 'queued'",
        [],
        |row| row.get(0),
    )?;
    let sql = format!("SELECT {COLUMNS} FROM job WHERE state = 'running' LIMIT 1");
    let running = db.query_row(&sql, [], state_row).optional()?;
    Ok(Counts {
        queued,
        running: running.map(|row| row.id),
        mode: queue_mode(db)?,
    })
}

fn fail_overdue(tx: &Transaction<'_>, now: &Moment) -> rusqlite::Result<Vec<StateRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM job WHERE state = 'queued' AND deadline_s < ?1 ORDER BY arrival"
    );
    let overdue: Vec<StateRow> = tx
        .prepare_cached(&sql)?
        .query_map([now.unix_s], state_row)?
        .collect::<rusqlite::Result<_>>()?;
    overdue
        .into_iter()
        .map(|row| {
            let rev = row.rev + 1;
            enter(tx, row, rev, JobState::Failed, Some("deadline"), now)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use serde_json::json;

    fn id(name: &str) -> JobId {
        name.parse().expect("a valid id")
    }

    fn next_id(store: &mut Store, unix_s: i64) -> Option<String> {
        let next = store.next_queued(&at(unix_s)).expect("readable");
        next.job.map(|(job, _)| job.id.as_str().to_owned())
    }

    #[test]
    fn an_accepted_job_survives_a_crash() {
        let (dir, mut store) = new_store();
        let accepted = store.submit(&job("a"), 10, &at(1)).expect("writable");
        assert!(matches!(accepted, Submitted::Accepted(ref row) if row.rev == 1));
        drop(store);
        let mut store = Store::open(dir.path()).expect("opens again");
        let next = store.next_queued(&at(2)).expect("readable");
        assert_eq!(next.job, Some((job("a"), 0)));
    }

    #[test]
    fn the_same_job_again_is_known_and_another_content_a_conflict() {
        let (_dir, mut store) = new_store();
        store.submit(&job("a"), 10, &at(1)).expect("writable");
        let again = store.submit(&job("a"), 10, &at(2)).expect("writable");
        assert!(matches!(again, Submitted::Known(row) if row.submitted_unix_s == 1));
        let other = job_with("a", |job| job["n_predict"] = json!(7));
        let other = store.submit(&other, 10, &at(3)).expect("writable");
        assert_eq!(other, Submitted::Conflict);
        assert_eq!(store.counts().expect("readable").queued, 1);
    }

    #[test]
    fn a_full_queue_refuses_new_jobs_only() {
        let (_dir, mut store) = new_store();
        store.submit(&job("a"), 1, &at(1)).expect("writable");
        let full = store.submit(&job("b"), 1, &at(1)).expect("writable");
        assert_eq!(full, Submitted::QueueFull);
        assert!(store.state(&id("b")).expect("readable").is_none());
        let known = store.submit(&job("a"), 1, &at(1)).expect("writable");
        assert!(matches!(known, Submitted::Known(_)));
    }

    #[test]
    fn priority_goes_before_arrival() {
        let (_dir, mut store) = new_store();
        for (name, priority) in [("low", -1), ("first", 0), ("second", 0), ("high", 5)] {
            let job = job_with(name, |job| job["priority"] = json!(priority));
            store.submit(&job, 10, &at(1)).expect("writable");
        }
        let mut order = Vec::new();
        while let Some(name) = next_id(&mut store, 2) {
            store.cancel(&id(&name), &at(2)).expect("writable");
            order.push(name);
        }
        assert_eq!(order, ["high", "first", "second", "low"]);
    }

    #[test]
    fn a_job_past_its_deadline_fails_without_running() {
        let (_dir, mut store) = new_store();
        let late = job_with("late", |job| job["deadline_unix_s"] = json!(100));
        store.submit(&late, 10, &at(1)).expect("writable");
        assert_eq!(next_id(&mut store, 100), Some("late".to_owned()));
        let next = store.next_queued(&at(101)).expect("readable");
        assert_eq!(next.job, None);
        assert_eq!(next.failed.len(), 1);
        assert_eq!(next.failed[0].reason.as_deref(), Some("deadline"));
    }

    #[test]
    fn the_list_has_open_jobs_first() {
        let (_dir, mut store) = new_store();
        for name in ["done", "runs", "waits"] {
            store.submit(&job(name), 10, &at(1)).expect("writable");
        }
        store.cancel(&id("done"), &at(2)).expect("writable");
        store.begin_attempt(&id("runs"), &at(3)).expect("writable");
        let names = |limit| -> Vec<String> {
            let rows = store.jobs(limit).expect("readable");
            rows.into_iter().map(|row| row.id.into()).collect()
        };
        assert_eq!(names(10), ["runs", "waits", "done"]);
        assert_eq!(names(0), ["runs", "waits"]);
    }
    #[test]
    fn all_jobs_come_in_the_order_of_their_arrival() {
        let (_dir, mut store) = new_store();
        assert_eq!(store.jobs_after(0, 10).expect("readable"), (vec![], 0));
        for name in ["done", "runs", "waits"] {
            store.submit(&job(name), 10, &at(1)).expect("writable");
        }
        store.cancel(&id("done"), &at(2)).expect("writable");
        let page = |after, limit| -> (Vec<(String, u64)>, u64) {
            let (rows, newest) = store.jobs_after(after, limit).expect("readable");
            let named = |Arrived { row, arrival }| (row.id.into(), arrival);
            (rows.into_iter().map(named).collect(), newest)
        };
        let (first, newest) = page(0, 2);
        assert_eq!(first, [("done".to_owned(), 1), ("runs".to_owned(), 2)]);
        assert_eq!(newest, 3);
        assert_eq!(page(2, 2).0, [("waits".to_owned(), 3)]);
        assert_eq!(page(u64::MAX, 2), (vec![], 3));
    }
}
