//! What boards say besides their jobs' figures: rails, health, sensors, states, events.

use super::super::column::{Columns, wire};
pub use crate::record::answer::Event;
use crate::record::device::SensorHealth;
pub use crate::record::device::{Health, RailRecord};
pub use crate::record::job::State;

pub fn rails() -> Columns<RailRecord> {
    let mut c = Columns::<RailRecord>::new();
    c.stamp();
    c.text("rail", "its name", |r, _| Some(r.rail.as_str().into()));
    c.always();
    c.bool("simulated", "whether the rail is simulated", |r, _| {
        Some(r.simulated)
    });
    c.always();
    c.float("power_w", "mean since the record before", |r, _| r.power_w);
    c.float("voltage_v", "of the load, or of the supply", |r, _| {
        r.voltage_v
    });
    c.float("current_a", "mean since the record before", |r, _| {
        r.current_a
    });
    c.float("energy_wh", "since the daemon started", |r, _| r.energy_wh);
    c.text(
        "quality",
        "of the reading; says why figures are null",
        |r, _| Some(wire(r.quality).into()),
    );
    c.always();
    c
}

pub fn health() -> Columns<Health> {
    let mut c = Columns::<Health>::new();
    c.stamp();
    c.int("queue", "jobs that wait", |r, _| Some(r.queue.into()));
    c.always();
    c.text("queue_mode", "what the queue does", |r, _| {
        Some(wire(r.queue_mode).into())
    });
    c.always();
    c.int(
        "outbox_pending",
        "records that no broker has acknowledged",
        |r, _| Some(r.outbox.pending),
    );
    c.float(
        "outbox_oldest_s",
        "age of the oldest of them; null: there is none",
        |r, _| r.outbox.oldest_s,
    );
    c.int(
        "outbox_parked",
        "records that no broker will take",
        |r, _| Some(r.outbox.parked),
    );
    c.int(
        "outbox_expired",
        "records that grew too old, since the start",
        |r, _| Some(r.outbox.expired),
    );
    c.int(
        "outbox_dropped",
        "QoS 0 records left out, since the start",
        |r, _| Some(r.outbox.dropped),
    );
    c.float(
        "temperature_c",
        "hottest thermal zone; null while an attempt runs",
        |r, _| r.temperature_c,
    );
    c.reason("temperature_c", |r, _| {
        r.reasons.get("temperature_c").copied()
    });
    c.int("rss_bytes", "resident memory of the daemon", |r, _| {
        r.rss_bytes
    });
    c.int(
        "disk_free_bytes",
        "where the board stores its records",
        |r, _| r.disk_free_bytes,
    );
    c.int(
        "rate_limited",
        "commands refused for their rate, since the start",
        |r, _| Some(r.rate_limited),
    );
    c.int(
        "events_left_out",
        "events beyond the rate, since the start",
        |r, _| Some(r.events_left_out),
    );
    c.int(
        "damaged_stores",
        "damaged stores that were set aside",
        |r, _| Some(r.damaged_stores.into()),
    );
    c
}

/// The sensors of a health record.
pub struct Sensors(pub Vec<(String, SensorHealth)>);

impl Sensors {
    pub fn of(health: &Health) -> Self {
        let sensors = health.sensors.iter();
        Self(sensors.map(|(name, s)| (name.clone(), s.clone())).collect())
    }
}

pub fn sensors() -> Columns<Sensors> {
    let mut c = Columns::<Sensors>::new();
    c.stamp();
    c.text("sensor", "its name", |r, n| Some(r.0[n].0.as_str().into()));
    c.text("state", "`ok` or `failed`", |r, n| {
        Some(wire(r.0[n].1.state).into())
    });
    c.always();
    c.text("reason", "why it failed", |r, n| {
        r.0[n].1.reason.as_deref().map(Into::into)
    });
    c.float("rate_hz", "windows a second; null: none came", |r, n| {
        r.0[n].1.rate_hz
    });
    c.int("missed_deadlines", "since the start", |r, n| {
        Some(r.0[n].1.missed_deadlines)
    });
    c.int(
        "dropped",
        "windows that a full buffer dropped, since the start",
        |r, n| Some(r.0[n].1.dropped),
    );
    c.int("errors", "failed readings, since the start", |r, n| {
        Some(r.0[n].1.errors)
    });
    c
}

pub fn states() -> Columns<State> {
    let mut c = Columns::<State>::new();
    c.text("id", "job", |r, _| Some(r.id.as_str().into()));
    c.always();
    c.int("attempt", "0 until the first begins", |r, _| {
        Some(r.attempt.into())
    });
    c.always();
    c.stamp();
    c.int("rev", "rises with each state of the job", |r, _| {
        Some(r.rev)
    });
    c.always();
    c.text(
        "state",
        "`queued`, `running`, `succeeded`, `failed` or `cancelled`",
        |r, _| Some(wire(r.state).into()),
    );
    c.always();
    c.text("phase", "part of the attempt", |r, _| {
        r.phase.map(|phase| phase.as_str().into())
    });
    c.float(
        "progress",
        "0 to 1 of the attempt's tokens; null: nothing is counted",
        |r, _| r.progress,
    );
    c.text("reason", "why it is in this state", |r, _| {
        r.reason.as_deref().map(Into::into)
    });
    c
}

pub fn events() -> Columns<Event> {
    let mut c = Columns::<Event>::new();
    c.stamp();
    c.text("code", "what happened (docs/mqtt.md)", |r, _| {
        Some(r.code.as_str().into())
    });
    c.text("message", "in a sentence", |r, _| {
        Some(r.message.as_str().into())
    });
    c.text("id", "the job that is meant, if one is", |r, _| {
        r.id.as_deref().map(Into::into)
    });
    c
}
