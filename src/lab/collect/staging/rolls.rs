//! Rolls: stretches of what is staged, on their way into the dataset.
//!
//! What can't be written, since another version staged it or nobody foresaw it, is held back
//! whole, and each run tries it again: it was acknowledged, and nobody else has it.

use super::keep::forget_samples;
use super::{Staging, StagingError};
use rusqlite::{Row, params};
use std::ops::ControlFlow;

/// A stretch of what is staged. Its number names its part files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roll {
    pub number: i64,
    first: i64,
    last: i64,
    /// Whether more than this is staged, as far as is known.
    pub is_full: bool,
}

fn roll(row: &Row<'_>) -> rusqlite::Result<Roll> {
    Ok(Roll {
        number: row.get(0)?,
        first: row.get(1)?,
        last: row.get(2)?,
        is_full: false,
    })
}

impl Staging {
    /// Rolls that were begun and not finished, the oldest first.
    pub fn unfinished_rolls(&self) -> Result<Vec<Roll>, StagingError> {
        let rolls = (|| {
            self.db
                .prepare_cached("SELECT number, first, last FROM roll WHERE done = 0 ORDER BY 1")?
                .query_map([], roll)?
                .collect()
        })();
        self.named(rolls)
    }

    /// Begins a roll over what is staged, of `most_bytes` or one message. `None` where nothing
    /// is. To be called where every other roll is finished.
    pub fn begin_roll(&mut self, most_bytes: u64) -> Result<Option<Roll>, StagingError> {
        self.change(|tx| {
            let mut bytes = 0;
            let mut stretch: Option<(i64, i64)> = None;
            let mut staged =
                tx.prepare("SELECT n, length(payload) FROM staged WHERE held IS NULL ORDER BY n")?;
            let mut rows = staged.query([])?;
            while let Some(row) = rows.next()? {
                bytes += row.get::<_, i64>(1)? as u64;
                let (first, _) = *stretch.get_or_insert((row.get(0)?, 0));
                stretch = Some((first, row.get(0)?));
                if bytes >= most_bytes {
                    break;
                }
            }
            let Some((first, last)) = stretch else {
                return Ok(None);
            };
            tx.execute(
                "INSERT INTO roll (first, last) VALUES (?1, ?2)",
                params![first, last],
            )?;
            let number = tx.last_insert_rowid();
            Ok(Some(Roll {
                number,
                first,
                last,
                is_full: bytes >= most_bytes,
            }))
        })
    }

    /// Number, topic and payload of each message of the roll, in the order of their arrival.
    pub fn each_of(
        &self,
        roll: Roll,
        mut each: impl FnMut(i64, &str, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StagingError> {
        let read = (|| {
            let mut staged = self.db.prepare_cached(
                "SELECT n, topic, payload FROM staged
                 WHERE n BETWEEN ?1 AND ?2 AND held IS NULL ORDER BY n",
            )?;
            let mut rows = staged.query([roll.first, roll.last])?;
            while let Some(row) = rows.next()? {
                let (topic, payload) = (row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_blob()?);
                if each(row.get(0)?, topic, payload).is_break() {
                    break;
                }
            }
            Ok(())
        })();
        self.named(read)
    }

    /// The roll ends with message `last`; what follows is the next roll's. To be called before
    /// any of it is written, so that it is the same roll when it is written again.
    pub fn end_roll_at(&mut self, roll: Roll, last: i64) -> Result<Roll, StagingError> {
        self.change(|tx| {
            tx.execute(
                "UPDATE roll SET last = ?2 WHERE number = ?1",
                [roll.number, last],
            )?;
            Ok(Roll {
                last,
                is_full: true,
                ..roll
            })
        })
    }

    /// Leaves messages out of all rolls, and says why.
    pub fn hold(&mut self, messages: &[(i64, String)]) -> Result<(), StagingError> {
        self.change(|tx| {
            let mut hold = tx.prepare("UPDATE staged SET held = ?2 WHERE n = ?1")?;
            for (n, why) in messages {
                hold.execute(params![n, why])?;
            }
            Ok(())
        })
    }

    /// What was held is a roll's again. To be called where every roll is finished.
    pub fn let_go(&mut self) -> Result<(), StagingError> {
        self.change(|tx| {
            tx.execute("UPDATE staged SET held = NULL WHERE held IS NOT NULL", [])?;
            Ok(())
        })
    }

    /// The roll is in the dataset: its messages go, their identities stay.
    pub fn finish_roll(&mut self, roll: Roll) -> Result<(), StagingError> {
        self.change(|tx| {
            tx.execute(
                "DELETE FROM staged WHERE n BETWEEN ?1 AND ?2 AND held IS NULL",
                [roll.first, roll.last],
            )?;
            tx.execute("UPDATE roll SET done = 1 WHERE number = ?1", [roll.number])?;
            forget_samples(tx)
        })
    }

    /// Messages and bytes that are in no finished roll.
    pub fn staged(&self) -> Result<(u64, u64), StagingError> {
        let found = self.db.query_row(
            "SELECT count(*), coalesce(sum(length(payload)), 0) FROM staged",
            [],
            |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)),
        );
        self.named(found)
    }
}
