//! The daemon's side of a worker process: its messages, its end, and what it has used.
//!
//! ```no_run
//! use jouled::runtime::protocol::Request;
//! use jouled::runtime::supervisor::{Worker, WorkerLimits};
//! use jouled::workload::Params;
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), jouled::runtime::supervisor::WorkerError> {
//! let mut worker = Worker::spawn(&["jouled-worker".to_owned()], &WorkerLimits::default())?;
//! worker.send(&Request::Load {
//!     path: "smol.gguf".to_owned(),
//!     params: Params::default(),
//!     n_outputs: 1,
//! });
//! while let Some(message) = worker.recv(Duration::from_secs(30))? {
//!     println!("{message:?}");
//! }
//! # Ok(())
//! # }
//! ```

use super::conduct::Conduct;
use super::oom::{OomWatch, OutOfMemory};
use super::process::{ProcessMemory, ProcessUsage};
use super::protocol::{Message, Request, StopReason};
use super::spawn;
use super::unread::{Place, Room};
use crate::clock;
use crate::strict_json::without_values;
use crate::units::MonoNs;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use super::exit::Exit;
pub use super::spawn::WorkerLimits;

/// Why a worker is of no more use. The attempt that it ran has failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The command is in the log alone: a path of the board is no matter of the lab's.
    #[error(
        "the worker can't be started: {0}; check the runtime's command in the board's configuration"
    )]
    Spawn(#[source] io::Error),
    #[error("{0}")]
    OutOfMemory(OutOfMemory),
    #[error("the worker ended: {exit}{}", said(.stderr))]
    Ended { exit: Exit, stderr: String },
    #[error("the worker broke the protocol: it {what}{}", said(.stderr))]
    Protocol { what: String, stderr: String },
}

fn said(stderr: &str) -> String {
    match stderr.trim() {
        "" => String::new(),
        text => format!("; its last words were: {text}"),
    }
}

/// A running worker. Dropping it kills and reaps it with its whole process group.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    spawned: MonoNs,
    exit: Option<Exit>,
    /// Dropped to close the worker's stdin.
    requests: Option<Sender<Vec<u8>>>,
    messages: Receiver<Unread>,
    conduct: Conduct,
    oom: OomWatch,
    stderr: Arc<Mutex<VecDeque<String>>>,
    stderr_reader: Option<JoinHandle<()>>,
}

/// A message, when it came, and its place in the room for those that wait. The error says
/// what is none about it.
type Unread = (Result<(Message, MonoNs), String>, Place);

/// A line of the worker longer than this is an error: a batch of tokens has a few KiB.
const MOST_LINE_BYTES: u64 = 1 << 20;
/// Lines that nobody has taken in yet. Parsed they take some times that: a token's time has
/// 8 bytes, and two at least in its line. Beyond it the worker's own sender waits, off its
/// token path.
const MOST_UNREAD_BYTES: usize = 4 << 20;
const KEPT_STDERR_LINES: usize = 20;
const MOST_STDERR_LINE_BYTES: u64 = 4_096;
/// Parsing a message needs little.
const READER_STACK_BYTES: usize = 256 * 1024;

