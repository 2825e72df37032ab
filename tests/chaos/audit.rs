//! What the lab saw of the jobs, beside what the board has on its disk.

use super::Chaos;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;

impl Chaos {
    /// Compares what the lab saw with what the board has on its disk.
    pub fn audit(&mut self) -> String {
        self.daemon.terminate();
        self.daemon.wait_until_nothing_runs();
        let path = self.daemon.path().join("state/jouled.db");
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut states: BTreeMap<String, usize> = BTreeMap::new();
        let (mut attempts, mut lost, mut interrupted) = (0, 0, 0);
        for (id, tracked) in &self.jobs {
            let ended = self.ledger.ended(id).expect("it has ended");
            let (state, count): (String, u32) = db
                .query_row(
                    "SELECT state, attempt FROM job WHERE id = ?1",
                    [id],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .unwrap();
            let count = u64::from(count);
            assert_eq!((&state, count), (&ended.state, ended.attempt), "{id}");
            let ends = ends_of_attempts(&db, id);
            assert_eq!(ends.len() as u64, count, "{id}: {ends:?}");
            let cut_short = |end: &&(String, Option<String>)| {
                matches!(end.1.as_deref(), Some("lost" | "interrupted"))
            };
            let lost_here = ends.iter().filter(|end| end.1.as_deref() == Some("lost"));
            let lost_here = lost_here.count() as u64;
            let allowed = tracked.spec["max_attempts"].as_u64().unwrap();
            assert!(lost_here <= allowed, "{id}: {ends:?}");
            // Whatever ran before the last attempt is known to have been cut short.
            let earlier = &ends[..ends.len().saturating_sub(1)];
            assert_eq!(earlier.iter().filter(cut_short).count(), earlier.len());
            if state == "succeeded" {
                assert_eq!(ends.last().unwrap().0, "succeeded", "{id}: {ends:?}");
                let (attempt, result) = self.ledger.jobs[id].results.last_key_value().unwrap();
                assert_eq!(*attempt, count, "{id}");
                let named = result["lost_attempts"].as_array().map_or(0, Vec::len);
                assert_eq!(named, earlier.len(), "{id}: {ends:?} in {result}");
            }
            let with_tokens = self.ledger.jobs[id].attempts_with_tokens();
            assert!(with_tokens.iter().all(|attempt| *attempt <= count));
            attempts += count;
            lost += lost_here;
            interrupted += ends.iter().filter(cut_short).count() as u64 - lost_here;
            *states.entry(state).or_default() += 1;
        }
        let results = count(&db, "SELECT count(*) FROM outbox WHERE kind = 'result'");
        let once = "SELECT count(*) FROM (SELECT DISTINCT job, attempt FROM outbox
                    WHERE kind = 'result')";
        assert_eq!(results, count(&db, once), "a result was stored twice");
        assert!(lost <= self.totals.daemon_kills);
        format!(
            "{states:?}, {attempts} attempts, {lost} of them lost, {interrupted} interrupted, \
             {results} results"
        )
    }
}

/// State and reason of each attempt, in their order from 1 on.
fn ends_of_attempts(db: &Connection, id: &str) -> Vec<(String, Option<String>)> {
    let sql = "SELECT attempt, state, reason FROM attempt WHERE job = ?1 ORDER BY attempt";
    let mut query = db.prepare(sql).unwrap();
    let rows = query
        .query_map([id], |row| {
            Ok((row.get::<_, u32>(0)?, (row.get(1)?, row.get(2)?)))
        })
        .unwrap();
    rows.enumerate()
        .map(|(index, row)| {
            let (attempt, end) = row.unwrap();
            assert_eq!(
                attempt as usize,
                index + 1,
                "an attempt of {id} has no record"
            );
            end
        })
        .collect()
}

fn count(db: &Connection, sql: &str) -> u32 {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}
