//! Topics whose records could not be delivered, and when each is tried again.
//!
//! A topic waits as a whole, 1 s at first and twice as long after each try, up to 60 s; a try
//! is its first record alone. Once one was taken, the topic resumes: all that it has leaves.
//!
//! Where nobody listens to one job's tokens, mostly nobody listens to any. So a kind is
//! *unheard* from the first such answer until a record of the kind is taken: its other topics
//! wait at once, and at most ten a second of them are tried. Then a board with a month of
//! jobs that nobody collects is quiet; and when a listener comes, the first try that reaches
//! it makes all of the kind due. Somebody who listens to one job alone would do that with each
//! of its records, so it happens once a second at most.

use super::backoff::doubled;
use crate::store::{RecordKind, Topic};
use crate::units::{MonoNs, Span};
use crate::workload::JobId;
use std::collections::{BTreeSet, HashMap};

/// Topics that are remembered at most; the records of others stay where they are.
const MOST_TOPICS: usize = 8_192;
const BETWEEN_UNHEARD_TRIES: Span = Span::from_millis(100);
const BETWEEN_HEARINGS: Span = Span::from_millis(1_000);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Until {
        tries: u32,
        due: MonoNs,
    },
    /// Its first record is under way.
    Trying {
        tries: u32,
    },
    Resuming,
}

/// What is known of one kind. Each has its own tries, so that many topics of one don't use up
/// those of another.
#[derive(Debug, Default)]
struct OfKind {
    /// Jobs whose topic waits.
    due: BTreeSet<(MonoNs, JobId)>,
    unheard: bool,
    /// When a topic may be tried while the kind is unheard.
    next_try: MonoNs,
    /// Whether a record was taken although the kind is unheard.
    taken: bool,
    /// When the kind may be heard again.
    next_hearing: MonoNs,
}

#[derive(Debug, Default)]
pub(super) struct Waits {
    topics: HashMap<Topic, Wait>,
    kinds: [OfKind; RecordKind::ALL.len()],
}

impl Waits {
    /// Whether records of this topic leave by another way than the others.
    pub fn holds(&self, topic: &Topic) -> bool {
        self.topics.contains_key(topic)
    }

    pub fn is_unheard(&self, kind: RecordKind) -> bool {
        self.kinds[kind as usize].unheard
    }

    pub fn is_full(&self) -> bool {
        self.topics.len() >= MOST_TOPICS
    }

    /// Whether so many topics are gone that others may be looked for.
    pub fn is_half_empty(&self) -> bool {
        self.topics.len() <= MOST_TOPICS / 2
    }

    /// Nobody listens to this topic.
    pub fn nobody_listens(&mut self, topic: &Topic, now: MonoNs) {
        self.kinds[topic.kind as usize].unheard = true;
        self.not_now(topic, now);
    }

    /// A record of this topic could not be delivered.
    pub fn not_now(&mut self, topic: &Topic, now: MonoNs) {
        let tries = match self.topics.get(topic) {
            // Records that were under way together are one try.
            Some(Wait::Until { .. }) => return,
            Some(Wait::Trying { tries }) => *tries,
            Some(Wait::Resuming) | None => 0,
        };
        self.set(topic.clone(), tries + 1, now + doubled(tries));
    }

    /// Lets a topic of an unheard kind wait before its first try.
    pub fn pass_over(&mut self, topic: &Topic, now: MonoNs) {
        self.set(topic.clone(), 0, now + doubled(0));
    }

    /// A record of this topic was taken. Says whether the topic resumes now.
    pub fn delivered(&mut self, topic: &Topic, now: MonoNs) -> bool {
        let of_kind = &mut self.kinds[topic.kind as usize];
        of_kind.taken |= of_kind.unheard;
        self.listen(now);
        self.resume(topic)
    }

