//! The figures of a report: how each is called, what it means, and where a result has it.

mod counters;
mod measured;
mod quality;
mod run;
mod surroundings;
mod tradeoff;
mod unit;

use crate::record::Reason;
use crate::record::result::{JobResult, PhaseFigures, Rep};
use crate::workload::{Kind, Phase};
pub use counters::COUNTERS;
use measured::REQUEST;
pub use measured::{ENERGY, SPEED};
pub use quality::QUALITY;
use run::Plain;
pub use run::{OfRun, mean};
use surroundings::Cache;
pub use surroundings::{HEAT, LOAD, MEMORY};
pub use tradeoff::TRADE_OFF;
pub use unit::Unit;

/// One figure of a result.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// As in the record where it has the same there; with its unit.
    pub name: &'static str,
    pub heading: &'static str,
    pub unit: Unit,
    pub meaning: &'static str,
    of: Of,
}

#[derive(Debug, Clone, Copy)]
enum Of {
    /// The summary over repetitions, or where it has no such field the repetitions themselves.
    Repetitions,
    /// Of each repetition, made of an energy of the record by this name where it is of one.
    Each {
        value: fn(&JobResult, &Rep) -> Plain,
        energy: Option<&'static str>,
    },
    /// Once an attempt, at this path.
    Attempt(&'static str),
    /// The energy of the load, where that was of this kind.
    Load(Cache),
    /// Once an attempt, as the record states it.
    Stated(fn(&JobResult) -> Result<OfRun, Option<Reason>>),
    /// Once an attempt, without an uncertainty.
    Plain(fn(&JobResult) -> Plain),
}

/// Every figure, in the order of the tables.
pub fn all() -> impl Iterator<Item = &'static Figure> {
    let speed = SPEED.iter().chain(&REQUEST);
    let measured = speed.chain(&ENERGY).chain(&TRADE_OFF);
    let surroundings = LOAD.iter().chain(&MEMORY).chain(&COUNTERS).chain(&HEAT);
    measured.chain(&QUALITY).chain(surroundings)
}

/// The figure of this name.
///
/// # Panics
///
/// Where there is none: names are those of the tables above.
pub fn named(name: &str) -> &'static Figure {
    all()
        .find(|figure| figure.name == name)
        .expect("a figure of the tables above")
}

impl Figure {
    /// The figure of a run.
    ///
    /// Errors: why it has none, where the record says so.
    pub fn of(&self, result: &JobResult) -> Result<OfRun, Option<Reason>> {
        match self.of {
            Of::Repetitions => run::repetitions(result, self.name),
            Of::Each { value, energy } => run::each(result, value, energy),
            Of::Attempt(path) => run::once(result, path, self.name),
            Of::Load(cache) => {
                cache.load(result)?;
                run::once(result, "load", self.name)
            }
            Of::Stated(read) => read(result),
            Of::Plain(read) => read(result).map(OfRun::plain),
        }
    }
}

/// A repetition's prefill or decode.
fn phase(rep: &Rep, phase: Phase) -> Result<&PhaseFigures, Option<Reason>> {
    let found = match phase {
        Phase::Prefill => &rep.prefill,
        _ => &rep.decode,
    };
    found.as_ref().ok_or_else(|| why(rep, phase.as_str()))
}

/// What a figure of the repetition is missing for.
fn why(rep: &Rep, name: &str) -> Option<Reason> {
    rep.reasons.get(name).copied()
}

/// Prefill and decode of a `generate` job are parts of one request; those of other kinds are not.
fn in_a_request(result: &JobResult) -> Result<(), Option<Reason>> {
    match result.kind {
        Kind::Generate => Ok(()),
        _ => Err(Some(Reason::NotDefined)),
    }
}
