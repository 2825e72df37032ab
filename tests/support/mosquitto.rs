//! A real mosquitto on a free port of this machine, ended with the test.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Mosquitto {
    pub port: u16,
    text: String,
    dir: tempfile::TempDir,
    process: Child,
}

impl Mosquitto {
    pub fn start() -> Self {
        Self::with_options("")
    }

    /// Starts a broker with further lines of mosquitto.conf.
    pub fn with_options(options: &str) -> Self {
        Self::with_file(|port| {
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n{options}\n"
            )
        })
    }

    /// Starts a broker with a whole mosquitto.conf, which listens on this port.
    pub fn with_file(text: impl Fn(u16) -> String) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // A port that was free a moment ago may be taken by now.
        for _ in 0..5 {
            let port = free_port();
            let text = text(port);
            if let Some(process) = spawn(dir.path(), port, &text) {
                return Self {
                    port,
                    text,
                    dir,
                    process,
                };
            }
        }
        panic!(
            "mosquitto does not start; its log is in {}",
            dir.keep().display()
        );
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// SIGHUP: reads passwords and access rules again.
    pub fn reload(&self) {
        let process = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(process, rustix::process::Signal::HUP).expect("it runs");
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// SIGSTOP: connections stay open, nothing is read. [`kill`](Self::kill) still works.
    pub fn stall(&self) {
        let process = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(process, rustix::process::Signal::STOP).expect("it runs");
    }

    /// SIGKILL: no last words to any client.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// SIGTERM: it writes down what it is configured to keep.
    pub fn terminate(&mut self) {
        let process = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// Starts again on the same port, with what it kept: without `persistence`, nothing.
    pub fn restart(&mut self) {
        self.process = spawn(self.dir.path(), self.port, &self.text)
            .expect("the port is still free for the same broker");
    }
}

/// Sets a user's password in a file for `password_file`, which is made if need be.
pub fn set_password(file: &Path, user: &str, password: &str) {
    let file_is_made = File::options().create(true).append(true).open(file);
    file_is_made.expect("writable");
    let status = Command::new("mosquitto_passwd")
        .arg("-b")
        .arg(file)
        .args([user, password])
        .status()
        .expect("it comes with mosquitto");
    assert!(status.success(), "{status}");
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    probe.local_addr().expect("it is bound").port()
}

/// How often a broker with this directory has come to listen.
fn starts(dir: &Path) -> usize {
    let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
    log.matches(" running").count()
}

fn spawn(dir: &Path, port: u16, text: &str) -> Option<Child> {
    let config = dir.join("mosquitto.conf");
    let log = dir.join("log");
    let text = format!(
        "{text}\npersistence_location {}/\nlog_dest file {}\nuser root\n",
        dir.display(),
        log.display()
    );
    std::fs::write(&config, text).expect("writable");
    let sbin = Path::new("/usr/sbin/mosquitto");
    let before = starts(dir);
    let program = if sbin.exists() {
        sbin
    } else {
        Path::new("mosquitto")
    };
    let mut process = Command::new(program)
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto is installed: apt-get install mosquitto");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if process.try_wait().expect("its state").is_some() {
            return None;
        }
        // Another test's broker may answer on this port: only its own word counts.
        if starts(dir) > before && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Some(process);
        }
        assert!(Instant::now() < deadline, "mosquitto does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
}
