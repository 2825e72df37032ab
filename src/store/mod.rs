//! The board's truth: the queue of jobs, their attempts and the records that wait for the
//! broker, in one SQLite file.
//!
//! Everything that a client was told is on disk before it was told (WAL, synchronous =
//! FULL). A change of a job's state and the state record that announces it are one
//! transaction, so neither can exist without the other. Nothing here reads a clock: a
//! [`Moment`] comes with each call.
//!
//! # `rev`
//!
//! The revision of a job's state rises with every state that leaves the board, also over a
//! crash. A committed state adds 1. While an attempt runs, states with phase and progress
//! are published from memory and never stored; they take the revisions after the one that
//! [`Store::begin_attempt`] returned, and the next committed state starts [`LIVE_REVS`]
//! higher, whatever became of the process.

mod attempts;
mod damage;
mod departing;
pub(crate) mod directory;
mod error;
mod expiry;
mod jobs;
mod kept;
mod models;
mod outbox;
mod raw;
mod retention;
mod room;
mod schema;
mod setting;

#[cfg(test)]
mod life;

pub use attempts::{AttemptRow, Begun, Finished, Recovered};
pub use damage::Damage;
pub use departing::{Found, Pending, Piece, Renewed, Topic};
pub use error::StoreError;
pub use expiry::{Expired, Expiry};
pub use jobs::{Arrived, Cancelled, Counts, Next, StateRow, Submitted};
pub use kept::Kept;
pub use models::FileIdentity;
pub use outbox::{Backlog, Outgoing, RecordKind};
pub use raw::{RawDirectory, RawFile};

use crate::clock;
use crate::record::Stamp;
use crate::units::Span;
use rusqlite::Connection;
use std::cell::Cell;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Revisions kept free for the states of one running attempt that live in memory only.
pub const LIVE_REVS: u64 = 1_000_000;

/// The moment of a change: seconds of the Unix epoch for retention and deadlines, and the
/// stamp of the records that announce the change.
#[derive(Debug, Clone)]
pub struct Moment {
    pub unix_s: i64,
    pub stamp: Stamp,
}

impl Moment {
    pub fn now(device: &str) -> Self {
        Self {
            unix_s: clock::unix_seconds(),
            stamp: Stamp::now(device),
        }
    }
}

/// The open store. One process at a time may hold a directory.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
    damage: Vec<Damage>,
    damaged_stores: u32,
    /// Whether SQLite found the file damaged since it was opened.
    in_doubt: watch::Sender<bool>,
    /// The backlog as it was after so many changes.
    counted: Cell<Option<(u64, Backlog)>>,
    renewed: Option<Renewed>,
    /// Held for as long as the store is open; the kernel drops it with the process.
    _lock: File,
}

const LOCK_WITHIN: Span = Span::from_millis(2_000);
const LOCK_AGAIN: Span = Span::from_millis(20);

impl Store {
    pub const FILE: &str = "jouled.db";

    /// Opens `dir`/jouled.db, and makes it where it doesn't exist. A damaged one is set aside
    /// and replaced by what can be read of it; [`damage`](Self::damage) tells.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let create = |path: &Path, source| StoreError::Create {
            path: path.to_owned(),
            source,
        };
        directory::make(dir, 0o777).map_err(|source| create(dir, source))?;
        let lock_path = dir.join("jouled.lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|source| create(&lock_path, source))?;
        if !taken(&lock).map_err(|source| create(&lock_path, source))? {
            return Err(StoreError::InUse {
                path: dir.to_owned(),
            });
        }
        let path = dir.join(Self::FILE);
        // The time is for names of files alone.
        let opened = damage::open(dir, Self::FILE, clock::unix_seconds())?;
        for Damage { message, .. } in &opened.damage {
            tracing::error!("{message}");
        }
        // Made by a process that died before it came to this.
        match directory::sync(directory::above(dir)) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
            synced => synced.map_err(|source| create(dir, source))?,
        }
        directory::sync(dir).map_err(|source| create(dir, source))?;
        Ok(Self {
            db: opened.db,
            path,
            damage: opened.damage,
            damaged_stores: opened.damaged_files,
            in_doubt: watch::Sender::new(false),
            counted: Cell::new(None),
            renewed: None,
            _lock: lock,
        })
    }

    /// What was found damaged when the store was opened.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Becomes true when SQLite finds the file damaged: the daemon has to end.
    pub fn in_doubt(&self) -> watch::Receiver<bool> {
        self.in_doubt.subscribe()
    }

    /// Damaged stores beside this one, set aside when they were opened.
    pub fn damaged_stores(&self) -> u32 {
        self.damaged_stores
    }

    fn named<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|source| {
            let path = self.path.clone();
            if !damage::is_damage(&source) {
                return StoreError::Sqlite { path, source };
            }
            damage::doubt(&path);
            self.in_doubt.send_replace(true);
            StoreError::Damaged { path, source }
        })
    }

    /// Runs `change` as one transaction: all of it, or nothing. Once damage was found nothing is
    /// written any more: what is decided on it could stand against what the next start saves.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let done = (|| {
            if *self.in_doubt.borrow() {
                return Err(damage::found_before());
            }
            let tx = self.db.transaction()?;
            let value = change(&tx)?;
            tx.commit()?;
            Ok(value)
        })();
        self.named(done)
    }
}

