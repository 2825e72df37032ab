//! `joulectl collect`: from the broker to a dataset, each record once.
//!
//! ```text
//! broker ──▶ connection ──▶ session ──▶ keeper ──▶ staging (SQLite) ──▶ roller ──▶ dataset
//!    ▲                        │  ▲        │ committed
//!    └── acknowledgements ────┘◀─┼────────┘
//!    └── cmd/jobs, cmd/replay ◀─ boards: what is missing
//! ```
//!
//! - A message is acknowledged after the commit that holds it, so a broker keeps what a killed
//!   collector had not kept ([`staging`]).
//! - A broker drops messages for slow and absent clients without a word. What is missing shows
//!   in what is there: a result counts the records of its attempt, a final state announces a
//!   result, and boards list their jobs; boards send it again ([`boards`]).
//! - Parts of the dataset are written whole, under numbers that were decided before, so that a
//!   part that was cut short is written again over itself (`roller`).
//! - Records come from strangers: what is none is counted and set aside, and stops nothing.

pub mod boards;
mod connection;
mod keeper;
mod options;
mod roller;
mod said;
mod session;
mod show;
pub mod staging;
mod tally;
mod traffic;

pub use options::Options;
pub(in crate::lab) use options::time;
pub(in crate::lab) use show::{Show, Told};

use super::LabError;
use super::client::random_hex;
use super::dataset::{Format, PartName, Rows, holds_rows};
use super::interrupt::interrupted;
use super::target::Target;
use crate::clock;
use boards::Boards;
use keeper::{Keeper, LastWord, Thread, Word};
use options::Wishes;
use roller::{MOST_IN_MEMORY, RollOrder, Roller};
use session::{Collector, Setup, State};
use staging::{FOLDER, Staging, StagingError};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

pub async fn run(target: &Target, options: &Options) -> Result<(), LabError> {
    for warning in target.warnings() {
        eprintln!("warning: {warning}");
    }
    let runs_for = options.wishes(target)?.runs_for;
    let stop = async {
        match runs_for {
            Some(time) => {
                let _ = tokio::time::timeout(time, interrupted()).await;
            }
            None => interrupted().await,
        }
    };
    gather(target, options, Show::new(options.json, clock::now()), stop).await
}

/// Collects until `stop`, and tells `show`.
pub(in crate::lab) async fn gather(
    target: &Target,
    options: &Options,
    show: Show,
    stop: impl Future<Output = ()>,
) -> Result<(), LabError> {
    let wishes = options.wishes(target)?;
    let address = target.address()?;
    let root = &options.out;
    let staging = begin(root, options.format, &target.prefix)?;
    let _alone = only_of_its_name(root, &options.name)?;
    let client_id = format!("joulectl-collect-{}-{}", staging.id(), options.name);
    let answers = format!("answers/{client_id}");

    let (words_in, words) = tokio::sync::mpsc::unbounded_channel();
    let (orders, to_keeper) = std::sync::mpsc::channel();
    let (rolls, to_roller) = std::sync::mpsc::channel();
    let ends = Arc::new(AtomicBool::new(false));
    let roller = Roller {
        staging: Staging::open(root, staging.id())?,
        root: root.clone(),
        format: options.format,
        prefix: target.prefix.clone(),
        most_bytes: wishes.roll_bytes,
        most_in_memory: MOST_IN_MEMORY,
        has_let_go: false,
        words: words_in.clone(),
    };
    let keeper = Keeper {
        staging,
        prefix: target.prefix.clone(),
        name: options.name.clone(),
        grace: wishes.grace,
        words: words_in,
        ends: ends.clone(),
    };
    let last_word = |of, words: &UnboundedSender<_>| LastWord {
        of,
        words: words.clone(),
    };
    let keepers = last_word(Thread::Keeper, &keeper.words);
    let keeper = thread::spawn(move || {
        let _last = keepers;
        keeper.run(&to_keeper);
    });
    let rollers = last_word(Thread::Roller, &roller.words);
    let roller = thread::spawn(move || {
        let _last = rollers;
        roller.run(&to_roller);
    });

    let now = clock::now();
    let mut collector = Collector {
        boards: Boards::new(&target.prefix, &answers, &random_hex(8)),
        setup: setup(target, options, &wishes, address, client_id, answers),
        orders,
        rolls,
        words,
        show,
        state: State::new(now),
    };
    let wanted = collector.setup.subscriptions().into_iter();
    let wanted: Vec<String> = wanted.map(|subscription| subscription.filter).collect();
    collector.setup.stale = Staging::open(root, "")?.subscribes(&options.name, &wanted)?;
    // What a killed run has left is written also where the broker is away.
    collector.state.begin_roll(&collector.rolls, RollOrder::Now);
    let ended = collector.run(pin!(stop)).await;
    let subscribed = collector.subscribed();
    let Collector {
        orders,
        rolls,
        mut words,
        show,
        state,
        ..
    } = collector;
    ends.store(true, Ordering::Relaxed);
    drop((orders, rolls));
    let threads = [keeper, roller].map(thread::JoinHandle::join);
    if threads.iter().any(Result::is_err) {
        return Err(LabError::Failed(
            "a thread of the collector failed; what was collected is kept, and the next run \
             writes it into the dataset"
                .to_owned(),
        ));
    }
    while let Ok(word) = words.try_recv() {
        if let Word::Rolled(rolled) = word {
            show.rolled(&rolled);
        }
    }
    if !matches!(ended, Err(LabError::Unreachable(_))) {
        let mut staging = Staging::open(root, "")?;
        staging.subscribes_only(&options.name, &subscribed)?;
        let (staged, _) = staging.staged()?;
        show.summary(&state.tally, root, staged);
    }
    ended
}

