//! What holds of a worker's confinement, found out by trying: a process that is confined like
//! one tries what a worker must not be able to do, and says what it could.

use super::{Policy, enter};
use rustix::process::{getppid, setpgid, setsid, test_kill_process};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};

/// Names of what is tried, as `info.sandbox` has them.
pub const NO_NETWORK: &str = "no-network";
pub const MODELS_READ_ONLY: &str = "models-read-only";
pub const STATE_UNREADABLE: &str = "state-unreadable";
pub const DAEMON_UNREADABLE: &str = "daemon-unreadable";
pub const NO_SIGNALS_OUT: &str = "no-signals-out";
pub const NO_ESCAPE_FROM_GROUP: &str = "no-escape-from-group";

/// Everything that is tried.
pub const ALL: [&str; 6] = [
    NO_NETWORK,
    MODELS_READ_ONLY,
    STATE_UNREADABLE,
    DAEMON_UNREADABLE,
    NO_SIGNALS_OUT,
    NO_ESCAPE_FROM_GROUP,
];

/// By name: whether it holds.
pub type InForce = BTreeMap<String, bool>;

/// Where it is tried.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trial {
    pub policy: Policy,
    /// The state directory.
    pub state: PathBuf,
    /// A file in it that exists.
    pub state_file: PathBuf,
    pub models: PathBuf,
}

impl Trial {
    /// The words of the command line that tries it.
    pub fn command(&self) -> [String; 3] {
        let trial = serde_json::to_string(self).expect("its paths came from text");
        [
            "/proc/self/exe".to_owned(),
            "try-confinement".to_owned(),
            trial,
        ]
    }
}

/// Confines this process, tries, and prints what holds.
pub fn run(trial: &Trial) -> io::Result<()> {
    for undone in enter(&trial.policy) {
        crate::print::err(format_args!("jouled: not in force: {undone}\n"));
    }
    let held = [
        (NO_NETWORK, no_network()),
        (MODELS_READ_ONLY, cannot_write(&trial.models)),
        (STATE_UNREADABLE, state_is_unreadable(trial)),
        (DAEMON_UNREADABLE, daemon_is_unreadable()),
        (NO_SIGNALS_OUT, no_signals_out()),
        // Last: it may leave its group.
        (NO_ESCAPE_FROM_GROUP, no_escape()),
    ];
    let held: InForce = held
        .into_iter()
        .map(|(name, held)| (name.to_owned(), held))
        .collect();
    let line = serde_json::to_string(&held).expect("names and truth values");
    writeln!(io::stdout(), "{line}")
}

/// A refusal, and not a failure of another kind: of a connection that nobody takes, the
/// socket was made.
fn refused<T>(tried: io::Result<T>) -> bool {
    tried.is_err_and(|error| {
        let no_such_network = Some(libc::EAFNOSUPPORT);
        error.kind() == ErrorKind::PermissionDenied || error.raw_os_error() == no_such_network
    })
}

fn no_network() -> bool {
    // Port 9 discards.
    ["127.0.0.1", "::1"].into_iter().all(|loopback| {
        refused(TcpListener::bind((loopback, 0)))
            && refused(UdpSocket::bind((loopback, 0)))
            && refused(TcpStream::connect((loopback, 9)))
    }) && [Type::DGRAM, Type::from(libc::SOCK_RAW)]
        .into_iter()
        .all(|addressed| refused(Socket::pair(Domain::UNIX, addressed, None)))
}

fn cannot_write(directory: &Path) -> bool {
    let path = directory.join(format!(".jouled-trial-{}", std::process::id()));
    let made = File::create_new(&path);
    if made.is_ok() {
        // It is ours. If it can't be removed, the directory is odd but not read-only.
        let _ = fs::remove_file(&path);
    }
    made.is_err()
}

fn state_is_unreadable(trial: &Trial) -> bool {
    fs::read_dir(&trial.state).is_err()
        && File::open(&trial.state_file).is_err()
        && cannot_write(&trial.state)
}

/// Its environment may hold secrets, its memory does.
fn daemon_is_unreadable() -> bool {
    let Some(daemon) = getppid() else {
        return false;
    };
    let of = |file: &str| format!("/proc/{}/{file}", daemon.as_raw_nonzero());
    ["environ", "mem"].iter().all(|file| {
        let read = File::open(of(file)).and_then(|mut file| io::Read::read(&mut file, &mut [0]));
        read.is_err()
    })
}

fn no_signals_out() -> bool {
    getppid().is_some_and(|daemon| test_kill_process(daemon).is_err())
}

/// This process was not started as the leader of a group: only a filter keeps it in its own.
fn no_escape() -> bool {
    setsid().is_err() && setpgid(None, None).is_err()
}
