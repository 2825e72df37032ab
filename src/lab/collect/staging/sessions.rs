//! The subscriptions of a collector's session at the broker, which outlive its process: a run with
//! other options has to take back those of the last.

use super::{Staging, StagingError};
use rusqlite::params;

impl Staging {
    /// Notes what is about to be subscribed to. Returns what the session may have besides.
    pub fn subscribes(
        &mut self,
        name: &str,
        filters: &[String],
    ) -> Result<Vec<String>, StagingError> {
        self.change(|tx| {
            let known: Vec<String> = tx
                .prepare_cached("SELECT filter FROM subscription WHERE name = ?1")?
                .query_map([name], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let mut add =
                tx.prepare_cached("INSERT OR IGNORE INTO subscription VALUES (?1, ?2)")?;
            for filter in filters {
                add.execute(params![name, filter])?;
            }
            let is_other = |filter: &String| !filters.contains(filter);
            Ok(known.into_iter().filter(is_other).collect())
        })
    }

    /// The session has nothing but these any more.
    pub fn subscribes_only(&mut self, name: &str, filters: &[String]) -> Result<(), StagingError> {
        self.change(|tx| {
            tx.execute("DELETE FROM subscription WHERE name = ?1", [name])?;
            for filter in filters {
                tx.execute(
                    "INSERT OR IGNORE INTO subscription VALUES (?1, ?2)",
                    params![name, filter],
                )?;
            }
            Ok(())
        })
    }
}
