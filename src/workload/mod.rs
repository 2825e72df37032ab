//! What a client may ask for: the job, its limits, and the life of one attempt.

#[cfg(test)]
mod bounds;
mod check;
pub mod job;
mod job_schema;
pub mod limits;
pub mod name;
mod queue_mode;
pub mod signature;
pub mod state;
mod tags;

pub use check::{SpecError, SpecErrorCode};
pub use job::{
    BenchSizes, FlashAttn, Idle, Job, Kind, KvType, Message, Params, Prompt, Publish, TokensWhen,
};
pub use limits::Limits;
pub use name::{DataName, JobId, ModelName};
pub use queue_mode::QueueMode;
pub use state::{JobState, Phase};
