//! Attempts from their begin to their end, and what a crash leaves of them.

use super::super::Cancelled;
use super::super::testing::*;
use super::*;
use serde_json::json;

fn id(name: &str) -> JobId {
    name.parse().expect("a valid id")
}

fn begin(store: &mut Store, name: &str) -> Begun {
    store
        .begin_attempt(&id(name), &at(2))
        .expect("writable")
        .expect("the job waits")
}

#[test]
fn an_attempt_ends_with_its_records_or_not_at_all() {
    let (_dir, mut store) = new_store();
    store.submit(&job("a"), 10, &at(1)).expect("writable");
    let begun = begin(&mut store, "a");
    assert_eq!((begun.attempt, begun.rev), (1, 2));
    let records = [
        Outgoing::tokens(0, b"t0".to_vec()),
        Outgoing::tokens(1, b"t1".to_vec()),
        Outgoing::result(b"r".to_vec()),
    ];
    let wrong = store
        .finish_attempt(&id("a"), 7, Finished::Succeeded, None, &records, &at(3))
        .expect("writable");
    assert_eq!(wrong, None);
    let row = store
        .finish_attempt(&id("a"), 1, Finished::Succeeded, None, &records, &at(3))
        .expect("writable")
        .expect("it ran");
    assert_eq!(row.state, JobState::Succeeded);
    let kinds: Vec<RecordKind> = store
        .waiting(10)
        .into_iter()
        .map(|record| record.topic.kind)
        .collect();
    use RecordKind::{Result, State, Tokens};
    assert_eq!(kinds, [Tokens, Tokens, State, Result]);
}

#[test]
fn a_lost_attempt_runs_again_until_too_many_are_lost() {
    let (dir, mut store) = new_store();
    let twice = job_with("a", |job| job["max_attempts"] = json!(2));
    store.submit(&twice, 10, &at(1)).expect("writable");
    let first = begin(&mut store, "a");
    drop(store);

    let mut store = Store::open(dir.path()).expect("opens again");
    let recovery = store.recover(&at(3)).expect("writable");
    assert_eq!(recovery.len(), 1);
    assert_eq!(recovery[0].lost_attempt, 1);
    let row = &recovery[0].row;
    assert_eq!(
        (row.state, row.reason.as_deref()),
        (JobState::Queued, Some("lost"))
    );
    assert!(row.rev > first.rev + LIVE_REVS - 1);

    let second = begin(&mut store, "a");
    assert_eq!(second.attempt, 2);
    drop(store);
    let mut store = Store::open(dir.path()).expect("opens again");
    let recovery = store.recover(&at(5)).expect("writable");
    let row = &recovery[0].row;
    assert_eq!(
        (row.state, row.reason.as_deref()),
        (JobState::Failed, Some("attempts-lost"))
    );
    assert_eq!(store.recover(&at(6)).expect("writable"), []);
    let attempts = store.attempts(&id("a"), 10).expect("readable");
    let told: Vec<_> = attempts
        .iter()
        .map(|row| (row.attempt, row.reason.as_deref(), row.ended_unix_s))
        .collect();
    assert_eq!(
        told,
        [(1, Some("lost"), Some(3)), (2, Some("lost"), Some(5))]
    );
    assert!(attempts.iter().all(AttemptRow::left_nothing));
    let newest = store.attempts(&id("a"), 1).expect("readable");
    assert_eq!(newest, attempts[1..]);
}

#[test]
fn an_interrupted_attempt_is_numbered_but_not_counted() {
    let (_dir, mut store) = new_store();
    let once = job_with("a", |job| job["max_attempts"] = json!(1));
    store.submit(&once, 10, &at(1)).expect("writable");
    for attempt in 1..=3 {
        assert_eq!(begin(&mut store, "a").attempt, attempt);
        let row = store
            .requeue(&id("a"), attempt, &at(3))
            .expect("writable")
            .expect("it ran");
        assert_eq!(row.reason.as_deref(), Some("interrupted"));
    }
    begin(&mut store, "a");
    let recovery = store.recover(&at(4)).expect("writable");
    assert_eq!(recovery[0].row.state, JobState::Failed);
}

#[test]
fn a_job_cancelled_in_time_does_not_begin() {
    let (_dir, mut store) = new_store();
    store.submit(&job("a"), 10, &at(1)).expect("writable");
    let cancelled = store.cancel(&id("a"), &at(1)).expect("writable");
    assert!(matches!(cancelled, Cancelled::Done(_)));
    assert_eq!(
        store.begin_attempt(&id("a"), &at(2)).expect("writable"),
        None
    );
    let again = store.cancel(&id("a"), &at(3)).expect("writable");
    assert!(matches!(again, Cancelled::Final(_)));
    assert_eq!(
        store.cancel(&id("b"), &at(3)).expect("writable"),
        Cancelled::Unknown
    );
}

#[test]
fn a_running_job_is_cancelled_by_its_attempt() {
    let (_dir, mut store) = new_store();
    store.submit(&job("a"), 10, &at(1)).expect("writable");
    begin(&mut store, "a");
    let met = store.cancel(&id("a"), &at(3)).expect("writable");
    assert!(matches!(met, Cancelled::Running(_)));
    let row = store
        .finish_attempt(
            &id("a"),
            1,
            Finished::Cancelled,
            Some("cancelled"),
            &[],
            &at(4),
        )
        .expect("writable")
        .expect("it ran");
    assert_eq!(row.state, JobState::Cancelled);
}

#[test]
fn a_job_cancelled_while_it_ran_never_runs_again() {
    for crashes in [true, false] {
        let (dir, mut store) = new_store();
        store.submit(&job("a"), 10, &at(1)).expect("writable");
        begin(&mut store, "a");
        store.cancel(&id("a"), &at(3)).expect("writable");
        let row = if crashes {
            drop(store);
            store = Store::open(dir.path()).expect("opens again");
            let mut recovery = store.recover(&at(4)).expect("writable");
            recovery.remove(0).row
        } else {
            let back = store.requeue(&id("a"), 1, &at(4)).expect("writable");
            back.expect("it ran")
        };
        assert_eq!(
            (row.state, row.reason.as_deref()),
            (JobState::Cancelled, Some("cancelled"))
        );
        assert_eq!(store.next_queued(&at(5)).expect("readable").job, None);
    }
}
