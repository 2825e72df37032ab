//! Which power sensors this machine has, and what each of them says right now.
//!
//! [`find`] looks for them without disturbing any, [`read`] opens and reads them with the
//! daemon's own sampler, [`report`] makes the record that [`table`] prints, and [`follow`]
//! shows the rails for as long as somebody watches. One that fails is listed with what to do
//! about it and keeps no other from being read.

mod advice;
mod block;
pub(crate) mod figure;
mod find;
pub mod follow;
mod page;
mod read;
mod report;
mod table;
mod tally;

pub use find::{Board, Candidate, Reach, Scope, find};
pub use read::{Outcome, Reading, open, read};
pub use report::report;
pub use table::table;
