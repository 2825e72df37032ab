//! One attempt, from its start to its records.
//!
//! [`Attempt`] lets a worker run and writes down what happened when ([`Observed`]);
//! [`Meter`] collects the windows of every rail meanwhile; [`records`] makes figures of both
//! once everything has ended.

pub mod archive;
mod attempt;
mod coded;
mod context;
mod control;
mod discretion;
mod figures;
mod meter;
mod moments;
mod observed;
mod quality;
mod result;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod tokens;
mod trace;

pub use attempt::{Attempt, Watcher};
pub use context::Context;
pub use control::{Control, Stop};
pub use meter::{Meter, Recorded};
pub use moments::Moments;
pub use observed::{Ending, Observed};
pub use result::{AttemptRecords, records};
pub use tokens::{Extent, TokenBatches};
