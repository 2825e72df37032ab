//! Opening a store that may be damaged. A damaged one is never repaired in place, emptied or
//! deleted: it is set aside under a name of its own, a new one takes over what can be read
//! in it, and the lab is told.

mod aside;
mod check;
mod salvage;
mod wal;

#[cfg(test)]
mod tests;

pub use check::{found_before, is_damage};

use super::{StoreError, schema};
use aside::Files;
use check::Extent;
use rusqlite::{Connection, config::DbConfig};
use salvage::Taken;
use std::path::Path;

/// Damage that was found when the store was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What is kept of it, a name in the storage directory.
    pub file: String,
    /// For the event: what was wrong, and what became of it.
    pub message: String,
}

/// A store that is open and sound, as far as the check goes.
pub struct Opened {
    pub db: Connection,
    pub damage: Vec<Damage>,
    /// Damaged files beside it, of this start and of earlier ones.
    pub damaged_files: u32,
}

/// Opens the store `name` in `dir`, whatever state its files are in.
///
/// Errors: the directory can't be used, or the store is of a newer version.
pub fn open(dir: &Path, name: &'static str, unix_s: i64) -> Result<Opened, StoreError> {
    let files = Files::of(dir, name);
    let mut damage = Vec::new();
    if let Some((file, taken)) = files.resume()? {
        damage.push(set_aside(file, "was damaged at an earlier start", taken));
    }
    let log_damage = wal::damage(&files.log()).map_err(|source| StoreError::Create {
        path: files.log(),
        source,
    })?;
    let mut extent = match files.doubt().exists() {
        true => Extent::Everything,
        false => Extent::SmallTables,
    };
    let is_there = files.is_there()?;
    let left = match log_damage {
        // SQLite would replay it into the store that is made now.
        _ if !is_there && files.log().exists() => Some((
            files.move_log(unix_s)?,
            "its write-ahead log was there without it",
        )),
        Some(why) => Some((files.copy_log(unix_s)?, why)),
        None => None,
    };
    if let Some((file, why)) = left {
        damage.push(Damage {
            message: format!(
                "the store jouled.db: {why}; it is kept as {file}. What was committed last may \
                 be lost"
            ),
            file,
        });
        extent = Extent::Everything;
    }
    if !is_there {
        files.make(None)?;
    } else if let Some(why) = unsound(&files, extent)? {
        let (file, taken) = files.set_aside(unix_s)?;
        damage.push(set_aside(file, &format!("is damaged ({why})"), taken));
    }
    let db = schema::open(&files.db())?;
    if log_damage.is_some() {
        // Else the same log would be found again at the next start.
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|source| StoreError::Sqlite {
                path: files.db(),
                source,
            })?;
    }
    match std::fs::remove_file(files.doubt()) {
        Ok(()) => tracing::warn!("the whole store was checked, since it gave cause for doubt"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => tracing::error!(%error, "the store will be checked again at the next start"),
    }
    Ok(Opened {
        db,
        damage,
        damaged_files: files.count_damaged(),
    })
}

/// Leaves a mark, so that the next start checks the whole store.
pub fn doubt(path: &Path) {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return;
    };
    let mark = dir.join(format!("{}.check", name.to_string_lossy()));
    if let Err(error) = std::fs::write(mark, "") {
        tracing::error!(%error, "the next start will not check the whole store");
    }
}

/// Why the store can't be used. It is only looked at: its log stays as it is.
fn unsound(files: &Files, extent: Extent) -> Result<Option<String>, StoreError> {
    let path = files.db();
    // SQLite would take it for a new store, and remove its log.
    if std::fs::metadata(&path).is_ok_and(|file| file.len() == 0) {
        return Ok(Some("the file is empty".to_owned()));
    }
    let look = || {
        let db = Connection::open(&path)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        db.pragma_update(None, "cache_size", -512)?;
        check::damage(&db, schema::KNOWN, extent)
    };
    match look() {
        Err(error) if is_damage(&error) => Ok(Some(error.to_string())),
        other => other.map_err(|source| StoreError::Sqlite {
            path: path.clone(),
            source,
        }),
    }
}

fn set_aside(file: String, why: &str, taken: Taken) -> Damage {
    let Taken {
        jobs,
        attempts,
        records,
        unreadable,
    } = taken;
    Damage {
        message: format!(
            "the store jouled.db {why} and is kept as {file}; a new one took over {jobs} jobs, \
             {attempts} attempts and {records} records that had not left, {unreadable} rows \
             could not be read, others may be lost"
        ),
        file,
    }
}