    /// Makes all of a kind due of which a record was taken, unless that was done just now.
    pub fn listen(&mut self, now: MonoNs) {
        for kind in RecordKind::ALL {
            let of_kind = &mut self.kinds[kind as usize];
            if !of_kind.taken || now < of_kind.next_hearing {
                continue;
            }
            of_kind.taken = false;
            of_kind.unheard = false;
            of_kind.next_hearing = now + BETWEEN_HEARINGS;
            for (_, job) in std::mem::take(&mut of_kind.due) {
                self.hurry(Topic { job, kind }, now);
            }
        }
    }

    /// The first record of this topic is out of the way. Says whether the topic was waiting
    /// for that.
    pub fn resume(&mut self, topic: &Topic) -> bool {
        match self.topics.get_mut(topic) {
            Some(wait @ Wait::Trying { .. }) => {
                *wait = Wait::Resuming;
                true
            }
            _ => false,
        }
    }

    /// The topics of this job are due.
    pub fn retry(&mut self, job: &JobId, now: MonoNs) {
        for kind in RecordKind::ALL {
            let job = job.clone();
            self.hurry(Topic { job, kind }, now);
        }
    }

    fn hurry(&mut self, topic: Topic, now: MonoNs) {
        if let Some(Wait::Until { tries, due }) = self.topics.get(&topic).copied() {
            self.kinds[topic.kind as usize]
                .due
                .remove(&(due, topic.job.clone()));
            self.set(topic, tries, due.min(now));
        }
    }

    fn set(&mut self, topic: Topic, tries: u32, due: MonoNs) {
        self.kinds[topic.kind as usize]
            .due
            .insert((due, topic.job.clone()));
        self.topics.insert(topic, Wait::Until { tries, due });
    }

    /// A topic whose first record may be tried now.
    pub fn next_due(&mut self, now: MonoNs) -> Option<Topic> {
        for kind in RecordKind::ALL {
            let of_kind = &mut self.kinds[kind as usize];
            if of_kind.unheard && now < of_kind.next_try {
                continue;
            }
            if of_kind.due.first().is_none_or(|(due, _)| *due > now) {
                continue;
            }
            let (_, job) = of_kind.due.pop_first()?;
            if of_kind.unheard {
                of_kind.next_try = now + BETWEEN_UNHEARD_TRIES;
            }
            let topic = Topic { job, kind };
            if let Some(wait) = self.topics.get_mut(&topic)
                && let Wait::Until { tries, .. } = *wait
            {
                *wait = Wait::Trying { tries };
            }
            return Some(topic);
        }
        None
    }

    /// When to [`listen`](Self::listen) or to ask for [`next_due`](Self::next_due) again.
    pub fn wakes_at(&self) -> Option<MonoNs> {
        let at = self.kinds.iter().flat_map(|of_kind| {
            let first = of_kind.due.first().map(|(due, _)| match of_kind.unheard {
                true => (*due).max(of_kind.next_try),
                false => *due,
            });
            [first, of_kind.taken.then_some(of_kind.next_hearing)]
        });
        at.flatten().min()
    }

