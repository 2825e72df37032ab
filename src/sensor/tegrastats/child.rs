//! tegrastats as a child process: started without a shell, its lines stamped as they
//! arrive, killed and reaped with its owner.
//!
//! Its output is a pipe, so that a daemon that is killed takes it along: the next line that
//! it prints ends it by SIGPIPE. A program that fills its pipe in blocks prints many lines
//! at once; only the last of them has a time, and the others are counted and left out.

use crate::clock;
use crate::units::{MonoNs, Span};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io::{ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

/// More lines than come between two polls. What does not fit is a gap.
const QUEUE: usize = 64;
/// Real lines have up to 700 characters.
const MOST_LINE_BYTES: usize = 16 * 1024;
const STACK_BYTES: usize = 128 * 1024;
/// What a program needs to be found and to run; the daemon's secrets stay with it.
const KEPT_VARIABLES: [&str; 3] = ["PATH", "HOME", "LD_LIBRARY_PATH"];

/// A line of the program's output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arrival {
    pub at: MonoNs,
    pub text: String,
    /// Lines that came together with it and stood before it: nothing tells their times.
    pub untimed: usize,
}

/// Starts the program, as often as needed, from an ordinary thread: a sampler thread would
/// hand its real-time priority down.
pub(super) struct Launcher {
    orders: Sender<Sender<Result<Running, String>>>,
}

/// The running program. Dropping it kills the program and whatever it has started.
pub(super) struct Running {
    program: String,
    child: Child,
    events: Receiver<Event>,
    /// The last line on stderr.
    said: Option<String>,
}

enum Event {
    Line(Arrival),
    Said(String),
}

impl Launcher {
    /// `command` is a program and its arguments.
    pub fn new(command: Vec<String>) -> std::io::Result<Launcher> {
        let (orders, inbox) = channel::<Sender<Result<Running, String>>>();
        spawn_thread("tegrastats", move || {
            for answer in inbox {
                // The asker waits for the answer, unless it has panicked.
                let _ = answer.send(start(&command));
            }
        })?;
        Ok(Launcher { orders })
    }

    pub fn start(&self) -> Result<Running, String> {
        let (answer, running) = channel();
        let lost = || "the thread that starts it has ended".to_owned();
        self.orders.send(answer).map_err(|_| lost())?;
        running.recv().map_err(|_| lost())?
    }
}

fn start(command: &[String]) -> Result<Running, String> {
    let (program, arguments) = command.split_first().ok_or("its command is empty")?;
    let kept = |name: &&str| std::env::var_os(name).map(|value| (name.to_string(), value));
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(KEPT_VARIABLES.iter().filter_map(kept))
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!(
                "`{program}`: not found; it comes with NVIDIA's L4T: state its full path in \
                 `command`"
            ),
            ErrorKind::PermissionDenied => format!(
                "`{program}`: permission denied; the user that runs jouled must be allowed to \
                 execute it"
            ),
            _ => format!("`{program}`: can't be started: {error}"),
        })?;
    let stdout = child.stdout.take().expect("it was asked for");
    let stderr = child.stderr.take().expect("it was asked for");
    let (lines, events) = sync_channel(QUEUE);
    let said = lines.clone();
    let running = Running {
        program: program.clone(),
        child,
        events,
        said: None,
    };
    let no_thread = |error| format!("`{program}`: no thread to read it: {error}");
    spawn_thread("tegrastats-out", move || {
        read_lines(stdout, &lines, Event::Line);
    })
    .map_err(no_thread)?;
    spawn_thread("tegrastats-err", move || {
        read_lines(stderr, &said, |line| Event::Said(line.text));
    })
    .map_err(no_thread)?;
    Ok(running)
}

fn spawn_thread(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(body)
        .map(drop)
}

