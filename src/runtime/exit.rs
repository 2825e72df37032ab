//! How a worker process ended, in words for whoever reads the reason of a failed job.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

impl Exit {
    /// By SIGKILL: by the daemon, by hand, or by the kernel for want of memory.
    pub const KILLED: Exit = Exit::Signal(9);
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or(0)),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            // The dynamic loader's, and the shell's.
            Exit::Code(127) => f.write_str(
                "exited with code 127: its program, or a library that it needs, is missing; \
                 install it again",
            ),
            Exit::Code(code) => write!(f, "exited with code {code}"),
            // What it had mapped was the model.
            Exit::Signal(7) => f.write_str(
                "killed by SIGBUS: a file that it used was cut short or can't be read any more",
            ),
            Exit::Signal(number) => match signal_name(number) {
                Some(name) => write!(f, "killed by {name}"),
                None => write!(f, "killed by signal {number}"),
            },
        }
    }
}

/// Those that end a process, with the numbers of x86, Arm and RISC-V (signal(7)).
fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_said_to_be_one() {
        let told = Exit::Code(127).to_string();
        assert!(
            told.contains("a library that it needs, is missing"),
            "{told}"
        );
        assert_eq!(Exit::Code(3).to_string(), "exited with code 3");
    }

    #[test]
    fn a_signal_without_a_name_keeps_its_number() {
        assert_eq!(Exit::Signal(40).to_string(), "killed by signal 40");
    }
}
