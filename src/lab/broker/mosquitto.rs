//! The machine's own mosquitto as a child of this process.

use crate::lab::LabError;
use crate::lab::process::Child;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a start may take on a busy board.
const READY_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// Between choosing a free port and binding it, another program may take it.
const ATTEMPTS: u32 = 3;

pub struct Mosquitto {
    program: PathBuf,
    child: Child,
}

/// mosquitto in PATH, or where distributions put daemons that users don't have in theirs.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"].map(PathBuf::from))
        .map(|dir| dir.join("mosquitto"))
        .find(|program| program.is_file())
}

fn configuration(port: u16) -> String {
    // Nothing is kept on disk, so that it may run as any user. The queue limits are lifted:
    // with the defaults a burst of token records would lose some without a word.
    format!(
        "listener {port} 127.0.0.1\n\
         allow_anonymous true\n\
         persistence false\n\
         max_queued_messages 0\n\
         log_dest stderr\n\
         log_type error\n\
         log_type warning\n"
    )
}

impl Mosquitto {
    pub async fn start(program: &Path, dir: &Path) -> Result<(u16, Self), LabError> {
        let mut tried = 1;
        loop {
            match Self::try_start(program, dir).await {
                Err(_) if tried < ATTEMPTS => tried += 1,
                outcome => return outcome,
            }
        }
    }

    async fn try_start(program: &Path, dir: &Path) -> Result<(u16, Self), LabError> {
        let failed = |why: String| LabError::Failed(format!("{}: {why}", program.display()));
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| failed(format!("no free port on 127.0.0.1: {error}")))?
            .port();
        let config = dir.join("mosquitto.conf");
        std::fs::write(&config, configuration(port))
            .map_err(|error| failed(format!("can't write {}: {error}", config.display())))?;
        let log = dir.join("mosquitto.log");
        let mut child = Child::start(program, &["-c".as_ref(), config.as_os_str()], &log)?;

        let ready = async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                if let Some(ended) = child.ended()? {
                    return Err(failed(format!("{ended}\n{}", child.log_tail())));
                }
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            }
            Ok(())
        };
        match tokio::time::timeout(READY_WITHIN, ready).await {
            Ok(ready) => ready?,
            Err(_) => {
                return Err(failed(format!(
                    "does not listen after {} s; its log is {}",
                    READY_WITHIN.as_secs(),
                    log.display()
                )));
            }
        }
        let program = program.to_owned();
        Ok((port, Self { program, child }))
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    pub async fn stop(self) {
        self.child.stop().await;
    }
}
