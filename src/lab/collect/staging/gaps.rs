//! Which attempts miss records, and when their board is asked for them.
//!
//! A result states how many records of tokens and trace belong to its attempt, a final state
//! that there should be a result. What is missing after a grace time is a gap. Taking a gap
//! moves the moment at which it is due again, so that of several collectors one asks. A board
//! that has answered [`FRUITLESS`] times, and nothing came, has no more: the rest is lost.

use super::attempts::{Here, keys, set};
use super::{Staging, StagingError};
use crate::units::{MonoNs, Span};
use crate::workload::JobState;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, Transaction, params, params_from_iter};
use serde::Serialize;

/// Answered requests after which nothing more is expected, each with more time than the last.
const FRUITLESS: u32 = 4;
/// Counted where the board has nothing of it, not even its last state.
const GONE: u32 = 1_000;
/// The pause before the next request doubles up to this many times.
const DOUBLINGS: u32 = 6;

/// An attempt that misses records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub device: String,
    pub id: String,
    pub attempt: u32,
    /// The first record of tokens that is missing, where nothing but such are.
    pub from_seq: Option<u64>,
}

/// What a board said to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It sends this many records.
    Sends(u64),
    /// It does not know the job any more.
    Unknown,
    /// It is to be asked again after this.
    Later(Span),
}

/// A gap that won't be filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Closed {
    pub device: String,
    pub id: String,
    pub attempt: u32,
    /// Records of tokens and trace that are here, and that the result announced, where there is one.
    pub here: u64,
    pub announced: Option<u64>,
}

/// Attempts that miss something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Their boards are, or will be, asked.
    pub open: u64,
    /// Of these, those whose board is among the given.
    pub reachable: u64,
    /// No board has it any more.
    pub lost: u64,
}

/// A row of the table that is open.
struct Open {
    device: String,
    id: String,
    attempt: u32,
    ended: Option<String>,
    tokens: Option<u64>,
    trace: Option<u64>,
    asks: u32,
    fruitless: u32,
    had: u64,
}

fn open(row: &Row<'_>) -> rusqlite::Result<Open> {
    let count = |index| -> rusqlite::Result<Option<u64>> {
        let count: Option<i64> = row.get(index)?;
        Ok(count.map(|count| count as u64))
    };
    Ok(Open {
        device: row.get(0)?,
        id: row.get(1)?,
        attempt: row.get(2)?,
        ended: row.get(3)?,
        tokens: count(4)?,
        trace: count(5)?,
        asks: row.get(6)?,
        fruitless: row.get(7)?,
        had: count(8)?.unwrap_or(0),
    })
}

impl Staging {
    /// Takes up to `most` gaps of these devices that are due, and closes those of which nothing
    /// more is expected. Who takes one is to ask for it; it is due again after `grace`, and then
    /// after ever longer pauses while nothing comes.
    pub fn take_gaps(
        &mut self,
        devices: &[String],
        most: usize,
        now: MonoNs,
        grace: Span,
    ) -> Result<(Vec<Gap>, Vec<Closed>), StagingError> {
        let marks = vec!["?"; devices.len()].join(", ");
        let sql = format!(
            "SELECT device, id, attempt, ended, tokens, trace, asks, fruitless, had FROM attempt
             WHERE standing = 'open' AND device IN ({marks}) AND due_ns <= ? LIMIT ?"
        );
        let due = |db: &Connection| -> rusqlite::Result<Vec<Open>> {
            let names = devices.iter().map(|device| Value::from(device.clone()));
            let bounds = [now.0 as i64, most as i64].map(Value::from);
            let mut query = db.prepare_cached(&sql)?;
            query
                .query_map(params_from_iter(names.chain(bounds)), open)?
                .collect()
        };
        // Mostly there is nothing, which needs no turn as a writer.
        if devices.is_empty() || most == 0 || self.named(due(&self.db))?.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        self.change(|tx| {
            let (mut gaps, mut closed) = (Vec::new(), Vec::new());
            for mut row in due(tx)? {
                let here = Here::count(tx, &row.device, &row.id, row.attempt)?;
                if here.records() > row.had {
                    (row.asks, row.fruitless) = (0, 0);
                }
                if row.fruitless >= FRUITLESS {
                    closed.extend(close(tx, &row, &here)?);
                    continue;
                }
                let Open {
                    device,
                    id,
                    attempt,
                    ..
                } = &row;
                let pause = Span(grace.0 << row.asks.min(DOUBLINGS));
                tx.prepare_cached(
                    "UPDATE attempt SET due_ns = ?4, asks = ?5, fruitless = ?6, had = ?7
                     WHERE device = ?1 AND id = ?2 AND attempt = ?3",
                )?
                .execute(params![
                    device,
                    id,
                    attempt,
                    (now + pause).0 as i64,
                    row.asks + 1,
                    row.fruitless,
                    here.records() as i64
                ])?;
                let only_tokens = row.trace.is_some_and(|trace| here.trace >= trace);
                let from_seq = match only_tokens {
                    true => first_missing(tx, device, id, *attempt)?,
                    false => None,
                };
                gaps.push(Gap {
                    device: row.device,
                    id: row.id,
                    attempt: row.attempt,
                    from_seq,
                });
            }
            Ok((gaps, closed))
        })
    }

