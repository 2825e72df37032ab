//! Whether a store can be trusted, asked of SQLite.

use rusqlite::{Connection, ErrorCode};

/// Tables by the version of the store that brought them. They are small: the outbox, which
/// may hold gigabytes, is none of them.
const SMALL: [(i64, &str); 4] = [
    (1, "job"),
    (1, "attempt"),
    (1, "model_hash"),
    (2, "setting"),
];
/// A new file has its header page, and one more where pages are counted.
const PAGES_OF_NOTHING: i64 = 2;
/// More of what SQLite finds doesn't help the person who reads it.
const LONGEST: usize = 200;

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// At every start: what no job can do without. Milliseconds.
    SmallTables,
    /// When there is a reason for doubt: it reads the whole file.
    Everything,
}

/// Whether the error says that the file itself is damaged.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// The answer to whoever wants to write after that.
pub fn found_before() -> rusqlite::Error {
    let damaged = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    let text = "damage was found in it, so that nothing is written any more";
    rusqlite::Error::SqliteFailure(damaged, Some(text.to_owned()))
}

/// What is wrong with the store, in a few words; `None` where nothing is, and for a store of
/// a version that this one doesn't know.
///
/// Errors: the check itself could not be done.
pub fn damage(db: &Connection, known: i64, extent: Extent) -> rusqlite::Result<Option<String>> {
    match look(db, known, extent) {
        Err(error) if is_damage(&error) => Ok(Some(error.to_string())),
        other => other,
    }
    .map(|found| found.map(|text| text.chars().take(LONGEST).collect()))
}

fn look(db: &Connection, known: i64, extent: Extent) -> rusqlite::Result<Option<String>> {
    let number = |pragma| db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let version = number("user_version")?;
    if version > known {
        return Ok(None);
    }
    if version < 1 {
        let used = number("page_count")? > PAGES_OF_NOTHING;
        return Ok(used.then(|| "its header and its tables are gone".to_owned()));
    }
    if extent == Extent::Everything {
        return quick_check(db, "PRAGMA quick_check(1)");
    }
    for (since, table) in SMALL {
        if since > version {
            continue;
        }
        let there: bool = db.query_row(
            "SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = ?1",
            [table],
            |row| row.get(0),
        )?;
        if !there {
            return Ok(Some(format!("its table {table} is gone")));
        }
        if let Some(found) = quick_check(db, &format!("PRAGMA quick_check({table})"))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn quick_check(db: &Connection, pragma: &str) -> rusqlite::Result<Option<String>> {
    let first: String = db.query_row(pragma, [], |row| row.get(0))?;
    Ok((first != "ok").then_some(first))
}
