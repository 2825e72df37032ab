//! What the daemon tells its metrics, where somebody reads them, and `health` of its last job.

use super::{Shared, publishing};
use crate::board::Board;
use crate::clock;
use crate::config::{Config, Identity};
use crate::metrics::{About, Around, Metrics, server};
use crate::mqtt::MqttHandle;
use crate::record::answer::Event;
use crate::record::device::{Health, RailRecord};
use crate::record::last_job::LastJob;
use crate::record::result::JobResult;
use crate::workload::JobState;
use std::sync::{Arc, PoisonError};

/// `None` where `[metrics]` listens nowhere.
pub fn about(config: &Config, identity: &Identity, board: &Board) -> Option<Arc<Metrics>> {
    config.metrics.listen.as_ref()?;
    let about = About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        device: identity.device.clone(),
        group: config.device.group.clone(),
        profile: board.profile.clone(),
        model: board.model.clone(),
    };
    Some(Arc::new(Metrics::new(about, clock::now())))
}

/// Lets them be read, for as long as the runtime lives.
pub fn start(shared: &Shared, mqtt: &Arc<MqttHandle>) {
    let address = shared.config.metrics.address();
    let address = address.expect("checked when the configuration was loaded");
    let (Some(address), Some(metrics)) = (address, shared.metrics.clone()) else {
        return;
    };
    let mqtt = Arc::clone(mqtt);
    tokio::spawn(server::serve(address, metrics, move |message| {
        tracing::error!("{message}");
        mqtt.event(Event {
            code: "metrics-unavailable".to_owned(),
            message,
            id: None,
        });
    }));
}

/// Once a second.
pub fn note_rails(shared: &Shared, records: &[RailRecord]) {
    if let Some(metrics) = &shared.metrics {
        let running = shared.queue.is_running();
        let specs = shared.meter.sampler().rails();
        metrics.rails(&specs, records, running, clock::now());
    }
}

/// With each `health`.
pub fn note_health(shared: &Shared, mqtt: &MqttHandle, health: &Health) {
    if let Some(metrics) = &shared.metrics {
        metrics.health(health, around(shared, mqtt));
    }
}

/// Just before an attempt begins, while nothing is measured yet.
pub fn note_before_an_attempt(shared: &Shared, mqtt: &MqttHandle) {
    let Some(metrics) = &shared.metrics else {
        return;
    };
    // Those of the attempt are not known yet.
    let rates = vec![None; shared.meter.sampler().sensors().len()];
    match publishing::health(shared, mqtt, rates) {
        Ok(health) => {
            let energies = shared.meter.energies();
            metrics.before_an_attempt(&energies, &health, around(shared, mqtt), clock::now());
        }
        Err(error) => tracing::error!(%error, "the metrics stay as they are"),
    }
}

fn around(shared: &Shared, mqtt: &MqttHandle) -> Around {
    let broken = shared.sensors.broken().into_iter();
    Around {
        unopened: broken.map(|sensor| sensor.name).collect(),
        connected: mqtt.connected(),
    }
}

impl Shared {
    /// A job has come to its end, if `state` is one.
    pub fn job_ended(&self, state: JobState) {
        if let Some(metrics) = &self.metrics {
            metrics.job_ended(state);
        }
    }

    /// An attempt has left its result.
    pub fn attempt_ended(&self, result: &JobResult) {
        let Some(job) = LastJob::of(result) else {
            return;
        };
        if let Some(metrics) = &self.metrics {
            metrics.job(job.clone());
        }
        let mut last = self.last_job.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(job);
    }

    pub fn last_job(&self) -> Option<LastJob> {
        let last = self.last_job.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }
}
