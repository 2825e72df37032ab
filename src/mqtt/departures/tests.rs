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
        let id = id(self.jobs);
        self.jobs += 1;
        let how = Finished::Succeeded;
        let mut records: Vec<Outgoing> = (0..tokens)
            .map(|seq| Outgoing::tokens(seq, vec![7; 20]))
            .collect();
        records.push(Outgoing::result(vec![9]));
        let store = &mut self.store;
        store.submit(&job(id.as_str()), 1_000, &at(1)).unwrap();
        let attempt = store.begin_attempt(&id, &at(1)).unwrap().unwrap().attempt;
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

    fn pass_time(&mut self, ms: u64) {
        self.now = self.now + Span::from_millis(ms);
    }

    /// With a broker that takes all, until nothing is left.
    fn finish(&mut self) {
        (self.heard, self.takes) = (true, true);
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
    Run(u64),
    Go,
    Answer(u8),
    Time(u64),
    Heard(bool),
    Takes(bool),
    Replay(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0u64..12).prop_map(Event::Run),
        6 => Just(Event::Go),
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
                Event::Run(tokens) => play.run(tokens),
                Event::Go => play.go(),
                Event::Answer(n) => (0..n).for_each(|_| play.answer()),
                Event::Time(ms) => play.pass_time(ms),
                Event::Heard(heard) => play.heard = heard,
                Event::Takes(takes) => play.takes = takes,
                Event::Replay(n) if play.jobs > 0 => play.replay(&id(n % play.jobs)),
                Event::Replay(_) => {}
            }
        }
        play.finish();
        prop_assert_eq!(play.tried.len(), play.taken.len());
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
}
