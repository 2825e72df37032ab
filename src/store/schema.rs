//! Tables and their versions (`user_version`).

use super::StoreError;
use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;

/// One script for each version; a store is brought up from the one it has.
const MIGRATIONS: [&str; 2] = [V1, V2];

const V1: &str = "
CREATE TABLE job (
    arrival      INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    content      TEXT NOT NULL,            -- hash of the parsed job
    spec         TEXT NOT NULL,            -- the parsed job, JSON
    priority     INTEGER NOT NULL,
    deadline_s   INTEGER,
    state        TEXT NOT NULL,
    attempt      INTEGER NOT NULL,
    rev          INTEGER NOT NULL,
    reason       TEXT,
    submitted_s  INTEGER NOT NULL,
    changed_s    INTEGER NOT NULL
) STRICT;
CREATE INDEX job_by_state ON job (state, priority DESC, arrival);

CREATE TABLE attempt (
    job      TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    attempt  INTEGER NOT NULL,
    state    TEXT NOT NULL,
    reason   TEXT,
    begun_s  INTEGER NOT NULL,
    ended_s  INTEGER,
    PRIMARY KEY (job, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    job         TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    attempt     INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    record_seq  INTEGER,                   -- of tokens and trace
    rev         INTEGER,                   -- of a state
    payload     BLOB NOT NULL,
    delivery    TEXT NOT NULL DEFAULT 'pending',   -- pending, published, parked
    reason      TEXT,                      -- why it is parked
    created_s   INTEGER NOT NULL,
    settled_s   INTEGER                    -- when it was published or parked
) STRICT;
CREATE INDEX outbox_pending ON outbox (seq) WHERE delivery = 'pending';
CREATE INDEX outbox_by_job ON outbox (job, kind, seq);

CREATE TABLE model_hash (
    name      TEXT PRIMARY KEY,
    size      INTEGER NOT NULL,
    mtime_ns  INTEGER NOT NULL,
    inode     INTEGER NOT NULL,
    sha256    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

const V2: &str = "
CREATE TABLE setting (
    name   TEXT PRIMARY KEY,               -- queue: what the queue does (open, paused, draining)
    value  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What becomes of a record stands beside it, in narrow tables: a mark on a card is a page for
-- hundreds of records, and no payload is written again. A record in neither is published.
CREATE TABLE pending (
    seq    INTEGER PRIMARY KEY REFERENCES outbox (seq) ON DELETE CASCADE,
    job    TEXT NOT NULL,
    kind   TEXT NOT NULL,
    bytes  INTEGER NOT NULL                -- of the payload
) STRICT;
INSERT INTO pending
    SELECT seq, job, kind, length(payload) FROM outbox WHERE delivery = 'pending';
CREATE INDEX pending_state ON pending (seq) WHERE kind = 'state';
CREATE TABLE parked (
    seq     INTEGER PRIMARY KEY REFERENCES outbox (seq) ON DELETE CASCADE,
    reason  TEXT NOT NULL
) STRICT;
INSERT INTO parked SELECT seq, coalesce(reason, '') FROM outbox WHERE delivery = 'parked';
DROP INDEX outbox_pending;
ALTER TABLE outbox DROP COLUMN delivery;
ALTER TABLE outbox DROP COLUMN reason;
ALTER TABLE outbox DROP COLUMN settled_s;
CREATE INDEX outbox_by_age ON outbox (created_s);
";

/// The newest version.
pub(super) const KNOWN: i64 = MIGRATIONS.len() as i64;

pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let named = |source| StoreError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let mut db = Connection::open(path).map_err(named)?;
    let found = prepare(&db).map_err(named)?;
    if found > KNOWN {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known: KNOWN,
        });
    }
    migrate(&mut db, found as usize).map_err(named)?;
    Ok(db)
}

