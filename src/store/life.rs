//! Whatever the order of events, the store does what a model of a few lines says, and what
//! it announces of a job only ever goes forward.

use super::expiry::tests::expire;
use super::testing::*;
use super::*;
use crate::workload::{Job, JobId, JobState, QueueMode};
use proptest::prelude::*;
use serde_json::json;
use std::cmp::Reverse;
use std::collections::BTreeMap;

const JOBS: u8 = 8;
/// Jobs that may wait.
const LONGEST: u32 = 3;
/// Steps for which ended jobs are remembered.
const KEEP: i64 = 12;

#[derive(Debug, Clone, Copy)]
enum Event {
    Submit(u8),
    /// The id of a job with other content.
    SubmitOther(u8),
    Mode(QueueMode),
    Begin,
    Finish(Finished),
    /// A clean stop.
    Requeue,
    Cancel(u8),
    /// kill -9 and a new start.
    Crash,
    Publish,
    Replay(u8),
    Expire,
}

fn event() -> impl Strategy<Value = Event> {
    let any = || 0..JOBS;
    prop_oneof![
        6 => any().prop_map(Event::Submit),
        1 => any().prop_map(Event::SubmitOther),
        2 => proptest::sample::select(QueueMode::ALL.to_vec()).prop_map(Event::Mode),
        6 => Just(Event::Begin),
        2 => prop_oneof![
            Just(Finished::Succeeded),
            Just(Finished::Failed),
            Just(Finished::Cancelled)
        ].prop_map(Event::Finish),
        2 => Just(Event::Requeue),
        3 => any().prop_map(Event::Cancel),
        3 => Just(Event::Crash),
        2 => Just(Event::Publish),
        1 => any().prop_map(Event::Replay),
        1 => Just(Event::Expire),
    ]
}

/// Of any priority, some with a deadline that passes on the way, with 1 to 3 attempts.
fn spec(n: u8) -> Job {
    job_with(name(n).as_str(), |job| {
        job["priority"] = json!(i32::from(n % 3) - 1);
        job["max_attempts"] = json!(1 + n % 3);
        job["deadline_unix_s"] = json!((n % 2 == 1).then_some(10 * i64::from(n)));
    })
}

fn name(n: u8) -> JobId {
    format!("job-{n}").parse().expect("a valid id")
}

#[derive(Debug, Clone, PartialEq)]
struct Modelled {
    spec: Job,
    state: JobState,
    reason: Option<&'static str>,
    attempt: u32,
    lost: u32,
    arrival: i64,
    changed: i64,
}

impl Modelled {
    fn enter(&mut self, state: JobState, reason: Option<&'static str>, now: i64) {
        (self.state, self.reason, self.changed) = (state, reason, now);
    }

    fn is_overdue(&self, now: i64) -> bool {
        let deadline = self.spec.deadline_unix_s;
        self.state == JobState::Queued && deadline.is_some_and(|deadline| deadline < now)
    }
}

#[derive(Default)]
struct Model {
    jobs: BTreeMap<u8, Modelled>,
    mode: QueueMode,
}

impl Model {
    fn submit(&mut self, n: u8, now: i64) -> Submitted {
        let queued = self.of(JobState::Queued).count() as u32;
        match (self.jobs.contains_key(&n), self.mode) {
            (false, QueueMode::Draining) => return Submitted::Draining,
            (false, _) if queued >= LONGEST => return Submitted::QueueFull,
            _ => {}
        }
        let new = Modelled {
            spec: spec(n),
            state: JobState::Queued,
            reason: None,
            attempt: 0,
            lost: 0,
            arrival: now,
            changed: now,
        };
        let is_new = !self.jobs.contains_key(&n);
        let job = self.jobs.entry(n).or_insert(new);
        let row = StateRow {
            id: name(n),
            attempt: job.attempt,
            rev: 0,
            state: job.state,
            reason: job.reason.map(str::to_owned),
            priority: job.spec.priority,
            submitted_unix_s: job.arrival,
        };
        match is_new {
            true => Submitted::Accepted(row),
            false => Submitted::Known(row),
        }
    }

    fn of(&mut self, state: JobState) -> impl Iterator<Item = (&u8, &mut Modelled)> {
        let jobs = self.jobs.iter_mut();
        jobs.filter(move |(_, job)| job.state == state)
    }

    /// The job that begins next, once overdue ones have failed.
    fn next(&mut self, now: i64) -> Option<u8> {
        for job in self.jobs.values_mut().filter(|job| job.is_overdue(now)) {
            job.enter(JobState::Failed, Some("deadline"), now);
        }
        if self.mode == QueueMode::Paused {
            return None;
        }
        self.of(JobState::Queued)
            .max_by_key(|(_, job)| (job.spec.priority, Reverse(job.arrival)))
            .map(|(n, _)| *n)
    }

    fn running(&mut self) -> Option<(JobId, &mut Modelled)> {
        let running = self.of(JobState::Running).next();
        running.map(|(n, job)| (name(*n), job))
    }

    /// The running attempt is cut short.
    fn cut_short(&mut self, lost: bool, now: i64) {
        let Some((_, job)) = self.running() else {
            return;
        };
        job.lost += u32::from(lost);
        let (state, reason) = match (job.reason, lost) {
            (Some("cancelling"), _) => (JobState::Cancelled, "cancelled"),
            (_, true) if job.lost >= job.spec.max_attempts => (JobState::Failed, "attempts-lost"),
            (_, true) => (JobState::Queued, "lost"),
            (_, false) => (JobState::Queued, "interrupted"),
        };
        job.enter(state, Some(reason), now);
    }
}

