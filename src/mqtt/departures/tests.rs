//! Whatever the broker answers and whenever, every record is taken once, those of a topic in
//! their order.

use super::*;
use crate::store::testing::{at, hide_outbox, job, new_store, show_outbox};
use crate::store::{Finished, Outgoing};
use proptest::prelude::*;
use std::collections::HashMap;

/// A store, what leaves it, and a broker that answers in order.
struct Play {
    _dir: tempfile::TempDir,
    store: Store,
    departures: Departures,
    in_flight: VecDeque<(i64, Topic)>,
    now: MonoNs,
    jobs: u64,
    /// Whether anyone listens to tokens.
    heard: bool,
    /// Whether the broker takes anything.
    takes: bool,
    /// The job that runs, with its attempt, and whether a live state of it has left.
    running: Option<(JobId, u32, bool)>,
    /// The number that was sent last of each topic, for its first time.
    sent: HashMap<Topic, i64>,
    tried: HashSet<i64>,
    topics: HashMap<i64, Topic>,
    taken: HashMap<i64, u32>,
    replays: HashMap<JobId, u32>,
    sends: u64,
}

const WINDOW: usize = 6;

fn id(n: u64) -> JobId {
    format!("job-{n}").parse().unwrap()
}

impl Play {
    fn new() -> Self {
        let (dir, store) = new_store();
        let mut departures = Departures::default();
        departures.look();
        Self {
            _dir: dir,
            store,
            departures,
            in_flight: VecDeque::new(),
            now: MonoNs(0),
            jobs: 0,
            heard: true,
            takes: true,
            running: None,
            sent: HashMap::new(),
            tried: HashSet::new(),
            topics: HashMap::new(),
            taken: HashMap::new(),
            replays: HashMap::new(),
            sends: 0,
        }
    }

    /// A job runs and leaves so many token records.
    fn run(&mut self, tokens: u64) {
        self.begin();
        self.end(tokens);
    }

    /// The next job begins, unless one runs.
    fn begin(&mut self) {
        if self.running.is_some() {
            return;
        }
        let id = id(self.jobs);
        self.jobs += 1;
        let store = &mut self.store;
        store.submit(&job(id.as_str()), 1_000, &at(1)).unwrap();
        let begun = store.begin_attempt(&id, &at(1)).unwrap().unwrap();
        self.running = Some((id, begun.attempt, false));
        self.departures.look();
    }

    /// A live state of the running job leaves, newer than what the outbox has of it.
    fn live_state_leaves(&mut self) {
        if let Some((_, _, live)) = &mut self.running {
            *live = true;
        }
    }

    /// The running job ends and leaves so many token records.
    fn end(&mut self, tokens: u64) {
        let Some((id, attempt, _)) = self.running.take() else {
            return;
        };
        let how = Finished::Succeeded;
        let mut records: Vec<Outgoing> = (0..tokens)
            .map(|seq| Outgoing::tokens(seq, vec![7; 20]))
            .collect();
        records.push(Outgoing::result(vec![9]));
        let store = &mut self.store;
        let done = store.finish_attempt(&id, attempt, how, None, &records, &at(1));
        done.unwrap().unwrap();
        self.departures.look();
    }

    fn replay(&mut self, id: &JobId) {
        // As before each command.
        self.departures.mark(&mut self.store, self.now).unwrap();
        self.store.replay(id, None, None).unwrap();
        *self.replays.entry(id.clone()).or_default() += 1;
        self.departures.look();
    }

    /// Sends what may leave.
    fn go(&mut self) {
        self.departures.fill(&mut self.store, self.now).unwrap();
        let mut pass = Pass::default();
        while self.in_flight.len() < WINDOW {
            let in_flight = &self.in_flight;
            let flies = |topic: &Topic| in_flight.iter().any(|(_, other)| other == topic);
            let Some(record) = self.departures.next(&mut pass, flies) else {
                break;
            };
            let Pending { seq, topic, .. } = record;
            assert!(in_flight.iter().all(|(other, _)| *other != seq), "twice");
            assert!(!topic.kind.retained() || !flies(&topic), "{topic:?}");
            if self.tried.insert(seq) {
                let before = self.sent.insert(topic.clone(), seq);
                assert!(before.is_none_or(|before| before < seq), "{topic:?}");
            }
            self.topics.insert(seq, topic.clone());
            let newer = |(job, _, live): &(JobId, u32, bool)| *live && *job == topic.job;
            if topic.kind == RecordKind::State && self.running.as_ref().is_some_and(newer) {
                *self.taken.entry(seq).or_default() += 1;
                self.departures.superseded(seq, &topic, self.now);
                continue;
            }
            self.sends += 1;
            self.in_flight.push_back((seq, topic));
        }
        if self.departures.marks_are_due(self.now) {
            self.departures.mark(&mut self.store, self.now).unwrap();
        }
    }

