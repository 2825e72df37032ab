//! Old records are dropped from the store soon after the start, for a board that is never on for
//! long, and then each time that they may have become old, at least every hour. It is done a little
//! at a time and only while no attempt runs: nothing is written in a measured window, and no
//! command waits for long.

use super::Shared;
use crate::clock;
use crate::mqtt::MqttHandle;
use crate::record::answer::Event;
use crate::store::{self, Expired, Expiry};
use crate::units::Span;

const EVERY_TICKS: u64 = 3_600;
const FIRST_TICKS: u64 = 60;
/// Of each second.
const WORK: Span = Span::from_millis(100);

pub struct Expiring {
    keep_s: i64,
    max_bytes: u64,
    /// Ticks from one run to the next.
    every: u64,
    next_tick: u64,
    run: Option<Expiry>,
    /// Records that no broker took and that are dropped, since the daemon started.
    pub undelivered: u64,
}

impl Expiring {
    pub fn new(shared: &Shared) -> Self {
        let storage = &shared.config.storage;
        let (keep_s, max_bytes) = storage
            .keep_s()
            .and_then(|keep| Ok((keep, storage.max_bytes()?)))
            .expect("checked when the configuration was loaded");
        let every = EVERY_TICKS.min(keep_s.unsigned_abs()).max(1);
        Self {
            keep_s,
            max_bytes,
            every,
            next_tick: FIRST_TICKS.min(every),
            run: None,
            undelivered: 0,
        }
    }

    /// Goes on for a moment, once a second.
    pub fn tick(&mut self, tick: u64, shared: &Shared, mqtt: &MqttHandle) {
        if tick < self.next_tick || shared.queue.is_running() {
            return;
        }
        let run = self
            .run
            .get_or_insert_with(|| Expiry::new(self.keep_s, self.max_bytes, clock::unix_seconds()));
        let until = clock::now() + WORK;
        while !run.is_done() && clock::now() < until && !shared.queue.is_running() {
            // Each piece lets go of the store, so that commands come in between.
            let piece = store::lock(&shared.store).expire(run);
            if let Err(error) = piece {
                tracing::error!(%error, "not all old records are dropped");
            }
        }
        if run.is_done() {
            let expired = run.expired;
            self.run = None;
            self.next_tick = tick + self.every;
            self.undelivered += expired.undelivered;
            report(&expired, mqtt);
        }
    }
}

fn report(expired: &Expired, mqtt: &MqttHandle) {
    if *expired != Expired::default() {
        tracing::info!(?expired, "old records are dropped");
    }
    if expired.undelivered > 0 {
        let message = format!(
            "{} records that no broker took were older than storage.keep and are dropped",
            expired.undelivered
        );
        tracing::warn!("{message}");
        mqtt.event(Event {
            code: "records-expired".to_owned(),
            message,
            id: None,
        });
    }
}
