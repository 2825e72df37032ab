//! Whether a job's records are here, for who waits for single jobs.

use super::{Staging, StagingError};

impl Staging {
    /// Whether everything is here that the board has of an ended job: nothing more is asked for.
    pub fn is_settled(&self, device: &str, id: &str) -> Result<bool, StagingError> {
        let found = self
            .db
            .prepare_cached(
                "SELECT count(*) > 0 AND coalesce(sum(standing = 'open'), 0) = 0 FROM attempt
                 WHERE device = ?1 AND id = ?2",
            )
            .and_then(|mut query| query.query_row([device, id], |row| row.get(0)));
        self.named(found)
    }
}
