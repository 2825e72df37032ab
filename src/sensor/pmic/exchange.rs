//! One run of the command: started without a shell, ended when it takes too long.

use crate::clock;
use crate::sensor::sysfs::middle;
use crate::units::{MonoNs, Span};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Far more than a firmware call takes.
const TIMEOUT: Span = Span::from_millis(1_000);
/// The answer is about 1 KiB.
const LONGEST_ANSWER: usize = 64 * 1024;
const STACK_BYTES: usize = 128 * 1024;

/// What the command printed, and the middle of its run.
pub(super) type Answer = Result<(MonoNs, String), String>;

/// Runs the command on a thread of its own: one that a sampler thread started would inherit
/// its real-time priority.
pub(super) struct Exchange {
    ask: SyncSender<()>,
    answers: Receiver<Answer>,
}

impl Exchange {
    pub fn start(command: Vec<String>) -> io::Result<Exchange> {
        let (ask, asked) = sync_channel(1);
        let (answer, answers) = sync_channel(1);
        std::thread::Builder::new()
            .name("pmic".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                // Ends with the source that asks.
                while asked.recv().is_ok() && answer.send(run(&command, TIMEOUT)).is_ok() {}
            })?;
        Ok(Exchange { ask, answers })
    }

    /// The answer of a run that begins now, or of one that is still under way: either tells
    /// its own time.
    pub fn ask(&self) -> Answer {
        while self.answers.try_recv().is_ok() {}
        // Full: an order is waiting already.
        let _ = self.ask.try_send(());
        // A child that hangs in the kernel can't be ended.
        let patience = Duration::from_nanos(2 * TIMEOUT.0);
        self.answers
            .recv_timeout(patience)
            .unwrap_or_else(|_| Err("the command hangs and can't be ended".to_owned()))
    }
}

fn run(command: &[String], timeout: Span) -> Answer {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| "`command` is empty".to_owned())?;
    let t0 = clock::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| not_started(program, &error))?;
    let outcome = outcome(&mut child, t0 + timeout);
    if !matches!(outcome, Ok(Some(_))) {
        // It may have ended by itself just now.
        let _ = child.kill();
        let _ = child.wait();
    }
    match outcome {
        Err(error) => Err(format!("{program}: {error}")),
        Ok(None) => Err(format!(
            "{program}: no answer within {} s; it was ended",
            timeout.as_secs_f64()
        )),
        Ok(Some((answered, status, said))) => {
            if status.success() && !said.out.is_empty() {
                Ok((middle(t0, answered), said.out))
            } else {
                Err(complaint(program, status, &said))
            }
        }
    }
}

struct Said {
    out: String,
    err: String,
}

/// What the child said, once it has ended; `None` when that takes until `deadline`.
fn outcome(child: &mut Child, deadline: MonoNs) -> io::Result<Option<(MonoNs, ExitStatus, Said)>> {
    let mut pipes: [Option<Box<dyn Pipe>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as _),
        child.stderr.take().map(|pipe| Box::new(pipe) as _),
    ];
    let mut texts = [Vec::new(), Vec::new()];
    while pipes.iter().any(Option::is_some) {
        let Some(ready) = ready(&pipes, deadline)? else {
            return Ok(None);
        };
        for index in 0..2 {
            if !ready[index] {
                continue;
            }
            let mut bytes = [0; 4096];
            let pipe = pipes[index].as_mut();
            let length = pipe.map_or(Ok(0), |pipe| pipe.read(&mut bytes))?;
            texts[index].extend_from_slice(&bytes[..length]);
            if length == 0 {
                pipes[index] = None;
            }
            if texts[index].len() > LONGEST_ANSWER {
                return Err(io::Error::other("it prints without end"));
            }
        }
    }
    let answered = clock::now();
    let [out, err] = texts.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    // Both pipes are closed: its end is near, but need not be there yet.
    while clock::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some((answered, status, Said { out, err })));
        }
        clock::sleep(Span::from_micros(200));
    }
    Ok(None)
}

trait Pipe: Read + std::os::fd::AsFd {}
impl<T: Read + std::os::fd::AsFd> Pipe for T {}

/// Which pipes can be read without waiting; `None` when none can until `deadline`.
fn ready(pipes: &[Option<Box<dyn Pipe>>; 2], deadline: MonoNs) -> io::Result<Option<[bool; 2]>> {
    loop {
        let left = deadline.since(clock::now()).0;
        if left == 0 {
            return Ok(None);
        }
        let open: Vec<usize> = (0..2).filter(|&index| pipes[index].is_some()).collect();
        let mut waiting: Vec<PollFd> = pipes
            .iter()
            .flatten()
            .map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN))
            .collect();
        let timeout = Timespec {
            tv_sec: (left / 1_000_000_000) as i64,
            tv_nsec: (left % 1_000_000_000) as i64,
        };
        match poll(&mut waiting, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        let mut ready = [false; 2];
        for (index, state) in open.iter().zip(&waiting) {
            ready[*index] = !state.revents().is_empty();
        }
        return Ok(Some(ready));
    }
}

fn not_started(program: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "{program}: not found; it comes with Raspberry Pi OS (package raspi-utils, before \
             libraspberrypi-bin); set `command` if it lies elsewhere"
        ),
        _ => format!("{program}: {error}"),
    }
}

fn complaint(program: &str, status: ExitStatus, said: &Said) -> String {
    let text = if said.err.trim().is_empty() {
        &said.out
    } else {
        &said.err
    };
    let line: String = text
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect();
    let lower = text.to_lowercase();
    let hint = if ["vcio", "vchi", "permission"]
        .iter()
        .any(|sign| lower.contains(sign))
    {
        "; it needs /dev/vcio: put the user that runs jouled into the group video"
    } else {
        ""
    };
    format!("{program}: ended with {status}: `{line}`{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn an_answer_is_stamped_within_its_run() {
        let t0 = clock::now();
        let (at, text) = run(&sh("echo one; echo two"), Span::from_millis(60_000)).unwrap();
        assert!(t0 < at && at < clock::now());
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn one_that_hangs_is_ended() {
        let hanging = ["sleep", "600"].map(str::to_owned);
        let error = run(&hanging, Span::from_millis(30)).unwrap_err();
        assert!(error.contains("no answer within"), "{error}");
        // Silent on both pipes, and still there.
        let error = run(&sh("exec >&- 2>&-; exec sleep 600"), Span::from_millis(30)).unwrap_err();
        assert!(error.contains("no answer within"), "{error}");
    }

    #[test]
    fn failures_say_what_to_do() {
        let long = Span::from_millis(60_000);
        let told = |script: &str| run(&sh(script), long).unwrap_err();
        assert!(told("echo \"Can't open device file: /dev/vcio\" >&2; exit 255").contains("video"));
        assert!(told("exit 3").contains('3'));
        assert!(told("cat /dev/zero").contains("without end"));
        let missing = run(&["/nonexistent/vcgencmd".to_owned()], long).unwrap_err();
        assert!(missing.contains("raspi-utils"), "{missing}");
    }
}
