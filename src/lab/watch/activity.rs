//! What a board does at a moment, as far as it can be seen from here.

use super::board::{Board, Run};
use super::fleet::Sight;
use crate::record::job::State;
use crate::units::{MonoNs, Span};

/// Rails come once a second: after this long without one a board is silent.
const SILENT_AFTER: Span = Span::from_millis(3_000);

#[derive(Debug, Clone, PartialEq)]
pub enum Activity<'a> {
    /// It has said nothing yet of itself.
    Unknown,
    /// For so long, where its end was seen.
    Offline(Option<Span>),
    Idle,
    Runs(Running<'a>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Running<'a> {
    pub run: &'a Run,
    /// The newest that is known of the attempt itself.
    pub state: Option<&'a State>,
    /// Since it was first heard of.
    pub elapsed: Span,
    /// The attempt is undisturbed: nothing leaves the board until it ends.
    pub silent: bool,
}

impl Activity<'_> {
    /// What lines of `--json` call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Offline(_) => "offline",
            Self::Idle => "idle",
            Self::Runs(running) if running.silent => "measuring-silently",
            Self::Runs(_) => "running",
        }
    }
}

impl Board {
    pub fn activity(&self, sight: Sight) -> Activity<'_> {
        let now = sight.now;
        if self.status.is_none() {
            return Activity::Unknown;
        }
        if !self.is_online() {
            return Activity::Offline(self.changed.map(|changed| now.since(changed)));
        }
        let Some(run) = &self.run else {
            return Activity::Idle;
        };
        let state = self.jobs.get(&run.id).map(|job| &job.state);
        Activity::Runs(Running {
            run,
            state: state.filter(|state| !state.state.is_final()),
            elapsed: now.since(run.seen),
            silent: self.is_silent(run, sight),
        })
    }

    /// Without rails a board has nothing to say every second, and its silence says nothing.
    fn is_silent(&self, run: &Run, sight: Sight) -> bool {
        let has_rails = match &self.info {
            Some(info) => !info.rails.is_empty(),
            None => !self.rails.is_empty(),
        };
        let heard = self.rails.values().map(|rail| rail.at).max();
        let newest = [heard, run.spoke, Some(run.seen)];
        let newest = newest.into_iter().flatten().fold(sight.from, MonoNs::max);
        has_rails && sight.until.since(newest) >= SILENT_AFTER
    }
}
