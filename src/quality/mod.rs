//! What `perplexity` and `choice` jobs compute: their data, scores and standard errors.
//!
//! Perplexity has the meaning of llama.cpp's llama-perplexity, choices are scored as
//! lm-evaluation-harness does (docs/quality.md). Pure: the worker brings the logits, and both
//! the daemon and the worker read the data with the same parser.
//!
//! ```text
//! items (JSON Lines) ─▶ Item ─▶ tokens ─▶ logits ─▶ Row ─┬▶ Nll ─▶ perplexity
//!                                                       └▶ log-likelihoods ─▶ Picks ─▶ Share
//! ```

pub mod chunks;
mod exp;
pub mod items;
mod nll;
mod picks;
mod row;

pub use nll::Nll;
pub use picks::{Picks, Share};
pub use row::Row;
