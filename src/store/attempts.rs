//! Attempts: beginning one, ending it with its records, putting it back, and what a crash
//! left behind.
//!
//! An attempt that the daemon's death cut short is `lost` and counts against the job's
//! `max_attempts`, since the job itself may be what kills the board. One that a clean stop
//! interrupted does not count: nothing went wrong with it. Both keep their number. A job that
//! was asked to be cancelled while it ran ends there instead of running again.

use super::jobs::{CANCELLING, COLUMNS, enter, find, state_row};
use super::outbox::{Outgoing, RecordKind, enqueue};
use super::setting::queue_mode;
use super::{LIVE_REVS, Moment, StateRow, Store, StoreError};
use crate::workload::{Job, JobId, JobState, QueueMode};
use rusqlite::{OptionalExtension, Transaction, params};

/// An attempt that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// From 1, over all attempts of the job.
    pub attempt: u32,
    /// Revision of the `running` state. States from memory take the [`LIVE_REVS`] - 1 after.
    pub rev: u64,
}

/// Why a job failed that has no attempt left, each having been cut short.
const ALL_LOST: &str = "attempts-lost";

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    Succeeded,
    Failed,
    Cancelled,
}

impl Finished {
    pub fn state(self) -> JobState {
        match self {
            Self::Succeeded => JobState::Succeeded,
            Self::Failed => JobState::Failed,
            Self::Cancelled => JobState::Cancelled,
        }
    }
}

/// One execution of a job, as the store remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    pub attempt: u32,
    /// `running`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// `lost` and `interrupted` of attempts that left no records.
    pub reason: Option<String>,
    pub begun_unix_s: i64,
    pub ended_unix_s: Option<i64>,
}

impl AttemptRow {
    pub const LOST: &str = "lost";
    pub const INTERRUPTED: &str = "interrupted";

    /// Whether the daemon's end cut it short: it has no result.
    pub fn left_nothing(&self) -> bool {
        matches!(self.reason.as_deref(), Some(Self::LOST | Self::INTERRUPTED))
    }
}

/// A job whose attempt the daemon's end cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    pub lost_attempt: u32,
    pub row: StateRow,
}

impl Store {
    /// Moves a waiting job to `running` as a new attempt. `None` when it doesn't wait, for
    /// instance because it was cancelled since it was chosen, or when the queue is paused.
    pub fn begin_attempt(&mut self, id: &JobId, now: &Moment) -> Result<Option<Begun>, StoreError> {
        self.change(|tx| {
            let Some(mut row) = find(tx, id)?.filter(|row| row.state == JobState::Queued) else {
                return Ok(None);
            };
            if queue_mode(tx)? == QueueMode::Paused {
                return Ok(None);
            }
            row.attempt += 1;
            let rev = row.rev + 1;
            tx.execute(
                "INSERT INTO attempt (job, attempt, state, begun_s) VALUES (?1, ?2, 'running', ?3)",
                params![id.as_str(), row.attempt, now.unix_s],
            )?;
            let row = enter(tx, row, rev, JobState::Running, None, now)?;
            Ok(Some(Begun {
                attempt: row.attempt,
                rev,
            }))
        })
    }

    /// Ends the running attempt with everything that it has to say, in one transaction.
    /// `None`, and nothing stored, when this attempt is not the one that runs.
    pub fn finish_attempt(
        &mut self,
        id: &JobId,
        attempt: u32,
        how: Finished,
        reason: Option<&str>,
        records: &[Outgoing],
        now: &Moment,
    ) -> Result<Option<StateRow>, StoreError> {
        self.change(|tx| {
            let Some(row) = running(tx, id, attempt)? else {
                return Ok(None);
            };
            end_attempt(tx, &row, how.state().as_str(), reason, now)?;
            // Result last: whoever sees it has seen all the rest.
            let (last, first): (Vec<_>, Vec<_>) = records
                .iter()
                .partition(|record| record.kind == RecordKind::Result);
            for record in first {
                enqueue(tx, &row, record, now)?;
            }
            let rev = row.rev + LIVE_REVS;
            let row = enter(tx, row, rev, how.state(), reason, now)?;
            for record in last {
                enqueue(tx, &row, record, now)?;
            }
            Ok(Some(row))
        })
    }

