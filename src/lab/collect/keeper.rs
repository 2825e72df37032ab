//! The thread that commits: it alone of this process writes what arrives into the staging store.
//! While a commit is on its way to the disk, the next batch gathers, so that batches grow with
//! the load and with the time that the disk takes.

use super::connection::Arrival;
use super::staging::{Closed, Gap, Kept, Listed, Outcome, Parsed, Staging, StagingError, Standing};
use crate::clock;
use crate::lab::dataset::Record;
use crate::units::{MonoNs, Span};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use tokio::sync::mpsc::UnboundedSender;

const FIRST_PAUSE: Span = Span::from_millis(500);
const LONGEST_PAUSE: Span = Span::from_millis(30_000);
/// How soon a pause ends when the collector does.
const GLANCE: Span = Span::from_millis(50);

#[derive(Debug)]
pub enum Order {
    Keep(Vec<Arrival>),
    /// What a board says of its jobs.
    Listed {
        device: String,
        jobs: Vec<Listed>,
    },
    /// Up to `most` gaps of the boards that can be asked; how things stand with `online`.
    TakeGaps {
        askable: Vec<String>,
        most: usize,
        online: Vec<String>,
        /// Boards on which a job ran since the last look.
        have_run: Vec<String>,
    },
    Answered {
        gap: Gap,
        outcome: Outcome,
    },
    /// The session is about to have these besides.
    Subscribes(Vec<String>),
}

/// What the threads tell the collector.
#[derive(Debug)]
pub enum Word {
    /// These are on the disk and may be acknowledged.
    Kept {
        arrivals: Vec<Arrival>,
        kept: Kept,
        /// Why the newest of those that can't be read can't.
        unreadable: Option<String>,
    },
    Gaps {
        gaps: Vec<Gap>,
        closed: Vec<Closed>,
        standing: Standing,
    },
    /// The disk takes nothing. It is tried again.
    Trouble(String),
    Recovered,
    Rolled(super::roller::Rolled),
    /// This thread does nothing any more, by itself or since it panicked.
    Ended(Thread),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thread {
    Keeper,
    Roller,
}

/// A thread's last word, also where it panics.
pub struct LastWord {
    pub of: Thread,
    pub words: UnboundedSender<Word>,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        // Nobody may be there to hear it, which is how a thread should end.
        let _ = self.words.send(Word::Ended(self.of));
    }
}

pub struct Keeper {
    pub staging: Staging,
    pub prefix: String,
    /// Of the collector.
    pub name: String,
    pub grace: Span,
    pub words: UnboundedSender<Word>,
    /// Nothing is tried again any more.
    pub ends: Arc<AtomicBool>,
}

impl Keeper {
    /// Carries out orders until nobody can give any.
    pub fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            let now = clock::now();
            let word = match order {
                Order::Keep(arrivals) => self.keep(arrivals, now),
                Order::Listed { device, jobs } => {
                    let due = now + self.grace;
                    self.insist(|staging| staging.listed(&device, &jobs, due));
                    None
                }
                Order::TakeGaps {
                    askable,
                    most,
                    online,
                    have_run,
                } => {
                    let grace = self.grace;
                    self.insist(|staging| {
                        staging.bear_with(&have_run)?;
                        let (gaps, closed) = staging.take_gaps(&askable, most, now, grace)?;
                        let standing = staging.standing(&online)?;
                        Ok(Word::Gaps {
                            gaps,
                            closed,
                            standing,
                        })
                    })
                }
                Order::Answered { gap, outcome } => {
                    self.insist(|staging| staging.answered(&gap, outcome, now));
                    None
                }
                Order::Subscribes(filters) => {
                    let name = self.name.clone();
                    self.insist(|staging| staging.subscribes(&name, &filters));
                    None
                }
            };
            if word.is_some_and(|word| self.words.send(word).is_err()) {
                return;
            }
        }
    }

    fn keep(&mut self, arrivals: Vec<Arrival>, now: MonoNs) -> Option<Word> {
        let grace = self.grace;
        let batch: Vec<Parsed<'_>> = arrivals
            .iter()
            .filter_map(|arrival| parse(&self.prefix, arrival))
            .collect();
        let unreadable = batch.iter().rev().find_map(|message| {
            let error = message.record.as_ref().err()?;
            Some(format!("{}: {error}", message.topic))
        });
        let kept = match batch.is_empty() {
            true => Kept::default(),
            false => insist(&mut self.staging, &self.words, &self.ends, |staging| {
                staging.keep(&batch, now, grace)
            })?,
        };
        drop(batch);
        Some(Word::Kept {
            arrivals,
            kept,
            unreadable,
        })
    }

    fn insist<T>(
        &mut self,
        work: impl FnMut(&mut Staging) -> Result<T, StagingError>,
    ) -> Option<T> {
        insist(&mut self.staging, &self.words, &self.ends, work)
    }
}

/// Tries until it works: a full disk may have room later. `None` where the collector ends before.
fn insist<T>(
    staging: &mut Staging,
    words: &UnboundedSender<Word>,
    ends: &AtomicBool,
    mut work: impl FnMut(&mut Staging) -> Result<T, StagingError>,
) -> Option<T> {
    let mut pause = FIRST_PAUSE;
    let mut told = false;
    loop {
        match work(staging) {
            Ok(value) => {
                if told {
                    let _ = words.send(Word::Recovered);
                }
                return Some(value);
            }
            Err(error) => {
                if !told {
                    let _ = words.send(Word::Trouble(error.to_string()));
                    told = true;
                }
            }
        }
        let again = clock::now() + pause;
        while clock::now() < again {
            if ends.load(Ordering::Relaxed) {
                return None;
            }
            clock::sleep(GLANCE);
        }
        pause = Span((2 * pause.0).min(LONGEST_PAUSE.0));
    }
}

/// `None` for what no record is kept of: other topics, and retained records that were cleared.
fn parse<'a>(prefix: &str, arrival: &'a Arrival) -> Option<Parsed<'a>> {
    let publish = &arrival.publish;
    let topic = std::str::from_utf8(&publish.topic).ok()?;
    if publish.payload.is_empty() {
        return None;
    }
    let record = Record::parse(prefix, topic, &publish.payload).transpose()?;
    Some(Parsed {
        topic,
        payload: &publish.payload,
        record,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_heard() {
        let (words, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let thread = std::thread::spawn(move || {
            let _last = LastWord {
                of: Thread::Roller,
                words,
            };
            panic!("as a test of it");
        });
        assert!(thread.join().is_err());
        let word = heard.blocking_recv();
        assert!(matches!(word, Some(Word::Ended(Thread::Roller))));
    }
}
