//! The records that a store keeps, read beside the daemon or without one. Nothing is changed.

use super::outbox::RecordKind;
use super::{Store, StoreError};
use crate::workload::JobId;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A store, opened to be read.
pub struct Kept {
    db: Connection,
    path: PathBuf,
}

impl Kept {
    /// Opens the store in `dir`, whether a daemon runs there or not.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(Store::FILE);
        let opened = (|| {
            let db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            db.busy_timeout(Duration::from_secs(5))?;
            // Opening alone reads nothing: whether it can be read shows here.
            db.query_row("SELECT count(*) FROM outbox", [], |_| Ok(()))?;
            Ok(db)
        })();
        match opened {
            Ok(db) => Ok(Self { db, path }),
            // The file is there, but not the index of its log, which is made beside it.
            Err(source) if needs_to_write(&source) && path.is_file() => {
                Err(StoreError::ReadOnly { path, source })
            }
            Err(source) => Err(StoreError::Sqlite { path, source }),
        }
    }

    /// The payload of an attempt's result; `None` where it is kept no longer.
    pub fn result(&self, id: &JobId, attempt: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self
            .db
            .query_row(
                "SELECT payload FROM outbox WHERE job = ?1 AND attempt = ?2 AND kind = ?3
                 ORDER BY seq DESC LIMIT 1",
                params![id.as_str(), attempt, RecordKind::Result.as_str()],
                |row| row.get(0),
            )
            .optional();
        self.named(found)
    }

    /// The payloads of an attempt's records of a kind that are still kept, in their order.
    pub fn records(
        &self,
        id: &JobId,
        attempt: u32,
        kind: RecordKind,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let records = (|| {
            self.db
                .prepare_cached(
                    "SELECT payload FROM outbox WHERE job = ?1 AND attempt = ?2 AND kind = ?3
                     ORDER BY seq",
                )?
                .query_map(params![id.as_str(), attempt, kind.as_str()], |row| {
                    row.get(0)
                })?
                .collect()
        })();
        self.named(records)
    }

    fn named<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|source| StoreError::Sqlite {
            path: self.path.clone(),
            source,
        })
    }
}

fn needs_to_write(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    matches!(error.sqlite_error_code(), Some(CannotOpen | ReadOnly))
}

#[cfg(test)]
mod tests {
    use super::super::outbox::tests::{id, run};
    use super::super::testing::*;
    use super::*;

    #[test]
    fn records_are_read_while_the_store_is_in_use() {
        let (dir, mut store) = new_store();
        run(&mut store, "a", 1);
        let kept = Kept::open(dir.path()).unwrap();
        assert_eq!(kept.result(&id("a"), 1).unwrap(), Some(vec![9; 100]));
        let tokens = kept.records(&id("a"), 1, RecordKind::Tokens).unwrap();
        assert_eq!(tokens, [vec![0; 100], vec![1; 100], vec![2; 100]]);
        assert_eq!(kept.result(&id("a"), 2).unwrap(), None);
        assert_eq!(kept.result(&id("b"), 1).unwrap(), None);
    }

    #[test]
    fn a_directory_without_a_store_is_not_made_one() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Kept::open(dir.path()).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn without_a_right_to_write_the_error_says_what_helps() {
        let (dir, store) = new_store();
        drop(store);
        // What SQLite answers where the log's index can't be made; root may write anywhere.
        std::os::unix::fs::symlink("nowhere/shm", dir.path().join("jouled.db-shm")).unwrap();
        let error = Kept::open(dir.path()).err().expect("it can't be read");
        let text = error.to_string();
        assert!(text.contains("write access"), "{text}");
        assert!(text.contains("running daemon"), "{text}");
    }
}
