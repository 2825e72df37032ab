//! The thread that writes what is staged into the dataset.
//!
//! Of several collectors of a dataset one rolls at a time, which takes what all of them have
//! staged. Who is killed on the way leaves a roll that was begun; the next to roll writes it
//! again first.

use super::keeper::Word;
use super::staging::{FOLDER, Roll, Staging, StagingError};
use crate::clock;
use crate::lab::dataset::{DatasetError, Format, PartName, Record, Rows, Table};
use crate::units::{MonoNs, Span};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use tokio::sync::mpsc::UnboundedSender;

/// How long a last roll waits for another collector's.
const LAST_WITHIN: Span = Span::from_millis(60_000);
const AGAIN: Span = Span::from_millis(50);
/// Of a part's rows. A record of a trace may be a hundred times as large there as it came.
pub const MOST_IN_MEMORY: usize = 256 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollOrder {
    /// If no other collector does.
    Now,
    /// Also after another collector's.
    Last,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rolled {
    pub parts: u64,
    pub records: u64,
    pub rows: BTreeMap<Table, u64>,
    /// What can't be written and stays where it is, and why the last of it can't.
    pub held: Option<(u64, String)>,
    /// Why it was not finished.
    pub failed: Option<String>,
    /// Whether another collector was at it.
    pub left_to_another: bool,
}

#[derive(Debug, thiserror::Error)]
enum RollError {
    #[error(transparent)]
    Staging(#[from] StagingError),
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error("{path}: {source}", path = path.display())]
    Lock {
        path: PathBuf,
        source: std::io::Error,
    },
}

pub struct Roller {
    pub staging: Staging,
    pub root: PathBuf,
    pub format: Format,
    pub prefix: String,
    /// Of payloads, in one part.
    pub most_bytes: u64,
    /// Of rows, in one part.
    pub most_in_memory: usize,
    /// Whether this run has tried again what was held back.
    pub has_let_go: bool,
    pub words: UnboundedSender<Word>,
}

impl Roller {
    /// Carries out orders until nobody can give any, or the last has come.
    pub fn run(mut self, orders: &Receiver<RollOrder>) {
        while let Ok(order) = orders.recv() {
            let mut rolled = Rolled::default();
            match self.roll(order, &mut rolled) {
                Ok(()) => {}
                Err(error) => rolled.failed = Some(error.to_string()),
            }
            let told = self.words.send(Word::Rolled(rolled));
            if order == RollOrder::Last || told.is_err() {
                return;
            }
        }
    }

    fn roll(&mut self, order: RollOrder, rolled: &mut Rolled) -> Result<(), RollError> {
        let Some(_lock) = self.lock(order)? else {
            rolled.left_to_another = true;
            return Ok(());
        };
        for unfinished in self.staging.unfinished_rolls()? {
            self.write(unfinished, rolled)?;
        }
        if !self.has_let_go {
            self.staging.let_go()?;
            self.has_let_go = true;
        }
        // What comes in meanwhile is another roll's, unless a part is full.
        while let Some(roll) = self.staging.begin_roll(self.most_bytes)? {
            let written = self.write(roll, rolled)?;
            if !written.is_full {
                break;
            }
        }
        Ok(())
    }

    /// Writes the roll, or as much of it as one part has room for.
    fn write(&mut self, roll: Roll, rolled: &mut Rolled) -> Result<Roll, RollError> {
        let name = format!("{}-{:08}", self.staging.id(), roll.number);
        let name: PartName = name.parse()?;
        let (mut roll, mut rows) = self.read(roll, rolled)?;
        let written = match rows.write(&self.root, self.format, &name) {
            Err(DatasetError::Rows { table, source }) => {
                let at_fault = self.at_fault(roll)?;
                if at_fault.is_empty() {
                    return Err(DatasetError::Rows { table, source }.into());
                }
                self.hold(at_fault, rolled)?;
                (roll, rows) = self.read(roll, rolled)?;
                rows.write(&self.root, self.format, &name)?
            }
            written => written?,
        };
        self.staging.finish_roll(roll)?;
        rolled.parts += 1;
        rolled.records += written.records;
        for (table, rows) in written.rows {
            *rolled.rows.entry(table).or_default() += rows;
        }
        Ok(roll)
    }

    /// The rows of the roll, which ends where the memory for them does. What is no record to
    /// this version is held back.
    fn read(&mut self, mut roll: Roll, rolled: &mut Rolled) -> Result<(Roll, Rows), RollError> {
        let mut rows = Rows::default();
        let mut unreadable = Vec::new();
        let mut full_at = None;
        let (prefix, most) = (&self.prefix, self.most_in_memory);
        self.staging.each_of(roll, |n, topic, payload| {
            match record(prefix, topic, payload) {
                Ok(record) => rows.add(&record),
                Err(why) => unreadable.push((n, why)),
            }
            if rows.bytes() < most {
                return ControlFlow::Continue(());
            }
            full_at = Some(n);
            ControlFlow::Break(())
        })?;
        self.hold(unreadable, rolled)?;
        if let Some(last) = full_at {
            roll = self.staging.end_roll_at(roll, last)?;
        }
        Ok((roll, rows))
    }

    /// The records whose rows don't fit their tables.
    fn at_fault(&self, roll: Roll) -> Result<Vec<(i64, String)>, RollError> {
        let mut at_fault = Vec::new();
        self.staging.each_of(roll, |n, topic, payload| {
            if let Ok(record) = record(&self.prefix, topic, payload) {
                let mut alone = Rows::default();
                alone.add(&record);
                if let Err(error) = alone.check() {
                    at_fault.push((n, format!("{topic}: {error}")));
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(at_fault)
    }

    fn hold(&mut self, messages: Vec<(i64, String)>, rolled: &mut Rolled) -> Result<(), RollError> {
        if let Some((_, last)) = messages.last() {
            self.staging.hold(&messages)?;
            let so_far = rolled.held.as_ref().map_or(0, |(count, _)| *count);
            rolled.held = Some((so_far + messages.len() as u64, last.clone()));
        }
        Ok(())
    }

    /// The right to roll, which goes with the process. `None` where another has it.
    fn lock(&self, order: RollOrder) -> Result<Option<File>, RollError> {
        let path = self.root.join(FOLDER).join("roll.lock");
        let failed = |source| RollError::Lock {
            path: path.clone(),
            source,
        };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        let give_up: MonoNs = clock::now() + LAST_WITHIN;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock)
                    if order == RollOrder::Last && clock::now() < give_up =>
                {
                    clock::sleep(AGAIN);
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
            }
        }
    }
}

/// What was staged as a record, or why it is none to this version.
fn record(prefix: &str, topic: &str, payload: &[u8]) -> Result<Record, String> {
    match Record::parse(prefix, topic, payload) {
        Ok(Some(record)) => Ok(record),
        Ok(None) => Err(format!("{topic}: not one of the topics that are kept")),
        Err(error) => Err(format!("{topic}: {error}")),
    }
}

#[cfg(test)]
mod tests;