    /// Nothing is left of this topic that would have to wait.
    pub fn forget(&mut self, topic: &Topic) {
        if let Some(Wait::Until { due, .. }) = self.topics.remove(topic) {
            self.kinds[topic.kind as usize]
                .due
                .remove(&(due, topic.job.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: MonoNs = MonoNs(0);

    fn tokens(job: &str) -> Topic {
        Topic {
            job: job.parse().unwrap(),
            kind: RecordKind::Tokens,
        }
    }

    fn after(ms: u64) -> MonoNs {
        T0 + Span::from_millis(ms)
    }

    #[test]
    fn tries_become_rarer_and_one_that_is_taken_resumes_the_topic() {
        let mut waits = Waits::default();
        let a = tokens("a");
        waits.not_now(&a, T0);
        // Records that were under way together are one try.
        waits.not_now(&a, T0);
        assert_eq!(waits.wakes_at(), Some(after(1_000)));
        assert_eq!(waits.next_due(after(999)), None);
        assert_eq!(waits.next_due(after(1_000)), Some(a.clone()));
        assert_eq!(waits.next_due(after(1_000)), None);
        waits.not_now(&a, after(1_000));
        assert_eq!(waits.wakes_at(), Some(after(3_000)));
        assert_eq!(waits.next_due(after(3_000)), Some(a.clone()));
        assert!(waits.delivered(&a, after(3_001)));
        assert!(waits.holds(&a));
        waits.not_now(&a, after(3_002));
        assert_eq!(waits.wakes_at(), Some(after(4_002)));
        waits.forget(&a);
        assert_eq!((waits.wakes_at(), waits.holds(&a)), (None, false));
    }

    #[test]
    fn a_kind_that_nobody_hears_is_tried_ten_times_a_second_until_somebody_does() {
        let mut waits = Waits::default();
        waits.nobody_listens(&tokens("first"), T0);
        assert!(waits.is_unheard(RecordKind::Tokens));
        for n in 0..100 {
            waits.pass_over(&tokens(&format!("job-{n}")), T0);
        }
        let now = after(1_000);
        assert!(waits.next_due(now).is_some());
        assert_eq!(waits.next_due(now), None);
        assert_eq!(waits.wakes_at(), Some(after(1_100)));
        let heard = waits.next_due(after(1_100)).unwrap();
        assert!(waits.delivered(&heard, after(1_101)));
        assert!(!waits.is_unheard(RecordKind::Tokens));
        let mut due = 0;
        while waits.next_due(after(1_101)).is_some() {
            due += 1;
        }
        assert_eq!(due, 99);
    }

    #[test]
    fn who_follows_one_job_stirs_the_others_up_once_a_second() {
        let mut waits = Waits::default();
        let followed = tokens("followed");
        for n in 0..100 {
            waits.nobody_listens(&tokens(&format!("job-{n}")), T0);
        }
        let mut tried = 0;
        for ms in (0..10_000).step_by(10) {
            waits.delivered(&followed, after(ms));
            waits.listen(after(ms));
            // So many leave before the first is answered.
            let due = std::iter::from_fn(|| waits.next_due(after(ms))).take(20);
            for other in due.collect::<Vec<_>>() {
                tried += 1;
                waits.nobody_listens(&other, after(ms));
            }
        }
        assert!(tried <= 10 * (20 + 10), "{tried}");
    }

    #[test]
    fn an_unheard_kind_holds_no_other_back() {
        let mut waits = Waits::default();
        waits.nobody_listens(&tokens("a"), T0);
        waits.nobody_listens(&tokens("b"), T0);
        let state = Topic {
            job: "c".parse().unwrap(),
            kind: RecordKind::State,
        };
        waits.not_now(&state, T0);
        let now = after(1_000);
        let due: Vec<Topic> = std::iter::from_fn(|| waits.next_due(now)).collect();
        assert_eq!(due, [state, tokens("a")]);
    }

    #[test]
    fn many_topics_of_an_unheard_kind_leave_another_kind_its_tries() {
        let mut waits = Waits::default();
        for n in 0..700 {
            waits.nobody_listens(&tokens(&format!("job-{n}")), T0);
        }
        let trace = Topic {
            job: "a".parse().unwrap(),
            kind: RecordKind::Trace,
        };
        waits.nobody_listens(&trace, T0);
        let mut tried = Vec::new();
        for tenth in 10..60 {
            let now = after(tenth * 100);
            while let Some(topic) = waits.next_due(now) {
                waits.nobody_listens(&topic, now);
                tried.push(topic);
            }
        }
        // After 1 s, and 2 s after that.
        assert_eq!(tried.iter().filter(|topic| **topic == trace).count(), 2);
        assert_eq!(tried.len(), 50 + 2);
    }

    #[test]
    fn a_replay_makes_the_topics_of_its_job_due() {
        let mut waits = Waits::default();
        waits.not_now(&tokens("a"), T0);
        waits.not_now(&tokens("b"), T0);
        waits.retry(&"b".parse().unwrap(), after(1));
        assert_eq!(waits.next_due(after(1)), Some(tokens("b")));
        assert_eq!(waits.next_due(after(1)), None);
    }
}
