//! The phases of a run, one after another without gaps. They are kept until the repetition
//! has ended: nothing is written while something is measured.

use crate::clock;
use crate::runtime::protocol::{Message, PhaseCounters};
use crate::units::MonoNs;
use crate::workload::Phase;

#[derive(Debug)]
pub struct Timeline {
    rep: Option<u32>,
    /// End of the last phase.
    cursor: MonoNs,
    phases: Vec<Message>,
}

impl Timeline {
    /// Begins at the moment at which the request was read.
    pub fn new(received: MonoNs) -> Self {
        Self {
            rep: None,
            cursor: received,
            phases: Vec::with_capacity(16),
        }
    }

    /// What follows belongs to `rep`. If phases have been reported since the last one, the
    /// time that took is `other`, of no repetition. Returns when the repetition began.
    pub fn begin(&mut self, rep: u32) -> MonoNs {
        let reported = self.rep.take().is_some();
        if reported && self.phases.is_empty() {
            self.end_now(Phase::Other, 0);
        }
        self.rep = Some(rep);
        self.cursor
    }

    /// End of the last phase, where the next one begins.
    pub fn cursor(&self) -> MonoNs {
        self.cursor
    }

    pub fn end(&mut self, phase: Phase, at: MonoNs, tokens: u32) {
        self.phases.push(Message::Phase {
            phase,
            rep: self.rep,
            t0_ns: self.cursor,
            t1_ns: at,
            tokens,
            counters: PhaseCounters::default(),
        });
        self.cursor = at;
    }

    pub fn end_now(&mut self, phase: Phase, tokens: u32) {
        self.end(phase, clock::now(), tokens);
    }

    pub fn take(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.phases)
    }
}
