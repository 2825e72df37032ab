//! The daemon under test, and what it takes.

use super::rig;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

pub struct Daemon(rig::Owned);

impl Daemon {
    /// Starts it in `dir`, with the store in `dir`/state and one simulated sensor.
    pub fn start(dir: &Path, port: u16) -> Result<Self> {
        let config = dir.join("jouled.toml");
        let models = dir.join("models");
        std::fs::create_dir(&models)?;
        let text = rig::configuration(port, dir, &models, rig::Sampling::RateHz(100.0), "slow");
        std::fs::write(&config, text)?;
        let child = Command::new(env!("CARGO_BIN_EXE_jouled"))
            .args(["run", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(File::create(dir.join("jouled.log"))?)
            .spawn()?;
        Ok(Self(rig::Owned(child)))
    }

    pub fn usage(&self) -> Result<Usage> {
        usage(self.0.0.id())
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.0.0), Signal::TERM)?;
        let status = self.0.0.wait()?;
        ensure!(status.success(), "jouled ended with {status}");
        Ok(())
    }
}

pub struct Usage {
    pub cpu_s: f64,
    rss_kib: u64,
    pub rss_most_kib: u64,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |kib: u64| kib as f64 / 1024.0;
        write!(
            f,
            "{:.1} s CPU, RSS {:.1} MiB, {:.1} MiB at most",
            self.cpu_s,
            mib(self.rss_kib),
            mib(self.rss_most_kib)
        )
    }
}

/// Of a process of this machine.
pub fn usage(pid: u32) -> Result<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let words = line.context("not in /proc")?.split_whitespace().next();
        Ok(words.context("not in /proc")?.parse()?)
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("a stat line")?;
    // utime and stime, the 14th and 15th of all.
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap_or(0)).sum();
    Ok(Usage {
        cpu_s: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        rss_kib: kib("VmRSS:")?,
        rss_most_kib: kib("VmHWM:")?,
    })
}
