//! The board's metrics, for Prometheus and whoever reads OpenMetrics: `[metrics]`.
//!
//! The daemon puts in what it publishes anyway ([`Metrics::rails`], [`Metrics::health`]); a
//! scrape reads memory alone, never a sensor, the store or a disk.
//!
//! **Undisturbed attempts.** While an attempt is measured nothing is taken in and nothing is
//! encoded: its begin ([`Metrics::before_an_attempt`], [`Metrics::hold`]) encodes what is known,
//! and a scrape sends those bytes with their age. They hold no power, voltage, current, quality,
//! rate or temperature, which are of a moment that is over: a gap is true where a plateau would
//! not be. Counters stay, so that the energy of the whole attempt is in the first scrape after it.
//!
//! - [`snapshot`]: what is known; `families`: the names and units that it gets; `text`: the two
//!   text formats
//! - [`request`]: one HTTP request, judged; [`server`]: sockets, with bounds on time and number

mod families;
pub mod request;
pub mod server;
pub mod snapshot;
mod text;

pub use snapshot::About;

use crate::record::device::{Health, RailRecord};
use crate::record::last_job::LastJob;
use crate::sensor::RailSpec;
use crate::units::{Joules, MonoNs};
use crate::workload::JobState;
use request::Format;
use snapshot::Snapshot;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use text::Body;

/// What the board's metrics are at any time.
#[derive(Debug)]
pub struct Metrics {
    /// The zero of the counters.
    since: MonoNs,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: Arc<Snapshot>,
    /// What is served while an attempt is measured.
    held: Option<Arc<Body>>,
}

impl Metrics {
    pub fn new(about: About, since: MonoNs) -> Self {
        Self {
            since,
            state: Mutex::new(State {
                now: Arc::new(Snapshot::new(about, since)),
                held: None,
            }),
        }
    }

    /// What `rails/<rail>` says, once a second.
    pub fn rails(&self, specs: &[RailSpec], records: &[RailRecord], running: bool, now: MonoNs) {
        self.unless_held(|snapshot| snapshot.take_rails(specs, records, running, now));
    }

    /// What `health` says, and what else is looked at as rarely.
    pub fn health(&self, health: &Health, around: Around) {
        self.unless_held(|snapshot| {
            snapshot.health = Some(health.clone());
            snapshot.around = Some(around);
        });
    }

    /// What holds just before an attempt begins. Attempts may follow one another for hours
    /// without a second in between: without this, metrics would stand still for as long.
    pub fn before_an_attempt(
        &self,
        energies: &[Option<Joules>],
        health: &Health,
        around: Around,
        now: MonoNs,
    ) {
        self.unless_held(|snapshot| {
            snapshot.take_energies(energies, now);
            snapshot.health = Some(health.clone());
            snapshot.around = Some(around);
        });
    }

    /// A job has come to its end.
    pub fn job_ended(&self, state: JobState) {
        // Counted in any case: the end of an attempt that is held back comes before the release.
        Arc::make_mut(&mut self.state().now).ended.count(state);
    }

    /// The figures of a job that succeeded.
    pub fn job(&self, job: LastJob) {
        Arc::make_mut(&mut self.state().now).take_job(job);
    }

    /// While `hold` is true scrapes are answered with what is known now.
    pub fn hold(&self, hold: bool) {
        let mut state = self.state();
        state.held = hold.then(|| {
            let mut last = (*state.now).clone();
            last.forget_the_moment();
            last.running = true;
            Arc::new(Body::of(last))
        });
    }

    /// The answer to a scrape.
    pub fn text(&self, format: Format, now: MonoNs) -> String {
        let (held, snapshot) = {
            let state = self.state();
            (state.held.clone(), Arc::clone(&state.now))
        };
        let times = text::Times {
            snapshot_age: now.since(snapshot.taken),
            uptime: now.since(self.since),
            held: held.is_some(),
        };
        match held {
            Some(body) => body.with(times, format),
            None => Body::of((*snapshot).clone()).with(times, format),
        }
    }

    fn unless_held(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut state = self.state();
        if state.held.is_none() {
            change(Arc::make_mut(&mut state.now));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `health` does not say.
#[derive(Debug, Clone, PartialEq)]
pub struct Around {
    /// Sensors that could not be opened.
    pub unopened: Vec<String>,
    pub connected: bool,
}

#[cfg(test)]
mod tests;
