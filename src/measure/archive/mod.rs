//! The raw data of an attempt in a file: everything that its figures are made of.
//!
//! gzip of JSON Lines: a header, the context, what was observed, the live token records'
//! extent, then each rail with its windows, and an end. `docs/raw-data.md` describes every
//! line. Numbers are written so that they come back bit for bit.
//!
//! ```text
//! Context, Observed, Recorded ─▶ write ─▶ file ─▶ read ─▶ Archive ─▶ Archive::records
//! ```
//!
//! A file may come from anywhere: [`read`] bounds what it takes in, and an error names the
//! line. What [`write`] accepts, [`read`] accepts too.

mod line;
mod read;
#[cfg(test)]
mod tests;
mod write;

use super::context::Context;
use super::meter::Recorded;
use super::observed::Observed;
use super::result::{AttemptRecords, records, whole};
use super::tokens::{Extent, TokenBatches};
use crate::energy::Trace;
use crate::record::Stamped;
use crate::record::job::Tokens;
pub use line::{FORMAT, VERSION};
pub use read::{ReadError, read, read_lines};
pub use write::{WriteError, write};

/// A line of JSON: a day's tokens at 100 a second take some 30 MB.
const MOST_LINE_BYTES: u64 = 64 << 20;
/// Windows of all rails: a day of one INA219 at its default rate, 1.8 GB in memory.
const MOST_WINDOWS: u64 = 32 << 20;
/// All lines, decompressed.
const MOST_BYTES: u64 = 4 << 30;
/// More than any board has; each has a timeline of every phase.
const MOST_RAILS: u64 = 64;
/// Of the attempt, and repetitions: of these a record holds a few hundred.
const MOST_PHASES: u64 = 16_384;

/// Tokens of all repetitions: a day at 97 a second.
const MOST_TOKENS: u64 = 8 << 20;

/// What of an attempt must be few enough: its name, how many there are and may be.
fn sizes(observed: &Observed) -> [(&'static str, u64, u64); 4] {
    let tokens = |rep: &u32| {
        let times = observed.tokens.get(rep);
        times.map_or(0, |times| times.known.len() as u64)
    };
    let all = observed.tokens.keys().map(tokens).sum();
    // Each repetition goes through its tokens, also where several have one number.
    let visited = observed.reps.iter().map(|done| tokens(&done.rep)).sum();
    [
        ("phases", observed.phases.len() as u64, MOST_PHASES),
        ("repetitions", observed.reps.len() as u64, MOST_PHASES),
        ("tokens", all, MOST_TOKENS),
        ("tokens", visited, MOST_TOKENS),
    ]
}

/// Everything that the figures of an attempt are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
    pub context: Context,
    pub observed: Observed,
    pub rails: Vec<Recorded>,
    /// Of the token records that left while the attempt ran.
    pub live: Vec<Extent>,
}

impl Archive {
    /// Makes the records of the attempt again.
    pub fn records(&self) -> AttemptRecords {
        records(&self.context, &self.observed, &self.rails, self.batches())
    }

    /// The same, with what the published result had to leave out.
    pub fn whole(&self) -> AttemptRecords {
        whole(&self.context, &self.observed, &self.rails, self.batches())
    }

    /// Makes records of every token, also of a job that publishes none.
    pub fn tokens(&self) -> Vec<Stamped<Tokens>> {
        self.batches()
            .finish(&self.context, &self.observed, self.primary())
    }

    /// Of the primary rail.
    fn primary(&self) -> Option<&Trace> {
        let primary = self.rails.get(self.context.primary?)?;
        Some(&primary.trace)
    }

    /// As they were when the attempt ended.
    fn batches(&self) -> TokenBatches {
        TokenBatches::again(&self.context, &self.observed, self.primary(), &self.live)
    }
}