/// Sets the connection up and returns the version of the file.
fn prepare(db: &Connection) -> rusqlite::Result<i64> {
    // A reader beside the daemon (sqlite3 on a terminal) must not fail a commit at once.
    db.busy_timeout(Duration::from_secs(5))?;
    // Before the first table, or it has no effect; expiry gives pages back to the disk.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    // 512 KiB instead of 2 MiB: the daemon is meant to be small.
    db.pragma_update(None, "cache_size", -512)?;
    // After a large commit the log shrinks again at the next checkpoint.
    db.pragma_update(None, "journal_size_limit", 8 << 20)?;
    // One for each statement of the queue and the outbox.
    db.set_prepared_statement_cache_capacity(48);
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn migrate(db: &mut Connection, from: usize) -> rusqlite::Result<()> {
    for (version, script) in MIGRATIONS.iter().enumerate().skip(from) {
        let tx = db.transaction()?;
        tx.execute_batch(script)?;
        tx.pragma_update(None, "user_version", version as i64 + 1)?;
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::*;
    use crate::store::{Backlog, RecordKind, Store};
    use crate::workload::{JobId, QueueMode};
    use serde_json::json;

    /// A store as version 1 left it: a job that waits, and one that ran, with records in each
    /// delivery.
    fn of_version_1(path: &Path) {
        let mut db = Connection::open(path).unwrap();
        prepare(&db).unwrap();
        let tx = db.transaction().unwrap();
        tx.execute_batch(V1).unwrap();
        tx.pragma_update(None, "user_version", 1).unwrap();
        for (name, state) in [("ran", "succeeded"), ("waits", "queued")] {
            let job = job(name);
            tx.execute(
                "INSERT INTO job (id, content, spec, priority, state, attempt, rev, submitted_s,
                                  changed_s)
                 VALUES (?1, ?2, ?3, 0, ?4, 1, 3, 5, 6)",
                [name, &job.content_hash(), &json!(job).to_string(), state],
            )
            .unwrap();
        }
        tx.execute_batch(
            "INSERT INTO attempt VALUES ('ran', 1, 'succeeded', NULL, 5, 6);
             INSERT INTO outbox (job, attempt, kind, record_seq, rev, payload, delivery, reason,
                                 created_s, settled_s)
             VALUES ('ran', 1, 'tokens', 0, NULL, x'30', 'published', NULL, 6, 7),
                    ('ran', 1, 'tokens', 1, NULL, x'3131', 'parked', 'not authorised', 6, 7),
                    ('ran', 1, 'state', NULL, 3, x'323232', 'pending', NULL, 6, NULL),
                    ('ran', 1, 'result', NULL, NULL, x'33333333', 'pending', NULL, 6, NULL);
             INSERT INTO model_hash VALUES ('m.gguf', 1, 2, 3, 'ab');",
        )
        .unwrap();
        tx.commit().unwrap();
    }

    #[test]
    fn a_store_of_version_1_goes_on_with_all_that_it_had() {
        let dir = tempfile::tempdir().unwrap();
        of_version_1(&dir.path().join(Store::FILE));
        let mut store = Store::open(dir.path()).unwrap();
        assert!(store.damage().is_empty(), "{:?}", store.damage());
        let waiting = |store: &Store| -> Vec<(RecordKind, Option<u64>, Vec<u8>)> {
            let waiting = store.waiting(100).into_iter();
            waiting
                .map(|record| (record.topic.kind, record.rev, record.payload))
                .collect()
        };
        let state = (RecordKind::State, Some(3), b"222".to_vec());
        let result = (RecordKind::Result, None, b"3333".to_vec());
        assert_eq!(waiting(&store), [state.clone(), result.clone()]);
        assert!(store.has_waiting_states().unwrap());
        let backlog = Backlog {
            pending: 2,
            oldest_unix_s: Some(6),
            parked: 1,
        };
        assert_eq!(store.backlog().unwrap(), backlog);
        let (bytes, reason): (i64, String) = store
            .db
            .query_row(
                "SELECT (SELECT sum(bytes) FROM pending), (SELECT reason FROM parked)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!((bytes, reason.as_str()), (7, "not authorised"));

        let ran: JobId = "ran".parse().unwrap();
        assert_eq!(store.attempts(&ran, 9).unwrap().len(), 1);
        assert_eq!(store.queue_mode().unwrap(), QueueMode::Open);
        let next = store.next_queued(&at(9)).unwrap().job;
        assert_eq!(next.expect("it waits").0.id, job("waits").id);
        // Published and parked ones are there to leave again, in their order.
        assert_eq!(store.replay(&ran, None, None).unwrap(), 4);
        let tokens = |payload: &str| (RecordKind::Tokens, None, payload.as_bytes().to_vec());
        let again = [tokens("0"), tokens("11"), state, result];
        assert_eq!(waiting(&store), again);
        // It is sound as a whole, and later starts find nothing to do.
        drop(store);
        std::fs::write(dir.path().join("jouled.db.check"), "").unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!((store.damage(), waiting(&store).len()), (&[][..], 4));
    }
}
