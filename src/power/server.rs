//! `jouled-power` itself: who may ask, one change at a time, and its end with its connection.

use super::control::Control;
use super::listening::Listening;
use super::protocol::{LONGEST_LINE, Refusal, RefusalCode, Reply, Request, line, read_line};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use std::io::{self, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The daemon has two at most.
const MOST_CONNECTIONS: usize = 8;
/// A connection that has set nothing and says nothing is closed.
const SILENT_FOR: Duration = Duration::from_secs(10);
const WRITES_WITHIN: Duration = Duration::from_secs(5);
/// How often it looks whether it is still of use, and tries again what could not be put back.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

/// The number of a user by name, from a passwd(5), or as a number.
pub fn uid_of(user: &str, passwd: &str) -> Option<u32> {
    let by_name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?;
        (name == user).then(|| uid.parse().ok())?
    });
    by_name.or_else(|| user.parse().ok())
}

/// Serves one user of this machine.
#[derive(Debug)]
pub struct Server {
    user: u32,
    state: Mutex<State>,
    connections: AtomicUsize,
}

#[derive(Debug)]
struct State {
    control: Control,
    /// Whether a connection has set something that is in force.
    leased: bool,
}

impl Server {
    pub fn new(control: Control, user: u32) -> Self {
        Self {
            user,
            state: Mutex::new(State {
                control,
                leased: false,
            }),
            connections: AtomicUsize::new(0),
        }
    }