    /// Puts the running job back into the queue, for a clean stop of the daemon; or ends it, if
    /// it was asked to be cancelled.
    pub fn requeue(
        &mut self,
        id: &JobId,
        attempt: u32,
        now: &Moment,
    ) -> Result<Option<StateRow>, StoreError> {
        self.change(|tx| {
            let Some(row) = running(tx, id, attempt)? else {
                return Ok(None);
            };
            let reason = Some(AttemptRow::INTERRUPTED);
            end_attempt(tx, &row, "failed", reason, now)?;
            let rev = row.rev + LIVE_REVS;
            let (state, reason) = match is_cancelling(&row) {
                true => (JobState::Cancelled, Some("cancelled")),
                false => (JobState::Queued, reason),
            };
            enter(tx, row, rev, state, reason, now).map(Some)
        })
    }

    /// The newest `limit` attempts of a job, the oldest of them first.
    pub fn attempts(&self, id: &JobId, limit: u32) -> Result<Vec<AttemptRow>, StoreError> {
        let rows = (|| {
            let mut query = self.db.prepare_cached(
                "SELECT * FROM (
                     SELECT attempt, state, reason, begun_s, ended_s FROM attempt
                     WHERE job = ?1 ORDER BY attempt DESC LIMIT ?2)
                 ORDER BY attempt",
            )?;
            let attempt = |row: &rusqlite::Row<'_>| {
                Ok(AttemptRow {
                    attempt: row.get(0)?,
                    state: row.get(1)?,
                    reason: row.get(2)?,
                    begun_unix_s: row.get(3)?,
                    ended_unix_s: row.get(4)?,
                })
            };
            query
                .query_map(params![id.as_str(), limit], attempt)?
                .collect()
        })();
        self.named(rows)
    }

    /// At start, when nothing can run yet: every attempt that the last daemon left running
    /// is recorded as lost, and its job waits again, or fails when too many were lost.
    pub fn recover(&mut self, now: &Moment) -> Result<Vec<Recovered>, StoreError> {
        self.change(|tx| {
            let sql = format!("SELECT {COLUMNS} FROM job WHERE state = 'running' ORDER BY arrival");
            let left: Vec<StateRow> = tx
                .prepare(&sql)?
                .query_map([], state_row)?
                .collect::<rusqlite::Result<_>>()?;
            left.into_iter()
                .map(|row| recover_job(tx, row, now))
                .collect()
        })
    }
}

fn is_cancelling(row: &StateRow) -> bool {
    row.reason.as_deref() == Some(CANCELLING)
}

fn running(tx: &Transaction<'_>, id: &JobId, attempt: u32) -> rusqlite::Result<Option<StateRow>> {
    let row = find(tx, id)?;
    Ok(row.filter(|row| row.state == JobState::Running && row.attempt == attempt))
}

fn end_attempt(
    tx: &Transaction<'_>,
    row: &StateRow,
    state: &str,
    reason: Option<&str>,
    now: &Moment,
) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE attempt SET state = ?3, reason = ?4, ended_s = ?5 WHERE job = ?1 AND attempt = ?2",
        params![row.id.as_str(), row.attempt, state, reason, now.unix_s],
    )?;
    Ok(())
}

fn recover_job(tx: &Transaction<'_>, row: StateRow, now: &Moment) -> rusqlite::Result<Recovered> {
    let lost_attempt = row.attempt;
    end_attempt(tx, &row, "failed", Some(AttemptRow::LOST), now)?;
    let lost: u32 = tx.query_row(
        "SELECT count(*) FROM attempt WHERE job = ?1 AND reason = 'lost'",
        [row.id.as_str()],
        |row| row.get(0),
    )?;
    let spec: Option<String> = tx
        .query_row(
            "SELECT spec FROM job WHERE id = ?1",
            [row.id.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    // A job that this version can't read is left to `next_queued`, which fails it.
    let job: Option<Job> = spec.and_then(|spec| serde_json::from_str(&spec).ok());
    let (state, reason) = match job {
        _ if is_cancelling(&row) => (JobState::Cancelled, "cancelled"),
        Some(job) if lost >= job.max_attempts => (JobState::Failed, ALL_LOST),
        _ => (JobState::Queued, AttemptRow::LOST),
    };
    let rev = row.rev + LIVE_REVS;
    let row = enter(tx, row, rev, state, Some(reason), now)?;
    Ok(Recovered { lost_attempt, row })
}

#[cfg(test)]
mod tests;
