//! The phases of a run, one after another without gaps. They are kept until the repetition
//! has ended: nothing is written while something is measured.

use super::counters::{Meter, Snapshot};
use crate::clock;
use crate::runtime::protocol::Message;
use crate::units::MonoNs;
use crate::workload::Phase;

#[derive(Debug)]
pub struct Timeline<'a> {
    meter: &'a mut Meter,
    rep: Option<u32>,
    /// End of the last phase.
    cursor: MonoNs,
    /// The counters then.
    counted: Snapshot,
    phases: Vec<Message>,
}

impl<'a> Timeline<'a> {
    /// Begins at the moment at which the request was read.
    pub fn new(received: MonoNs, meter: &'a mut Meter) -> Self {
        Self {
            rep: None,
            cursor: received,
            counted: meter.read(),
            meter,
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

    /// The phase ended at `at`. The counters are read after it, so that reading them is part
    /// of the next phase.
    pub fn end(&mut self, phase: Phase, at: MonoNs, tokens: u32) {
        let counted = self.meter.read();
        self.phases.push(Message::Phase {
            phase,
            rep: self.rep,
            t0_ns: self.cursor,
            t1_ns: at,
            tokens,
            counters: counted.since(&self.counted),
        });
        self.cursor = at;
        self.counted = counted;
    }

    pub fn end_now(&mut self, phase: Phase, tokens: u32) {
        self.end(phase, clock::now(), tokens);
    }

    /// Whatever phases `work` has are one phase.
    pub fn end_as_one<T, E>(
        &mut self,
        phase: Phase,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let (cursor, counted, count) = (self.cursor, self.counted, self.phases.len());
        let done = work(self)?;
        self.phases.truncate(count);
        (self.cursor, self.counted) = (cursor, counted);
        self.end_now(phase, 0);
        Ok(done)
    }

    pub fn take(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.phases)
    }
}