/// Until the end of `source`, or until nobody listens any more.
fn read_lines(mut source: impl Read, events: &SyncSender<Event>, event: fn(Arrival) -> Event) {
    use std::sync::mpsc::TrySendError::Disconnected;
    let mut lines = Lines::default();
    let mut bytes = [0; 8 * 1024];
    loop {
        let length = match source.read(&mut bytes) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let at = clock::now();
        if let Some((text, untimed)) = lines.feed(&bytes[..length]) {
            let arrival = Arrival { at, text, untimed };
            if let Err(Disconnected(_)) = events.try_send(event(arrival)) {
                return;
            }
        }
    }
}

impl Running {
    /// The next line, waiting for it until `deadline`. `Disconnected`: the program has
    /// closed its output.
    pub fn next_line(&mut self, deadline: MonoNs) -> Result<Arrival, RecvTimeoutError> {
        loop {
            let left = Duration::from_nanos(deadline.since(clock::now()).0);
            match self.events.recv_timeout(left)? {
                Event::Line(arrival) => return Ok(arrival),
                Event::Said(text) => self.said = Some(text),
            }
        }
    }

    /// How the program ended and what it said last, after its output has.
    pub fn obituary(&self) -> String {
        let program = &self.program;
        let end = match self.exit() {
            Some(status) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("ended with exit status {code}"),
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "ended".to_owned(),
            },
            None => "has closed its output".to_owned(),
        };
        match &self.said {
            Some(said) => format!("`{program}` {end}: {said}"),
            None => format!("`{program}` {end}"),
        }
    }

    pub fn program(&self) -> &str {
        &self.program
    }

    /// A process closes its descriptors a little before it can be waited for. It stays
    /// unreaped, so that its group's number is not used again.
    fn exit(&self) -> Option<rustix::process::WaitIdStatus> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        (0..100).find_map(|_| {
            let status = waitid(WaitId::Pid(self.group()), options).ok().flatten();
            if status.is_none() {
                clock::sleep(Span::from_millis(5));
            }
            status
        })
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if kill_process_group(self.group(), Signal::KILL).is_ok() {
            // Fails only if someone else has reaped it.
            let _ = self.child.wait();
        } else {
            // Another user's, through sudo: its next line ends it, as nobody reads it.
            let _ = self.child.try_wait();
        }
    }
}

