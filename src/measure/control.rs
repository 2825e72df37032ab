//! How the rest of the daemon reaches a running attempt: to cancel it, or to stop it when
//! the daemon ends.

use crate::runtime::protocol::StopReason;
use crate::units::{MonoNs, Span};
use serde::{Deserialize, Serialize};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Why an attempt has to end early. The first reason stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    Cancelled,
    Timeout,
    /// The daemon is stopping: the job goes back to the queue.
    Interrupted,
}

impl Stop {
    /// What the worker is told.
    pub fn for_worker(self) -> StopReason {
        match self {
            Stop::Timeout => StopReason::Timeout,
            Stop::Cancelled | Stop::Interrupted => StopReason::Cancelled,
        }
    }
}

/// Sends a cancel to the worker at once, from whatever thread asks for the stop.
type Canceller = Box<dyn Fn(Stop) + Send>;

#[derive(Default)]
struct State {
    stop: Option<Stop>,
    canceller: Option<Canceller>,
}

/// Shared between the attempt and whoever may stop it.
#[derive(Default)]
pub struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

impl Control {
    /// Asks the attempt to stop. Returns at once.
    pub fn stop(&self, why: Stop) {
        let mut state = self.state();
        if state.stop.is_none() {
            state.stop = Some(why);
            if let Some(cancel) = &state.canceller {
                cancel(why);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    pub fn stopped(&self) -> Option<Stop> {
        self.state().stop
    }

    /// From now on a stop also calls `canceller`; at once if one was asked for before.
    pub fn on_stop(&self, canceller: Canceller) {
        let mut state = self.state();
        if let Some(why) = state.stop {
            canceller(why);
        }
        state.canceller = Some(canceller);
    }

    /// The worker has nothing left to stop.
    pub fn forget_worker(&self) {
        self.state().canceller = None;
    }

    /// Waits until `deadline` or a stop, whichever comes first.
    pub fn sleep_until(&self, deadline: MonoNs) -> Option<Stop> {
        let mut state = self.state();
        loop {
            let left = deadline.since(crate::clock::now());
            if state.stop.is_some() || left == Span(0) {
                return state.stop;
            }
            state = self
                .changed
                .wait_timeout(state, Duration::from_nanos(left.0))
                .expect("no holder of this lock panics")
                .0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_stop_ends_a_sleep_and_reaches_the_worker_once() {
        let control = Arc::new(Control::default());
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        control.on_stop(Box::new(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        }));
        let other = Arc::clone(&control);
        let stopper = std::thread::spawn(move || {
            other.stop(Stop::Cancelled);
            other.stop(Stop::Interrupted);
        });
        let far = crate::clock::now() + Span::from_secs_f64(60.0);
        assert_eq!(control.sleep_until(far), Some(Stop::Cancelled));
        stopper.join().expect("the stopper ends");
        assert_eq!(control.stopped(), Some(Stop::Cancelled));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_stop_before_the_worker_is_there_is_not_lost() {
        let control = Control::default();
        control.stop(Stop::Timeout);
        let (sent, received) = std::sync::mpsc::channel();
        control.on_stop(Box::new(move |why| {
            sent.send(why).expect("the receiver is alive");
        }));
        assert_eq!(received.try_recv(), Ok(Stop::Timeout));
    }

    #[test]
    fn an_undisturbed_sleep_ends_at_its_deadline() {
        let deadline = crate::clock::now() + Span::from_millis(2);
        assert_eq!(Control::default().sleep_until(deadline), None);
        assert!(crate::clock::now() >= deadline);
    }
}
