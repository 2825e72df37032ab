//! What a worker may ask the kernel for: seccomp filters (seccomp(2)), for what rules on files
//! don't reach. Everything is allowed but what is listed: a runtime may need much, and what is
//! listed is nothing that inference needs. Threads, scheduling, locking of memory and
//! performance counters stay.
//!
//! The library that makes filters knows no 32-bit machine: there is none there.

#[cfg(target_pointer_width = "64")]
mod filter;

use rustix::process::Pid;

#[cfg(target_pointer_width = "64")]
pub use filter::restrict;

/// How far a worker reaches beyond itself.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(target_pointer_width = "64"),
    allow(dead_code, reason = "no filter reads it")
)]
pub struct Reach {
    pub own: Pid,
    /// Threads of the daemon.
    pub daemon: Vec<u64>,
    /// Landlock keeps signals inside; otherwise only `own` can be signalled.
    pub signals_kept_inside: bool,
    /// A driver's parts may listen to each other on Unix sockets.
    pub unix_sockets: bool,
    pub network: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error("this CPU's calls are not known: {0}")]
    Unknown(#[from] seccompiler::BackendError),
    #[error("the kernel does not take it: {0}")]
    Refused(#[from] seccompiler::Error),
}

/// Restricts nothing, and says so.
#[cfg(not(target_pointer_width = "64"))]
pub fn restrict(_: &Reach) -> Result<(), FilterError> {
    let machine = std::env::consts::ARCH.to_owned();
    Err(seccompiler::BackendError::InvalidTargetArch(machine).into())
}
