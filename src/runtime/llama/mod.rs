//! The llama.cpp worker: loads one model, runs what it is asked to, and tells the time of
//! every token. All of llama.cpp is behind [`ffi`], the one file with unsafe code.

mod argmax;
mod backends;
mod bench;
mod chat;
mod choice;
mod counters;
mod evaluation;
pub mod ffi;
mod generate;
mod kind;
mod log;
mod output;
mod perplexity;
pub mod quantize;
mod stop;
mod timeline;
pub mod worker;

/// A code of the protocol's `error` message and a sentence on what failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub code: &'static str,
    pub message: String,
}

impl Failure {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}
