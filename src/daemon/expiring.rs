//! Old records are dropped from the store soon after the start, for a board that is never on for
//! long, and then each time that they may have become old, at least every hour. It is done a little
//! at a time and only while no attempt runs: nothing is written in a measured window, and no
//! command waits for long.

use super::Shared;
use crate::clock;
use crate::mqtt::MqttHandle;
use crate::record::answer::Event;
use crate::store::{self, Expired, Expiry};
use crate::units::{MonoNs, Span};
use std::collections::VecDeque;

const EVERY_TICKS: u64 = 3_600;
const FIRST_TICKS: u64 = 60;
/// Of each second.
const WORK: Span = Span::from_millis(100);

pub struct Expiring {
    keep_s: i64,
    max_bytes: u64,
    aged: Aged,
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
            aged: Aged::new(keep_s, clock::now(), newest_record(shared).unwrap_or(0)),
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
        let Self {
            keep_s,
            max_bytes,
            aged,
            ..
        } = self;
        let run = self.run.get_or_insert_with(|| {
            let aged_upto = aged.upto(clock::now(), newest_record(shared));
            Expiry::new(*keep_s, *max_bytes, clock::unix_seconds(), aged_upto)
        });
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

fn newest_record(shared: &Shared) -> Option<i64> {
    let newest = store::lock(&shared.store).newest_record();
    newest
        .inspect_err(|error| tracing::error!(%error, "the age of new records is not known"))
        .ok()
}

/// Which records are as old as `keep` by the monotonic clock, since the other may be set: a board
/// without a battery for it begins at some date of the past. Those of earlier starts may be.
#[derive(Debug)]
struct Aged {
    keep: Span,
    /// When which record was the newest; the first of them is old enough.
    marks: VecDeque<(MonoNs, i64)>,
}

impl Aged {
    /// Marks in a time of `keep`.
    const MARKS: u64 = 64;

    fn new(keep_s: i64, now: MonoNs, newest: i64) -> Self {
        Self {
            keep: Span(keep_s.unsigned_abs().saturating_mul(1_000_000_000)),
            marks: VecDeque::from([(now, newest)]),
        }
    }

    /// The newest record that is old enough at `now`, when `newest` is the newest of all.
    fn upto(&mut self, now: MonoNs, newest: Option<i64>) -> i64 {
        let last = self.marks.back().map_or(now, |(then, _)| *then);
        if let Some(newest) = newest
            && now.since(last) >= Span(self.keep.0 / Self::MARKS)
        {
            self.marks.push_back((now, newest));
        }
        let old = |(then, _): &(MonoNs, i64)| now.since(*then) >= self.keep;
        while self.marks.get(1).is_some_and(old) {
            self.marks.pop_front();
        }
        self.marks.front().map_or(0, |(_, upto)| *upto)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// One record is made each second.
        #[test]
        fn a_record_is_old_once_it_was_kept_for_as_long_as_it_is_to_be(
            keep_s in 1_i64..5_000,
            looks in proptest::collection::vec(1_i64..2_000, 1..100),
        ) {
            const BEFORE: i64 = 7;
            let at = |second: i64| MonoNs(second as u64 * 1_000_000_000);
            let mut aged = Aged::new(keep_s, at(0), BEFORE);
            let mut second = 0;
            let mut longest = 0;
            for look in looks {
                second += look;
                longest = longest.max(look);
                let upto = aged.upto(at(second), Some(BEFORE + second));
                prop_assert!(upto - BEFORE <= (second - keep_s).max(0));
                prop_assert!(upto - BEFORE >= second - keep_s - keep_s / 64 - 1 - longest);
                prop_assert!(aged.marks.len() <= 67);
            }
        }
    }
}
