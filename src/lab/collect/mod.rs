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
mod session;
mod show;
pub mod staging;
mod tally;
mod traffic;

pub use options::Options;

use super::LabError;
use super::client::random_hex;
use super::dataset::{PartName, Rows};
use super::interrupt::interrupted;
use super::target::Target;
use crate::clock;
use boards::Boards;
use keeper::Keeper;
use options::Wishes;
use roller::Roller;
use session::{Collector, Setup, State};
use show::Show;
use staging::{FOLDER, Staging, StagingError};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub async fn run(target: &Target, options: &Options) -> Result<(), LabError> {
    let wishes = options.wishes(target)?;
    let address = target.address()?;
    for warning in target.warnings() {
        eprintln!("warning: {warning}");
    }
    let root = &options.out;
    // The folder, and that it is a dataset of this format.
    Rows::default().write(root, options.format, &name("begin")?)?;
    let staging = Staging::open(root, &random_hex(8))?;
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
        words: words_in.clone(),
    };
    let keeper = Keeper {
        staging,
        prefix: target.prefix.clone(),
        grace: wishes.grace,
        words: words_in,
        ends: ends.clone(),
    };
    let keeper = thread::spawn(move || keeper.run(&to_keeper));
    let roller = thread::spawn(move || roller.run(&to_roller));

    let now = clock::now();
    let mut collector = Collector {
        boards: Boards::new(&target.prefix, &answers, &random_hex(8)),
        setup: setup(target, options, &wishes, address, client_id, answers),
        orders,
        rolls,
        words,
        show: Show::new(options.json, now),
        state: State::new(now),
    };
    let stop = pin!(async {
        match wishes.runs_for {
            Some(time) => {
                let _ = tokio::time::timeout(time, interrupted()).await;
            }
            None => interrupted().await,
        }
    });
    let ended = collector.run(stop).await;
    let Collector {
        orders,
        rolls,
        words,
        show,
        state,
        ..
    } = collector;
    ends.store(true, Ordering::Relaxed);
    drop((orders, rolls, words));
    let threads = [keeper, roller].map(thread::JoinHandle::join);
    if threads.iter().any(Result::is_err) {
        return Err(LabError::Failed(
            "a thread of the collector failed; what was collected is kept, and the next run \
             writes it into the dataset"
                .to_owned(),
        ));
    }
    if !matches!(ended, Err(LabError::Unreachable(_))) {
        let (staged, _) = Staging::open(root, "")?.staged()?;
        show.summary(&state.tally, root, staged);
    }
    ended
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
    }
}

fn name(name: &str) -> Result<PartName, LabError> {
    Ok(name.parse()?)
}

/// Two collectors of one name would take each other's place at the broker for ever. The lock goes
/// with the process.
fn only_of_its_name(root: &Path, name: &str) -> Result<File, LabError> {
    let path = root.join(FOLDER).join(format!("{name}.lock"));
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
            StagingError::Newer { .. } => Self::Usage(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// How long the broker keeps what a collector missed, at least.
const SHORTEST_SESSION: Duration = Duration::from_secs(1);
