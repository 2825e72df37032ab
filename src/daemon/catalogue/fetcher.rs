//! The thread that fetches: one model after the other, tried again while that may help, and
//! paused while an attempt runs.

use super::fault::Fault;
use super::part::{self, Part};
use super::transfer::{self, Came, Terms};
use super::tries::Tries;
use super::{Standing, paused};
use crate::config::CatalogueEntry;
use crate::daemon::Shared;
use crate::daemon::commands::DISK_FREE_AT_LEAST;
use crate::models::ModelError;
use crate::mqtt::MqttHandle;
use crate::record::model::FetchState;
use crate::units::Span;
use crate::workload::job::hex;
use crate::{board, clock, store};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The first pause between two tries is this part of `fetch.timeout_s`.
const FIRST_PAUSE: u32 = 30;
/// Hashed at a time, between attempts.
const BLOCK: usize = 256 << 10;
const TELL_EVERY: Span = Span::from_millis(1_000);
/// While jobs wait nothing connects sooner after an attempt: a connection is not made in
/// pieces, and the next job begins within this time.
const GAP: Span = Span::from_millis(5_000);

/// Why a fetch did not end well.
enum End {
    Failed(Fault),
    /// Others wait, and their servers may answer.
    Later,
    /// The daemon ends; the next one goes on.
    Stopping,
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

/// Starts the thread, where there is a catalogue; what an earlier daemon began goes on.
pub fn start(shared: &Arc<Shared>, mqtt: &Arc<MqttHandle>) -> std::io::Result<()> {
    let catalogue = &shared.catalogue;
    if catalogue.entries.is_empty()
        && part::names(&catalogue.dir).is_empty()
        && part::names_put_by(&catalogue.dir).is_empty()
    {
        return Ok(());
    }
    catalogue.connect(mqtt);
    catalogue.resume(&shared.queue);
    let fetcher = Fetcher {
        shared: Arc::clone(shared),
    };
    // It ends with the process: whatever it was at goes on after the next start.
    std::thread::Builder::new()
        .name("fetch".to_owned())
        .spawn(move || fetcher.run())?;
    Ok(())
}

struct Fetcher {
    shared: Arc<Shared>,
}

impl Fetcher {
    fn run(&self) {
        let catalogue = &self.shared.catalogue;
        let mut all_tries = BTreeMap::new();
        while self.shared.queue.wait_until_free() {
            let entry = catalogue.next();
            // Asked for during an attempt, perhaps.
            let have = Part::length(&catalogue.dir, &entry.name);
            if !self.is_free(entry, have, entry.size_bytes) {
                return;
            }
            let timeout_s = catalogue.fetch.timeout_s;
            let tries = all_tries
                .entry(entry.name.clone())
                .or_insert_with(|| Tries::new(timeout_s, first_pause(timeout_s)));
            match self.fetch(entry, tries) {
                Ok(size) => {
                    tracing::info!(name = %entry.name, "the model is here and verified");
                    self.shared.inventory.has_changed();
                    all_tries.remove(&entry.name);
                    let ready = Standing::new(FetchState::Ready, size, Some(size));
                    catalogue.set(entry, ready);
                }
                Err(End::Failed(fault)) => {
                    tracing::warn!(name = %entry.name, "not fetched: {fault}");
                    let have = match fault.discards() {
                        true => 0,
                        false => Part::length(&catalogue.dir, &entry.name),
                    };
                    if have == 0 {
                        Part::forget(&catalogue.dir, &entry.name);
                    } else if !fault.may_pass() {
                        Part::put_by(&catalogue.dir, &entry.name);
                    }
                    all_tries.remove(&entry.name);
                    let failed = Standing::new(FetchState::Failed, have, entry.size_bytes);
                    catalogue.set(entry, failed.because(fault.to_string()));
                }
                Err(End::Later) => catalogue.put_back(entry),
                Err(End::Stopping) => return,
            }
        }
    }