/// Makes the dataset's folder, for a command that keeps more in it.
pub(in crate::lab) fn prepare(root: &Path, format: Format, prefix: &str) -> Result<(), LabError> {
    begin(root, format, prefix).map(|_| ())
}

fn setup(
    target: &Target,
    options: &Options,
    wishes: &Wishes,
    address: super::target::Address,
    client_id: String,
    answers: String,
) -> Setup {
    Setup {
        address,
        broker: target.shown(),
        client_id,
        answers,
        prefix: target.prefix.clone(),
        devices: wishes.devices.clone(),
        group: options.share.clone(),
        expiry: wishes.session,
        roll_every: wishes.roll,
        roll_bytes: wishes.roll_bytes,
        until_idle: wishes.until_idle,
        stale: Vec::new(),
    }
}

fn name(name: &str) -> Result<PartName, LabError> {
    Ok(name.parse()?)
}

/// The dataset's folder of this format, and its staging store for boards of this prefix. Of
/// several collectors that start at once, one makes them.
fn begin(root: &Path, format: Format, prefix: &str) -> Result<Staging, LabError> {
    let failed = |error| LabError::Failed(format!("{}: {error}", root.display()));
    std::fs::create_dir_all(root).map_err(failed)?;
    // The folder itself is locked: where it turns out to be somebody else's, nothing is left.
    let folder = File::open(root).map_err(failed)?;
    folder.lock().map_err(failed)?;
    remembers(root)?;
    Rows::default().write(root, format, &name("begin")?)?;
    let mut staging = Staging::open(root, &random_hex(8))?;
    staging.collects(prefix)?;
    Ok(staging)
}

/// Which records a dataset has is in its staging store: without it everything would come twice.
fn remembers(root: &Path) -> Result<(), LabError> {
    if Staging::is_at(root) || !holds_rows(root)? {
        return Ok(());
    }
    Err(LabError::Usage(format!(
        "{root}: it holds records, but not {FOLDER}, in which joulectl collect remembers them; put \
         {root}/{FOLDER} back, or collect into another --out: joulectl report reads several folders, \
         and counts what they have twice once",
        root = root.display()
    )))
}

/// Two collectors of one name would take each other's place at the broker for ever. The lock goes
/// with the process.
fn only_of_its_name(root: &Path, name: &str) -> Result<File, LabError> {
    let path = root.join(FOLDER).join(format!("name-{name}.lock"));
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| LabError::Failed(format!("{}: {error}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LabError::Usage(format!(
            "a collector named {name} is at work on {}; give this one another --name, and both \
             the same --share",
            root.display()
        ))),
        Err(TryLockError::Error(error)) => {
            Err(LabError::Failed(format!("{}: {error}", path.display())))
        }
    }
}

impl From<StagingError> for LabError {
    fn from(error: StagingError) -> Self {
        match error {
            StagingError::Newer { .. } | StagingError::OtherPrefix { .. } => {
                Self::Usage(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// How long the broker keeps what a collector missed, at least.
const SHORTEST_SESSION: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_that_start_at_once_share_one_dataset() {
        for format in [Format::Parquet, Format::Sqlite] {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("lab");
            let ids: Vec<String> = thread::scope(|scope| {
                let begin = || begin(&root, format, "jouled").unwrap().id().to_owned();
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
                let ids = threads.into_iter().map(|thread| thread.join().unwrap());
                ids.collect()
            });
            assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        }
    }

    #[test]
    fn a_dataset_is_of_one_prefix() {
        let folder = tempfile::tempdir().unwrap();
        begin(folder.path(), Format::Parquet, "lab").unwrap();
        begin(folder.path(), Format::Parquet, "lab").unwrap();
        let error = begin(folder.path(), Format::Parquet, "jouled").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("give --prefix lab"), "{error}");
    }

    #[test]
    fn no_name_is_the_lock_of_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let _staging = begin(folder.path(), Format::Parquet, "jouled").unwrap();
        let _one = only_of_its_name(folder.path(), "roll").unwrap();
        assert!(!folder.path().join(FOLDER).join("roll.lock").exists());
        let error = only_of_its_name(folder.path(), "roll").unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
