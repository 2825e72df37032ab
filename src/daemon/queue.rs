//! Between those who want something of the job runner and the runner itself.

use crate::clock;
use crate::measure::{Control, Stop};
use crate::units::{MonoNs, Span};
use crate::workload::JobId;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Wakes the runner, and reaches the attempt that it runs.
#[derive(Default)]
pub struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
    /// Held while a piece of work is done beside the attempts.
    aside: Mutex<()>,
}

#[derive(Default)]
struct QueueState {
    wake: bool,
    stopping: bool,
    running: Option<(JobId, Arc<Control>)>,
    /// When the last attempt ended.
    ended: Option<MonoNs>,
}

impl Queue {
    /// A job has arrived: the runner looks at the store.
    pub fn wake(&self) {
        self.state().wake = true;
        self.changed.notify_all();
    }

    /// Stops the running attempt and the runner, for the end of the daemon.
    pub fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        if let Some((_, control)) = &state.running {
            control.stop(Stop::Interrupted);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Cancels the attempt of this job, if it is the one that runs.
    pub fn cancel(&self, id: &JobId) -> bool {
        match &self.state().running {
            Some((running, control)) if running == id => {
                control.stop(Stop::Cancelled);
                true
            }
            _ => false,
        }
    }

    /// Waits until there may be work, looking again at `latest` at the latest, since queued
    /// jobs can pass their deadline. `false` when the runner has to end.
    pub fn wait(&self, latest: Duration) -> bool {
        let state = self.state();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, latest, |state| !state.wake && !state.stopping)
            .expect("no holder of the queue's lock panics");
        state.wake = false;
        !state.stopping
    }

    /// Announces the attempt that runs; a stop of the daemon reaches it even if it came first.
    pub fn begin(&self, id: &JobId, control: &Arc<Control>) {
        let mut state = self.state();
        if state.stopping {
            control.stop(Stop::Interrupted);
        }
        state.running = Some((id.clone(), Arc::clone(control)));
    }

    pub fn end(&self) {
        let mut state = self.state();
        state.running = None;
        state.ended = Some(clock::now());
        drop(state);
        self.changed.notify_all();
    }

    pub fn running(&self) -> Option<JobId> {
        let state = self.state();
        state.running.as_ref().map(|(id, _)| id.clone())
    }

    pub fn is_running(&self) -> bool {
        self.state().running.is_some()
    }

    /// Waits while an attempt runs, for work that would disturb it. `false` when the daemon
    /// is stopping.
    pub fn wait_until_free(&self) -> bool {
        let state = self.state();
        let busy = |state: &mut QueueState| state.running.is_some() && !state.stopping;
        let state = self
            .changed
            .wait_while(state, busy)
            .expect("no holder of the queue's lock panics");
        !state.stopping
    }

    /// The same, until none has run for `span`: the next job of a queue begins soon after the
    /// one before.
    pub fn wait_until_free_for(&self, span: Span) -> bool {
        while self.wait_until_free() {
            let state = self.state();
            let quiet = state.ended.map(|ended| clock::now().since(ended));
            let Some(rest) = quiet.and_then(|quiet| span.0.checked_sub(quiet.0)) else {
                return true;
            };
            let begins = |state: &mut QueueState| state.running.is_none() && !state.stopping;
            drop(
                self.changed
                    .wait_timeout_while(state, Duration::from_nanos(rest), begins)
                    .expect("no holder of the queue's lock panics"),
            );
        }
        false
    }

    /// Does a piece of work that would disturb an attempt, unless one runs. One that begins
    /// meanwhile [waits](Self::settle) for its end, so it is a short piece.
    pub fn aside<T>(&self, piece: impl FnOnce() -> T) -> Option<T> {
        let _held = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        (!self.is_running()).then(piece)
    }

    /// After [`begin`](Self::begin): waits for a piece of work that is being done. From then on
    /// none is.
    pub fn settle(&self) {
        drop(self.aside.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub fn is_stopping(&self) -> bool {
        self.state().stopping
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state
            .lock()
            .expect("no holder of the queue's lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> JobId {
        name.parse().expect("a valid id")
    }

    #[test]
    fn a_wake_before_the_wait_is_not_lost() {
        let queue = Queue::default();
        queue.wake();
        assert!(queue.wait(Duration::from_secs(60)));
    }

    #[test]
    fn only_the_running_job_is_cancelled() {
        let queue = Queue::default();
        let control = Arc::new(Control::default());
        queue.begin(&id("a"), &control);
        assert!(!queue.cancel(&id("b")));
        assert_eq!(control.stopped(), None);
        assert!(queue.cancel(&id("a")));
        assert_eq!(control.stopped(), Some(Stop::Cancelled));
        queue.end();
        assert!(!queue.cancel(&id("a")));
    }

    #[test]
    fn what_would_disturb_an_attempt_waits_for_its_end_or_the_daemons() {
        let queue = Arc::new(Queue::default());
        assert!(queue.wait_until_free());
        queue.begin(&id("a"), &Arc::default());
        let waits = Arc::clone(&queue);
        let waiting = std::thread::spawn(move || waits.wait_until_free());
        queue.end();
        assert!(waiting.join().expect("no panic"));
        queue.begin(&id("b"), &Arc::default());
        queue.stop();
        assert!(!queue.wait_until_free());
    }

    #[test]
    fn a_gap_between_two_jobs_is_told_from_the_end_of_the_last() {
        let queue = Arc::new(Queue::default());
        let long = Span::from_secs_f64(3_600.0);
        assert!(queue.wait_until_free_for(long), "none has run");
        queue.begin(&id("a"), &Arc::default());
        queue.end();
        assert!(queue.wait_until_free_for(Span(1)));
        let waits = Arc::clone(&queue);
        let waiting = std::thread::spawn(move || waits.wait_until_free_for(long));
        queue.begin(&id("b"), &Arc::default());
        queue.end();
        queue.stop();
        assert!(!waiting.join().expect("no panic"));
    }

    #[test]
    fn an_attempt_waits_for_the_piece_that_is_being_done_and_no_other_is() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let queue = Arc::new(Queue::default());
        let done = Arc::new(AtomicBool::new(false));
        let (begun, begins) = std::sync::mpsc::channel();
        let (beside, marks) = (Arc::clone(&queue), Arc::clone(&done));
        let working = std::thread::spawn(move || {
            beside.aside(|| {
                begun.send(()).expect("someone listens");
                while !beside.is_running() {
                    std::thread::yield_now();
                }
                marks.store(true, Ordering::SeqCst);
            })
        });
        begins.recv().expect("the piece has begun");
        queue.begin(&id("a"), &Arc::default());
        queue.settle();
        assert!(done.load(Ordering::SeqCst));
        assert!(working.join().expect("no panic").is_some());
        assert_eq!(queue.aside(|| ()), None);
        queue.end();
        assert_eq!(queue.aside(|| ()), Some(()));
    }

    #[test]
    fn an_attempt_that_begins_while_stopping_is_interrupted() {
        let queue = Queue::default();
        queue.stop();
        assert!(!queue.wait(Duration::from_secs(60)));
        let control = Arc::new(Control::default());
        queue.begin(&id("a"), &control);
        assert_eq!(control.stopped(), Some(Stop::Interrupted));
    }
}
