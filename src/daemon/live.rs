//! What those who watch see of the attempt that runs, from memory.

use super::Shared;
use crate::clock;
use crate::measure::{Context, Observed, TokenBatches, Watcher};
use crate::mqtt::{LiveRecord, MqttHandle};
use crate::record::job::State;
use crate::units::{MonoNs, Span};
use crate::workload::{JobState, Phase, TokensWhen};
use std::cell::{Cell, RefCell};

/// Publishes states, and live tokens, from memory while an attempt runs.
pub struct Live<'a> {
    shared: &'a Shared,
    mqtt: &'a MqttHandle,
    context: &'a Context,
    rev: Cell<u64>,
    /// When tokens may leave next.
    due: Cell<MonoNs>,
    batches: RefCell<TokenBatches>,
}

impl<'a> Live<'a> {
    /// The attempt's next state has the revision after `rev`.
    pub fn new(shared: &'a Shared, mqtt: &'a MqttHandle, context: &'a Context, rev: u64) -> Self {
        Self {
            shared,
            mqtt,
            context,
            rev: Cell::new(rev),
            due: Cell::new(clock::now()),
            batches: RefCell::new(TokenBatches::default()),
        }
    }

    /// The tokens that were published.
    pub fn into_batches(self) -> TokenBatches {
        self.batches.into_inner()
    }

    fn is_live(&self) -> bool {
        self.context.job.publish.tokens == TokensWhen::Live
    }

    fn publish_state(&self, phase: Phase, progress: Option<f64>) {
        self.rev.set(self.rev.get() + 1);
        let state = State {
            id: self.context.job.id.to_string(),
            attempt: self.context.attempt,
            rev: self.rev.get(),
            state: JobState::Running,
            phase: Some(phase),
            progress,
            reason: None,
        };
        self.mqtt.live(LiveRecord::State {
            job: self.context.job.id.clone(),
            rev: self.rev.get(),
            payload: self.shared.record(state),
        });
    }
}

impl Watcher for Live<'_> {
    fn phase(&self, phase: Phase, progress: Option<f64>) {
        self.publish_state(phase, progress);
    }

    fn tokens(&self, observed: &Observed) {
        let Some(primary) = self.context.primary.filter(|_| self.is_live()) else {
            return;
        };
        let every = Span::from_millis(self.context.job.publish.tokens_every_ms.into());
        let now = clock::now();
        if now < self.due.get() {
            return;
        }
        // Counted from the moment that was due, so that a late batch skips none.
        self.due.set((self.due.get() + every).max(now));
        let records = self.shared.meter.with_traces(|traces| {
            let mut batches = self.batches.borrow_mut();
            batches.take_settled(self.context, observed, &traces[primary])
        });
        for record in records {
            self.mqtt.live(LiveRecord::Tokens {
                job: self.context.job.id.clone(),
                payload: record.to_json(),
            });
        }
        self.publish_state(Phase::Decode, observed.progress(&self.context.job));
    }

    fn quiet(&self, on: bool) {
        if !self.is_live() {
            self.mqtt.hold(on);
            if let Some(metrics) = &self.shared.metrics {
                metrics.hold(on);
            }
        }
    }
}
