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
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use tokio::sync::mpsc::UnboundedSender;

/// How long a last roll waits for another collector's.
const LAST_WITHIN: Span = Span::from_millis(60_000);
const AGAIN: Span = Span::from_millis(50);

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
        // What comes in meanwhile is another roll's, unless a part is full.
        while let Some(roll) = self.staging.begin_roll(self.most_bytes)? {
            self.write(roll, rolled)?;
            if !roll.is_full {
                break;
            }
        }
        Ok(())
    }

    fn write(&mut self, roll: Roll, rolled: &mut Rolled) -> Result<(), RollError> {
        let mut rows = Rows::default();
        let mut unreadable = Vec::new();
        let prefix = &self.prefix;
        self.staging.each_of(roll, |topic, payload| {
            match Record::parse(prefix, topic, payload) {
                Ok(Some(record)) => rows.add(&record),
                Ok(None) => {}
                // It was staged by another version.
                Err(error) => {
                    unreadable.push((topic.to_owned(), payload.to_owned(), error.to_string()));
                }
            }
        })?;
        for (topic, payload, reason) in unreadable {
            self.staging.set_aside(&topic, &payload, &reason)?;
        }
        let name = format!("{}-{:08}", self.staging.id(), roll.number);
        let name: PartName = name.parse()?;
        let written = rows.write(&self.root, self.format, &name)?;
        self.staging.finish_roll(roll)?;
        rolled.parts += 1;
        rolled.records += written.records;
        for (table, rows) in written.rows {
            *rolled.rows.entry(table).or_default() += rows;
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
