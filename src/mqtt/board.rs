//! What waits in memory for the connection: the board's own state, and records that are
//! worth sending only while they are new. Records that must arrive are in the store.

use super::link::OutMessage;
use super::told::Told;
use crate::clock;
use crate::pulse::Pulse;
use crate::record::answer::Event;
use crate::record::{Stamp, Stamped};
use crate::store::Counts;
use crate::workload::JobId;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// Token batches and events that wait at most; of more, the oldest are dropped and counted.
const LONGEST_QUEUE: usize = 256;

/// A record of a running attempt, published while it is new. The same content reaches the
/// outbox when the attempt ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveRecord {
    /// A state with phase and progress; see the module `store` for its revisions.
    State {
        job: JobId,
        rev: u64,
        payload: Vec<u8>,
    },
    Tokens {
        job: JobId,
        payload: Vec<u8>,
    },
}

/// A live state that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LiveState {
    pub job: JobId,
    pub rev: u64,
    pub payload: Vec<u8>,
}

/// The newest record of a topic that the broker keeps. It leaves over each new connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptRecord {
    pub payload: Vec<u8>,
    pub expiry_s: Option<u32>,
    pub due: bool,
}

#[derive(Debug, Default)]
pub(super) struct Board {
    /// What changes of the online status.
    pub jobs: Counts,
    pub status_due: bool,
    pub info: Option<Vec<u8>>,
    pub info_due: bool,
    /// What is announced elsewhere than under the board's own topics, by topic; empty: taken
    /// back.
    pub announced: BTreeMap<String, Vec<u8>>,
    pub announcements_due: BTreeSet<String>,
    /// Further records that the broker keeps, by topic.
    pub kept: BTreeMap<String, KeptRecord>,
    /// The newest of each job.
    pub states: VecDeque<LiveState>,
    /// Revision of the newest live state that left, for each job whose later state has not
    /// arrived from the store yet.
    pub sent_revs: HashMap<JobId, u64>,
    pub tokens: VecDeque<(JobId, Vec<u8>)>,
    pub events: VecDeque<Vec<u8>>,
    pub told: Told,
    /// Answers that the last connection did not bring to the broker.
    pub answers: VecDeque<OutMessage>,
    /// QoS 0 records, the newest of each topic.
    pub samples: BTreeMap<String, Vec<u8>>,
    pub connected: bool,
    pub outbox_due: bool,
    /// The broker may have lost the states that it kept: it once knew no session of this
    /// board, and they were not sent again since.
    pub states_due: bool,
    /// An attempt runs undisturbed: nothing leaves but answers and the board's presence.
    pub held: bool,
    /// Why there is no connection, since the last one ended or was refused.
    pub trouble: Option<String>,
    /// The daemon stops: everything must have left by then.
    pub stop: Option<Instant>,
    pub dropped: u64,
}

impl Board {
    pub fn live(&mut self, record: LiveRecord) {
        match record {
            LiveRecord::State { job, rev, payload } => {
                self.states.retain(|state| state.job != job);
                self.states.push_back(LiveState { job, rev, payload });
            }
            LiveRecord::Tokens { job, payload } => {
                self.tokens.push_back((job, payload));
                self.dropped += shorten(&mut self.tokens);
            }
        }
    }

    /// What is said on `topic` from now on, retained; nothing takes it back.
    pub fn announce(&mut self, topic: String, payload: Vec<u8>) {
        self.announcements_due.insert(topic.clone());
        self.announced.insert(topic, payload);
    }

    /// A record that the broker is to keep.
    pub fn keep(&mut self, topic: String, payload: Vec<u8>, expiry_s: Option<u32>) {
        let due = true;
        self.kept.insert(
            topic,
            KeptRecord {
                payload,
                expiry_s,
                due,
            },
        );
    }

    /// A new connection: the broker may have forgotten everything.
    pub fn keep_again(&mut self) {
        for record in self.kept.values_mut() {
            record.due = true;
        }
    }

    /// The next kept record that is to leave, and that `may`.
    pub fn next_kept(&mut self, may: impl Fn(&str) -> bool) -> Option<(String, KeptRecord)> {
        let next = |(topic, record): &(&String, &mut KeptRecord)| record.due && may(topic);
        let (topic, record) = self.kept.iter_mut().find(next)?;
        record.due = false;
        Some((topic.clone(), record.clone()))
    }

    /// Lets an event of the board `device` leave. `false` where too many of its code did lately;
    /// they are counted.
    pub fn tell(&mut self, device: &str, event: &Event) -> bool {
        let admitted = self.told.admit(&event.code, clock::now());
        if admitted {
            let record = Stamped {
                stamp: Stamp::now(device),
                body: event,
            };
            self.event(record.to_json());
        }
        admitted
    }