    fn answer(&mut self) {
        let Some((seq, topic)) = self.in_flight.pop_front() else {
            return;
        };
        if !self.takes {
            self.departures.not_now(seq, &topic, self.now);
        } else if self.heard || topic.kind.retained() {
            *self.taken.entry(seq).or_default() += 1;
            self.departures.delivered(seq, &topic, self.now);
        } else {
            self.departures.nobody_listens(seq, &topic, self.now);
        }
    }

    /// A look that fails.
    fn look_in_vain(&mut self) {
        hide_outbox(&self.store);
        let _ = self.departures.fill(&mut self.store, self.now);
        show_outbox(&self.store);
    }

    fn pass_time(&mut self, ms: u64) {
        self.now = self.now + Span::from_millis(ms);
    }

    /// With a broker that takes all, until nothing is left.
    fn finish(&mut self) {
        (self.heard, self.takes) = (true, true);
        self.end(1);
        for _ in 0..2_000 {
            self.go();
            while !self.in_flight.is_empty() {
                self.answer();
            }
            self.pass_time(100);
            self.departures.look();
            if self.store.backlog().unwrap().pending == 0 {
                return;
            }
        }
        panic!("{:?} is left", self.store.backlog().unwrap());
    }
}

#[derive(Debug, Clone)]
enum Event {
    Begin,
    LiveStateLeaves,
    End(u64),
    Go,
    LookInVain,
    Answer(u8),
    Time(u64),
    Heard(bool),
    Takes(bool),
    Replay(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Begin),
        1 => Just(Event::LiveStateLeaves),
        2 => (0u64..12).prop_map(Event::End),
        6 => Just(Event::Go),
        1 => Just(Event::LookInVain),
        6 => (1u8..8).prop_map(Event::Answer),
        3 => (1u64..3_000).prop_map(Event::Time),
        1 => any::<bool>().prop_map(Event::Heard),
        1 => any::<bool>().prop_map(Event::Takes),
        1 => any::<u64>().prop_map(Event::Replay),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_taken_and_none_twice(
        events in proptest::collection::vec(event(), 1..80)
    ) {
        let mut play = Play::new();
        for event in events {
            match event {
                Event::Begin => play.begin(),
                Event::LiveStateLeaves => play.live_state_leaves(),
                Event::End(tokens) => play.end(tokens),
                Event::Go => play.go(),
                Event::LookInVain => play.look_in_vain(),
                Event::Answer(n) => (0..n).for_each(|_| play.answer()),
                Event::Time(ms) => play.pass_time(ms),
                Event::Heard(heard) => play.heard = heard,
                Event::Takes(takes) => play.takes = takes,
                Event::Replay(n) if play.jobs > 0 => play.replay(&id(n % play.jobs)),
                Event::Replay(_) => {}
            }
        }
        play.finish();
        for seq in &play.tried {
            // A later state replaces one that waits.
            let replaced = play.topics[seq].kind == RecordKind::State
                && play.sent[&play.topics[seq]] > *seq;
            prop_assert!(play.taken.contains_key(seq) || replaced);
        }
        for (seq, taken) in &play.taken {
            let job = &play.topics[seq].job;
            let replays = play.replays.get(job).copied().unwrap_or(0);
            prop_assert!(*taken <= 1 + replays);
        }
        prop_assert!(play.departures.out.is_empty());
    }
}

/// The numbers of what is in flight.
fn seqs(play: &Play) -> Vec<i64> {
    play.in_flight.iter().map(|(seq, _)| *seq).collect()
}

#[test]
fn a_topic_leaves_in_its_order_also_after_it_had_to_wait() {
    let mut play = Play::new();
    play.heard = false;
    play.run(20);
    play.go();
    let first = seqs(&play);
    while !play.in_flight.is_empty() {
        play.answer();
        play.go();
    }
    play.heard = true;
    play.pass_time(1_000);
    play.go();
    // One alone, to see whether anyone listens now.
    assert_eq!(seqs(&play), first[..1]);
    play.answer();
    let mut taken = first[..1].to_vec();
    loop {
        play.go();
        let Some((seq, _)) = play.in_flight.front().cloned() else {
            break;
        };
        taken.push(seq);
        play.answer();
    }
    assert_eq!(taken.len(), 20);
    assert!(taken.is_sorted(), "{taken:?}");
}