/// A row as the model knows it, which doesn't count revisions.
fn without_rev(done: Submitted) -> Submitted {
    let plain = |row| StateRow { rev: 0, ..row };
    match done {
        Submitted::Accepted(row) => Submitted::Accepted(plain(row)),
        Submitted::Known(row) => Submitted::Known(plain(row)),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_follows_the_model(events in proptest::collection::vec(event(), 1..80)) {
        let (dir, mut store) = new_store();
        let mut model = Model::default();
        let mut announced: BTreeMap<JobId, u64> = BTreeMap::new();
        for (step, event) in events.into_iter().enumerate() {
            let step = step as i64;
            let now = at(step);
            match event {
                Event::Submit(n) => {
                    let done = store.submit(&spec(n), LONGEST, &now).expect("writable");
                    prop_assert_eq!(without_rev(done), model.submit(n, step));
                }
                Event::SubmitOther(n) => if model.jobs.contains_key(&n) {
                    let mut other = spec(n);
                    other.n_predict += 1;
                    let done = store.submit(&other, LONGEST, &now).expect("writable");
                    prop_assert_eq!(done, Submitted::Conflict);
                },
                Event::Mode(mode) => {
                    store.set_queue_mode(mode).expect("writable");
                    model.mode = mode;
                }
                // The daemon runs one at a time.
                Event::Begin => if model.running().is_none() {
                    let next = store.next_queued(&now).expect("readable").job;
                    let expected = model.next(step);
                    let chosen = next.as_ref().map(|(job, _)| job.id.clone());
                    prop_assert_eq!(chosen, expected.map(name));
                    if let (Some((job, attempt)), Some(n)) = (next, expected) {
                        let modelled = model.jobs.get_mut(&n).expect("just found");
                        prop_assert_eq!(attempt, modelled.attempt);
                        let begun = store.begin_attempt(&job.id, &now).expect("writable")
                            .expect("it waits");
                        modelled.attempt += 1;
                        modelled.enter(JobState::Running, None, step);
                        prop_assert_eq!(begun.attempt, modelled.attempt);
                        // A state from memory.
                        announced.insert(job.id, begun.rev + LIVE_REVS - 1);
                    }
                },
                Event::Finish(how) => if let Some((id, job)) = model.running() {
                    store.finish_attempt(&id, job.attempt, how, None, &[], &now)
                        .expect("writable").expect("it runs");
                    job.enter(how.state(), None, step);
                },
                Event::Requeue => if let Some((id, job)) = model.running() {
                    store.requeue(&id, job.attempt, &now).expect("writable").expect("it runs");
                    model.cut_short(false, step);
                },
                Event::Cancel(n) => {
                    let met = store.cancel(&name(n), &now).expect("writable");
                    match model.jobs.get_mut(&n) {
                        None => prop_assert_eq!(met, Cancelled::Unknown),
                        Some(job) if job.state == JobState::Queued => {
                            prop_assert!(matches!(met, Cancelled::Done(_)));
                            job.enter(JobState::Cancelled, Some("cancelled"), step);
                        }
                        Some(job) if job.state == JobState::Running => {
                            prop_assert!(matches!(met, Cancelled::Running(_)));
                            job.reason = Some("cancelling");
                        }
                        Some(_) => prop_assert!(matches!(met, Cancelled::Final(_))),
                    }
                }
                Event::Crash => {
                    drop(store);
                    store = Store::open(dir.path()).expect("opens again");
                    store.recover(&now).expect("writable");
                    store.republish_open_states(&now).expect("writable");
                    model.cut_short(true, step);
                }
                Event::Publish => {
                    let pending = store.waiting(100);
                    let mut seqs = Vec::new();
                    for record in pending {
                        let rev = record.rev.expect("only states here");
                        let newest = announced.entry(record.topic.job).or_default();
                        // Equal is a repetition after a start; `running` may wait behind
                        // the states from memory, which the pump leaves out.
                        *newest = rev.max(*newest);
                        seqs.push(record.seq);
                    }
                    store.mark_published(&seqs).expect("writable");
                }
                Event::Replay(n) => {
                    let replayed = store.replay(&name(n), None, None).expect("writable");
                    // The state, if it is still kept.
                    prop_assert!(replayed <= 1);
                }
                Event::Expire => {
                    expire(&mut store, KEEP, u64::MAX, step);
                    let old = |job: &Modelled| job.state.is_final() && job.changed < step - KEEP;
                    model.jobs.retain(|n, job| {
                        let goes = old(job);
                        if goes {
                            announced.remove(&name(*n));
                        }
                        !goes
                    });
                }
            }
            prop_assert_eq!(store.queue_mode().expect("readable"), model.mode);
            let queued = model.of(JobState::Queued).count() as u32;
            prop_assert_eq!(store.counts().expect("readable").queued, queued);
            for n in 0..JOBS {
                let row = store.state(&name(n)).expect("readable");
                let Some(job) = model.jobs.get(&n) else {
                    prop_assert_eq!(row, None);
                    continue;
                };
                let row = row.expect("it is kept");
                prop_assert_eq!(
                    (row.state, row.reason.as_deref(), row.attempt),
                    (job.state, job.reason, job.attempt)
                );
                let attempts = store.attempts(&name(n), 100).expect("readable");
                prop_assert_eq!(attempts.len(), job.attempt as usize);
                let open = attempts.iter().filter(|row| row.ended_unix_s.is_none()).count();
                prop_assert_eq!(open, usize::from(job.state == JobState::Running));
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