impl Worker {
    pub fn spawn(command: &[String], limits: &WorkerLimits) -> Result<Worker, WorkerError> {
        let failed = |error: io::Error| {
            tracing::error!(%error, ?command, "a worker can't be started");
            WorkerError::Spawn(error)
        };
        let spawned = clock::now();
        let mut child = spawn::spawn(command, limits).map_err(failed)?;
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr_pipe = child.stderr.take().expect("stderr is piped");

        let (requests, lines) = channel();
        let (sender, messages) = channel();
        let stderr = Arc::new(Mutex::new(VecDeque::new()));
        let tail = Arc::clone(&stderr);
        let pid = child.id();
        // Made first, so that a thread that can't be started leaves no process behind.
        let mut worker = Worker {
            child,
            spawned,
            exit: None,
            requests: Some(requests),
            messages,
            conduct: Conduct::new(spawned),
            oom: OomWatch::begin(pid),
            stderr,
            stderr_reader: None,
        };
        thread("worker-stdin", move || write_requests(stdin, &lines)).map_err(failed)?;
        thread("worker-stdout", move || {
            read_messages(BufReader::new(stdout), &sender);
        })
        .map_err(failed)?;
        let reader = thread("worker-stderr", move || {
            read_stderr(pid, BufReader::new(stderr_pipe), &tail);
        });
        worker.stderr_reader = Some(reader.map_err(failed)?);
        Ok(worker)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Just before the process was made: the beginning of `load`.
    pub fn spawned(&self) -> MonoNs {
        self.spawned
    }

    /// Never blocks, even if the worker does not read. Whether it arrived shows in what
    /// [`Worker::recv`] yields.
    pub fn send(&mut self, request: &Request) {
        self.conduct.asked(request);
        if let Some(requests) = &self.requests {
            write_line(requests, request);
        }
    }

    /// Asks the worker to stop, from any thread. [`Worker::close`] works once it is dropped.
    pub fn canceller(&self) -> impl Fn(StopReason) + Send + use<> {
        let requests = self.requests.clone();
        move |reason| {
            if let Some(requests) = &requests {
                write_line(requests, &Request::Cancel { reason });
            }
        }
    }

    /// Ends the worker's stdin, which asks it to exit.
    pub fn close(&mut self) {
        self.requests = None;
    }

    /// The next message; `None` when there is none within `timeout`.
    ///
    /// Errors: the worker has ended, or has broken the protocol and is killed.
    pub fn recv(&mut self, timeout: Duration) -> Result<Option<Message>, WorkerError> {
        self.oom.look(clock::now());
        let received = match self.messages.recv_timeout(timeout) {
            Err(RecvTimeoutError::Timeout) => {
                self.end_what_it_left();
                return Ok(None);
            }
            Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            Ok((received, _place)) => received,
        };
        let checked = received.and_then(|(mut message, at)| {
            self.conduct.check(&mut message, at)?;
            Ok(message)
        });
        checked.map(Some).map_err(|what| {
            self.kill();
            self.wait();
            WorkerError::Protocol {
                what,
                stderr: self.stderr_tail(),
            }
        })
    }

    /// SIGKILL to the whole process group.
    pub fn kill(&self) {
        if self.exit.is_none() {
            // Fails only if the group is gone already.
            let _ = kill_process_group(self.group(), Signal::KILL);
        }
    }

    /// Blocks until the worker has ended; whatever it left in its group is killed.
    pub fn wait(&mut self) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        self.requests = None;
        // The unreaped process keeps its group's number from being used again.
        let unreaped = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(Errno::INTR) = waitid(WaitId::Pid(self.group()), unreaped) {}
        let _ = kill_process_group(self.group(), Signal::KILL);
        let exit = match self.child.wait() {
            Ok(status) => Exit::from(status),
            // Someone else has reaped it, so that its status is lost.
            Err(_) => Exit::Signal(0),
        };
        self.exit = Some(exit);
        self.await_last_words();
        exit
    }

