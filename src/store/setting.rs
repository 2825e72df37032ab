//! What is kept over restarts: the queue's mode, as the lab has set it; which revisions of the
//! states of models are taken; and what the board has announced to Home Assistant, which has to be
//! taken back some day.

use super::{LIVE_REVS, Store, StoreError};
use crate::workload::QueueMode;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;

pub(super) const QUEUE: &str = "queue";
/// Followed by the topic of the announcement.
const DISCOVERY: &str = "discovery:";
const MODEL_REVS: &str = "model-revs";

impl Store {
    pub fn queue_mode(&self) -> Result<QueueMode, StoreError> {
        self.named(queue_mode(&self.db))
    }

    /// When this returns, the mode is on disk.
    pub fn set_queue_mode(&mut self, mode: QueueMode) -> Result<(), StoreError> {
        self.change(|tx| set(tx, QUEUE, mode.as_str()))
    }

    /// Topics on which the board has announced itself, each with what it said.
    pub fn discoveries(&self) -> Result<BTreeMap<String, String>, StoreError> {
        self.named(discoveries(&self.db))
    }

    pub fn keep_discovery(&mut self, topic: &str, said: &str) -> Result<(), StoreError> {
        self.change(|tx| set_discovery(tx, topic, said))
    }

    /// The broker has taken the announcement back.
    pub fn forget_discovery(&mut self, topic: &str) -> Result<(), StoreError> {
        self.change(|tx| {
            let name = format!("{DISCOVERY}{topic}");
            tx.execute("DELETE FROM setting WHERE name = ?1", [name])
                .map(|_| ())
        })
    }

    /// The revision after which this start may count the states of models: they live in memory,
    /// and rise over a restart all the same.
    pub fn reserve_model_revs(&mut self) -> Result<u64, StoreError> {
        self.change(|tx| {
            let taken = get(tx, MODEL_REVS)?;
            let taken = taken.and_then(|text| text.parse().ok()).unwrap_or(0);
            set(tx, MODEL_REVS, &(taken + LIVE_REVS).to_string())?;
            Ok(taken)
        })
    }
}

pub(super) fn discoveries(db: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut query = db
        .prepare_cached("SELECT name, value FROM setting WHERE substr(name, 1, length(?1)) = ?1")?;
    let rows = query.query_map([DISCOVERY], |row| {
        let name: String = row.get(0)?;
        Ok((name[DISCOVERY.len()..].to_owned(), row.get(1)?))
    })?;
    rows.collect()
}

pub(super) fn set_discovery(db: &Connection, topic: &str, said: &str) -> rusqlite::Result<()> {
    set(db, &format!("{DISCOVERY}{topic}"), said)
}

/// A mode that this version doesn't know stops the queue rather than runs it: somebody set
/// it for a reason, and `paused` loses nothing.
pub(super) fn queue_mode(db: &Connection) -> rusqlite::Result<QueueMode> {
    Ok(get(db, QUEUE)?.map_or(QueueMode::Open, |name| {
        QueueMode::parse(&name).unwrap_or(QueueMode::Paused)
    }))
}

fn get(db: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT value FROM setting WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(super) fn set(db: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO setting (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params![name, value],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{Store, Submitted};
    use super::*;
    use crate::workload::JobId;

    fn id(name: &str) -> JobId {
        name.parse().expect("a valid id")
    }

    #[test]
    fn the_mode_is_kept_over_a_restart() {
        let (dir, mut store) = new_store();
        assert_eq!(store.queue_mode().expect("readable"), QueueMode::Open);
        for mode in QueueMode::ALL {
            store.set_queue_mode(mode).expect("writable");
            drop(store);
            store = Store::open(dir.path()).expect("opens again");
            assert_eq!(store.queue_mode().expect("readable"), mode);
            assert_eq!(store.counts().expect("readable").mode, mode);
        }
    }

    #[test]
    fn revisions_of_models_are_never_given_out_twice() {
        let (dir, mut store) = new_store();
        assert_eq!(store.reserve_model_revs().expect("writable"), 0);
        drop(store);
        let mut store = Store::open(dir.path()).expect("opens again");
        assert_eq!(store.reserve_model_revs().expect("writable"), LIVE_REVS);
    }

    #[test]
    fn a_paused_queue_accepts_and_starts_nothing() {
        let (_dir, mut store) = new_store();
        store.set_queue_mode(QueueMode::Paused).expect("writable");
        let accepted = store.submit(&job("a"), 10, &at(1)).expect("writable");
        assert!(matches!(accepted, Submitted::Accepted(_)));
        assert_eq!(store.next_queued(&at(2)).expect("readable").job, None);
        let begun = store.begin_attempt(&id("a"), &at(2)).expect("readable");
        assert_eq!(begun, None);
        store.set_queue_mode(QueueMode::Open).expect("writable");
        assert!(store.next_queued(&at(3)).expect("readable").job.is_some());
    }

    #[test]
    fn a_draining_queue_runs_what_it_has_and_refuses_what_is_new() {
        let (_dir, mut store) = new_store();
        store.submit(&job("a"), 10, &at(1)).expect("writable");
        store.set_queue_mode(QueueMode::Draining).expect("writable");
        let new = store.submit(&job("b"), 10, &at(1)).expect("writable");
        assert_eq!(new, Submitted::Draining);
        assert_eq!(store.state(&id("b")).expect("readable"), None);
        let known = store.submit(&job("a"), 10, &at(1)).expect("writable");
        assert!(matches!(known, Submitted::Known(_)));
        assert!(store.next_queued(&at(2)).expect("readable").job.is_some());
    }

    #[test]
    fn announcements_are_kept_until_they_are_taken_back() {
        let (dir, mut store) = new_store();
        store.set_queue_mode(QueueMode::Open).expect("writable");
        for said in ["{}", "{\"a\":1}"] {
            store.keep_discovery("ha/a", said).expect("writable");
        }
        store.keep_discovery("ha/b", "{}").expect("writable");
        drop(store);
        let mut store = Store::open(dir.path()).expect("opens again");
        let known = |store: &Store| store.discoveries().expect("readable");
        let both = [("ha/a", "{\"a\":1}"), ("ha/b", "{}")];
        let both = both.map(|(topic, said)| (topic.to_owned(), said.to_owned()));
        assert_eq!(known(&store), both.into());
        store.forget_discovery("ha/a").expect("writable");
        assert_eq!(known(&store).into_keys().collect::<Vec<_>>(), ["ha/b"]);
    }

    #[test]
    fn an_unknown_mode_runs_nothing() {
        let (_dir, store) = new_store();
        set(&store.db, QUEUE, "reversed").expect("writable");
        assert_eq!(store.queue_mode().expect("readable"), QueueMode::Paused);
    }
}
