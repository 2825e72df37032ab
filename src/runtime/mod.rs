//! Running the model: the protocol between the daemon and a worker process, the worker's
//! confinement and supervision, the check of a model file before it is loaded, and (feature `llama`) the
//! llama.cpp worker itself.

pub mod conduct;
pub mod confine;
pub mod data;
mod exit;
pub mod gguf;
#[cfg(feature = "llama")]
pub mod llama;
pub mod oom;
pub mod process;
pub mod protocol;
pub mod quantize;
pub mod spawn;
pub mod supervisor;
mod unread;
