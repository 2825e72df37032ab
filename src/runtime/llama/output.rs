//! What the worker says. Token times go from the computing thread into a ring that is as
//! large as the context; a second thread sends them in batches. The computing thread takes
//! the lock only between measured phases.

use super::ffi;
use crate::runtime::protocol::Message;
use crate::units::MonoNs;
use rtrb::{Consumer, Producer, RingBuffer};
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

/// How often token times are sent while a repetition runs.
const BATCH: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    rep: u32,
    t0: MonoNs,
    token: u32,
    at: MonoNs,
}

/// Notes token times: never blocks, allocates or writes.
#[derive(Debug)]
pub struct Stamps {
    ring: Producer<Stamp>,
    rep: u32,
    t0: MonoNs,
}

impl Stamps {
    /// What is noted from now on belongs to `rep`, which began at `t0`.
    pub fn begin(&mut self, rep: u32, t0: MonoNs) {
        self.rep = rep;
        self.t0 = t0;
    }

    /// Token `token` was known at `at`.
    pub fn note(&mut self, token: u32, at: MonoNs) {
        let stamp = Stamp {
            rep: self.rep,
            t0: self.t0,
            token,
            at,
        };
        self.ring
            .push(stamp)
            .expect("the ring holds a whole context and is emptied after each repetition");
    }
}

/// The descriptor that was stdout. Clones share it.
#[derive(Debug, Clone)]
pub struct Output {
    lines: Arc<Mutex<Lines>>,
    running: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Lines {
    file: File,
    stamps: Option<Consumer<Stamp>>,
}

impl Output {
    pub fn new(file: File) -> Self {
        Self {
            lines: Arc::new(Mutex::new(Lines { file, stamps: None })),
            running: Arc::new(AtomicBool::new(false)),
        }
    }

    pub fn send(&self, message: &Message) {
        self.lock().send(message);
    }

    /// Makes the ring for a context of `n_ctx` tokens and starts the second thread.
    pub fn start_tokens(&self, n_ctx: usize) -> std::io::Result<(Stamps, Sender)> {
        // One more than the context: the last token is sampled but never evaluated.
        let (producer, consumer) = RingBuffer::new(n_ctx + 1);
        self.lock().stamps = Some(consumer);
        let output = self.clone();
        let thread = thread::Builder::new()
            .name("tokens".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || output.send_tokens())?;
        let sender = Sender {
            running: Arc::clone(&self.running),
            thread: thread.thread().clone(),
        };
        let stamps = Stamps {
            ring: producer,
            rep: 0,
            t0: MonoNs(0),
        };
        Ok((stamps, sender))
    }

    /// Sends the token times so far.
    pub fn flush_tokens(&self) {
        self.lock().flush_tokens();
    }

    fn send_tokens(&self) {
        loop {
            if self.running.load(Ordering::Acquire) {
                thread::park_timeout(BATCH);
                self.flush_tokens();
            } else {
                thread::park();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Switches the sending of batches on and off: an idle worker does not wake up.
#[derive(Debug)]
pub struct Sender {
    running: Arc<AtomicBool>,
    thread: Thread,
}

impl Sender {
    pub fn start(&self) {
        self.running.store(true, Ordering::Release);
        self.thread.unpark();
    }

    pub fn stop(&self) {
        self.running.store(false, Ordering::Release);
    }
}

impl Lines {
    fn send(&mut self, message: &Message) {
        let mut line = serde_json::to_vec(message).expect("a message has only JSON-able fields");
        line.push(b'\n');
        if self.file.write_all(&line).is_err() {
            // Nobody is listening: the daemon is gone.
            ffi::exit_now(1);
        }
    }

    fn flush_tokens(&mut self) {
        let mut batch: Option<(Stamp, Vec<MonoNs>)> = None;
        while let Some(stamp) = self.stamps.as_mut().and_then(|ring| ring.pop().ok()) {
            match &mut batch {
                Some((first, t_ns)) if first.rep == stamp.rep => t_ns.push(stamp.at),
                _ => {
                    self.send_batch(batch.take());
                    batch = Some((stamp, vec![stamp.at]));
                }
            }
        }
        self.send_batch(batch);
    }

    fn send_batch(&mut self, batch: Option<(Stamp, Vec<MonoNs>)>) {
        if let Some((first, t_ns)) = batch {
            self.send(&Message::Tokens {
                rep: first.rep,
                t0_ns: first.t0,
                first: first.token,
                t_ns,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_times_come_out_in_batches_of_one_repetition() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let output = Output::new(File::create(&path).unwrap());
        let (mut stamps, _sender) = output.start_tokens(8).unwrap();
        for (rep, token) in [(1, 0), (1, 1), (2, 0)] {
            stamps.begin(rep, MonoNs(u64::from(rep)));
            stamps.note(token, MonoNs(u64::from(10 * rep + token)));
        }
        output.flush_tokens();
        output.flush_tokens();
        let lines: Vec<Message> = std::fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let batch = |rep, t_ns: &[u64]| Message::Tokens {
            rep,
            t0_ns: MonoNs(u64::from(rep)),
            first: 0,
            t_ns: t_ns.iter().copied().map(MonoNs).collect(),
        };
        assert_eq!(lines, [batch(1, &[10, 11]), batch(2, &[20])]);
    }
}