#[test]
fn a_row_that_cannot_be_read_is_parked_and_holds_no_other_back() {
    let mut play = Play::new();
    play.run(20);
    let garbled = play.store.waiting(3)[2].seq;
    play.store.garble(garbled);
    play.finish();
    assert!(!play.tried.contains(&garbled));
    assert_eq!(play.taken.len(), 20 + 2 - 1);
    assert_eq!(play.store.backlog().unwrap().parked, 1);
    assert!(play.departures.out.is_empty());
    // What is kept of it is sound.
    play.replay(&id(0));
    let again = play.store.waiting(100);
    assert!(again.iter().any(|record| record.seq == garbled));
}

#[test]
fn what_nobody_hears_costs_a_few_tries_and_holds_no_other_back() {
    let mut play = Play::new();
    play.heard = false;
    for _ in 0..40 {
        play.run(50);
    }
    for _ in 0..100 {
        play.go();
        while !play.in_flight.is_empty() {
            play.answer();
        }
        play.pass_time(100);
    }
    // All states and results left; of 2,000 token records a window, and ten a second.
    let retained = 2 * 40;
    assert_eq!(play.taken.len(), retained);
    let tries = play.sends - retained as u64;
    assert!(tries <= WINDOW as u64 + 100, "{tries}");
    assert!(play.departures.out.is_empty());
    // Somebody comes: the first try that reaches them makes all of it due.
    play.heard = true;
    for _ in 0..4_000 {
        play.go();
        play.answer();
    }
    play.pass_time(200);
    for _ in 0..4_000 {
        play.go();
        play.answer();
    }
    assert_eq!(play.taken.len(), retained + 2_000);
}

#[test]
fn marks_are_made_together_and_nothing_runs_away_while_they_fail() {
    let mut play = Play::new();
    for _ in 0..30 {
        play.run(400);
    }
    let waiting = |play: &Play| play.store.backlog().unwrap().pending;
    let all = waiting(&play);
    play.go();
    for _ in 0..MARKED_TOGETHER - 1 {
        play.answer();
        play.go();
    }
    assert_eq!(waiting(&play), all);
    play.answer();
    play.go();
    assert_eq!(waiting(&play), all - MARKED_TOGETHER as u64);
    play.answer();
    play.go();
    play.pass_time(200);
    play.go();
    assert_eq!(waiting(&play), all - MARKED_TOGETHER as u64 - 1);

    // As after a commit that failed.
    for _ in 0..20_000 {
        play.departures.mark_at = Some(play.now + MARKED_AGAIN);
        play.go();
        play.answer();
    }
    let out = play.departures.out.len();
    assert!(out <= MOST_UNMARKED + 2 * AHEAD.records + WINDOW, "{out}");
    assert!(play.departures.unmarked() >= MOST_UNMARKED);
    play.finish();
    assert_eq!(play.taken.len() as u64, all);
}

/// Whether there is a reason to look now.
fn due(play: &Play) -> bool {
    let fills_at = play.departures.fills_at(play.now);
    fills_at.is_some_and(|at| at <= play.now)
}

/// Whether a look is followed by the next at once.
fn spins(play: &mut Play) -> bool {
    let _ = play.departures.fill(&mut play.store, play.now);
    due(play)
}

#[test]
fn what_is_due_and_can_not_leave_is_not_asked_for_again_at_once() {
    let mut play = Play::new();
    play.takes = false;
    play.run(1);
    play.go();
    while !play.in_flight.is_empty() {
        play.answer();
    }
    assert!(!spins(&mut play), "its topics wait");
    play.pass_time(1_000);
    // As on a full disk: nothing may leave, and nothing but a mark can change that.
    play.departures.delivered = vec![0; MOST_UNMARKED];
    play.departures.mark_at = Some(play.now + MARKED_AGAIN);
    play.departures.look();
    assert!(!spins(&mut play), "no more may leave");
    play.departures.delivered.clear();
    assert!(due(&play));
    hide_outbox(&play.store);
    assert!(!spins(&mut play), "the store can't be read");
    show_outbox(&play.store);
    play.pass_time(5_000);
    assert!(due(&play));
    play.departures.mark_at = None;
    play.finish();
}

#[test]
fn a_state_that_is_out_of_date_when_its_turn_comes_does_not_hold_back_the_last() {
    let mut play = Play::new();
    play.begin();
    play.takes = false;
    play.go();
    play.answer();
    play.live_state_leaves();
    play.pass_time(1_000);
    play.go();
    assert!(play.in_flight.is_empty(), "a newer one has left");
    play.finish();
}

#[test]
fn a_topic_whose_turn_comes_while_the_store_can_not_be_read_waits_for_another() {
    let mut play = Play::new();
    play.run(3);
    play.takes = false;
    play.go();
    while !play.in_flight.is_empty() {
        play.answer();
    }
    play.pass_time(1_000);
    play.look_in_vain();
    play.finish();
}
