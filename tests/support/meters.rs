//! Modbus meters that are not ours: Python programs from tests/peers, on a free port or at the
//! other end of a pair of serial lines, ended with the test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running peer.
pub struct Peer {
    /// The port of a TCP peer; empty for RTU.
    pub port: String,
    process: Child,
}

impl Peer {
    /// A well-behaved meter on pymodbus.
    pub fn meter(meter: &str, transport: &Transport) -> Peer {
        Peer::start("meters.py", meter, transport)
    }

    /// A meter that does to each request what `behaviours` says.
    pub fn hostile(behaviours: &str, transport: &Transport) -> Peer {
        Peer::start("hostile.py", behaviours, transport)
    }

    fn start(script: &str, role: &str, transport: &Transport) -> Peer {
        let mut command = Command::new(python());
        command.arg(peers().join(script)).arg(role);
        match transport {
            Transport::Tcp => command.arg("tcp"),
            Transport::Rtu(pair) => command.arg("rtu").arg(pair.theirs()),
        };
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the peer starts");
        let out = process.stdout.take().expect("it is piped");
        let line = first_line(out, script);
        let place = line.strip_prefix("ready ").unwrap_or_else(|| {
            panic!("{script} {role} does not start; what it said is above: {line}")
        });
        Peer {
            port: place.to_owned(),
            process,
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How a peer is reached.
pub enum Transport {
    Tcp,
    Rtu(SerialPair),
}

/// Two pseudo-terminals that socat joins like a null-modem cable.
pub struct SerialPair {
    dir: tempfile::TempDir,
    process: Child,
}

impl SerialPair {
    pub fn start() -> SerialPair {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let end = |name: &str| {
            let link = dir.path().join(name);
            format!("pty,raw,echo=0,link={}", link.display())
        };
        let mut process = Command::new("socat")
            .args(["-d", "-d"])
            .args([end("ours"), end("theirs")])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("socat is installed: apt-get install socat");
        let log = process.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(log).lines();
        let started = lines.any(|line| line.is_ok_and(|line| line.contains("data transfer loop")));
        assert!(started, "socat ended without joining two pseudo-terminals");
        // It goes on logging: nobody may be missed at the other end.
        std::thread::spawn(move || lines.for_each(drop));
        SerialPair { dir, process }
    }

    pub fn ours(&self) -> PathBuf {
        self.dir.path().join("ours")
    }

    pub fn theirs(&self) -> PathBuf {
        self.dir.path().join("theirs")
    }
}

impl Drop for SerialPair {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

/// A Python that has what tests/peers/requirements.txt lists.
pub fn python() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test-peers");
    let output = Command::new(script)
        .stderr(Stdio::inherit())
        .output()
        .expect("scripts/test-peers can be run");
    assert!(
        output.status.success(),
        "there is no Python for the peers, and scripts/test-peers can't install it"
    );
    let path = String::from_utf8(output.stdout).expect("a path");
    path.trim().to_owned()
}

fn first_line(out: ChildStdout, script: &str) -> String {
    let mut line = String::new();
    let mut out = BufReader::new(out);
    out.read_line(&mut line)
        .unwrap_or_else(|error| panic!("{script}: {error}"));
    line.trim().to_owned()
}
