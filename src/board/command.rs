//! A board's own command line tools, which answer in a moment or not at all.

use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{PipeReader, PipeWriter, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// More than any of them prints.
const LARGEST: u64 = 16 * 1024;

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Standard output, or both outputs as they came.
    pub text: String,
    pub status: ExitStatus,
}

/// What `command` prints, without a shell. One that takes longer than `within` is killed.
///
/// Errors, as a sentence: it is not there, takes too long, or fails.
pub fn output(command: &[String], within: Duration) -> Result<String, String> {
    let (reader, stdout) = pipe(command)?;
    let said = run(command, within, reader, stdout, Stdio::null())?;
    match said.status.success() {
        true => Ok(said.text),
        false => Err(format!("{}: {}", command[0], said.status)),
    }
}

/// What `command` prints on both outputs, also where it fails. It gets no answers: its standard
/// input is at its end.
///
/// Errors, as a sentence: it is not there, or takes too long.
pub fn said(command: &[String], within: Duration) -> Result<Said, String> {
    let (reader, stdout) = pipe(command)?;
    let stderr = stdout.try_clone().map_err(|error| error.to_string())?;
    run(command, within, reader, stdout, stderr.into())
}

fn pipe(command: &[String]) -> Result<(PipeReader, PipeWriter), String> {
    command.first().ok_or("no command is named")?;
    std::io::pipe().map_err(|error| format!("{}: {error}", command[0]))
}

fn run(
    command: &[String],
    within: Duration,
    reader: PipeReader,
    stdout: PipeWriter,
    stderr: Stdio,
) -> Result<Said, String> {
    let program = &command[0];
    // The command and with it this side's ends of the pipe go before the pipe is read.
    let mut child = Command::new(program)
        .args(&command[1..])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let group = Pid::from_child(&child);
    let mut printed = reader.take(LARGEST);
    let (send, answered) = mpsc::channel();
    // Left behind when the time is over: a descendant may keep the pipe open, and a process
    // that hangs in a driver can't even be killed.
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = printed.read_to_end(&mut text);
        let ended = read.and_then(|_| child.wait());
        // Nobody may wait for it any more.
        let _ = send.send(ended.map(|status| (text, status)));
    });
    match answered.recv_timeout(within) {
        Ok(Ok((text, status))) => Ok(Said {
            text: String::from_utf8_lossy(&text).into_owned(),
            status,
        }),
        Ok(Err(error)) => Err(format!("{program}: {error}")),
        Err(_) => {
            // It may have ended by itself just now.
            let _ = kill_process_group(group, Signal::KILL);
            Err(format!(
                "{program}: no answer within {} ms",
                within.as_millis()
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, within: Duration) -> Result<String, String> {
        output(&["sh", "-c", script].map(str::to_owned), within)
    }

    #[test]
    fn an_answer_is_text_and_a_failure_a_sentence() {
        let within = Duration::from_secs(60);
        assert_eq!(shell("echo a", within).as_deref(), Ok("a\n"));
        let failed = shell("exit 3", within).unwrap_err();
        assert!(failed.contains("sh") && failed.contains('3'), "{failed}");
        let absent = output(&["/nonexistent/tool".to_owned()], within).unwrap_err();
        assert!(absent.contains("/nonexistent/tool"), "{absent}");
        assert!(output(&[], within).is_err());
    }

    #[test]
    fn both_outputs_are_heard_of_one_that_fails_and_gets_no_answer() {
        let script = "read answer || echo no answer >&2; echo done; exit 3";
        let command = ["sh", "-c", script].map(str::to_owned);
        let said = said(&command, Duration::from_secs(60)).unwrap();
        assert_eq!(said.text, "no answer\ndone\n");
        assert_eq!(said.status.code(), Some(3));
    }

    #[test]
    fn one_that_hangs_is_killed() {
        let error = shell("sleep 1000 & sleep 1000", Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("no answer within 50 ms"), "{error}");
    }
}
