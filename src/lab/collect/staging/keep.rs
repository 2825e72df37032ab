//! Messages in: the record and its identity in one commit, duplicates left out, what can't be
//! read set aside.

use super::attempts::{announce, ended, recount};
use super::{Staging, StagingError};
use crate::clock;
use crate::lab::dataset::{Attempt, Body, Record, RecordError};
use crate::units::{MonoNs, Span};
use rusqlite::{Transaction, params};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Unreadable messages that are kept to be looked at: the newest, and of each the beginning.
const QUARANTINED: i64 = 1_000;
const QUARANTINED_BYTES: usize = 4_096;
const QUARANTINED_TOPIC: usize = 256;
/// Two collectors get a sample within this of each other, or it isn't the same sample.
const SAMPLES_KNOWN_S: i64 = 3_600;

/// A message, and what it turned out to be.
pub struct Parsed<'m> {
    pub topic: &'m str,
    pub payload: &'m [u8],
    pub record: Result<Record, RecordError>,
}

/// What a batch brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    pub records: u64,
    /// Records about jobs.
    pub of_jobs: u64,
    /// In records of tokens.
    pub tokens: u64,
    pub results: u64,
    pub duplicates: u64,
    /// Of these, other records of the same name: the first stays.
    pub conflicts: u64,
    pub unreadable: u64,
    /// Of payloads that are staged now.
    pub bytes: u64,
}

impl Staging {
    /// Keeps a batch. When this returns, it is on the disk. What attempts miss by then is asked
    /// for after `grace`.
    pub fn keep(
        &mut self,
        batch: &[Parsed<'_>],
        now: MonoNs,
        grace: Span,
    ) -> Result<Kept, StagingError> {
        let now_s = clock::unix_seconds();
        let due = now + grace;
        self.change(|tx| {
            let mut kept = Kept::default();
            let mut touched = BTreeSet::new();
            for message in batch {
                let record = match &message.record {
                    Ok(record) => record,
                    Err(error) => {
                        kept.unreadable += 1;
                        quarantine(tx, message, &error.to_string(), now_s)?;
                        continue;
                    }
                };
                match novelty(tx, record, now_s)? {
                    Novelty::New => {}
                    Novelty::Again => {
                        kept.duplicates += 1;
                        continue;
                    }
                    Novelty::Other => {
                        kept.duplicates += 1;
                        kept.conflicts += 1;
                        continue;
                    }
                }
                kept.records += 1;
                kept.bytes += message.payload.len() as u64;
                tx.prepare_cached("INSERT INTO staged (topic, payload) VALUES (?1, ?2)")?
                    .execute(params![message.topic, message.payload])?;
                kept.of_jobs += u64::from(!is_sample(record));
                match &record.body {
                    Body::Tokens(tokens) => kept.tokens += tokens.tokens.len() as u64,
                    Body::Result(published) => {
                        kept.results += 1;
                        announce(tx, record.device(), &published.result, due)?;
                    }
                    Body::State(state) if state.state.is_final() => {
                        ended(tx, record.device(), &state.into(), due)?;
                    }
                    _ => {}
                }
                touched.extend(record.attempt());
            }
            for Attempt {
                device,
                id,
                attempt,
            } in &touched
            {
                recount(tx, device, id, *attempt)?;
            }
            Ok(kept)
        })
    }

    /// Unreadable messages so far, and why the newest is.
    pub fn quarantined(&self) -> Result<(u64, Option<String>), StagingError> {
        let found = self.db.query_row(
            "SELECT coalesce(max(n), 0),
                    (SELECT reason FROM quarantine ORDER BY n DESC LIMIT 1) FROM quarantine",
            [],
            |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)),
        );
        self.named(found)
    }
}

enum Novelty {
    New,
    Again,
    /// There is one of this identity, and it was made at another moment: a board that was set up
    /// anew runs a job of the same name, or two boards have one name.
    Other,
}

fn novelty(tx: &Transaction<'_>, record: &Record, now_s: i64) -> rusqlite::Result<Novelty> {
    let key = record.key();
    if is_sample(record) {
        let added = tx
            .prepare_cached("INSERT OR IGNORE INTO sampled VALUES (?1, ?2)")?
            .execute(params![key, now_s])?;
        return Ok(if added == 1 {
            Novelty::New
        } else {
            Novelty::Again
        });
    }
    let made = made(record);
    let added = tx
        .prepare_cached("INSERT OR IGNORE INTO seen VALUES (?1, ?2)")?
        .execute(params![key, made])?;
    if added == 1 {
        return Ok(Novelty::New);
    }
    let known: i64 = tx
        .prepare_cached("SELECT made FROM seen WHERE key = ?1")?
        .query_row([key], |row| row.get(0))?;
    Ok(match known == made {
        true => Novelty::Again,
        false => Novelty::Other,
    })
}

/// Of the moment at which it was made, which a replay keeps.
fn made(record: &Record) -> i64 {
    let stamp = &record.stamp;
    let mut hash = Sha256::new();
    hash.update(stamp.mono_ns.to_be_bytes());
    hash.update(&stamp.boot_id);
    let [a, b, c, d, e, f, g, h, ..] = hash.finalize().0;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn is_sample(record: &Record) -> bool {
    matches!(record.body, Body::Rail(_) | Body::Health(_))
}

/// Forgets samples that no other collector will bring any more.
pub(super) fn forget_samples(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let too_old = clock::unix_seconds() - SAMPLES_KNOWN_S;
    tx.execute("DELETE FROM sampled WHERE at_s < ?1", [too_old])?;
    Ok(())
}

fn quarantine(
    tx: &Transaction<'_>,
    message: &Parsed<'_>,
    reason: &str,
    now_s: i64,
) -> rusqlite::Result<()> {
    let topic: String = message.topic.chars().take(QUARANTINED_TOPIC).collect();
    let beginning = &message.payload[..message.payload.len().min(QUARANTINED_BYTES)];
    tx.prepare_cached(
        "INSERT INTO quarantine (at_s, topic, reason, bytes, payload) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        now_s,
        topic,
        reason,
        message.payload.len() as i64,
        beginning
    ])?;
    tx.prepare_cached("DELETE FROM quarantine WHERE n <= ?1")?
        .execute([tx.last_insert_rowid() - QUARANTINED])?;
    Ok(())
}
