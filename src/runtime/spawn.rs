//! Starting a worker process: from one thread that lives as long as the daemon, in its own
//! process group, with a cleared environment and with limits.

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, prlimit, set_parent_process_death_signal,
    setpriority_process,
};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

/// Tells the worker whose death is its own.
pub const PARENT_PID: &str = "JOULED_PARENT_PID";

/// What a worker may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkerLimits {
    /// Niceness, 0 to 19.
    pub nice: u8,
}

// What GPU drivers, OpenMP and the dynamic loader need; secrets of the daemon stay with it.
const KEPT_VARIABLES: [&str; 8] = [
    "PATH",
    "LANG",
    "LC_ALL",
    "HOME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "XDG_RUNTIME_DIR",
    "RUST_BACKTRACE",
];
const KEPT_PREFIXES: [&str; 8] = [
    "CUDA_", "NVIDIA_", "GGML_", "OMP_", "GOMP_", "VK_", "MESA_", "TEGRA_",
];

/// Starts `command` with pipes on all three standard descriptors.
pub fn spawn(command: &[String], limits: &WorkerLimits) -> io::Result<Child> {
    let child = from_lasting_thread(prepare(command)?)?;
    if let Some(pid) = Pid::from_raw(child.id() as i32) {
        confine(pid, limits);
    }
    Ok(child)
}

/// The process that would be started, in its own group and with a cleared environment.
pub fn prepare(command: &[String]) -> io::Result<Command> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| io::Error::other("its command is empty"))?;
    let mut prepared = Command::new(program);
    prepared
        .args(arguments)
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_kept)))
        .env(PARENT_PID, std::process::id().to_string())
        // Without it ggml forks a debugger when it aborts.
        .env("GGML_NO_BACKTRACE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    Ok(prepared)
}

fn is_kept(name: &str) -> bool {
    KEPT_VARIABLES.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

type Order = (Command, Sender<io::Result<Child>>);

/// A parent-death signal fires when the spawning thread ends (prctl(2)), so all workers
/// come from one thread that never does.
fn from_lasting_thread(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::Builder::new()
            .name("spawner".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || {
                for (mut command, answer) in inbox {
                    // The asker waits for the answer, unless it has panicked.
                    let _ = answer.send(command.spawn());
                }
            })
            .expect("a thread can be started at the start of the daemon");
        orders
    });
    let (answer, child) = channel();
    spawner
        .send((command, answer))
        .expect("the spawner lives as long as the process");
    child.recv().expect("the spawner answers every order")
}

/// Called in the worker. No worker outlives its daemon. The parent may have died before the signal was asked for,
/// and then the process has another one.
pub fn die_with_parent() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let Ok(expected) = std::env::var(PARENT_PID) else {
        // Started by hand.
        return Ok(());
    };
    let parent = getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if parent.as_deref() != Some(expected.as_str()) {
        return Err(io::Error::other(
            "the daemon that started this worker has ended",
        ));
    }
    Ok(())
}

/// Applies the limits from outside, so that they hold for any runtime. The worker has not
/// been asked for anything yet; its later threads inherit them. Where the kernel refuses
/// one, the job runs without it, and the log says so.
fn confine(pid: Pid, limits: &WorkerLimits) {
    let report = |what: &str, error: io::Error| {
        tracing::warn!(
            worker = pid.as_raw_nonzero(),
            "{what} is not in force: {error}"
        );
    };
    let adjust = format!("/proc/{}/oom_score_adj", pid.as_raw_nonzero());
    if let Err(error) = std::fs::write(adjust, "1000") {
        report("being the first to go when memory is short", error);
    }
    let no_core = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = prlimit(Some(pid), Resource::Core, no_core) {
        report("writing no core file", error.into());
    }
    if limits.nice > 0
        && let Err(error) = setpriority_process(Some(pid), i32::from(limits.nice.min(19)))
    {
        report("the niceness", error.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_with_the_daemon() {
        for kept in ["PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"] {
            assert!(is_kept(kept), "{kept}");
        }
        for dropped in [
            "JOULED_MQTT__PASSWORD",
            "LD_PRELOAD",
            "CREDENTIALS_DIRECTORY",
        ] {
            assert!(!is_kept(dropped), "{dropped}");
        }
    }
}
