//! Attempts with which jobs ended, and whether all of their records are here.

use super::{Staging, StagingError};
use crate::record::job::State;
use crate::record::result::JobResult;
use crate::units::MonoNs;
use crate::workload::JobState;
use rusqlite::{OptionalExtension, Transaction, params};

/// Attempts of a board that miss something. No board has run more within the time that it keeps
/// records; a list may be made up.
const MOST_OPEN: usize = 100_000;

/// A job as its board lists it, or its last state tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: String,
    pub attempt: u32,
    pub state: JobState,
    pub reason: Option<String>,
}

impl From<&State> for Listed {
    fn from(state: &State) -> Self {
        Self {
            id: state.id.clone(),
            attempt: state.attempt,
            state: state.state,
            reason: state.reason.clone(),
        }
    }
}

/// What is here of an attempt.
pub(super) struct Here {
    pub tokens: u64,
    pub trace: u64,
}

impl Here {
    pub fn count(
        tx: &Transaction<'_>,
        device: &str,
        id: &str,
        attempt: u32,
    ) -> rusqlite::Result<Self> {
        let count = |kind: &str| -> rusqlite::Result<u64> {
            let (from, to) = keys(kind, device, id, attempt);
            tx.prepare_cached("SELECT count(*) FROM seen WHERE key >= ?1 AND key < ?2")?
                .query_row([from, to], |row| row.get::<_, i64>(0))
                .map(|count| count as u64)
        };
        Ok(Self {
            tokens: count("tokens")?,
            trace: count("trace")?,
        })
    }

    pub fn records(&self) -> u64 {
        self.tokens + self.trace
    }
}

/// Between which the keys of an attempt lie: `0` follows `/`, which is in none of their parts.
pub(super) fn keys(kind: &str, device: &str, id: &str, attempt: u32) -> (String, String) {
    let prefix = format!("{kind}/{device}/{id}/{attempt}");
    (format!("{prefix}/"), format!("{prefix}0"))
}

/// Announced counts may be anybody's: only those below are believed.
fn bounded(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A result has come.
pub(super) fn announce(
    tx: &Transaction<'_>,
    device: &str,
    result: &JobResult,
    due: MonoNs,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO attempt (device, id, attempt, ended, reason, tokens, trace, standing, due_ns)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'open', ?8)
         ON CONFLICT DO UPDATE SET tokens = ?6, trace = ?7, standing = 'open', due_ns = ?8,
             asks = 0, fruitless = 0",
    )?
    .execute(params![
        device,
        result.id,
        result.attempt,
        result.state.as_str(),
        result.reason,
        bounded(result.records.tokens),
        bounded(result.records.trace),
        due.0 as i64
    ])?;
    Ok(())
}

/// A job is known to have ended.
pub(super) fn ended(
    tx: &Transaction<'_>,
    device: &str,
    job: &Listed,
    due: MonoNs,
) -> rusqlite::Result<()> {
    let standing = match has_no_result(job) {
        true => "none",
        false => "open",
    };
    tx.prepare_cached(
        "INSERT INTO attempt (device, id, attempt, ended, reason, standing, due_ns)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET ended = ?4, reason = ?5 WHERE ended IS NULL",
    )?
    .execute(params![
        device,
        job.id,
        job.attempt,
        job.state.as_str(),
        job.reason,
        standing,
        due.0 as i64
    ])?;
    Ok(())
}

/// Whether a job's last state says that there is none (docs/mqtt.md, the queue).
fn has_no_result(job: &Listed) -> bool {
    job.attempt == 0
        || job.state == JobState::Failed
            && job.reason.as_deref().is_some_and(|reason| {
                matches!(reason, "deadline" | "attempts-lost" | "unreadable")
                    || reason.starts_with("its records could not be stored")
            })
}

/// Closes the attempt's gap where all that was announced is here by now.
pub(super) fn recount(
    tx: &Transaction<'_>,
    device: &str,
    id: &str,
    attempt: u32,
) -> rusqlite::Result<()> {
    let announced: Option<(i64, i64)> = tx
        .prepare_cached(
            "SELECT tokens, trace FROM attempt WHERE device = ?1 AND id = ?2 AND attempt = ?3
             AND standing IN ('open', 'lost') AND tokens IS NOT NULL",
        )?
        .query_row(params![device, id, attempt], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((tokens, trace)) = announced else {
        return Ok(());
    };
    let here = Here::count(tx, device, id, attempt)?;
    if here.tokens >= tokens as u64 && here.trace >= trace as u64 {
        set(tx, device, id, attempt, "complete")?;
    }
    Ok(())
}

pub(super) fn set(
    tx: &Transaction<'_>,
    device: &str,
    id: &str,
    attempt: u32,
    standing: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE attempt SET standing = ?4 WHERE device = ?1 AND id = ?2 AND attempt = ?3",
    )?
    .execute(params![device, id, attempt, standing])?;
    Ok(())
}

impl Staging {
    /// What a board has said of its jobs.
    pub fn listed(
        &mut self,
        device: &str,
        jobs: &[Listed],
        due: MonoNs,
    ) -> Result<(), StagingError> {
        self.change(|tx| {
            let open: i64 = tx
                .prepare_cached(
                    "SELECT count(*) FROM attempt WHERE device = ?1 AND standing = 'open'",
                )?
                .query_row([device], |row| row.get(0))?;
            let room = MOST_OPEN.saturating_sub(open as usize);
            let over = jobs.iter().filter(|job| job.state.is_final());
            for job in over.take(room) {
                ended(tx, device, job, due)?;
            }
            Ok(())
        })
    }
}
