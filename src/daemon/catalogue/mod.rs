//! Models of the administrator's catalogue, on their way to this board.
//!
//! A client names a model; where it comes from and what it must hash to stands in the
//! configuration alone. One is fetched at a time, by a thread of its own, and only while no
//! attempt runs. What has come lies in a hidden file beside the models, which no job can name,
//! until its hash is right; that file is also what makes a fetch go on after a restart.

#[cfg(feature = "lab")]
pub(crate) mod alone;
pub(crate) mod fault;
mod fetcher;
pub(crate) mod part;
pub(crate) mod transfer;
pub(crate) mod tries;

pub use fetcher::start;

use super::queue::Queue;
use crate::config::{CatalogueEntry, Config, FetchConfig};
use crate::models::ModelDirectory;
use crate::mqtt::MqttHandle;
use crate::record::model::{FetchState, ModelRecord, OfferState, Offered};
use crate::record::{Stamp, Stamped};
use crate::workload::ModelName;
use part::Part;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The broker forgets a state after as long; `cmd/models` always tells.
const EXPIRY_S: u32 = 86_400;

pub struct Catalogue {
    entries: Vec<CatalogueEntry>,
    fetch: FetchConfig,
    dir: PathBuf,
    device: String,
    desk: Mutex<Desk>,
    arrived: Condvar,
}

/// What is asked for, and how far each of it is.
struct Desk {
    /// Asked for while an attempt ran: the disk has no mark of them yet.
    unmarked: Vec<ModelName>,
    waiting: VecDeque<ModelName>,
    standing: BTreeMap<ModelName, (u64, Standing)>,
    rev: u64,
    /// `None` until the connection's thread is there.
    mqtt: Option<Arc<MqttHandle>>,
}

/// How far a model has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub state: FetchState,
    pub bytes: u64,
    pub total_bytes: Option<u64>,
    pub reason: Option<String>,
}

impl Standing {
    fn new(state: FetchState, bytes: u64, total_bytes: Option<u64>) -> Self {
        Self {
            state,
            bytes,
            total_bytes,
            reason: None,
        }
    }

    fn because(self, reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..self
        }
    }
}

impl Catalogue {
    /// States take the revisions after `rev`.
    pub fn new(config: &Config, device: &str, rev: u64) -> Self {
        let lower = |entry: &CatalogueEntry| CatalogueEntry {
            sha256: entry.sha256.to_ascii_lowercase(),
            ..entry.clone()
        };
        Self {
            entries: config.catalogue.iter().map(lower).collect(),
            fetch: config.fetch.clone(),
            dir: config.models.dir.clone(),
            device: device.to_owned(),
            desk: Mutex::new(Desk {
                unmarked: Vec::new(),
                waiting: VecDeque::new(),
                standing: BTreeMap::new(),
                rev,
                mqtt: None,
            }),
            arrived: Condvar::new(),
        }
    }

    pub fn entry(&self, name: &ModelName) -> Option<&CatalogueEntry> {
        self.entries.iter().find(|entry| entry.name == *name)
    }

    pub fn names(&self) -> Vec<&str> {
        self.entries
            .iter()
            .map(|entry| entry.name.as_str())
            .collect()
    }

    /// The fetch that is on its way, if there is one.
    pub fn under_way(&self, name: &ModelName) -> Option<Standing> {
        let standing = self.standing(name)?;
        (!standing.state.is_final()).then_some(standing)
    }

    /// Has a model of the catalogue fetched. When this returns, a restart remembers it; one
    /// that comes during an attempt, whose disk is left alone, from the end of that.
    ///
    /// Errors: the model directory takes no file.
    pub fn ask(&self, entry: &CatalogueEntry, queue: &Queue) -> std::io::Result<Standing> {
        match queue.aside(|| Part::mark(&self.dir, &entry.name)) {
            Some(marked) => marked?,
            None => self.desk().unmarked.push(entry.name.clone()),
        }
        let queued = Standing::new(FetchState::Queued, 0, entry.size_bytes);
        self.set(entry, queued.clone());
        self.desk().waiting.push_back(entry.name.clone());
        self.arrived.notify_all();
        Ok(queued)
    }

    /// Sees to it that a restart remembers what was asked for during an attempt.
    fn mark_asked(&self) {
        let unmarked = std::mem::take(&mut self.desk().unmarked);
        for name in unmarked
            .iter()
            .filter(|name| self.under_way(name).is_some())
        {
            if let Err(error) = Part::mark(&self.dir, name) {
                tracing::error!(%error, %name, "a restart would forget that it is to be fetched");
            }
        }
    }

    /// It waits again, behind the others.
    fn put_back(&self, entry: &CatalogueEntry) {
        self.desk().waiting.push_back(entry.name.clone());
    }