    /// Forgets answers that brought nothing, of boards on which a job ran since: they send nothing
    /// before an attempt ends that wishes to be undisturbed.
    pub fn bear_with(&mut self, devices: &[String]) -> Result<(), StagingError> {
        let bounds = params![1, GONE];
        let has_some = (|| {
            self.db
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM attempt
                     WHERE standing = 'open' AND fruitless >= ?1 AND fruitless < ?2)",
                )?
                .query_row(bounds, |row| row.get::<_, bool>(0))
        })();
        // Mostly there is nothing, which needs no turn as a writer.
        if devices.is_empty() || !self.named(has_some)? {
            return Ok(());
        }
        self.change(|tx| {
            let mut forget = tx.prepare_cached(
                "UPDATE attempt SET fruitless = 0
                 WHERE standing = 'open' AND device = ?1 AND fruitless < ?2",
            )?;
            for device in devices {
                forget.execute(params![device, GONE])?;
            }
            Ok(())
        })
    }

    /// Notes what the board said about a gap that was taken.
    pub fn answered(
        &mut self,
        gap: &Gap,
        outcome: Outcome,
        now: MonoNs,
    ) -> Result<(), StagingError> {
        let (fruitless, due) = match outcome {
            Outcome::Sends(0) | Outcome::Unknown => (GONE, Some(now)),
            Outcome::Sends(_) => (1, None),
            Outcome::Later(wait) => (0, Some(now + wait)),
        };
        self.change(|tx| {
            tx.prepare_cached(
                "UPDATE attempt SET fruitless = fruitless + ?4, due_ns = coalesce(?5, due_ns)
                 WHERE device = ?1 AND id = ?2 AND attempt = ?3 AND standing = 'open'",
            )?
            .execute(params![
                gap.device,
                gap.id,
                gap.attempt,
                fruitless,
                due.map(|due| due.0 as i64)
            ])?;
            Ok(())
        })
    }

    /// How many attempts miss something.
    pub fn standing(&self, devices: &[String]) -> Result<Standing, StagingError> {
        let found = (|| {
            let mut standing = Standing::default();
            let sql = "SELECT device, count(*) FROM attempt WHERE standing = 'open' GROUP BY 1";
            let mut query = self.db.prepare_cached(sql)?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                let count = row.get::<_, i64>(1)? as u64;
                standing.open += count;
                let device = row.get_ref(0)?.as_str()?;
                if devices.iter().any(|known| known == device) {
                    standing.reachable += count;
                }
            }
            let sql = "SELECT count(*) FROM attempt WHERE standing = 'lost'";
            let lost: i64 = self
                .db
                .prepare_cached(sql)?
                .query_row([], |row| row.get(0))?;
            standing.lost = lost as u64;
            Ok(standing)
        })();
        self.named(found)
    }
}

/// Nothing more will come. Of the jobs that are asked about, only one that was cancelled need not
/// have left a result: there is none where its board still has its last state and nothing else.
fn close(tx: &Transaction<'_>, row: &Open, here: &Here) -> rusqlite::Result<Option<Closed>> {
    let announced = row.tokens.zip(row.trace);
    let announced = announced.map(|(tokens, trace)| tokens.saturating_add(trace));
    let is_lost = announced.is_some()
        || row.ended.as_deref() != Some(JobState::Cancelled.as_str())
        || row.fruitless >= GONE;
    let standing = if is_lost { "lost" } else { "none" };
    set(tx, &row.device, &row.id, row.attempt, standing)?;
    Ok(is_lost.then(|| Closed {
        device: row.device.clone(),
        id: row.id.clone(),
        attempt: row.attempt,
        here: here.records(),
        announced,
    }))
}

fn first_missing(
    tx: &Transaction<'_>,
    device: &str,
    id: &str,
    attempt: u32,
) -> rusqlite::Result<Option<u64>> {
    let (from, to) = keys("tokens", device, id, attempt);
    let mut query = tx.prepare_cached("SELECT key FROM seen WHERE key >= ?1 AND key < ?2")?;
    let seqs = query.query_map([from, to], |row| {
        let key = row.get_ref(0)?.as_str()?;
        Ok(key.rsplit('/').next().and_then(|seq| seq.parse().ok()))
    })?;
    let mut seqs: Vec<u64> = seqs
        .filter_map(Result::transpose)
        .collect::<Result<_, _>>()?;
    seqs.sort_unstable();
    let present = seqs.iter().zip(0..).take_while(|(seq, n)| *seq == n);
    Ok(Some(present.count() as u64))
}