/// Puts lines together from what arrives.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// The last line that `bytes` complete, and how many they complete before that one.
    /// Blank lines and those of more than 16 KiB don't count.
    fn feed(&mut self, bytes: &[u8]) -> Option<(String, usize)> {
        let mut last = None;
        let mut completed = 0;
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.extend(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.begun);
            let too_long = std::mem::take(&mut self.too_long);
            if !too_long && !line.trim_ascii().is_empty() {
                completed += 1;
                last = Some(line);
            }
        }
        self.extend(rest);
        let line = last?;
        let text = String::from_utf8_lossy(line.trim_ascii()).into_owned();
        Some((text, completed - 1))
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.too_long |= self.begun.len() + bytes.len() > MOST_LINE_BYTES;
        if self.too_long {
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn running(script: &str) -> Result<Running, String> {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        Launcher::new(command).unwrap().start()
    }

    fn soon() -> MonoNs {
        clock::now() + Span::from_millis(20_000)
    }

    #[test]
    fn lines_are_stamped_when_they_come() {
        let before = clock::now();
        let mut running = running("echo one; sleep 1000").unwrap();
        let line = running.next_line(soon()).unwrap();
        assert_eq!((line.text.as_str(), line.untimed), ("one", 0));
        assert!(line.at > before && line.at <= clock::now());
        let none = running.next_line(MonoNs(0));
        assert_eq!(none, Err(RecvTimeoutError::Timeout));
    }

    #[test]
    fn its_end_comes_with_its_status_and_its_last_words() {
        let mut running = running("echo no such device >&2; exit 3").unwrap();
        let end = running.next_line(soon());
        assert_eq!(end, Err(RecvTimeoutError::Disconnected));
        let text = running.obituary();
        assert_eq!(text, "`sh` ended with exit status 3: no such device");
    }

    #[test]
    fn a_signal_is_named() {
        let mut running = running("kill -TERM $$").unwrap();
        let end = running.next_line(soon());
        assert_eq!(end, Err(RecvTimeoutError::Disconnected));
        assert_eq!(running.obituary(), "`sh` was ended by signal 15");
    }

    #[test]
    fn dropping_it_kills_what_it_has_started() {
        let mut running = running("sleep 1000 & echo $!; wait").unwrap();
        let line = running.next_line(soon()).unwrap();
        let shell = running.child.id();
        drop(running);
        assert!(!std::path::Path::new(&format!("/proc/{shell}")).exists());
        // The sleeper dies a little later, and its new parent reaps it when it likes.
        let sleeper = format!("/proc/{}/stat", line.text);
        let lives = |stat: String| !stat.contains(") Z ") && !stat.contains(") X ");
        let patience = soon();
        while std::fs::read_to_string(&sleeper).is_ok_and(lives) {
            assert!(clock::now() < patience, "the sleeper lives");
            std::thread::yield_now();
        }
    }

    #[test]
    fn without_a_reader_its_next_line_ends_it() {
        let mut running = running("while echo line; do sleep 0.01; done").unwrap();
        running.next_line(soon()).unwrap();
        // What becomes of the pipes when the daemon is killed.
        let (_, nobody) = sync_channel(1);
        running.events = nobody;
        let status = (0..40).find_map(|_| running.exit()).unwrap();
        assert_eq!(status.terminating_signal(), Some(Signal::PIPE.as_raw()));
    }

    #[test]
    fn it_sees_no_secret_and_no_language() {
        let mut running = running("echo \"$LC_ALL $CARGO_MANIFEST_DIR.\"").unwrap();
        assert_eq!(running.next_line(soon()).unwrap().text, "C .");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let start = |program: &str| {
            let launcher = Launcher::new(vec![program.to_owned()]).unwrap();
            launcher.start().err().unwrap()
        };
        let missing = start("/no/such/tegrastats");
        assert!(
            missing.contains("/no/such/tegrastats`: not found"),
            "{missing}"
        );
        let forbidden = start("/proc/self/status");
        assert!(forbidden.contains("permission denied"), "{forbidden}");
    }

    #[test]
    fn of_a_block_only_the_last_line_has_a_time() {
        let mut lines = Lines::default();
        assert_eq!(lines.feed(b"on"), None);
        assert_eq!(
            lines.feed(b"e\ntwo\n\nthree\r\nfo"),
            Some(("three".into(), 2))
        );
        assert_eq!(lines.feed(b"\xffur\n"), Some(("fo\u{fffd}ur".into(), 0)));
        assert_eq!(lines.feed(b"\n \n"), None);
    }

    #[test]
    fn an_endless_line_is_dropped_whole() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            assert_eq!(lines.feed(&[b'x'; 4096]), None);
        }
        assert!(lines.begun.len() <= MOST_LINE_BYTES);
        assert_eq!(lines.feed(b"tail\nnext\n"), Some(("next".into(), 0)));
    }

    proptest! {
        /// However the bytes are cut, the lines are the same.
        #[test]
        fn cuts_change_no_line(
            text in "[a\n]{0,80}",
            cuts in prop::collection::vec(1..9usize, 80),
        ) {
            let mut lines = Lines::default();
            let mut rest = text.as_bytes();
            let mut completed = 0;
            let mut last = None;
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                rest = later;
                if let Some((line, before)) = lines.feed(now) {
                    completed += before + 1;
                    last = Some(line);
                }
            }
            let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
            let whole: Vec<&str> = complete.split('\n').filter(|line| !line.is_empty()).collect();
            prop_assert_eq!(completed, whole.len());
            prop_assert_eq!(last.as_deref(), whole.last().copied());
        }
    }
}
