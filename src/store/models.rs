//! Model hashes, so that a file of gigabytes is hashed once and not at each start.

use super::{Store, StoreError};
use rusqlite::{OptionalExtension, params};

/// What makes a file the one that was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    pub size_bytes: u64,
    pub mtime_ns: i64,
    pub inode: u64,
}

impl FileIdentity {
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            size_bytes: metadata.len(),
            mtime_ns: metadata
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(metadata.mtime_nsec()),
            inode: metadata.ino(),
        }
    }
}

impl Store {
    /// The SHA-256 of the file, if exactly this file was hashed before.
    pub fn model_hash(&self, name: &str, file: FileIdentity) -> Result<Option<String>, StoreError> {
        let found = self
            .db
            .query_row(
                "SELECT sha256 FROM model_hash
                 WHERE name = ?1 AND size = ?2 AND mtime_ns = ?3 AND inode = ?4",
                params![
                    name,
                    file.size_bytes as i64,
                    file.mtime_ns,
                    file.inode as i64
                ],
                |row| row.get(0),
            )
            .optional();
        self.named(found)
    }

    pub fn keep_model_hash(
        &mut self,
        name: &str,
        file: FileIdentity,
        sha256: &str,
    ) -> Result<(), StoreError> {
        self.change(|tx| {
            tx.execute(
                "INSERT OR REPLACE INTO model_hash (name, size, mtime_ns, inode, sha256)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    name,
                    file.size_bytes as i64,
                    file.mtime_ns,
                    file.inode as i64,
                    sha256
                ],
            )?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn a_changed_file_has_no_known_hash() {
        let (_dir, mut store) = new_store();
        let file = FileIdentity {
            size_bytes: u64::from(u32::MAX) + 1,
            mtime_ns: 5,
            inode: 7,
        };
        store
            .keep_model_hash("m.gguf", file, "abc")
            .expect("writable");
        let hash = |file| store.model_hash("m.gguf", file).expect("readable");
        assert_eq!(hash(file).as_deref(), Some("abc"));
        assert_eq!(
            hash(FileIdentity {
                mtime_ns: 6,
                ..file
            }),
            None
        );
        assert_eq!(hash(FileIdentity { inode: 8, ..file }), None);
    }
}