    fn others_wait(&self) -> bool {
        !self.desk().waiting.is_empty()
    }

    /// What was not finished when the daemon ended waits again. Files of models that the
    /// catalogue has no more are removed.
    fn resume(&self, queue: &Queue) {
        for name in part::names_put_by(&self.dir) {
            if self.entry(&name).is_none() {
                Part::forget(&self.dir, &name);
            }
        }
        for name in part::names(&self.dir) {
            match self.entry(&name) {
                Some(entry) => {
                    if let Err(error) = self.ask(entry, queue) {
                        tracing::error!(%error, %name, "its fetch can't go on");
                    }
                }
                None => {
                    tracing::warn!(%name, "the catalogue has it no more: what came of it is removed");
                    Part::forget(&self.dir, &name);
                }
            }
        }
    }

    /// An attempt begins: a fetch that is on its way pauses.
    pub fn pause(&self) {
        let active = |standing: &Standing| {
            matches!(standing.state, FetchState::Fetching | FetchState::Verifying)
        };
        let found = self
            .desk()
            .standing
            .iter()
            .find_map(|(name, (_, standing))| {
                active(standing).then(|| (name.clone(), standing.clone()))
            });
        if let Some((name, standing)) = found
            && let Some(entry) = self.entry(&name)
        {
            self.set(entry, paused(standing.bytes, standing.total_bytes));
        }
    }

    /// Every entry, with what is there of it.
    pub fn list(&self, models: &ModelDirectory) -> Vec<Offered> {
        let list = |entry: &CatalogueEntry| {
            let there = models.glance(&entry.name);
            let (state, bytes) = match &there {
                None => (OfferState::Absent, 0),
                Some((size, None)) => (OfferState::Unverified, *size),
                Some((size, Some(hash))) if *hash == entry.sha256 => (OfferState::Ready, *size),
                Some((size, Some(_))) => (OfferState::Differs, *size),
            };
            let mut listed = Offered {
                name: entry.name.to_string(),
                sha256: entry.sha256.clone(),
                size_bytes: entry.size_bytes,
                state,
                bytes,
                total_bytes: entry.size_bytes,
                reason: None,
            };
            let told = self.standing(&entry.name);
            // What lies there counts more than what once became of a fetch.
            let news = told.filter(|told| match told.state {
                FetchState::Ready => false,
                FetchState::Failed => state != OfferState::Ready,
                _ => true,
            });
            if let Some(told) = news {
                listed.state = told.state.into();
                listed.bytes = told.bytes;
                listed.total_bytes = told.total_bytes;
                listed.reason = told.reason;
            }
            listed
        };
        self.entries.iter().map(list).collect()
    }

    fn standing(&self, name: &ModelName) -> Option<Standing> {
        let desk = self.desk();
        desk.standing
            .get(name)
            .map(|(_, standing)| standing.clone())
    }

    /// Takes note of how far a model is, and tells it.
    fn set(&self, entry: &CatalogueEntry, standing: Standing) {
        let mut desk = self.desk();
        desk.rev += 1;
        let rev = desk.rev;
        self.tell(&desk, entry, rev, &standing);
        desk.standing.insert(entry.name.clone(), (rev, standing));
    }

    /// From now on states leave through `mqtt`, those from before first.
    fn connect(&self, mqtt: &Arc<MqttHandle>) {
        let mut desk = self.desk();
        desk.mqtt = Some(Arc::clone(mqtt));
        for (name, (rev, standing)) in &desk.standing {
            if let Some(entry) = self.entry(name) {
                self.tell(&desk, entry, *rev, standing);
            }
        }
    }

    fn tell(&self, desk: &Desk, entry: &CatalogueEntry, rev: u64, standing: &Standing) {
        let Some(mqtt) = &desk.mqtt else { return };
        let body = ModelRecord {
            name: entry.name.to_string(),
            sha256: entry.sha256.clone(),
            rev,
            state: standing.state,
            bytes: standing.bytes,
            total_bytes: standing.total_bytes,
            reason: standing.reason.clone(),
        };
        let stamp = Stamp::now(&self.device);
        let payload = Stamped { stamp, body }.to_json();
        mqtt.keep(mqtt.topics().model(&entry.name), payload, Some(EXPIRY_S));
    }

    /// Waits for the next model that is asked for.
    fn next(&self) -> &CatalogueEntry {
        let mut desk = self.desk();
        loop {
            if let Some(name) = desk.waiting.pop_front()
                && let Some(entry) = self.entry(&name)
            {
                return entry;
            }
            desk = self
                .arrived
                .wait(desk)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Each change is complete in itself.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn paused(bytes: u64, total_bytes: Option<u64>) -> Standing {
    Standing::new(FetchState::Paused, bytes, total_bytes).because("a job runs")
}
