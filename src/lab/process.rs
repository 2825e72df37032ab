//! A child process that never outlives its owner: stopped with SIGTERM, killed if that does
//! not help, killed when dropped. It leads its own process group, so that Ctrl-C reaches only
//! joulectl, which then stops its children in order.

use crate::lab::LabError;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

/// jouled promises to stop within 2 s.
const STOP_WITHIN: Duration = Duration::from_secs(5);
const TAIL_LINES: usize = 12;

pub struct Child {
    program: PathBuf,
    log: PathBuf,
    child: tokio::process::Child,
}

impl Child {
    /// Starts `program` with its output in the file `log`.
    pub fn start(program: &Path, arguments: &[&OsStr], log: &Path) -> Result<Self, LabError> {
        let failed =
            |error: std::io::Error| LabError::Failed(format!("{}: {error}", program.display()));
        let output = File::create(log).map_err(failed)?;
        let child = tokio::process::Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        Ok(Self {
            program: program.to_owned(),
            log: log.to_owned(),
            child,
        })
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, LabError> {
        self.child
            .try_wait()
            .map_err(|error| LabError::Failed(format!("{}: {error}", self.program.display())))
    }

    /// Waits until it ends by itself, and says so as the failure that this is.
    pub async fn unexpected_end(&mut self) -> LabError {
        let how = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        LabError::Failed(format!(
            "{} ended early ({how}); the end of its log:\n{}",
            self.program.display(),
            self.log_tail()
        ))
    }

    /// The last lines of its output.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    pub async fn stop(mut self) {
        let pid = self
            .child
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            // It may just have ended.
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(STOP_WITHIN, self.child.wait())
            .await
            .is_err()
        {
            let _ = self.child.kill().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, dir: &Path) -> Child {
        let arguments = ["-c".as_ref(), script.as_ref()];
        Child::start("/bin/sh".as_ref(), &arguments, &dir.join("log")).unwrap()
    }

    #[tokio::test]
    async fn an_early_end_shows_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = sh("echo no such sensor; exit 3", dir.path());
        let error = child.unexpected_end().await;
        assert!(error.to_string().contains("no such sensor"), "{error}");
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    #[tokio::test]
    async fn stopping_sends_sigterm() {
        let dir = tempfile::tempdir().unwrap();
        let script = "trap 'echo stopped; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
        let child = sh(script, dir.path());
        let log = dir.path().join("log");
        while !std::fs::read_to_string(&log).unwrap().contains("ready") {
            tokio::task::yield_now().await;
        }
        child.stop().await;
        assert!(std::fs::read_to_string(&log).unwrap().contains("stopped"));
    }
}
