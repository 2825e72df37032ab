//! What `cmd/jobs` answers: the queue, or one job with its attempts, within what one message
//! may hold.

use crate::mqtt::MAX_PAYLOAD;
use crate::store::{AttemptRow, StateRow};
use crate::workload::QueueMode;
use serde_json::{Value, json};

/// Of one job; the newest.
pub const MOST_ATTEMPTS: u32 = 100;
/// Left for the rest of the answer.
const FRAME: usize = 1024;

/// The jobs in their order, as many as fit; `left_out` says how many did not.
pub fn jobs(rows: &[StateRow], mode: QueueMode) -> Value {
    let mut room = MAX_PAYLOAD - FRAME;
    let mut jobs = Vec::new();
    for row in rows {
        let job = job(row);
        let bytes = job.to_string().len() + 1;
        if bytes > room {
            break;
        }
        room -= bytes;
        jobs.push(job);
    }
    let left_out = rows.len() - jobs.len();
    json!({ "queue": mode, "jobs": jobs, "left_out": left_out })
}

/// One job as the list has it, with its attempts.
pub fn with_attempts(row: &StateRow, attempts: &[AttemptRow], mode: QueueMode) -> Value {
    let mut job = job(row);
    job["attempts"] = json!(attempts);
    json!({ "queue": mode, "jobs": [job], "left_out": 0 })
}

fn job(row: &StateRow) -> Value {
    json!({
        "id": row.id,
        "attempt": row.attempt,
        "rev": row.rev,
        "state": row.state,
        "reason": row.reason,
        "priority": row.priority,
        "submitted_unix_s": row.submitted_unix_s,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::JobState;

    fn row(n: usize) -> StateRow {
        StateRow {
            id: format!("{n:064}").parse().expect("a valid id"),
            attempt: 0,
            rev: 1,
            state: JobState::Queued,
            reason: None,
            priority: 0,
            submitted_unix_s: 1_800_000_000,
        }
    }

    #[test]
    fn a_long_queue_is_cut_to_one_message_and_says_so() {
        let rows: Vec<StateRow> = (0..5_000).map(row).collect();
        let list = jobs(&rows, QueueMode::Open);
        assert!(list.to_string().len() < MAX_PAYLOAD);
        let told = list["jobs"].as_array().map_or(0, Vec::len);
        assert!(told > 500, "{told}");
        assert_eq!(list["left_out"], 5_000 - told);
        let short = jobs(&rows[..3], QueueMode::Paused);
        assert_eq!(
            (&short["left_out"], &short["queue"]),
            (&json!(0), &json!("paused"))
        );
    }
}