    /// Returns the model's size once it is in its place.
    fn fetch(&self, entry: &CatalogueEntry, tries: &mut Tries) -> Result<u64, End> {
        let catalogue = &self.shared.catalogue;
        if let Some(size) = self.is_there(entry)? {
            Part::forget(&catalogue.dir, &entry.name);
            return Ok(size);
        }
        let open = Part::open(&catalogue.dir, &entry.name);
        let mut part = open.map_err(|error| Fault::of_disk(&error))?;
        loop {
            self.transfer(entry, &mut part, tries)?;
            let size = part.have();
            if let Some(stated) = entry.size_bytes.filter(|stated| *stated != size) {
                return Err(Fault::TooShort(size, stated).into());
            }
            let actual = self.hash(entry, &mut part)?;
            if actual == entry.sha256 {
                return self.place(entry, part);
            }
            // Pieces of two files, or a disk that lost power.
            if !tries.begin_anew(part.pieced) {
                let stated = entry.sha256.clone();
                return Err(Fault::OtherHash { actual, stated }.into());
            }
            tracing::warn!(name = %entry.name, "its pieces do not fit together; it is fetched anew");
            part.start_over().map_err(|error| Fault::of_disk(&error))?;
        }
    }

    /// The size of the model, where it lies there already.
    fn is_there(&self, entry: &CatalogueEntry) -> Result<Option<u64>, End> {
        let shared = &self.shared;
        let Some((size, _)) = shared.models.glance(&entry.name) else {
            return Ok(None);
        };
        if !self.enter(entry, FetchState::Verifying, 0, Some(size)) {
            return Err(End::Stopping);
        }
        let wanted = Some(entry.sha256.as_str());
        match shared
            .models
            .find(&entry.name, wanted, &|| self.is_free(entry, 0, Some(size)))
        {
            Ok(found) => Ok(Some(found.size_bytes)),
            Err(ModelError::NotHashed(_)) => Err(End::Stopping),
            Err(_) => Ok(None),
        }
    }

    /// Has everything that the server has, whatever comes in between.
    fn transfer(
        &self,
        entry: &CatalogueEntry,
        part: &mut Part,
        tries: &mut Tries,
    ) -> Result<(), End> {
        let catalogue = &self.shared.catalogue;
        let total = entry.size_bytes;
        loop {
            let have = part.have();
            clock::sleep(tries.not_before().since(clock::now()));
            if !self.wait_for_time(entry, have)
                || !self.enter(entry, FetchState::Fetching, have, total)
            {
                return Err(End::Stopping);
            }
            let fault = match self.try_once(entry, part) {
                Ok(Came::All) => return Ok(()),
                Ok(Came::Paused) => continue,
                Err(fault) if !fault.may_pass() => return Err(fault.into()),
                Err(fault) => fault,
            };
            if !tries.go_on(clock::now(), part.have()) {
                return Err(fault.into());
            }
            tracing::info!(name = %entry.name, "{fault}; it is tried again");
            let queued = Standing::new(FetchState::Queued, part.have(), total);
            catalogue.set(entry, queued.because(format!("{fault}; it is tried again")));
            if catalogue.others_wait() {
                return Err(End::Later);
            }
        }
    }

    /// Waits until a connection can be made without reaching into an attempt. `false` when the
    /// daemon is stopping.
    fn wait_for_time(&self, entry: &CatalogueEntry, bytes: u64) -> bool {
        let shared = &self.shared;
        if !self.is_free(entry, bytes, entry.size_bytes) {
            return false;
        }
        let counts = store::lock(&shared.store).counts();
        let none_waits = counts.is_ok_and(|counts| counts.queued == 0);
        shared
            .queue
            .wait_until_free_for(if none_waits { Span::default() } else { GAP })
    }

    fn try_once(&self, entry: &CatalogueEntry, part: &mut Part) -> Result<Came, Fault> {
        let shared = &self.shared;
        let fetch = &shared.catalogue.fetch;
        // Read anew, so that a renewed file counts.
        let authorities = match entry.is_http() {
            true => Vec::new(),
            false => fetch.authorities().map_err(|error| {
                tracing::error!("{error}");
                Fault::Authorities
            })?,
        };
        let records = shared
            .config
            .storage
            .max_bytes()
            .expect("checked when the configuration was loaded");
        let terms = Terms {
            authorities,
            timeout_s: fetch.timeout_s,
            max_bytes: fetch
                .max_bytes()
                .expect("checked when the configuration was loaded"),
            headers: &[],
            began: &|_| (),
            queue: &shared.queue,
            has_room: &|more| has_room(&shared.catalogue.dir, more.saturating_add(records)),
            tell: &|have, total| self.tell(entry, FetchState::Fetching, have, total),
        };
        transfer::run(entry, part, &terms)
    }

