//! Confining a worker: the model file that it reads, and the runtime itself, are not trusted.
//!
//! The daemon does not start a runtime's command but itself, as `jouled confine POLICY --
//! PROGRAM ARGS…`. That process gives up what the worker must not have and then becomes the
//! worker by `execve`, so that pid, process group, pipes and parent stay as they are, and
//! every runtime is confined alike:
//!
//! - [`limits`]: no new privileges, no capabilities, no core file, bounded descriptors,
//!   processes and private memory, death with the daemon;
//! - [`files`]: Landlock, for what may be read and written;
//! - [`syscalls`]: seccomp, for what the file rules don't reach: sockets, other processes,
//!   leaving the process group, administration.
//!
//! Kernels differ in what they have. Each measure is taken as far as the kernel knows it, and
//! [`attempts`] finds out what holds by trying to do what must not be possible.

pub mod attempts;
mod files;
mod limits;
mod syscalls;

use crate::runtime::protocol::Message;
use crate::runtime::spawn;
use rustix::process::{getpid, getppid};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Code of the message of a worker whose program can't be started.
pub const START_FAILED: &str = "start-failed";

/// What a worker may do beyond what every program needs to run at all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// Files and folders that may be read and run: the program, and libraries beside it.
    pub run: Vec<PathBuf>,
    /// Files and folders that may be read.
    pub read: Vec<PathBuf>,
    /// Files and folders that may be read and written.
    pub write: Vec<PathBuf>,
    /// Sockets of every kind.
    pub network: bool,
    /// Most private memory (RLIMIT_DATA): mapped weights don't count.
    pub data_bytes: Option<u64>,
    /// Nothing is started where something of this can't be done.
    pub required: bool,
}

impl Policy {
    /// The words of the command line that starts `program` under this policy.
    pub fn command(&self, program: &[String]) -> Vec<String> {
        let policy = serde_json::to_string(self).expect("its paths came from text");
        // Also of a daemon whose file an update has replaced.
        let mut command = vec!["/proc/self/exe".to_owned(), "confine".to_owned(), policy];
        command.push("--".to_owned());
        command.extend_from_slice(program);
        command
    }
}

/// Gives up what the policy does not allow, for good; threads that run already keep it. Returns
/// what this kernel can't do.
pub fn enter(policy: &Policy) -> Vec<String> {
    let mut undone = limits::set(policy.data_bytes);
    let accelerators = files::Accelerators::find();
    let signals = files::restrict(policy, &accelerators);
    let reach = syscalls::Reach {
        own: getpid(),
        daemon: threads_of_parent(),
        signals_kept_inside: matches!(signals, Ok(files::Signals::Inside)),
        unix_sockets: accelerators.with_sockets,
        network: policy.network,
    };
    if let Err(error) = signals {
        undone.push(format!("the rules on files (Landlock): {error}"));
    }
    if let Err(error) = syscalls::restrict(&reach) {
        undone.push(format!("the filter of system calls (seccomp): {error}"));
    }
    undone
}

/// Who starts a worker or a trial of one is the daemon. Read before the filter is in force.
fn threads_of_parent() -> Vec<u64> {
    let tasks = getppid().map(|parent| format!("/proc/{}/task", parent.as_raw_nonzero()));
    let threads = tasks.and_then(|tasks| std::fs::read_dir(tasks).ok());
    threads
        .into_iter()
        .flatten()
        .filter_map(|thread| thread.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// Becomes `program`, confined. Returns only if that fails; the daemon is told by a message in
/// the worker's stead. The path of the program stays on this board.
pub fn launch(policy: &Policy, program: &[OsString]) -> io::Error {
    let Some((name, arguments)) = program.split_first() else {
        return io::Error::other("no program to start");
    };
    if let Err(orphaned) = spawn::die_with_parent() {
        return orphaned;
    }
    let undone = enter(policy);
    if policy.required && !undone.is_empty() {
        // The trial at the start of the daemon found it possible.
        let undone = undone.join("; ");
        tell(format!(
            "the runtime's program is not started: worker.confinement = \"required\", and not in force is {undone}"
        ));
        return io::Error::other(undone);
    }
    for undone in undone {
        crate::print::err(format_args!("jouled: not in force: {undone}\n"));
    }
    let error = Command::new(name).args(arguments).exec();
    tell(format!(
        "the runtime's program can't be started: {error}; check its command in the board's configuration"
    ));
    error
}

/// Says in the worker's stead why there is none.
fn tell(message: String) {
    let message = Message::Error {
        code: START_FAILED.to_owned(),
        message,
    };
    let line = serde_json::to_string(&message).expect("a message has only JSON-able fields");
    // Nobody may listen any more: then nobody needs it.
    let _ = writeln!(io::stdout(), "{line}");
}
