//! What can go wrong with the store, for the person who looks after the board.

use std::path::PathBuf;

/// Why the store could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{path}: can't be created: {source}; check [storage] dir and its owner")]
    Create {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} is in use by another jouled; stop it, or give this one its own [storage] dir")]
    InUse { path: PathBuf },
    #[error(
        "{path}: is a store of version {found}, this jouled knows up to {known}; \
         install the newer jouled, or move it away together with the files beside it that begin \
         with its name (-wal, -shm)"
    )]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error("{path}: {source}; the raw data in it can't be looked after")]
    Raw {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{path}: {source}; reading a store needs write access to its directory, or a running \
         daemon: run this as the daemon's user"
    )]
    ReadOnly {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error(
        "{path}: {source}; jouled ends, and at its next start checks the whole store, sets it \
         aside if it is damaged, and takes over what can be read"
    )]
    Damaged {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error("{path}: {source}; check the disk's free space and health")]
    Sqlite {
        path: PathBuf,
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// Whether the disk has no room.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Create { source, .. } | Self::Raw { source, .. } => {
                source.kind() == std::io::ErrorKind::StorageFull
            }
            Self::Sqlite { source, .. } => {
                source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            _ => false,
        }
    }

    /// Whether the same change may succeed later: the fault is the disk's.
    pub fn may_pass(&self) -> bool {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseLocked, OutOfMemory, PermissionDenied, ReadOnly,
            SystemIoFailure,
        };
        let of_the_disk = match self {
            Self::Sqlite { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(
                    CannotOpen
                        | DatabaseBusy
                        | DatabaseLocked
                        | OutOfMemory
                        | PermissionDenied
                        | ReadOnly
                        | SystemIoFailure
                )
            ),
            _ => false,
        };
        of_the_disk || self.is_full()
    }
}