    /// SHA-256 of what has come.
    fn hash(&self, entry: &CatalogueEntry, part: &mut Part) -> Result<String, End> {
        let total = part.have();
        let file = part
            .read_from_start()
            .map_err(|error| Fault::of_disk(&error))?;
        let mut sha256 = Sha256::new();
        let mut block = vec![0; BLOCK];
        let (mut hashed, mut tell_at) = (0, clock::now());
        loop {
            let piece = self.shared.queue.aside(|| {
                let n = file.read(&mut block)?;
                sha256.update(&block[..n]);
                hashed += n as u64;
                if clock::now() >= tell_at {
                    self.tell(entry, FetchState::Verifying, hashed, Some(total));
                    tell_at = clock::now() + TELL_EVERY;
                }
                Ok(n)
            });
            match piece {
                Some(Ok(0)) => return Ok(hex(&sha256.finalize())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Fault::of_disk(&error).into()),
                None if self.is_free(entry, hashed, Some(total)) => {}
                None => return Err(End::Stopping),
            }
        }
    }

    fn place(&self, entry: &CatalogueEntry, part: Part) -> Result<u64, End> {
        let shared = &self.shared;
        let size = part.have();
        let mut part = Some(part);
        loop {
            let placed = shared.queue.aside(|| {
                let part = part.take().expect("it is placed once");
                let identity = part.place(&shared.catalogue.dir, &entry.name)?;
                let name = entry.name.as_str();
                let kept =
                    store::lock(&shared.store).keep_model_hash(name, identity, &entry.sha256);
                if let Err(error) = kept {
                    tracing::warn!(%error, "the hash of {name} is not remembered");
                }
                Ok(())
            });
            match placed {
                Some(Ok(())) => return Ok(size),
                Some(Err(error)) => return Err(Fault::of_disk(&error).into()),
                None if self.is_free(entry, size, Some(size)) => {}
                None => return Err(End::Stopping),
            }
        }
    }

    /// Tells that the next state has begun, once no attempt runs. `false` when the daemon is
    /// stopping.
    fn enter(
        &self,
        entry: &CatalogueEntry,
        state: FetchState,
        bytes: u64,
        total: Option<u64>,
    ) -> bool {
        while self.is_free(entry, bytes, total) {
            let queue = &self.shared.queue;
            // Between attempts, so that one that begins finds the state to pause.
            if queue
                .aside(|| self.tell(entry, state, bytes, total))
                .is_some()
            {
                return true;
            }
        }
        false
    }

    /// Waits while an attempt runs, and says so unless it was said when that began. `false` when
    /// the daemon is stopping.
    fn is_free(&self, entry: &CatalogueEntry, bytes: u64, total: Option<u64>) -> bool {
        let Shared {
            queue, catalogue, ..
        } = &*self.shared;
        let is_paused = |standing: Standing| standing.state == FetchState::Paused;
        if queue.is_running() && !catalogue.standing(&entry.name).is_some_and(is_paused) {
            catalogue.set(entry, paused(bytes, total));
        }
        let is_free = queue.wait_until_free();
        if is_free {
            queue.aside(|| catalogue.mark_asked());
        }
        is_free
    }

    fn tell(&self, entry: &CatalogueEntry, state: FetchState, bytes: u64, total: Option<u64>) {
        self.shared
            .catalogue
            .set(entry, Standing::new(state, bytes, total));
    }
}

fn first_pause(timeout_s: u32) -> Span {
    Span(u64::from(timeout_s) * 1_000_000_000 / u64::from(FIRST_PAUSE))
}

/// Whether as much stays free as jobs need, when `more` bytes have come, the records that the
/// board may keep among them: a model must not be what makes the next job refused.
fn has_room(dir: &Path, more: u64) -> bool {
    let share = board::disk_free_share(dir);
    let free = board::disk_free_bytes(dir);
    match (share, free) {
        (Some(share), Some(free)) => leaves_enough(share, free, more),
        // Unknown; a full disk says so itself.
        _ => true,
    }
}

fn leaves_enough(share: f64, free: u64, more: u64) -> bool {
    let after = free as f64 - more as f64;
    free > 0 && share * after / free as f64 >= DISK_FREE_AT_LEAST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twentieth_of_the_disk_stays_free() {
        // Of 1,000 bytes 100 are free.
        assert!(leaves_enough(0.1, 100, 50));
        assert!(!leaves_enough(0.1, 100, 51));
        assert!(!leaves_enough(0.1, 100, 1 << 40));
        assert!(!leaves_enough(0.04, 40, 0));
        assert!(!leaves_enough(0.0, 0, 0));
    }
}