    /// Puts back what a killed predecessor has left, then serves; where it is started on demand,
    /// until nobody is connected and nothing is to be put back any more.
    ///
    /// Errors: the socket is none that listens.
    pub fn serve(self: &Arc<Self>, listening: &Listening) -> io::Result<()> {
        self.put_back();
        loop {
            let mut ready = [PollFd::new(&listening.socket, PollFlags::IN)];
            match poll(&mut ready, Some(&LOOK_EVERY)) {
                Ok(0) => {
                    let owes = self.put_back();
                    let idle = self.connections.load(Ordering::Relaxed) == 0;
                    if listening.started_on_demand && idle && !owes {
                        return Ok(());
                    }
                }
                Ok(_) => self.accept(&listening.socket)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn accept(self: &Arc<Self>, socket: &UnixListener) -> io::Result<()> {
        let stream = match socket.accept() {
            Ok((stream, _)) => stream,
            Err(error) if can_pass(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let place = Place::take(self);
        if self.connections.load(Ordering::Relaxed) > MOST_CONNECTIONS {
            return Ok(());
        }
        let server = Arc::clone(self);
        let started = std::thread::Builder::new().spawn(move || {
            let _place = place;
            if let Err(error) = server.converse(stream) {
                eprintln!("a connection ends: {error}");
            }
        });
        if let Err(error) = started {
            eprintln!("a connection is refused: {error}");
        }
        Ok(())
    }

    fn converse(&self, stream: UnixStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(WRITES_WITHIN))?;
        let peer = socket_peercred(stream.as_fd())?.uid;
        if peer.as_raw() != self.user {
            let message = format!("user {} may set nothing here", peer.as_raw());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        let mut lease = None;
        let mut from = BufReader::with_capacity(LONGEST_LINE, stream.try_clone()?);
        let mut to = &stream;
        loop {
            // One that holds something may be silent for as long as its job takes.
            stream.set_read_timeout(lease.is_none().then_some(SILENT_FOR))?;
            let Some(request) = read_line(&mut from)? else {
                return Ok(());
            };
            let reply = match Request::parse(&request) {
                Ok(request) => self.answer(&request, &mut lease),
                Err(refusal) => Err(refusal),
            };
            let reply = reply.unwrap_or_else(|refusal| {
                eprintln!("refused: {}: {refusal}", refusal.code.as_str());
                Reply::Refused(refusal)
            });
            to.write_all(&line(&reply))?;
        }
    }

    fn answer<'s>(
        &'s self,
        request: &Request,
        lease: &mut Option<Lease<'s>>,
    ) -> Result<Reply, Refusal> {
        match request {
            Request::Offer {} => Ok(Reply::Offer(self.state().control.offer())),
            Request::Apply(wanted) => {
                let mut state = self.state();
                if state.leased {
                    let message = "something is set already, until the connection that did it ends";
                    return Err(Refusal::new(RefusalCode::Busy, message));
                }
                state.control.apply(wanted)?;
                state.leased = true;
                *lease = Some(Lease(self));
                eprintln!("set: {wanted:?}");
                Ok(Reply::Applied)
            }
            Request::Restore {} => {
                let mut state = self.state();
                if lease.is_some() {
                    state.control.restore()?;
                    state.leased = false;
                    drop(state);
                    // Nothing is left for its end to do.
                    *lease = None;
                    eprintln!("as before");
                }
                Ok(Reply::Restored)
            }
        }
    }

    /// Puts back what no connection holds. Whether it could not.
    fn put_back(&self) -> bool {
        let state = self.state();
        if state.leased || !state.control.owes() {
            return false;
        }
        match state.control.restore() {
            Ok(()) => {
                eprintln!("as before");
                false
            }
            Err(refusal) => {
                eprintln!("{refusal}");
                true
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in the middle of a change leaves what it kept: that can be put back.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the next connection may be a better one.
fn can_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock)
}

/// What a connection has set. With it, it ends.
struct Lease<'s>(&'s Server);

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let ours = std::mem::take(&mut self.0.state().leased);
        if ours {
            self.0.put_back();
        }
    }
}

/// A connection's place among the few that there are.
struct Place(Arc<Server>);

impl Place {
    fn take(server: &Arc<Server>) -> Self {
        server.connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(server))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::{Lease as Held, PowerError, offer};
    use super::super::protocol::Wanted;
    use super::super::testing::Board;
    use super::*;
    use std::io::Read;
    use std::path::PathBuf;

    /// A server of this user's own, on a thread that outlasts the test.
    fn served(board: &Board, user: u32) -> PathBuf {
        let socket = board.path("power.sock");
        let own = rustix::process::getuid().as_raw();
        let listening = Listening::at(&socket, own).unwrap();
        let server = Arc::new(Server::new(board.control(), user));
        std::thread::spawn(move || server.serve(&listening));
        socket
    }

    fn own() -> u32 {
        rustix::process::getuid().as_raw()
    }

    fn performance() -> Wanted {
        Wanted {
            governor: Some("performance".to_owned()),
            ..Wanted::default()
        }
    }

    fn code(outcome: Result<Held, PowerError>) -> RefusalCode {
        match outcome {
            Err(PowerError::Refused(refusal)) => refusal.code,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn one_connection_sets_and_its_end_puts_back() {
        let board = Board::with_nvpmodel();
        let socket = served(&board, own());
        assert_eq!(offer(&socket).unwrap().power_modes.len(), 4);
        let held = Held::take(&socket, &performance()).unwrap();
        assert_eq!(board.read("policy4/scaling_governor"), "performance");
        assert_eq!(code(Held::take(&socket, &performance())), RefusalCode::Busy);
        assert_eq!(
            offer(&socket).unwrap().governors.len(),
            3,
            "it can be asked"
        );
        held.give_back().unwrap();
        assert_eq!(board.read("policy4/scaling_governor"), "schedutil");
        let held = Held::take(&socket, &performance()).unwrap();
        // As when its process is killed. The next one waits for its turn.
        drop(held);
        let next = Held::take(&socket, &performance()).unwrap();
        next.give_back().unwrap();
        assert_eq!(board.read("policy4/scaling_governor"), "schedutil");
    }

    #[test]
    fn another_user_is_refused() {
        let board = Board::with_two_clusters();
        let socket = served(&board, own() + 1);
        assert!(matches!(offer(&socket), Err(PowerError::Lost(_))));
        let refused = Held::take(&socket, &performance());
        assert!(matches!(refused, Err(PowerError::Lost(_))));
        assert_eq!(board.read("policy0/scaling_governor"), "schedutil");
    }

    #[test]
    fn bytes_that_are_no_request_change_nothing() {
        let board = Board::with_two_clusters();
        let socket = served(&board, own());
        let talk = |bytes: &[u8]| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            // It may have been hung up on already.
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut said = String::new();
            let _ = stream.read_to_string(&mut said);
            said
        };
        assert!(talk(b"\n{}\nnull\n").matches("malformed").count() == 3);
        assert_eq!(talk(&[0xff; 100]), "");
        assert_eq!(talk(&vec![b'{'; 3 * LONGEST_LINE]), "");
        let path = r#"{"do":"apply","governor":"../../x"}"#;
        let said = talk(format!("{path}\n").as_bytes());
        assert!(said.contains("malformed") && !said.contains(".."), "{said}");
        assert_eq!(board.read("policy0/scaling_governor"), "schedutil");
        assert!(offer(&socket).is_ok());
    }

    #[test]
    fn a_user_has_a_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\njouled:x:991:988::/var/lib/jouled:/bin/false\n";
        assert_eq!(uid_of("jouled", passwd), Some(991));
        assert_eq!(uid_of("1000", passwd), Some(1000));
        assert_eq!(uid_of("joul", passwd), None);
        assert_eq!(uid_of("jouled", "jouled:x"), None);
    }
}
