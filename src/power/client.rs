//! The daemon's side of the socket.

use super::protocol::{Offer, Refusal, RefusalCode, Reply, Request, Wanted, line, read_line};
use crate::clock;
use crate::units::Span;
use std::io::{self, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A program that systemd has yet to start answers within this on a busy board.
const OFFERS_WITHIN: Duration = Duration::from_secs(2);
/// nvpmodel may take seconds, and twice when the first mode has to be put back.
const APPLIES_WITHIN: Duration = Duration::from_secs(60);
/// That an earlier daemon was killed is noticed sooner.
const BUSY_FOR: Span = Span::from_millis(2_000);
const BUSY_AGAIN: Span = Span::from_millis(50);

/// Why nothing is set. A sentence each, without a path.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    #[error(
        "power modes, governors and frequency caps can't be set on this board; its administrator \
         can enable it: systemctl enable --now jouled-power (docs/power-modes.md)"
    )]
    NotThere,
    #[error(
        "the board's power service ended the connection or kept silent ({0}); its log says why"
    )]
    Lost(#[from] io::Error),
    #[error("{code}: {0}", code = .0.code.as_str())]
    Refused(#[from] Refusal),
}

/// What may be asked for.
pub fn offer(socket: &Path) -> Result<Offer, PowerError> {
    let mut connection = Connection::open(socket)?;
    match connection.ask(&Request::Offer {}, OFFERS_WITHIN)? {
        Reply::Offer(offer) => Ok(offer),
        other => Err(unexpected(other)),
    }
}

/// While it lives, what was wanted is in force. However it ends, what was before is put back.
#[derive(Debug)]
pub struct Lease(Connection);

impl Lease {
    /// Returns once it is in force.
    pub fn take(socket: &Path, wanted: &Wanted) -> Result<Self, PowerError> {
        let give_up = clock::now() + BUSY_FOR;
        loop {
            match Self::try_take(socket, wanted) {
                Err(PowerError::Refused(refusal))
                    if refusal.code == RefusalCode::Busy && clock::now() < give_up =>
                {
                    clock::sleep(BUSY_AGAIN);
                }
                taken => return taken,
            }
        }
    }

    fn try_take(socket: &Path, wanted: &Wanted) -> Result<Self, PowerError> {
        let mut connection = Connection::open(socket)?;
        match connection.ask(&Request::Apply(wanted.clone()), APPLIES_WITHIN)? {
            Reply::Applied => Ok(Self(connection)),
            other => Err(unexpected(other)),
        }
    }

    /// Returns once what was in force before is so again.
    pub fn give_back(mut self) -> Result<(), PowerError> {
        match self.0.ask(&Request::Restore {}, APPLIES_WITHIN)? {
            Reply::Restored => Ok(()),
            other => Err(unexpected(other)),
        }
    }
}

#[derive(Debug)]
struct Connection(BufReader<UnixStream>);

impl Connection {
    fn open(socket: &Path) -> Result<Self, PowerError> {
        match UnixStream::connect(socket) {
            Ok(stream) => Ok(Self(BufReader::new(stream))),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Err(PowerError::NotThere)
            }
            Err(error) => Err(PowerError::Lost(error)),
        }
    }

    fn ask(&mut self, request: &Request, within: Duration) -> Result<Reply, PowerError> {
        let stream = self.0.get_mut();
        stream.set_read_timeout(Some(within))?;
        stream.set_write_timeout(Some(within))?;
        stream.write_all(&line(request))?;
        let closed = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let line = read_line(&mut self.0)?.ok_or_else(closed)?;
        match serde_json::from_slice(&line).map_err(io::Error::from)? {
            Reply::Refused(refusal) => Err(PowerError::Refused(refusal)),
            reply => Ok(reply),
        }
    }
}

fn unexpected(reply: Reply) -> PowerError {
    let error = io::Error::new(io::ErrorKind::InvalidData, format!("it said {reply:?}"));
    PowerError::Lost(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_socket_that_nobody_serves_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("power.sock");
        let said = offer(&socket).unwrap_err().to_string();
        assert!(
            said.contains("systemctl enable --now jouled-power"),
            "{said}"
        );
        drop(UnixListener::bind(&socket).unwrap());
        assert!(matches!(offer(&socket), Err(PowerError::NotThere)));
    }

    #[test]
    fn what_is_no_answer_is_lost() {
        for answer in [
            "",
            "nonsense\n",
            "{\"is\":\"restored\"}\n",
            "{\"is\":\"offer\"",
        ] {
            let dir = tempfile::tempdir().unwrap();
            let socket = dir.path().join("power.sock");
            let listener = UnixListener::bind(&socket).unwrap();
            let served = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                read_line(&mut BufReader::new(stream.try_clone().unwrap())).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            let error = offer(&socket).expect_err(answer);
            assert!(matches!(error, PowerError::Lost(_)), "{answer}: {error}");
            served.join().unwrap();
        }
    }
}
