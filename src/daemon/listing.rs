//! What `cmd/jobs` and `cmd/models` answer, within what one message may hold.

use crate::mqtt::MAX_PAYLOAD;
use crate::record::answer::{ListedAttempt, ListedJob, Listing};
use crate::record::device::ModelInfo;
use crate::record::model::{Offered, Stock};
use crate::store::{Arrived, AttemptRow, StateRow};
use crate::workload::QueueMode;
use serde::Serialize;

/// Of one job; the newest.
pub const MOST_ATTEMPTS: u32 = 100;
/// Left for the rest of the answer.
const FRAME: usize = 1024;

/// The jobs in their order, as many as fit; `left_out` says how many did not.
pub fn jobs(rows: &[StateRow], queue: QueueMode) -> Listing {
    let jobs = as_many_as_fit(rows.iter().map(job), &mut room());
    Listing {
        queue,
        left_out: (rows.len() - jobs.len()) as u64,
        jobs,
        newest: None,
    }
}

/// A stretch of all jobs, as many as fit. There are more while the last one's `arrival` is below
/// `newest`.
pub fn arrivals(rows: &[Arrived], newest: u64, queue: QueueMode) -> Listing {
    let jobs = as_many_as_fit(
        rows.iter().map(|Arrived { arrival, row }| ListedJob {
            arrival: Some(*arrival),
            ..job(row)
        }),
        &mut room(),
    );
    Listing {
        queue,
        left_out: (rows.len() - jobs.len()) as u64,
        jobs,
        newest: Some(newest),
    }
}

/// The catalogue, then the models, as many as fit.
pub fn models(models: Vec<ModelInfo>, catalogue: Vec<Offered>) -> Stock {
    let all = models.len() + catalogue.len();
    let mut room = room();
    let catalogue = as_many_as_fit(catalogue, &mut room);
    let models = as_many_as_fit(models, &mut room);
    Stock {
        left_out: (all - models.len() - catalogue.len()) as u64,
        models,
        catalogue,
    }
}

fn room() -> usize {
    MAX_PAYLOAD - FRAME
}

fn as_many_as_fit<T: Serialize>(items: impl IntoIterator<Item = T>, room: &mut usize) -> Vec<T> {
    let fits = |item: &T| {
        let text = serde_json::to_string(item).expect("a record has only JSON-able fields");
        let bytes = text.len() + 1;
        let fits = bytes <= *room;
        *room = room.saturating_sub(bytes);
        fits
    };
    items.into_iter().take_while(fits).collect()
}

/// One job as the list has it, with its attempts.
pub fn with_attempts(row: &StateRow, attempts: Vec<AttemptRow>, queue: QueueMode) -> Listing {
    let attempts = attempts.into_iter().map(|row| ListedAttempt {
        attempt: row.attempt,
        state: row.state,
        reason: row.reason,
        begun_unix_s: row.begun_unix_s,
        ended_unix_s: row.ended_unix_s,
    });
    Listing {
        queue,
        jobs: vec![ListedJob {
            attempts: Some(attempts.collect()),
            ..job(row)
        }],
        left_out: 0,
        newest: None,
    }
}

fn job(row: &StateRow) -> ListedJob {
    ListedJob {
        id: row.id.to_string(),
        attempt: row.attempt,
        rev: row.rev,
        state: row.state,
        reason: row.reason.clone(),
        priority: row.priority,
        submitted_unix_s: row.submitted_unix_s,
        arrival: None,
        attempts: None,
    }
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
        let text = serde_json::to_string(&list).expect("JSON");
        assert!(text.len() < MAX_PAYLOAD);
        let told = list.jobs.len();
        assert!(told > 500, "{told}");
        assert_eq!(list.left_out, 5_000 - told as u64);
        let arrived = |(n, row)| Arrived {
            arrival: n as u64 + 1,
            row,
        };
        let all: Vec<Arrived> = rows.iter().cloned().enumerate().map(arrived).collect();
        let page = arrivals(&all, 5_000, QueueMode::Open);
        assert!(serde_json::to_string(&page).expect("JSON").len() < MAX_PAYLOAD);
        assert_eq!((page.jobs[0].arrival, page.newest), (Some(1), Some(5_000)));
        let short = jobs(&rows[..3], QueueMode::Paused);
        assert_eq!((short.left_out, short.queue), (0, QueueMode::Paused));
    }
}
