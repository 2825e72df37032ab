//! What the store takes on the disk, in pages: payload alone says too little, since a small
//! record takes less than its rows in the tables and indices that lead to it.

use super::{Store, StoreError};
use rusqlite::Connection;

impl Store {
    /// Whether what no broker has taken fills `max_bytes` by itself, so that nothing can be
    /// dropped to make room.
    pub fn is_full(&self, max_bytes: u64) -> Result<bool, StoreError> {
        let full = used_bytes(&self.db).and_then(|used| {
            // Mostly the whole file is smaller, which costs nothing to know.
            Ok(used > max_bytes && undelivered_bytes(&self.db)? > max_bytes)
        });
        self.named(full)
    }
}

/// What the database holds on the disk, pages that wait for new content left out.
pub(super) fn used_bytes(db: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    Ok((pages * pragma("page_size")?) as u64)
}

/// About what undelivered records take on the disk.
fn undelivered_bytes(db: &Connection) -> rusqlite::Result<u64> {
    let sql = format!(
        "SELECT (SELECT coalesce(sum({}), 0) FROM pending)
              + (SELECT coalesce(sum({}), 0) FROM parked JOIN outbox USING (seq))",
        on_pages("bytes", "job"),
        on_pages("length(payload)", "job"),
    );
    let bytes: i64 = db.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
    Ok(bytes as u64)
}

/// An expression for the bytes of pages that a record takes: its row, several to a leaf of
/// 4,096 bytes or, past 4,061, on pages of its own (sqlite.org/fileformat2.html, "B-tree
/// Pages"), and its entries in `pending` and the indices, two of which have the job's name.
fn on_pages(payload: &str, job: &str) -> String {
    let row = format!("({payload} + length({job}) + 25)");
    format!(
        "(CASE WHEN {row} <= 4061 THEN 4096 / (4088 / {row}) ELSE {row} + 100 END
          + 5 * length({job}) / 2 + 50)"
    )
}

#[cfg(test)]
mod tests {
    use super::super::outbox::tests::{id, publish_all};
    use super::super::testing::*;
    use super::super::{Finished, Outgoing};
    use super::*;

    /// A job named `name` that left so many token records of so many bytes.
    fn run(store: &mut Store, name: &str, records: u64, bytes: usize) {
        store.submit(&job(name), 1_000, &at(1)).unwrap();
        let begun = store.begin_attempt(&id(name), &at(1)).unwrap().unwrap();
        let records: Vec<Outgoing> = (0..records)
            .map(|seq| Outgoing::tokens(seq, vec![7; bytes]))
            .collect();
        let how = Finished::Succeeded;
        let done = store.finish_attempt(&id(name), begun.attempt, how, None, &records, &at(1));
        done.unwrap().unwrap();
    }

    #[test]
    fn what_records_take_is_known_to_a_tenth() {
        for (bytes, records) in [
            (40, 4_000),
            (300, 2_000),
            (1_500, 400),
            (2_500, 400),
            (20_000, 50),
        ] {
            for name in [
                "j",
                "a-name-that-is-as-long-as-names-of-sweeps-tend-to-be-0123456789",
            ] {
                let (_dir, mut store) = new_store();
                let empty = used_bytes(&store.db).unwrap();
                for part in 0..4 {
                    run(&mut store, &format!("{name}{part}"), records / 4, bytes);
                }
                let takes = (used_bytes(&store.db).unwrap() - empty) as f64;
                let share = undelivered_bytes(&store.db).unwrap() as f64 / takes;
                println!(
                    "{records} records of {bytes} bytes, {} of name: {share:.2}",
                    name.len()
                );
                assert!((0.9..1.1).contains(&share), "{bytes} {name}: {share}");
            }
        }
    }

    #[test]
    fn small_records_that_nobody_took_fill_the_store_too() {
        let (_dir, mut store) = new_store();
        run(&mut store, "a", 5_000, 40);
        let used = used_bytes(&store.db).unwrap();
        assert!(used > 2 * 5_000 * 40, "their payload is the least of it");
        assert!(store.is_full(used / 2).unwrap());
        assert!(!store.is_full(used + 1).unwrap());
        while store.backlog().unwrap().pending > 0 {
            publish_all(&mut store);
        }
        assert!(!store.is_full(used / 2).unwrap());
    }
}