/// Whether the lock could be taken. A daemon that was killed as it started a worker leaves a
/// process that holds the lock until it is that worker, so this waits a little.
fn taken(lock: &File) -> std::io::Result<bool> {
    let give_up = clock::now() + LOCK_WITHIN;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if clock::now() < give_up => clock::sleep(LOCK_AGAIN),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(source)) => return Err(source),
        }
    }
}

/// Locks a shared store. A thread that panicked left no half change, since its transaction
/// was rolled back; so its poison is no reason to stop.
pub fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::workload::{Job, Limits};
    use serde_json::json;

    pub fn at(unix_s: i64) -> Moment {
        Moment {
            unix_s,
            stamp: Stamp {
                v: 1,
                device: "bench".to_owned(),
                time: "2026-01-01T00:00:00.000Z".to_owned(),
                mono_ns: 1,
                boot_id: "b".to_owned(),
                clock_sync: false,
            },
        }
    }

    pub fn job_with(id: &str, change: impl FnOnce(&mut serde_json::Value)) -> Job {
        let mut job = json!({"id": id, "kind": "generate", "model": "m.gguf", "prompt": "Why?"});
        change(&mut job);
        Job::parse(job.to_string().as_bytes(), &Limits::default()).expect("a valid job")
    }

    pub fn job(id: &str) -> Job {
        job_with(id, |_| ())
    }

    /// From now on the store is full after `spare` more pages, as on a full disk.
    pub fn leave_pages(store: &Store, spare: u32) {
        let used: u32 = store
            .db
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .expect("a pragma");
        let limit = format!("PRAGMA max_page_count = {}", used + spare);
        store.db.execute_batch(&limit).expect("a pragma");
    }

    /// From now on no record can be read.
    pub fn hide_outbox(store: &Store) {
        let hide = "ALTER TABLE outbox RENAME TO hidden";
        store.db.execute_batch(hide).expect("a rename");
    }

    pub fn show_outbox(store: &Store) {
        let show = "ALTER TABLE hidden RENAME TO outbox";
        store.db.execute_batch(show).expect("a rename");
    }

    impl Store {
        /// Changes the row of a record that waits, as a failing card may.
        pub fn garble(&self, seq: i64) {
            let garbled = self
                .db
                .execute("UPDATE pending SET kind = 'tokemr' WHERE seq = ?1", [seq]);
            assert_eq!(garbled, Ok(1));
        }

        /// The first records that wait for the broker.
        pub fn waiting(&self, records: usize) -> Vec<Pending> {
            let piece = Piece {
                records,
                bytes: usize::MAX,
                rows: usize::MAX,
            };
            let found = self.pending_after(0, piece, |_, _| true);
            found.expect("readable").records
        }
    }

    pub fn new_store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(dir.path()).expect("a fresh store opens");
        (dir, store)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;

    #[test]
    fn two_daemons_cannot_share_a_directory() {
        let (dir, store) = new_store();
        let error = Store::open(dir.path()).expect_err("the directory is taken");
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
        drop(store);
        assert!(Store::open(dir.path()).is_ok());
    }

    #[test]
    fn who_holds_the_directory_for_a_moment_is_waited_for() {
        let (dir, store) = new_store();
        let path = dir.path().to_owned();
        let waits = std::thread::spawn(move || Store::open(&path).map(|_| ()));
        drop(store);
        assert!(waits.join().expect("no panic").is_ok());
    }

    #[test]
    fn an_error_names_the_file() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("jouled.db")).expect("writable");
        let error = Store::open(dir.path())
            .expect_err("a directory")
            .to_string();
        assert!(error.contains("jouled.db"), "{error}");
    }

    #[test]
    fn a_newer_store_is_left_alone() {
        let (dir, store) = new_store();
        store
            .db
            .pragma_update(None, "user_version", 99)
            .expect("writable");
        drop(store);
        let error = Store::open(dir.path()).expect_err("too new");
        assert!(
            matches!(error, StoreError::Newer { found: 99, .. }),
            "{error}"
        );
    }

    #[test]
    fn commits_reach_the_disk() {
        let (_dir, store) = new_store();
        let pragma = |name| -> String {
            store
                .db
                .pragma_query_value(None, name, |row| {
                    row.get::<_, rusqlite::types::Value>(0)
                        .map(|v| format!("{v:?}"))
                })
                .expect("a pragma")
        };
        assert_eq!(pragma("journal_mode"), r#"Text("wal")"#);
        assert_eq!(pragma("synchronous"), "Integer(2)");
    }
}
