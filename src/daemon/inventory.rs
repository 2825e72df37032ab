//! Which models and data the board has, for `info` and `cmd/models`. Files come and go while the
//! daemon runs: the directories are looked at every five seconds, never while an attempt runs, and
//! a new model is hashed once two looks found it the same.

use super::Shared;
use crate::data::{self, Listed};
use crate::models::Seen;
use crate::mqtt::MqttHandle;
use crate::record::device::ModelInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinHandle;

const LOOK_EVERY_TICKS: u64 = 5;
/// A file that is being copied changes from one look to the next.
const LOOK_AGAIN_AFTER_TICKS: u64 = 2;

/// What is known of the directories.
#[derive(Default)]
pub struct Inventory {
    known: Mutex<Known>,
    changed: AtomicBool,
}

#[derive(Default)]
struct Known {
    models: Vec<ModelInfo>,
    data: Listed,
    /// Of the models, at the last look; `None` before the first.
    seen: Option<Seen>,
    hashed: bool,
}

/// What a look is followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Nothing,
    /// Something is new and may still grow.
    List,
    Hash,
}

impl Known {
    fn look(&mut self, seen: Seen) -> Next {
        let before = self.seen.replace(seen);
        let same = before.is_none() || before == self.seen;
        match (same, self.hashed) {
            (true, true) => Next::Nothing,
            (true, false) => Next::Hash,
            (false, _) => {
                self.hashed = false;
                Next::List
            }
        }
    }
}

impl Inventory {
    pub fn models(&self) -> Vec<ModelInfo> {
        self.known().models.clone()
    }

    /// The next tick looks.
    pub fn has_changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each change is complete in itself.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks, and renews `info` with what it finds.
pub struct Looking {
    look: Option<JoinHandle<()>>,
    next_tick: u64,
    info_is_old: bool,
}

impl Default for Looking {
    fn default() -> Self {
        Self {
            look: None,
            next_tick: 0,
            info_is_old: true,
        }
    }
}

impl Looking {
    /// `info` is to be made again, whatever became of the models.
    pub fn info_is_old(&mut self) {
        self.info_is_old = true;
    }

    /// Called once a second. Making `info` reads the store and hashes models, and may wait for a
    /// disk or for the trial of the confinement: that is done on a thread of its own.
    pub fn tick(&mut self, tick: u64, shared: &Arc<Shared>, mqtt: &Arc<MqttHandle>) {
        let done = self.look.as_ref().is_none_or(JoinHandle::is_finished);
        if !done || shared.queue.is_running() {
            return;
        }
        let changed = shared.inventory.changed.swap(false, Ordering::Relaxed);
        if !(tick >= self.next_tick || changed || self.info_is_old) {
            return;
        }
        self.next_tick = tick
            + match shared.inventory.known().hashed {
                true => LOOK_EVERY_TICKS,
                false => LOOK_AGAIN_AFTER_TICKS,
            };
        let anyhow = std::mem::take(&mut self.info_is_old);
        let (shared, mqtt) = (Arc::clone(shared), Arc::clone(mqtt));
        self.look = Some(tokio::task::spawn_blocking(move || {
            look(&shared, &mqtt, anyhow);
        }));
    }
}

/// `info` goes out at once with what is known, and again when every model is hashed. While an
/// attempt runs no model is hashed: it would take one of its cores.
fn look(shared: &Shared, mqtt: &MqttHandle, anyhow: bool) {
    let data = data::list(&shared.config.data.dir);
    let seen = shared.models.seen();
    let (next, anyhow) = {
        let mut known = shared.inventory.known();
        let anyhow = anyhow || known.data != data;
        known.data = data;
        (known.look(seen), anyhow)
    };
    if next == Next::Nothing && !anyhow {
        return;
    }
    tell(shared, mqtt, shared.models.list(&|| false), anyhow);
    // After it, since it may wait for the end of an attempt.
    if anyhow {
        super::discovery::announce(shared, mqtt);
    }
    if next == Next::Hash {
        let models = shared.models.list(&|| shared.queue.wait_until_free());
        if !shared.queue.is_stopping() {
            tell(shared, mqtt, models, true);
            shared.inventory.known().hashed = true;
        }
    }
}

fn tell(shared: &Shared, mqtt: &MqttHandle, models: Vec<ModelInfo>, anyhow: bool) {
    let mut known = shared.inventory.known();
    if known.models == models && !anyhow {
        return;
    }
    known.models.clone_from(&models);
    let data = known.data.clone();
    drop(known);
    mqtt.set_info(shared.record(super::info::info(shared, models, data)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FileIdentity;

    fn seen(size_bytes: u64) -> Seen {
        let identity = FileIdentity {
            size_bytes,
            mtime_ns: 1,
            inode: 1,
        };
        vec![("m.gguf".parse().unwrap(), identity)]
    }

    #[test]
    fn a_file_is_hashed_once_it_has_come_to_rest() {
        let mut known = Known::default();
        // What lies there at the start is at rest.
        assert_eq!(known.look(seen(1)), Next::Hash);
        known.hashed = true;
        assert_eq!(known.look(seen(1)), Next::Nothing);
        assert_eq!(known.look(seen(2)), Next::List);
        assert_eq!(known.look(seen(3)), Next::List);
        assert_eq!(known.look(seen(3)), Next::Hash);
        // An attempt or the end of the daemon came in between.
        assert_eq!(known.look(seen(3)), Next::Hash);
        known.hashed = true;
        assert_eq!(known.look(Vec::new()), Next::List);
    }
}
