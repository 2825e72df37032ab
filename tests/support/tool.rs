//! joulectl and the other programs of a test, each ended in time.

use super::lab::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;

/// Runs a program to its end. One that goes on for ever is killed, and the test has failed.
pub fn output(command: &mut Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let pid = Pid::from_child(&child);
    let (ended, end) = channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    match end.recv_timeout(PATIENCE) {
        Ok(output) => output.expect("its output"),
        Err(_) => {
            let _ = kill_process(pid, Signal::KILL);
            panic!("{command:?} goes on and on");
        }
    }
}

/// joulectl with these arguments, on no terminal.
#[cfg(feature = "lab")]
pub fn joulectl(arguments: &[&str]) -> Output {
    joulectl_with(&[], arguments)
}

/// The same with further variables in its environment.
#[cfg(feature = "lab")]
pub fn joulectl_with(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_joulectl"));
    command.args(arguments).env("NO_COLOR", "1");
    output(command.envs(variables.iter().copied()))
}
