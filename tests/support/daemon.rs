//! The real daemon in a directory of its own, ended with the test, and its workers with it.

use super::mosquitto::Mosquitto;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The device's name, and with it the base topic `jouled/board`.
pub const DEVICE: &str = "board";

/// Longest time that a process may take to come or go on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One simulated INA219 that sees a steady 1 A at 5 V: idle phases settle at once.
pub const STEADY: &str = "[[sensor]]\nname = \"input\"\nkind = \"simulated\"\n\
     boundary = \"board-input\"\nwaveform = \"constant:1\"\nbus_v = 5.0\nshunt_ohm = 0.01\n\
     max_current_a = 2.0\n";

/// `jouled run` with its configuration, state, models and log below one directory.
pub struct Daemon {
    dir: tempfile::TempDir,
    process: Option<Child>,
    /// What it is started with besides.
    pub environment: Vec<(&'static str, PathBuf)>,
    /// The command that it is started by, if not directly.
    pub prefix: Vec<String>,
}

impl Daemon {
    /// Starts a daemon with these `[[sensor]]` blocks and an empty model directory.
    pub fn start(broker: &Mosquitto, sensors: &str) -> Self {
        let mut daemon = Self::prepare(broker, sensors);
        daemon.spawn();
        daemon
    }

    /// Writes everything that [`spawn`](Self::spawn) needs.
    pub fn prepare(broker: &Mosquitto, sensors: &str) -> Self {
        Self::prepare_at(&broker.url(), sensors)
    }

    /// The same with another way to the broker.
    pub fn prepare_at(url: &str, sensors: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let daemon = Self {
            dir,
            process: None,
            environment: Vec::new(),
            prefix: Vec::new(),
        };
        std::fs::create_dir(daemon.models()).expect("writable");
        let config = format!(
            "[device]\nname = \"{DEVICE}\"\n[mqtt]\nurl = \"{url}\"\n[storage]\ndir = {:?}\n\
             [models]\ndir = {:?}\n{sensors}",
            daemon.path().join("state"),
            daemon.models(),
        );
        std::fs::write(daemon.path().join("jouled.toml"), config).expect("writable");
        daemon
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn models(&self) -> PathBuf {
        self.path().join("models")
    }

    /// Adds a file to `conf.d`.
    pub fn configure(&self, name: &str, text: &str) {
        let dir = self.path().join("conf.d");
        std::fs::create_dir_all(&dir).expect("writable");
        std::fs::write(dir.join(name), text).expect("writable");
    }

    /// Sets a variable of the daemon's environment, from the next start on.
    pub fn variable(&mut self, name: &'static str, value: impl Into<PathBuf>) {
        self.environment.push((name, value.into()));
    }

    /// Starts the daemon, or starts it again with what it kept.
    pub fn spawn(&mut self) {
        assert!(self.process.is_none(), "the daemon runs already");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path().join("log"))
            .expect("writable");
        let program = env!("CARGO_BIN_EXE_jouled").to_owned();
        let mut words = self.prefix.iter().chain([&program]);
        let child = Command::new(words.next().expect("at least the program"))
            .args(words)
            .arg("run")
            .arg("--config")
            .arg(self.path().join("jouled.toml"))
            // Workers inherit it: whatever runs with it belongs to this daemon.
            .env("TMPDIR", self.path())
            .env_remove("JOULED_LOG")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("jouled starts");
        self.process = Some(child);
    }

    pub fn is_running(&mut self) -> bool {
        let child = self.process.as_mut();
        child.is_some_and(|child| child.try_wait().expect("its state").is_none())
    }

    /// SIGTERM. Returns how the daemon ended and how long it took.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let mut child = self.process.take().expect("the daemon runs");
        let asked = Instant::now();
        kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
        let mut status = None;
        let ended = eventually(|| {
            status = child.try_wait().expect("its state");
            status.is_some()
        });
        if !ended {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
        let status = status.expect("the daemon ends when it is asked to");
        (status, asked.elapsed())
    }

    /// How it ended, once it does by itself.
    pub fn wait(&mut self) -> ExitStatus {
        assert!(eventually(|| !self.is_running()), "the daemon goes on");
        let mut child = self.process.take().expect("the daemon was started");
        child.wait().expect("its end")
    }

    /// SIGKILL: no last words. A daemon that was dead already fails the test.
    pub fn kill(&mut self) {
        let mut child = self.process.take().expect("the daemon runs");
        child.kill().expect("it is not yet waited for");
        let status = child.wait().expect("its end");
        let killed = status.signal() == Some(Signal::KILL.as_raw());
        assert!(killed, "the daemon had ended by itself: {status}");
    }

    /// The worker of the attempt that runs, once there is one.
    pub fn worker(&self) -> Pid {
        let daemon = self.process.as_ref().expect("the daemon runs").id();
        let mut found = None;
        eventually(|| {
            found = self.processes().into_iter().find(|pid| *pid != daemon);
            found.is_some()
        });
        let pid = found.expect("a worker runs");
        Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("not 0")
    }

    /// Waits until the daemon has no worker, nor anything that one has left behind.
    pub fn wait_until_it_runs_alone(&self) {
        assert!(
            eventually(|| self.processes().len() == 1),
            "beside the daemon: {:?}",
            self.processes()
        );
    }

    /// The workers that the daemon has now.
    pub fn workers(&self) -> Vec<Pid> {
        let Some(daemon) = &self.process else {
            return Vec::new();
        };
        // Not every kernel tells a process's children; to look at all processes takes longer.
        if !Path::new("/proc/thread-self/children").exists() {
            let processes = self.processes().into_iter();
            let workers = processes.filter(|pid| is_worker(&pid.to_string()));
            return workers
                .filter_map(|pid| Pid::from_raw(pid.try_into().ok()?))
                .collect();
        }
        let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.id()));
        let children = tasks
            .into_iter()
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
        let children: Vec<String> = children.collect();
        children
            .iter()
            .flat_map(|line| line.split_whitespace())
            .filter(|pid| is_worker(pid))
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .collect()
    }

    /// Waits until no process of this daemon is left.
    pub fn wait_until_nothing_runs(&self) {
        assert!(
            eventually(|| self.processes().is_empty()),
            "left running: {:?}",
            self.processes()
        );
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the daemon runs").id()
    }

    /// Every live process that was started with this daemon's TMPDIR.
    pub fn processes(&self) -> Vec<u32> {
        let mark = format!("TMPDIR={}", self.path().display());
        let entries = std::fs::read_dir("/proc").expect("Linux");
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| has_variable(*pid, &mark))
            .collect()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
            if let Some(mut child) = self.process.take() {
                // It may have ended by itself, which may be why the test fails.
                let _ = child.kill();
                let _ = child.wait();
            }
            return;
        }
        if self.process.is_some() {
            self.terminate();
        }
        self.wait_until_nothing_runs();
    }
}

/// Between fork and exec a child is still a copy of the daemon; a zombie has ended.
fn is_worker(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((name, rest)) = stat.rsplit_once(") ") else {
        return false;
    };
    name.ends_with("(jouled-worker") && !rest.starts_with('Z')
}

/// A process that is gone, or a zombie, has no environment to read.
fn has_variable(pid: u32, variable: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == variable.as_bytes())
    })
}

/// Whether `reached` becomes true in time. Processes tell nobody but their parent that they
/// end, so this has to look again and again.
pub fn eventually(mut reached: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}
