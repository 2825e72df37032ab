//! What leaves the board without being asked for: rails every second, health every ten.

use super::Shared;
use super::expiring::Expiring;
use super::faults::Faults;
use super::inventory::Looking;
use super::metrics;
use super::watchdog::Watchdog;
use crate::mqtt::MqttHandle;
use crate::record::Reason;
use crate::record::device::{Health, OutboxHealth, SensorHealth};
use crate::record::result::Reasons;
use crate::units::{MonoNs, Span};
use crate::{board, clock};
use crate::{sampler, store};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

const RAILS_EVERY: Duration = Duration::from_secs(1);
const HEALTH_EVERY_TICKS: u64 = 10;

/// Publishes for as long as the daemon runs.
pub async fn publish(shared: &Arc<Shared>, mqtt: &Arc<MqttHandle>) -> Infallible {
    let mut looking = Looking::default();
    let mut rates = Rates::default();
    let mut faults = Faults::default();
    let mut ticks = tokio::time::interval(RAILS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut expiring = Expiring::new(shared);
    let mut reporting: Option<JoinHandle<()>> = None;
    let mut watchdog = Watchdog::new(Span::from_secs_f64(RAILS_EVERY.as_secs_f64()));
    for tick in 0_u64.. {
        ticks.tick().await;
        watchdog.look(shared, mqtt);
        let rails = shared.meter.rail_records();
        metrics::note_rails(shared, &rails);
        for rail in rails {
            let name = rail.rail.clone();
            mqtt.rail(&name, shared.record(rail));
        }
        for event in faults.changes(&shared.meter.sampler().sensors()) {
            tracing::warn!(code = event.code, "{}", event.message);
            mqtt.event(event);
            looking.info_is_old();
        }
        if shared.power.has_changed() {
            looking.info_is_old();
        }
        looking.tick(tick, shared, mqtt);
        let reported = reporting.as_ref().is_none_or(JoinHandle::is_finished);
        if tick.is_multiple_of(HEALTH_EVERY_TICKS) && reported {
            let rates = rates.since_last(shared);
            reporting = Some(report_health(shared, mqtt, rates));
        }
        expiring.tick(tick, shared, mqtt);
        shared
            .expired
            .store(expiring.undelivered, Ordering::Relaxed);
    }
    unreachable!("2^64 seconds have not passed")
}

/// Windows a second of each sensor's first rail.
#[derive(Default)]
struct Rates {
    before: Option<(MonoNs, Vec<u64>)>,
}

impl Rates {
    /// Since the last call; nothing is known at the first.
    fn since_last(&mut self, shared: &Shared) -> Vec<Option<f64>> {
        let (now, windows) = (clock::now(), shared.meter.windows());
        let before = self.before.replace((now, windows.clone()));
        let mut first = 0;
        let sensors = shared.meter.sampler().sensors();
        let rate = |sensor: sampler::SensorReport| {
            let rail = first;
            first += sensor.rails.len();
            let (then, counts) = before.as_ref()?;
            let delivered = windows.get(rail)? - counts.get(rail)?;
            Some(delivered as f64 / now.since(*then).as_secs_f64())
        };
        sensors.into_iter().map(rate).collect()
    }
}

/// On a thread of its own: the store may be busy for long with the records of an attempt, and
/// who publishes also looks whether everybody goes on.
fn report_health(
    shared: &Arc<Shared>,
    mqtt: &Arc<MqttHandle>,
    rates: Vec<Option<f64>>,
) -> JoinHandle<()> {
    let (shared, mqtt) = (Arc::clone(shared), Arc::clone(mqtt));
    tokio::task::spawn_blocking(move || match health(&shared, &mqtt, rates) {
        Ok(health) => {
            metrics::note_health(&shared, &mqtt, &health);
            mqtt.health(shared.record(health));
        }
        Err(error) => tracing::error!(%error, "health is not known"),
    })
}

/// `rates` are of the sensors, in their order.
pub fn health(
    shared: &Shared,
    mqtt: &MqttHandle,
    rates: Vec<Option<f64>>,
) -> Result<Health, store::StoreError> {
    let store = store::lock(&shared.store);
    let backlog = store.backlog()?;
    let counts = store.counts()?;
    let damaged_stores = store.damaged_stores();
    drop(store);
    let sensors = shared
        .meter
        .sampler()
        .sensors()
        .into_iter()
        .zip(rates)
        .map(|(sensor, rate_hz)| {
            let health = SensorHealth {
                rate_hz,
                missed_deadlines: sensor.missed_deadlines,
                dropped: sensor.dropped,
                errors: sensor.errors,
                state: sensor.state,
                reason: sensor.reason,
            };
            (sensor.name, health)
        })
        .collect();
    let temperature = temperature_c(shared);
    Ok(Health {
        sensors,
        queue: counts.queued,
        queue_mode: counts.mode,
        outbox: OutboxHealth {
            pending: backlog.pending,
            oldest_s: backlog
                .oldest_unix_s
                .map(|oldest| (clock::unix_seconds() - oldest) as f64),
            parked: backlog.parked,
            expired: shared.expired.load(Ordering::Relaxed),
            dropped: mqtt.dropped(),
        },
        rss_bytes: board::own_rss_bytes(),
        disk_free_bytes: board::disk_free_bytes(&shared.config.storage.dir),
        rate_limited: shared.rate_limited.load(Ordering::Relaxed),
        events_left_out: mqtt.events_left_out(),
        damaged_stores,
        last_job: shared.last_job().map(Box::new),
        temperature_c: temperature.ok(),
        reasons: temperature
            .err()
            .map(|reason| ("temperature_c".to_owned(), reason))
            .into_iter()
            .collect::<Reasons>(),
    })
}

/// Some chips take milliseconds for it: an attempt looks for itself, between its repetitions.
fn temperature_c(shared: &Shared) -> Result<f64, Reason> {
    match shared.queue.is_running() {
        true => Err(Reason::NotMeasured),
        false => shared.zones.hottest_c().map_err(Reason::from),
    }
}
