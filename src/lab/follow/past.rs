//! A job that had ended before it was asked for.

use super::{Collected, REST_WITHIN, heard};
use crate::lab::LabError;
use crate::lab::client::Client;
use crate::lab::submit::refused;
use crate::lab::target::Board;
use crate::record::answer::Replayed;
use crate::record::job::State;
use crate::workload::JobState;
use serde_json::json;
use tokio::time::Instant;

impl Collected {
    /// Of a job that a board knows to have ended, as it answers; anything that the job's topics
    /// say replaces it.
    fn ended(id: &str, state: JobState) -> Self {
        let state = State {
            id: id.to_owned(),
            // It may have none, which would say that no result is to come.
            attempt: 1,
            rev: 0,
            state,
            phase: None,
            progress: None,
            reason: None,
        };
        Self {
            state: Some(state),
            ..Self::default()
        }
    }
}

/// State and result of a job that had ended before it was asked for: what the broker still keeps
/// of them, and what it keeps no more the board sends again.
pub async fn ended_before(
    client: &mut Client,
    board: &Board,
    id: &str,
    state: JobState,
) -> Result<Collected, LabError> {
    let topics = ["state", "result"].map(|leaf| board.of_job(id, leaf));
    let mut collected = Collected::ended(id, state);
    for message in client.kept(&topics).await? {
        heard(&mut collected, &message, board, id)?;
    }
    if collected.has_ended() {
        return Ok(collected);
    }
    for topic in &topics {
        client.subscribe(topic).await?;
    }
    let replayed = client
        .request::<Replayed>(board, "replay", &json!({"id": id}))
        .await?
        .map_err(|refusal| refused(board, &refusal))?;
    let deadline = Instant::now() + REST_WITHIN;
    while replayed.records > 0 && !collected.has_ended() {
        let Some(message) = client.next(deadline).await? else {
            break;
        };
        heard(&mut collected, &message, board, id)?;
    }
    for topic in &topics {
        client.unsubscribe(topic).await?;
    }
    Ok(collected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::testing::{self, ID};

    #[test]
    fn of_a_job_that_is_known_to_have_ended_only_the_result_is_missing() {
        let mut job = Collected::ended(ID, JobState::Failed);
        assert!(!job.has_ended());
        job.take("result", &testing::result().to_json()).unwrap();
        assert!(job.has_ended());
        // What the topics say of it, such as the reason, counts more.
        let told = json!({"id": ID, "attempt": 0, "rev": 1, "state": "cancelled", "phase": null,
            "progress": null, "reason": "cancelled by the client"});
        job = Collected::ended(ID, JobState::Cancelled);
        job.take("state", told.to_string().as_bytes()).unwrap();
        assert!(job.has_ended());
        assert!(job.state.unwrap().reason.is_some());
    }
}
