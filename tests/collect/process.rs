//! `joulectl collect` as a process, and what it says.

use crate::support::told::Told;
use rustix::process::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

pub struct Collect(Told);

impl Collect {
    /// Starts one that writes to `out` and tells of it in JSON.
    pub fn start(port: u16, out: &Path, arguments: &[&str]) -> Self {
        Self::start_with(port, out, arguments, &[])
    }

    pub fn start_with(
        port: u16,
        out: &Path,
        arguments: &[&str],
        environment: &[(&'static str, PathBuf)],
    ) -> Self {
        let broker = format!("mqtt://127.0.0.1:{port}");
        let out = out.to_str().expect("it is UTF-8");
        let common = ["collect", "--json", "--broker", &broker, "--out", out];
        Self(Told::start(&[&common, arguments].concat(), environment))
    }

    /// The next event of this name.
    pub fn wait_for(&mut self, name: &str) -> Value {
        self.0.wait_for(name)
    }

    /// SIGKILL.
    pub fn kill(self) -> Vec<Value> {
        self.0.kill()
    }

    /// SIGTERM, and the summary.
    pub fn stop(self) -> Value {
        self.0.signal(Signal::TERM);
        self.finish()
    }

    /// The summary, once it ends by itself.
    pub fn finish(mut self) -> Value {
        let summary = self.wait_for("summary");
        let status = self.end();
        assert!(status.success(), "{status}: {}", self.last_words());
        summary
    }

    /// How it ended.
    pub fn end(&mut self) -> ExitStatus {
        self.0.end()
    }

    /// What it said on standard error. To be asked once it has ended, or is to.
    pub fn last_words(&mut self) -> String {
        self.0.last_words()
    }
}