    fn event(&mut self, payload: Vec<u8>) {
        self.events.push_back(payload);
        self.dropped += shorten(&mut self.events);
    }

    /// A QoS 0 record. Without a connection it is worth nothing; a newer one replaces one
    /// that still waits.
    pub fn sample(&mut self, topic: String, payload: Vec<u8>) {
        if !self.connected || self.samples.insert(topic, payload).is_some() {
            self.dropped += 1;
        }
    }

    /// A live state that was under way when the connection broke waits again, unless there
    /// is a newer one.
    pub fn give_back_state(&mut self, state: LiveState) {
        if !self.states.iter().any(|waits| waits.job == state.job) {
            self.states.push_front(state);
        }
    }

    /// Forgets live states of `job` older than `rev`: the store has a newer one.
    pub fn forget_states(&mut self, job: &JobId, rev: u64) {
        self.states
            .retain(|state| state.job != *job || state.rev > rev);
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.connected = false;
        self.dropped += self.samples.len() as u64;
        self.samples.clear();
    }

    pub fn set_jobs(&mut self, jobs: Counts) {
        self.status_due |= self.jobs != jobs;
        self.jobs = jobs;
    }
}

fn shorten<T>(queue: &mut VecDeque<T>) -> u64 {
    let surplus = queue.len().saturating_sub(LONGEST_QUEUE);
    queue.drain(..surplus);
    surplus as u64
}

/// The board's memory, shared between the threads that fill it and the one that sends.
#[derive(Debug, Default)]
pub(super) struct Shared {
    board: Mutex<Board>,
    changed: Notify,
    /// Of the thread that owns the connection.
    pub pulse: Pulse,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, Board> {
        // Every change is complete in itself, so a poisoned lock guards nothing half done.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the board and wakes the connection.
    pub fn change<T>(&self, change: impl FnOnce(&mut Board) -> T) -> T {
        let value = change(&mut self.lock());
        self.changed.notify_one();
        value
    }

    /// Until something changed since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Until the daemon stops.
    pub async fn stopping(&self) {
        while self.lock().stop.is_none() {
            self.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> JobId {
        name.parse().expect("a valid id")
    }

    fn state(name: &str, rev: u64) -> LiveRecord {
        LiveRecord::State {
            job: id(name),
            rev,
            payload: vec![rev as u8],
        }
    }

    fn revs(board: &Board) -> Vec<u64> {
        board.states.iter().map(|state| state.rev).collect()
    }

    #[test]
    fn only_the_newest_state_of_a_job_waits() {
        let mut board = Board::default();
        board.live(state("a", 3));
        board.live(state("b", 9));
        board.live(state("a", 4));
        assert_eq!(revs(&board), [9, 4]);
        let old = LiveState {
            job: id("a"),
            rev: 3,
            payload: vec![],
        };
        board.give_back_state(old);
        assert_eq!(revs(&board), [9, 4]);
        board.forget_states(&id("a"), 4);
        assert_eq!(revs(&board), [9]);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let mut board = Board::default();
        for n in 0..LONGEST_QUEUE + 3 {
            board.live(LiveRecord::Tokens {
                job: id("a"),
                payload: vec![n as u8],
            });
            board.event(vec![n as u8]);
        }
        assert_eq!(
            (board.tokens.len(), board.events.len()),
            (LONGEST_QUEUE, LONGEST_QUEUE)
        );
        assert_eq!(board.dropped, 6);
        assert_eq!(board.events[0], [3]);
    }

    #[test]
    fn kept_records_leave_once_a_connection_and_in_their_newest_form() {
        let mut board = Board::default();
        for n in 1..=2 {
            board.keep("a".to_owned(), vec![n], Some(60));
        }
        board.keep("b".to_owned(), vec![3], None);
        assert_eq!(board.next_kept(|topic| topic != "a").unwrap().0, "b");
        let (topic, record) = board.next_kept(|_| true).unwrap();
        assert_eq!((topic.as_str(), record.payload), ("a", vec![2]));
        assert_eq!(board.next_kept(|_| true), None);
        board.keep_again();
        assert_eq!(board.next_kept(|_| true).unwrap().1.payload, [2]);
    }

    #[test]
    fn samples_are_for_now() {
        let mut board = Board::default();
        board.sample("rails/a".to_owned(), vec![1]);
        assert_eq!((board.samples.len(), board.dropped), (0, 1));
        board.connected = true;
        board.sample("rails/a".to_owned(), vec![2]);
        board.sample("rails/a".to_owned(), vec![3]);
        assert_eq!((board.samples.len(), board.dropped), (1, 2));
        board.disconnected();
        assert_eq!((board.samples.len(), board.dropped), (0, 3));
    }
}
