//! Running the model: the protocol between the daemon and a worker process, the worker's
//! supervision, and (feature `llama`) the llama.cpp worker itself.

pub mod protocol;
