//! What was received and acknowledged, before it is part of the dataset: one SQLite file in
//! `ROOT/.collect/`, shared by all collectors of the dataset on this machine.
//!
//! A message is acknowledged to the broker after the commit that holds it (WAL, synchronous =
//! FULL), so that nothing that was acknowledged is lost with the process or the power. The
//! identity of a record is a key: one that comes again, by whichever way, is left out. A roll
//! is a stretch of what is staged; it is numbered first, written into the dataset under that
//! number, and then taken away here. One that was cut short is written again, over what there
//! is of it.
//!
//! Times are CLOCK_MONOTONIC, which the processes of a machine share; those of another boot
//! count as passed.

mod attempts;
mod gaps;
mod keep;
mod rolls;
mod sessions;
mod settled;

pub use attempts::Listed;
pub use gaps::{Closed, Gap, Outcome, Standing};
pub use keep::{Kept, Parsed};
pub use rolls::Roll;

use crate::clock;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Of the tables below.
const VERSION: u32 = 1;

const SCHEMA: &str = "
CREATE TABLE collector (                   -- one row
    id       TEXT NOT NULL,                -- of this dataset, in names of parts and clients
    boot_id  TEXT NOT NULL,                -- to which due_ns belongs
    prefix   TEXT                          -- of the topics that are collected
) STRICT;

CREATE TABLE staged (
    n        INTEGER PRIMARY KEY AUTOINCREMENT,
    topic    TEXT NOT NULL,
    payload  BLOB NOT NULL,
    held     TEXT                          -- why it is in no roll
) STRICT;

CREATE TABLE roll (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    first   INTEGER NOT NULL,              -- of staged
    last    INTEGER NOT NULL,
    done    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX roll_unfinished ON roll (number) WHERE done = 0;

-- Identities of all records about jobs, and of each when and where it was made.
CREATE TABLE seen (
    key   TEXT PRIMARY KEY,
    made  INTEGER NOT NULL                 -- a hash: another one is another record
) STRICT, WITHOUT ROWID;

-- What the broker sends into the session of the collector of this name.
CREATE TABLE subscription (
    name    TEXT NOT NULL,
    filter  TEXT NOT NULL,
    PRIMARY KEY (name, filter)
) STRICT, WITHOUT ROWID;

-- Identities of samples, which are sent once: only collectors beside each other see one twice.
CREATE TABLE sampled (
    key   TEXT PRIMARY KEY,
    at_s  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sampled_by_age ON sampled (at_s);

-- The attempts with which jobs ended, and whether all of their records are here.
CREATE TABLE attempt (
    device     TEXT NOT NULL,
    id         TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    ended      TEXT,                       -- the job's last state, where it is known
    reason     TEXT,
    tokens     INTEGER,                    -- records that the result announces
    trace      INTEGER,
    standing   TEXT NOT NULL,              -- open, complete, lost, none: it has no result
    due_ns     INTEGER NOT NULL,           -- when the board is to be asked
    asks       INTEGER NOT NULL DEFAULT 0, -- since something came
    fruitless  INTEGER NOT NULL DEFAULT 0, -- answers since something came
    had        INTEGER NOT NULL DEFAULT 0, -- records when the board was last asked
    PRIMARY KEY (device, id, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_open ON attempt (device, due_ns) WHERE standing = 'open';
CREATE INDEX attempt_lost ON attempt (device) WHERE standing = 'lost';

CREATE TABLE quarantine (
    n        INTEGER PRIMARY KEY AUTOINCREMENT,
    at_s     INTEGER NOT NULL,
    topic    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    bytes    INTEGER NOT NULL,
    payload  BLOB NOT NULL                 -- its beginning
) STRICT;
";

/// The folder of a dataset that is the collectors' own.
pub const FOLDER: &str = ".collect";
const FILE: &str = "staging.db";

/// How long another collector's commit or roll is waited for.
const BUSY: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    #[error("{path}: {source}", path = path.display())]
    Sqlite {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error(
        "{path}: a newer joulectl has made it (version {found}, this one knows {VERSION}); use that one",
        path = path.display()
    )]
    Newer { path: PathBuf, found: u32 },
    #[error(
        "{path}: boards of the prefix {found} are collected here; give --prefix {found}, or \
         another --out",
        path = path.display()
    )]
    OtherPrefix { path: PathBuf, found: String },
    #[error("{path}: {source}", path = path.display())]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// The open file.
#[derive(Debug)]
pub struct Staging {
    db: Connection,
    path: PathBuf,
    id: String,
}

impl Staging {
    /// Whether there is one.
    pub fn is_at(root: &Path) -> bool {
        root.join(FOLDER).join(FILE).exists()
    }

    /// Opens the staging store of the dataset at `root`, and makes it where there is none; `id`
    /// becomes the dataset's own then.
    pub fn open(root: &Path, id: &str) -> Result<Self, StagingError> {
        let folder = root.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(|source| StagingError::Folder {
            path: folder.clone(),
            source,
        })?;
        let path = folder.join(FILE);
        let named = |source| StagingError::Sqlite {
            path: path.clone(),
            source,
        };
        let mut db = Connection::open(&path).map_err(named)?;
        let found = prepare(&mut db, id).map_err(named)?;
        if found > VERSION {
            return Err(StagingError::Newer { path, found });
        }
        let id = db
            .query_row("SELECT id FROM collector", [], |row| row.get(0))
            .map_err(named)?;
        Ok(Self { db, path, id })
    }

    /// Of this dataset.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Topics of `prefix` are collected from now on, if no other is.
    pub fn collects(&mut self, prefix: &str) -> Result<(), StagingError> {
        let found: String = self.change(|tx| {
            tx.execute(
                "UPDATE collector SET prefix = coalesce(prefix, ?1)",
                [prefix],
            )?;
            tx.query_row("SELECT prefix FROM collector", [], |row| row.get(0))
        })?;
        match found == prefix {
            true => Ok(()),
            false => Err(StagingError::OtherPrefix {
                path: self.path.clone(),
                found,
            }),
        }
    }

    fn named<T>(&self, result: rusqlite::Result<T>) -> Result<T, StagingError> {
        result.map_err(|source| StagingError::Sqlite {
            path: self.path.clone(),
            source,
        })
    }

    /// All of `change`, or nothing. It begins as a writer, since a reader that becomes one is
    /// refused when another process wrote meanwhile.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StagingError> {
        let done = (|| {
            let tx = self
                .db
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = change(&tx)?;
            tx.commit()?;
            Ok(value)
        })();
        self.named(done)
    }
}

/// Returns the version of the file's tables.
fn prepare(db: &mut Connection, id: &str) -> rusqlite::Result<u32> {
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    // Payloads are written twice, to the log and to the file: seldom, and many at a time.
    db.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut version: u32 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        tx.execute_batch(SCHEMA)?;
        tx.execute("INSERT INTO collector (id, boot_id) VALUES (?1, '')", [id])?;
        tx.pragma_update(None, "user_version", VERSION)?;
        version = VERSION;
    }
    if version == VERSION {
        let boot = clock::boot_id();
        let same: Option<bool> = tx
            .query_row("SELECT boot_id = ?1 FROM collector", [&boot], |row| {
                row.get(0)
            })
            .optional()?;
        if same != Some(true) {
            tx.execute("UPDATE collector SET boot_id = ?1", [&boot])?;
            tx.execute("UPDATE attempt SET due_ns = 0 WHERE standing = 'open'", [])?;
        }
    }
    tx.commit()?;
    Ok(version)
}

#[cfg(test)]
mod tests;