    /// Its last lines of stderr.
    pub fn stderr_tail(&self) -> String {
        let lines = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    /// `None` once it has ended.
    pub fn memory(&self) -> Option<ProcessMemory> {
        ProcessMemory::of(self.pid()).filter(|_| self.exit.is_none())
    }

    /// `None` once it has ended.
    pub fn usage(&self) -> Option<ProcessUsage> {
        ProcessUsage::of(self.pid()).filter(|_| self.exit.is_none())
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Children of a worker that has ended hold its pipes open, as if it had more to say.
    fn end_what_it_left(&self) {
        if self.exit.is_none() && self.has_exited() {
            let _ = kill_process_group(self.group(), Signal::KILL);
        }
    }

    /// Its messages have ended; if it lives on nevertheless, it is killed.
    fn ended(&mut self) -> WorkerError {
        if self.exit.is_none() && !self.exits_soon() {
            self.kill();
            self.wait();
            return WorkerError::Protocol {
                what: "closed its output and went on".to_owned(),
                stderr: self.stderr_tail(),
            };
        }
        let exit = self.wait();
        match self.oom.verdict().filter(|_| exit == Exit::KILLED) {
            Some(out) => WorkerError::OutOfMemory(out),
            None => WorkerError::Ended {
                exit,
                stderr: self.stderr_tail(),
            },
        }
    }

    /// The group is dead, so the pipe ends, unless a process that has left the group
    /// still holds it: nobody waits for that one.
    fn await_last_words(&mut self) {
        if let Some(reader) = self.stderr_reader.take() {
            let read = (0..100).any(|_| {
                let finished = reader.is_finished();
                if !finished {
                    std::thread::sleep(Duration::from_millis(10));
                }
                finished
            });
            if !read {
                tracing::warn!(worker = self.pid(), "a child of the worker has outlived it");
            }
        }
    }

    /// A process closes its descriptors a little before it can be waited for.
    fn exits_soon(&self) -> bool {
        (0..200).any(|_| {
            let gone = self.has_exited();
            if !gone {
                std::thread::sleep(Duration::from_millis(10));
            }
            gone
        })
    }

    fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        !matches!(waitid(WaitId::Pid(self.group()), options), Ok(None))
    }
}

fn write_line(requests: &Sender<Vec<u8>>, request: &Request) {
    let mut line = serde_json::to_vec(request).expect("a request has only JSON-able fields");
    line.push(b'\n');
    // A closed channel means that the worker has ended: `recv` says how.
    let _ = requests.send(line);
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
        self.wait();
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(READER_STACK_BYTES)
        .spawn(work)
}

fn write_requests(mut stdin: ChildStdin, lines: &Receiver<Vec<u8>>) {
    for line in lines {
        if stdin.write_all(&line).is_err() {
            return;
        }
    }
}

fn read_messages(mut stdout: impl BufRead, messages: &Sender<Unread>) {
    let room = Room::of(MOST_UNREAD_BYTES);
    while let Some(line) = read_line(&mut stdout, MOST_LINE_BYTES) {
        let now = clock::now();
        let bytes = line.as_ref().map_or(0, Vec::len);
        let place = room.take(bytes + size_of::<Unread>());
        let message = line.and_then(|line| {
            serde_json::from_slice(&line)
                .map(|message| (message, now))
                .map_err(|error| {
                    // What it wrote may be a prompt, or what was generated.
                    let (what, bytes) = (without_values(&error), line.len());
                    format!("wrote {bytes} bytes that are no message: {what}")
                })
        });
        let is_last = message.is_err();
        if messages.send((message, place)).is_err() || is_last {
            return;
        }
    }
}

fn read_stderr(pid: u32, mut stderr: impl BufRead, tail: &Mutex<VecDeque<String>>) {
    let mut raw = Vec::new();
    loop {
        raw.clear();
        let mut piece = (&mut stderr).take(MOST_STDERR_LINE_BYTES);
        match piece.read_until(b'\n', &mut raw) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&raw).trim_end().to_owned();
        // Not for the log as administrators use it: it may hold a prompt.
        tracing::trace!(worker = pid, "{line}");
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == KEPT_STDERR_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
    }
}

/// The next line that is not blank; `None` at the end of the stream.
fn read_line(source: &mut impl BufRead, most: u64) -> Option<Result<Vec<u8>, String>> {
    let mut line = Vec::new();
    loop {
        line.clear();
        match source.take(most + 1).read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(bytes) if bytes as u64 > most => {
                return Some(Err(format!("wrote a line of more than {most} bytes")));
            }
            Ok(_) if line.trim_ascii().is_empty() => {}
            Ok(_) => return Some(Ok(line)),
            Err(error) => return Some(Err(format!("can't be read: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests;
