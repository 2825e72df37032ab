//! Who listens where NOTIFY_SOCKET leads: systemd, as far as a service sees it.

use super::daemon::Daemon;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// Longest time that a message may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Systemd {
    _dir: tempfile::TempDir,
    socket: UnixDatagram,
    /// Every message so far.
    pub told: Vec<String>,
}

impl Systemd {
    /// Listens to what `daemon` says from its next start on.
    pub fn of(daemon: &mut Daemon) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        daemon.variable("NOTIFY_SOCKET", path);
        Self {
            _dir: dir,
            socket,
            told: Vec::new(),
        }
    }

    /// The next message of which a line `fits`.
    pub fn wait(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        while let Some(message) = self.next(deadline) {
            if message.lines().any(&fits) {
                return message;
            }
        }
        panic!("waited for {what} in vain; told was {:#?}", self.told);
    }

    /// The next message that comes before `deadline`.
    pub fn next(&mut self, deadline: Instant) -> Option<String> {
        let mut bytes = [0; 4096];
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        self.socket
            .set_read_timeout(Some(left))
            .expect("it is not zero");
        let length = self.socket.recv(&mut bytes).ok()?;
        let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
        self.told.push(message.clone());
        Some(message)
    }

    pub fn wait_ready(&mut self) -> String {
        self.wait("READY", |line| line == "READY=1")
    }

    pub fn wait_alive(&mut self) {
        self.wait("a sign of life", |line| line == "WATCHDOG=1");
    }

    pub fn wait_status(&mut self, part: &str) -> String {
        let fits = |line: &str| line.starts_with("STATUS=") && line.contains(part);
        self.wait(&format!("a status with \"{part}\""), fits)
    }
}
