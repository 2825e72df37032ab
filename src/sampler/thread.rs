//! The loop of one sampler thread: the source whose deadline comes first is polled next.

use super::{Control, Described, Order, Shared, Thread, lock};
use crate::clock::{self, Clock, Monotonic};
use crate::sensor::{PollError, Sink, Source, Window};
use crate::units::{MonoNs, Span};
use rtrb::Producer;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// A sleeping thread looks at the control this often, so that it stops and changes pace soon.
const LONGEST_NAP: Span = Span::from_millis(100);
const FIRST_BACKOFF: Span = Span::from_millis(100);
const LONGEST_BACKOFF: Span = Span::from_millis(5_000);
/// In the middle of the real-time priorities, below those of drivers' interrupt threads (50).
const PRIORITY: u8 = 40;

/// Where a source's windows and state go.
pub(super) struct Feed {
    rings: Vec<Producer<Window>>,
    shared: Arc<Shared>,
    /// Mirrors `shared.failure`, so that a good poll takes no lock.
    failing: bool,
}

impl Feed {
    pub fn new(rings: Vec<Producer<Window>>, shared: Arc<Shared>) -> Feed {
        Feed {
            rings,
            shared,
            failing: false,
        }
    }

    fn failed(&mut self, text: String) {
        self.shared.errors.fetch_add(1, Ordering::Relaxed);
        *lock(&self.shared.failure) = Some(text);
        self.failing = true;
    }

    fn works(&mut self) {
        if self.failing {
            *lock(&self.shared.failure) = None;
            self.failing = false;
        }
    }
}

impl Sink for Feed {
    fn push(&mut self, rail: usize, window: Window) {
        let pushed = self.rings.get_mut(rail).map(|ring| ring.push(window));
        if !matches!(pushed, Some(Ok(()))) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One source and when it is due.
pub(super) struct Entry {
    source: Box<dyn Source>,
    feed: Feed,
    deadline: MonoNs,
    /// The order whose pace the source has; `None` when that is not known.
    order: Option<Order>,
    /// Set after a fatal error: how long to wait before the next reset.
    backoff: Option<Span>,
}

impl Entry {
    pub fn new(source: Box<dyn Source>, feed: Feed) -> Entry {
        Entry {
            source,
            feed,
            deadline: MonoNs(0),
            order: None,
            backoff: None,
        }
    }

    /// A new order is followed at once, but not before the pause after an error has passed.
    fn due(&self, order: Order) -> MonoNs {
        if !self.feed.failing && self.order != Some(order) {
            return MonoNs(0);
        }
        self.deadline
    }

    fn period(&self) -> Span {
        let fastest = self
            .source
            .rails()
            .iter()
            .map(|rail| rail.nominal_rate_hz)
            .fold(0.0, f64::max);
        Span::from_secs_f64(1.0 / fastest.max(0.1))
    }

    fn turn(&mut self, order: Order) {
        let now = clock::now();
        let on_schedule = self.deadline > MonoNs(0) && self.order == Some(order);
        if on_schedule && self.backoff.is_none() && now.since(self.deadline) > self.period() {
            let missed = &self.feed.shared.missed_deadlines;
            missed.fetch_add(1, Ordering::Relaxed);
        }
        match self.attempt(order) {
            Ok(deadline) => {
                self.deadline = deadline;
                self.backoff = None;
                self.feed.works();
            }
            Err(PollError::Retry(text)) => {
                self.feed.failed(text);
                let pause = self.period().0.clamp(1_000_000, 100_000_000);
                self.deadline = clock::now() + Span(pause);
            }
            Err(PollError::Fatal(text)) => {
                self.feed.failed(text);
                let backoff = match self.backoff {
                    None => FIRST_BACKOFF,
                    Some(last) => Span((last.0 * 2).min(LONGEST_BACKOFF.0)),
                };
                self.backoff = Some(backoff);
                self.order = None;
                self.deadline = clock::now() + backoff;
            }
        }
    }

    fn attempt(&mut self, order: Order) -> Result<MonoNs, PollError> {
        if self.backoff.is_some() {
            self.source.reset()?;
        }
        if self.order != Some(order) {
            self.source.set_pace(order.pace())?;
            self.order = Some(order);
            // Told before the first window at this pace is: who sees one knows its errors.
            *lock(&self.feed.shared.described) = Described {
                rails: self.source.rails().to_vec(),
                order: Some(order),
            };
        }
        self.source.poll(&mut self.feed)
    }
}

/// Reads `first`, and what arrives later on the same bus, until told to stop.
pub(super) fn run(first: Entry, arriving: &Receiver<Entry>, control: &Control, thread: &Thread) {
    let mut patience = first.source.patience();
    let mut entries = vec![first];
    thread.begins();
    if prefer_this_thread() {
        control.realtime.fetch_add(1, Ordering::AcqRel);
    } else {
        tracing::warn!(
            "the sampler has no real-time priority, so busy cores can cost it cycles: give the \
             daemon CAP_SYS_NICE or an RTPRIO limit (LimitRTPRIO= in a systemd unit)"
        );
    }
    while !control.stop.load(Ordering::Acquire) {
        for entry in arriving.try_iter() {
            patience = patience.max(entry.source.patience());
            entries.push(entry);
        }
        thread.pulse.back_within(patience);
        let order = control.order();
        let next = entries.iter_mut().min_by_key(|entry| entry.due(order));
        let Some(entry) = next else {
            return;
        };
        let due = entry.due(order);
        let nap_end = clock::now() + LONGEST_NAP;
        if due > nap_end {
            Monotonic.sleep_until(nap_end);
            continue;
        }
        Monotonic.sleep_until(due);
        // It may have changed meanwhile.
        entry.turn(control.order());
    }
}

/// Exact timers and, where the system permits it, real-time priority. Only this thread has
/// it: children are spawned by others.
fn prefer_this_thread() -> bool {
    // Without it the kernel may wake an ordinary thread 50 µs late to save power.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let priority =
        ThreadPriorityValue::try_from(PRIORITY).expect("the crate's scale goes from 0 to 99");
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(priority),
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
    )
    .is_ok()
}
