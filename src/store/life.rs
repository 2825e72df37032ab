//! Whatever the order of events, the store does what a model of a few lines says, and what
//! it announces of a job only ever goes forward.

use super::testing::*;
use super::*;
use crate::units::MonoNs;
use crate::workload::{JobId, JobState};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy)]
enum Event {
    Submit(u8),
    Begin,
    Finish(Finished),
    Requeue,
    Cancel(u8),
    /// kill -9 and a new start.
    Crash,
    Publish,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0u8..4).prop_map(Event::Submit),
        4 => Just(Event::Begin),
        2 => prop_oneof![
            Just(Finished::Succeeded),
            Just(Finished::Failed),
            Just(Finished::Cancelled)
        ].prop_map(Event::Finish),
        1 => Just(Event::Requeue),
        1 => (0u8..4).prop_map(Event::Cancel),
        2 => Just(Event::Crash),
        2 => Just(Event::Publish),
    ]
}

#[derive(Debug, Clone, PartialEq)]
struct Model {
    state: JobState,
    attempt: u32,
    lost: u32,
    arrival: usize,
}

fn name(n: u8) -> JobId {
    format!("job-{n}").parse().expect("a valid id")
}

fn running(jobs: &BTreeMap<u8, Model>) -> Option<u8> {
    let mut running = jobs
        .iter()
        .filter(|(_, job)| job.state == JobState::Running);
    running.next().map(|(n, _)| *n)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_store_follows_the_model(events in proptest::collection::vec(event(), 1..40)) {
        let (dir, mut store) = new_store();
        let mut jobs: BTreeMap<u8, Model> = BTreeMap::new();
        let mut announced: BTreeMap<JobId, u64> = BTreeMap::new();
        for (step, event) in events.into_iter().enumerate() {
            let now = at(step as i64);
            match event {
                Event::Submit(n) => {
                    let done = store.submit(&job(name(n).as_str()), 100, &now).expect("writable");
                    prop_assert_eq!(
                        matches!(done, Submitted::Accepted(_)), !jobs.contains_key(&n));
                    jobs.entry(n).or_insert(Model {
                        state: JobState::Queued, attempt: 0, lost: 0, arrival: step });
                }
                Event::Begin => {
                    let next = store.next_queued(&now).expect("readable").job;
                    let first = jobs.iter_mut()
                        .filter(|(_, job)| job.state == JobState::Queued)
                        .min_by_key(|(_, job)| job.arrival);
                    match (next, first) {
                        (Some((job, attempt)), Some((n, model))) => {
                            prop_assert_eq!(&job.id, &name(*n));
                            prop_assert_eq!(attempt, model.attempt);
                            // The daemon runs one at a time.
                            if store.counts().expect("readable").running.is_none() {
                                let begun = store.begin_attempt(&job.id, &now).expect("writable")
                                    .expect("it waits");
                                model.state = JobState::Running;
                                model.attempt += 1;
                                prop_assert_eq!(begun.attempt, model.attempt);
                                // A state from memory.
                                announced.insert(job.id, begun.rev + LIVE_REVS - 1);
                            }
                        }
                        (None, None) => {}
                        (next, first) => prop_assert!(false, "{next:?} but {first:?}"),
                    }
                }
                Event::Finish(how) => if let Some(n) = running(&jobs) {
                    let job = jobs.get_mut(&n).expect("just found");
                    store.finish_attempt(&name(n), job.attempt, how, None, &[], &now)
                        .expect("writable").expect("it runs");
                    job.state = how.state();
                },
                Event::Requeue => if let Some(n) = running(&jobs) {
                    let job = jobs.get_mut(&n).expect("just found");
                    store.requeue(&name(n), job.attempt, "interrupted", &now)
                        .expect("writable").expect("it runs");
                    job.state = JobState::Queued;
                },
                Event::Cancel(n) => {
                    let met = store.cancel(&name(n), &now).expect("writable");
                    match jobs.get_mut(&n) {
                        None => prop_assert_eq!(met, Cancelled::Unknown),
                        Some(job) if job.state == JobState::Queued => {
                            prop_assert!(matches!(met, Cancelled::Done(_)));
                            job.state = JobState::Cancelled;
                        }
                        Some(job) if job.state == JobState::Running =>
                            prop_assert!(matches!(met, Cancelled::Running(_))),
                        Some(_) => prop_assert!(matches!(met, Cancelled::Final(_))),
                    }
                }
                Event::Crash => {
                    drop(store);
                    store = Store::open(dir.path()).expect("opens again");
                    store.recover(&now).expect("writable");
                    store.republish_open_states(&now).expect("writable");
                    if let Some(n) = running(&jobs) {
                        let job = jobs.get_mut(&n).expect("just found");
                        job.lost += 1;
                        // 2 is a job's default `max_attempts`.
                        job.state = match job.lost >= 2 {
                            true => JobState::Failed,
                            false => JobState::Queued,
                        };
                    }
                }
                Event::Publish => {
                    let pending = store.pending(100, MonoNs(0), &Default::default()).expect("readable");
                    let mut seqs = Vec::new();
                    for record in pending {
                        let rev = record.rev.expect("only states here");
                        let newest = announced.entry(record.job).or_default();
                        // Equal is a repetition after a start; `running` may wait behind
                        // the states from memory, which the pump leaves out.
                        if rev >= *newest {
                            *newest = rev;
                        }
                        seqs.push(record.seq);
                    }
                    store.mark_published(&seqs, step as i64).expect("writable");
                }
            }
            for (n, model) in &jobs {
                let row = store.state(&name(*n)).expect("readable").expect("it is kept");
                prop_assert_eq!((row.state, row.attempt), (model.state, model.attempt));
                // What is committed later than a state from memory has a higher revision.
                if row.state != JobState::Running
                    && let Some(newest) = announced.get(&row.id)
                {
                    prop_assert!(row.rev >= *newest);
                }
            }
        }
    }
}
