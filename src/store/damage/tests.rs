//! Stores damaged in every way that a disk or a person may: each opens again, what can be
//! read is there, what was found is kept, and it is said.

use crate::store::outbox::tests::id;
use crate::store::testing::*;
use crate::store::{Finished, Outgoing, Piece, Store, StoreError, Submitted};
use crate::workload::{JobState, QueueMode};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Jobs that wait, in the stores below; enough for several pages.
const WAITING: usize = 60;

/// A paused store with a job that ended, one that runs, and many that wait. Its last commits
/// are in the log alone.
fn busy_store() -> TempDir {
    let (dir, mut store) = new_store();
    for name in ["ended", "runs"] {
        store.submit(&job(name), 100, &at(1)).expect("writable");
        store.begin_attempt(&id(name), &at(2)).expect("writable");
        if name == "ended" {
            let records = [Outgoing::result(br#"{"result":1}"#.to_vec())];
            store
                .finish_attempt(&id(name), 1, Finished::Succeeded, None, &records, &at(3))
                .expect("writable");
        }
    }
    for n in 0..WAITING {
        let job = job(&format!("waits-{n}"));
        store.submit(&job, 100, &at(4)).expect("writable");
    }
    store.set_queue_mode(QueueMode::Paused).expect("writable");
    checkpoint(&store);
    drop(store);
    dir
}

/// Everything is in the file, nothing in the log.
fn checkpoint(store: &Store) {
    store
        .db
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .expect("a pragma");
}

fn db(dir: &TempDir) -> std::path::PathBuf {
    dir.path().join("jouled.db")
}

/// Changes the bytes of the store's file.
fn harm(dir: &TempDir, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(db(dir)).expect("readable");
    change(&mut bytes);
    fs::write(db(dir), bytes).expect("writable");
}

/// The page with `needle`, and its start in the file.
fn page_with(bytes: &[u8], needle: &str) -> usize {
    let at = bytes.windows(needle.len());
    let at = at.enumerate().find(|(_, part)| *part == needle.as_bytes());
    at.expect("it is there").0 / 4096 * 4096
}

fn aside(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("readable");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names
        .map(|name| name.into_string().expect("UTF-8"))
        .filter(|name| name.contains(".damaged-"))
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    names.sort();
    names
}

/// Opens the damaged store; the files that were set aside hold what was found.
fn opened(dir: &TempDir) -> Store {
    let before = fs::read(db(dir)).expect("readable");
    let store = Store::open(dir.path()).expect("a damaged store opens");
    assert_eq!(store.damage().len(), 1, "{:?}", store.damage());
    let damage = &store.damage()[0];
    assert!(!damage.message.contains('/'), "{}", damage.message);
    assert!(damage.message.contains(&damage.file), "{}", damage.message);
    let kept = fs::read(dir.path().join(&damage.file)).expect("readable");
    assert!(kept == before, "what was found is kept as it was");
    assert_eq!(store.damaged_stores(), 1);
    store
}

fn waiting(store: &Store) -> usize {
    store.counts().expect("readable").queued as usize
}

#[test]
fn a_sound_store_is_left_alone() {
    let dir = busy_store();
    let store = Store::open(dir.path()).expect("opens");
    assert_eq!((store.damage(), store.damaged_stores()), (&[][..], 0));
    assert_eq!(waiting(&store), WAITING);
    assert_eq!(aside(dir.path()), Vec::<String>::new());
}

#[test]
fn what_is_no_database_is_set_aside() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(db(&dir), "this is no database, by its length too").expect("writable");
    let store = opened(&dir);
    assert_eq!(waiting(&store), 0);
    drop(store);
    // Told once; what was set aside stays, and is counted.
    let store = Store::open(dir.path()).expect("opens again");
    assert_eq!((store.damage(), store.damaged_stores()), (&[][..], 1));
}

#[test]
fn an_empty_file_is_no_new_store() {
    let dir = busy_store();
    harm(&dir, Vec::clear);
    let store = opened(&dir);
    assert!(store.damage()[0].message.contains("empty"));
}

#[test]
fn a_garbled_page_of_jobs_costs_its_rows_and_no_others() {
    let dir = busy_store();
    harm(&dir, |bytes| {
        let page = page_with(bytes, r#""id":"waits-30","kind""#);
        bytes[page..page + 4096].fill(0xa5);
    });
    let mut store = opened(&dir);
    let left = waiting(&store);
    assert!((WAITING / 2..WAITING).contains(&left), "{left}");
    // Known ids stay known, and what ran is recovered.
    for name in ["ended", "runs"] {
        let again = store.submit(&job(name), 100, &at(9)).expect("writable");
        assert!(matches!(again, Submitted::Known(_)), "{again:?}");
    }
    assert_eq!(store.queue_mode().expect("readable"), QueueMode::Paused);
    let recovered = store.recover(&at(9)).expect("writable");
    assert_eq!(recovered[0].row.id, id("runs"));
    assert_eq!(recovered[0].row.state, JobState::Queued);
    let attempts = store.attempts(&id("ended"), 9).expect("readable");
    assert_eq!(
        (attempts.len(), attempts[0].state.as_str()),
        (1, "succeeded")
    );
    store.set_queue_mode(QueueMode::Open).expect("writable");
    assert!(store.next_queued(&at(9)).expect("readable").job.is_some());
    // The result that had not left is still there to leave.
    let kinds = store.waiting(1_000);
    assert!(
        kinds
            .iter()
            .any(|record| record.payload == br#"{"result":1}"#)
    );
}

#[test]
fn a_changed_job_never_runs() {
    let dir = busy_store();
    harm(&dir, |bytes| {
        // The same length: no structure is hurt, and the check can't see it.
        let needle = br#""id":"waits-7","kind""#;
        let found = bytes.windows(needle.len()).position(|part| part == needle);
        let at = found.expect("it is there");
        let page = at / 4096 * 4096;
        let broken = page_with(bytes, r#""id":"waits-50","kind""#);
        assert_ne!(page, broken);
        bytes[at + 6] = b'X';
        bytes[broken..broken + 4096].fill(0);
    });
    let mut store = opened(&dir);
    store.set_queue_mode(QueueMode::Open).expect("writable");
    let mut unreadable = Vec::new();
    loop {
        let next = store.next_queued(&at(9)).expect("readable");
        unreadable.extend(next.failed);
        let Some((job, _)) = next.job else { break };
        store.cancel(&job.id, &at(9)).expect("writable");
    }
    assert_eq!(unreadable.len(), 1);
    assert_eq!(unreadable[0].id, id("waits-7"));
    assert_eq!(unreadable[0].reason.as_deref(), Some("unreadable"));
}

#[test]
fn a_file_cut_short_gives_what_is_left_of_it() {
    for share in [1, 4, 7] {
        let dir = busy_store();
        harm(&dir, |bytes| bytes.truncate(bytes.len() * share / 8));
        let store = opened(&dir);
        println!(
            "{share}/8 of the file: {} of {WAITING} jobs",
            waiting(&store)
        );
    }
}

#[test]
fn a_header_of_garbage_is_set_aside() {
    let dir = busy_store();
    harm(&dir, |bytes| bytes[..100].fill(0x5a));
    opened(&dir);
}

#[test]
fn tables_that_are_gone_are_damage() {
    let dir = busy_store();
    let store = Store::open(dir.path()).expect("opens");
    store
        .db
        .execute_batch("DROP TABLE model_hash")
        .expect("writable");
    checkpoint(&store);
    drop(store);
    let store = opened(&dir);
    assert_eq!(waiting(&store), WAITING);
}

/// A store that was killed: its last commits are in the log alone.
fn killed_store() -> TempDir {
    let dir = busy_store();
    let mut store = Store::open(dir.path()).expect("opens");
    for n in 0..20 {
        let job = job(&format!("logged-{n}"));
        store.submit(&job, 1_000, &at(5)).expect("writable");
    }
    let copy = tempfile::tempdir().expect("a temporary directory");
    for name in ["jouled.db", "jouled.db-wal"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).expect("writable");
    }
    copy
}

#[test]
fn a_log_cut_short_gives_the_commits_before_the_cut() {
    let whole = killed_store();
    let log = fs::read(whole.path().join("jouled.db-wal")).expect("readable");
    let mut before = 0;
    for part in 0..=8 {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::copy(db(&whole), db(&dir)).expect("writable");
        let cut = log.len() * part / 8;
        fs::write(dir.path().join("jouled.db-wal"), &log[..cut]).expect("writable");
        let store = Store::open(dir.path()).expect("opens");
        // Nobody can know that it was longer.
        assert!(store.damage().is_empty(), "{:?}", store.damage());
        let jobs = waiting(&store);
        assert!(jobs >= before.max(WAITING), "{jobs}");
        before = jobs;
    }
    assert_eq!(before, WAITING + 20);
}

#[test]
fn a_log_of_garbage_is_kept_and_told_once() {
    let dir = killed_store();
    let path = dir.path().join("jouled.db-wal");
    let mut log = fs::read(&path).expect("readable");
    log[..32].fill(0x77);
    fs::write(&path, &log).expect("writable");
    let mut store = Store::open(dir.path()).expect("opens");
    assert_eq!(store.damage().len(), 1);
    let kept = dir.path().join(&store.damage()[0].file);
    assert!(fs::read(kept).expect("readable") == log);
    assert_eq!(waiting(&store), WAITING, "the store itself is as it was");
    store
        .submit(&job("later"), 1_000, &at(9))
        .expect("writable");
    drop(store);
    let store = Store::open(dir.path()).expect("opens again");
    assert_eq!((store.damage().len(), store.damaged_stores()), (0, 1));
    assert_eq!(waiting(&store), WAITING + 1);
}

#[test]
fn commits_behind_a_break_in_the_log_are_told_of() {
    let dir = killed_store();
    let path = dir.path().join("jouled.db-wal");
    let mut log = fs::read(&path).expect("readable");
    let middle = log.len() / 2;
    log[middle] ^= 1;
    fs::write(&path, &log).expect("writable");
    let store = Store::open(dir.path()).expect("opens");
    assert_eq!(store.damage().len(), 1);
    assert!(store.damage()[0].file.starts_with("jouled.db-wal.damaged-"));
    let jobs = waiting(&store);
    assert!((WAITING..WAITING + 20).contains(&jobs), "{jobs}");
}

#[test]
fn a_log_without_its_store_is_kept_and_not_replayed_into_the_new_one() {
    let dir = killed_store();
    fs::remove_file(db(&dir)).expect("writable");
    let path = dir.path().join("jouled.db-wal");
    let log = fs::read(&path).expect("readable");
    fs::write(dir.path().join("jouled.db-shm"), "of the lost store").expect("writable");
    let mut store = Store::open(dir.path()).expect("opens");
    assert_eq!((store.damage().len(), store.damaged_stores()), (1, 1));
    let file = &store.damage()[0].file;
    assert!(file.starts_with("jouled.db-wal.damaged-"), "{file}");
    let kept = fs::read(dir.path().join(file)).expect("readable");
    assert!(kept == log, "what was found is kept as it was");
    assert_eq!(waiting(&store), 0, "the new store is empty");
    store.submit(&job("later"), 100, &at(9)).expect("writable");
    drop(store);

    // The next start checks the whole store.
    fs::write(dir.path().join("jouled.db.check"), "").expect("writable");
    let mut store = Store::open(dir.path()).expect("opens again");
    assert_eq!((store.damage(), waiting(&store)), (&[][..], 1));
    let next = store.next_queued(&at(9)).expect("readable").job;
    assert_eq!(next.expect("it waits").0.id, id("later"));
}

#[test]
fn a_newer_store_is_never_set_aside() {
    let dir = busy_store();
    // `user_version` of the header, big-endian, at 60.
    harm(&dir, |bytes| {
        bytes[60..64].copy_from_slice(&99_u32.to_be_bytes())
    });
    let error = Store::open(dir.path()).expect_err("too new");
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
    assert_eq!(aside(dir.path()), Vec::<String>::new());
}

#[test]
fn setting_aside_goes_on_where_it_was_cut_off() {
    let damaged = || {
        let dir = busy_store();
        harm(&dir, |bytes| {
            let page = page_with(bytes, r#""id":"waits-30","kind""#);
            bytes[page..page + 4096].fill(0xa5);
        });
        fs::write(
            dir.path().join("jouled.db.set-aside"),
            "jouled.db.damaged-7",
        )
        .expect("writable");
        dir
    };
    let at_step = [
        // Marked, and nothing moved.
        |_: &Path| {},
        // Moved, and the new one begun.
        |dir: &Path| {
            fs::rename(dir.join("jouled.db"), dir.join("jouled.db.damaged-7")).expect("writable");
            fs::write(dir.join("jouled.db.new"), "half a store").expect("writable");
        },
    ];
    for cut_off in at_step {
        let dir = damaged();
        cut_off(dir.path());
        let store = Store::open(dir.path()).expect("opens");
        assert_eq!(store.damage()[0].file, "jouled.db.damaged-7");
        assert!(waiting(&store) >= WAITING / 2);
        assert_eq!(aside(dir.path()), ["jouled.db.damaged-7"]);
        assert!(!dir.path().join("jouled.db.set-aside").exists());
        assert!(!dir.path().join("jouled.db.new").exists());
    }
    // The mark itself was cut off.
    let dir = busy_store();
    fs::write(dir.path().join("jouled.db.set-aside"), "jou").expect("writable");
    let store = Store::open(dir.path()).expect("opens");
    assert_eq!((store.damage().len(), waiting(&store)), (0, WAITING));
}

#[test]
fn a_mark_that_cannot_be_read_makes_no_empty_store() {
    let dir = busy_store();
    fs::rename(db(&dir), dir.path().join("jouled.db.damaged-7")).expect("writable");
    // A directory can be opened and not read, also by root.
    fs::create_dir(dir.path().join("jouled.db.set-aside")).expect("writable");
    let error = Store::open(dir.path()).expect_err("the mark can't be read");
    assert!(matches!(error, StoreError::Create { .. }), "{error}");
    assert!(!db(&dir).exists());
}

#[test]
fn what_was_set_aside_is_never_overwritten() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for n in 1..=3 {
        fs::write(db(&dir), format!("no database {n}")).expect("writable");
        drop(Store::open(dir.path()).expect("opens"));
        assert_eq!(aside(dir.path()).len(), n);
    }
}

#[test]
fn damage_found_at_work_ends_the_daemon_and_is_looked_for_at_the_next_start() {
    let dir = busy_store();
    let mut store = Store::open(dir.path()).expect("opens");
    for n in 0..50 {
        let name = format!("more-{n}");
        store.submit(&job(&name), 1_000, &at(5)).expect("writable");
    }
    checkpoint(&store);
    drop(store);
    // The outbox is not looked at by the check of every start.
    harm(&dir, |bytes| {
        let page = page_with(bytes, r#"1,"device":"bench""#);
        bytes[page..page + 4096].fill(0xa5);
    });
    let mut store = Store::open(dir.path()).expect("opens");
    assert!(store.damage().is_empty(), "{:?}", store.damage());
    let in_doubt = store.in_doubt();
    let all = Piece {
        records: 10_000,
        bytes: usize::MAX,
        rows: usize::MAX,
    };
    let error = store
        .pending_after(0, all, |_, _| true)
        .expect_err("damaged");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(*in_doubt.borrow());
    assert!(dir.path().join("jouled.db.check").exists());
    // Nothing is decided any more: the attempt that runs is not ended as failed.
    let ended = store.finish_attempt(&id("runs"), 1, Finished::Failed, None, &[], &at(6));
    let error = ended.expect_err("damaged");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    drop(store);

    let store = Store::open(dir.path()).expect("opens");
    assert_eq!(store.damage().len(), 1);
    assert_eq!(waiting(&store), WAITING + 50, "every job is taken over");
    assert!(!dir.path().join("jouled.db.check").exists());
}
