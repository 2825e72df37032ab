//! Names, units and labels of the metrics. What is not known has no sample.

use super::snapshot::{Rail, Snapshot};
use crate::record::device::{Boundary, BoundaryBasis, Health, Quality, SensorState};
use crate::record::last_job::LastJob;
use crate::workload::QueueMode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use std::fmt;

/// All but the times, which are of the scrape.
#[derive(Debug)]
pub struct Board(pub Snapshot);

impl Collector for Board {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        let Snapshot {
            about,
            rails,
            running,
            health,
            around,
            ended,
            last_jobs,
            ..
        } = &self.0;
        families.info(
            "build",
            "Version of jouled.",
            [[("version", about.version.as_str())]],
        )?;
        families.info(
            "board",
            "The board, with empty labels for what is not known.",
            [[
                ("device", about.device.as_str()),
                ("group", about.group.as_deref().unwrap_or_default()),
                ("profile", about.profile.as_str()),
                ("model", about.model.as_deref().unwrap_or_default()),
            ]],
        )?;
        power(&mut families, rails)?;
        families.counter(
            "jobs",
            None,
            "Jobs by their final state, since the daemon started.",
            [
                ([("state", "succeeded")], ended.succeeded),
                ([("state", "failed")], ended.failed),
                ([("state", "cancelled")], ended.cancelled),
            ],
        )?;
        families.value(
            "job_running",
            None,
            "Whether an attempt runs.",
            Some(truth(*running)),
        )?;
        jobs(&mut families, last_jobs)?;
        if let Some(health) = health {
            let unopened = around.iter().flat_map(|around| &around.unopened);
            sensors(&mut families, health, unopened)?;
            work(&mut families, health)?;
        }
        let connected = around.as_ref().map(|around| truth(around.connected));
        families.value(
            "broker_connected",
            None,
            "Whether there is a connection to the MQTT broker.",
            connected,
        )?;
        families.value(
            "temperature",
            Some(Unit::Celsius),
            "Of the hottest thermal zone that counts.",
            health.as_ref().and_then(|health| health.temperature_c),
        )
    }
}

fn power(families: &mut Families<'_>, rails: &[Rail]) -> fmt::Result {
    families.info(
        "rail",
        "What a rail encloses, and who reads it.",
        rails.iter().map(|rail| {
            [
                ("rail", rail.last.rail.clone()),
                ("boundary", rail.boundary.to_string()),
                ("boundary_basis", basis(rail.basis).to_owned()),
                (
                    "contained_in",
                    rail.contained_in.clone().unwrap_or_default(),
                ),
                ("source", rail.source.clone()),
                ("simulated", rail.last.simulated.to_string()),
            ]
        }),
    )?;
    let figure = |of: fn(&Rail) -> Option<f64>| {
        rails
            .iter()
            .filter_map(move |rail| Some(([("rail", rail.last.rail.as_str())], of(rail)?)))
    };
    families.gauge(
        "rail_power",
        Some(Unit::Other("watts".to_owned())),
        "Mean power over the last second.",
        figure(|rail| rail.last.power_w),
    )?;
    families.gauge(
        "rail_voltage",
        Some(Unit::Volts),
        "Mean voltage over the last second.",
        figure(|rail| rail.last.voltage_v),
    )?;
    families.gauge(
        "rail_current",
        Some(Unit::Amperes),
        "Mean current over the last second.",
        figure(|rail| rail.last.current_a),
    )?;
    families.counter(
        "rail_energy",
        Some(Unit::Joules),
        "Energy since the daemon started. Rails that contain one another are not to be added.",
        figure(|rail| rail.last.energy_wh.map(|energy| energy * 3600.0)),
    )?;
    let known = rails
        .iter()
        .filter_map(|rail| Some((rail.last.rail.as_str(), rail.quality?)));
    let states = known.flat_map(|(rail, holds)| {
        QUALITIES
            .map(|(quality, name)| ([("rail", rail), ("quality", name)], truth(holds == quality)))
    });
    families.gauge(
        "rail_quality",
        None,
        "The worst reading of the last second: 1 for the one that holds.",
        states,
    )
}

fn jobs(families: &mut Families<'_>, last_jobs: &[LastJob]) -> fmt::Result {
    let figure = |prefill: fn(&LastJob) -> Option<f64>, decode: fn(&LastJob) -> Option<f64>| {
        last_jobs.iter().flat_map(move |job| {
            let phases = [("prefill", prefill(job)), ("decode", decode(job))];
            phases.into_iter().filter_map(|(phase, value)| {
                let labels = [
                    ("model", job.model.clone()),
                    ("phase", phase.to_owned()),
                    ("rail", job.rail.clone().unwrap_or_default()),
                    ("boundary", boundary(job.boundary)),
                    ("simulated", job.simulated.to_string()),
                ];
                Some((labels, value?))
            })
        })
    };
    families.gauge(
        "last_job_joules_per_token",
        None,
        "Of the model's last job: the primary rail's energy in the phase by its tokens, median.",
        figure(|job| job.j_per_prompt_token, |job| job.j_per_output_token),
    )?;
    families.gauge(
        "last_job_joules_per_token_u95",
        None,
        "Expanded uncertainty of the mean of jouled_last_job_joules_per_token.",
        figure(
            |job| job.j_per_prompt_token_u95,
            |job| job.j_per_output_token_u95,
        ),
    )?;
    families.gauge(
        "last_job_tokens_per_second",
        None,
        "Of the model's last job: tokens by the time of the phase, median.",
        figure(|job| job.prefill_tok_s, |job| job.decode_tok_s),
    )
}

fn sensors<'a>(
    families: &mut Families<'_>,
    health: &Health,
    unopened: impl Iterator<Item = &'a String>,
) -> fmt::Result {
    let sensors = || health.sensors.iter().map(|(name, of)| (named(name), of));
    let up = sensors().map(|(labels, of)| (labels, truth(of.state == SensorState::Ok)));
    families.gauge(
        "sensor_up",
        None,
        "Whether a configured sensor can be read.",
        up.chain(unopened.map(|name| (named(name), 0.0))),
    )?;
    families.gauge(
        "sensor_rate",
        Some(Unit::Other("hertz".to_owned())),
        "Readings a second of the sensor's first rail; fewer while no attempt runs.",
        sensors().filter_map(|(labels, of)| Some((labels, of.rate_hz?))),
    )?;
    families.counter(
        "sensor_missed_deadlines",
        None,
        "Readings that came more than a period late.",
        sensors().map(|(labels, of)| (labels, of.missed_deadlines)),
    )?;
    families.counter(
        "sensor_dropped_windows",
        None,
        "Readings for which the buffer was full.",
        sensors().map(|(labels, of)| (labels, of.dropped)),
    )?;
    families.counter(
        "sensor_errors",
        None,
        "Failures to read the sensor.",
        sensors().map(|(labels, of)| (labels, of.errors)),
    )
}

fn work(families: &mut Families<'_>, health: &Health) -> fmt::Result {
    let outbox = &health.outbox;
    let modes = QueueMode::ALL.map(|mode| {
        let labels = [("mode", mode.as_str())];
        (labels, truth(health.queue_mode == mode))
    });
    families.gauge(
        "queue_mode",
        None,
        "What the queue does: 1 for the mode that it is in.",
        modes,
    )?;
    let gauges: [(&str, Option<Unit>, &str, Option<f64>); 7] = [
        (
            "queue_jobs",
            None,
            "Jobs that wait.",
            Some(f64::from(health.queue)),
        ),
        (
            "outbox_pending_records",
            None,
            "Records that the broker has not acknowledged.",
            Some(outbox.pending as f64),
        ),
        (
            "outbox_oldest_age",
            Some(Unit::Seconds),
            "Age of the oldest of them.",
            outbox.oldest_s,
        ),
        (
            "outbox_parked_records",
            None,
            "Records that the broker refused for good.",
            Some(outbox.parked as f64),
        ),
        (
            "resident_memory",
            Some(Unit::Bytes),
            "Of the daemon, without its worker.",
            health.rss_bytes.map(|bytes| bytes as f64),
        ),
        (
            "disk_free",
            Some(Unit::Bytes),
            "Of the disk with the store.",
            health.disk_free_bytes.map(|bytes| bytes as f64),
        ),
        (
            "damaged_stores",
            None,
            "Damaged stores that were set aside and are still there.",
            Some(f64::from(health.damaged_stores)),
        ),
    ];
    for (name, unit, help, value) in gauges {
        families.value(name, unit, help, value)?;
    }
    let counters = [
        (
            "outbox_expired_records",
            "Records that no broker took until they were too old.",
            outbox.expired,
        ),
        (
            "outbox_dropped_samples",
            "Records of QoS 0 and from memory that were left out.",
            outbox.dropped,
        ),
        (
            "commands_rate_limited",
            "Commands that were refused, too many having come.",
            health.rate_limited,
        ),
        (
            "events_left_out",
            "Events that were left out, too many of their code having come.",
            health.events_left_out,
        ),
    ];
    for (name, help, count) in counters {
        families.count(name, help, count)?;
    }
    Ok(())
}

/// Metric families, one after the other; one without samples leaves nothing behind.
pub struct Families<'e>(pub DescriptorEncoder<'e>);

impl Families<'_> {
    pub fn gauge<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        samples: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let kind = MetricType::Gauge;
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        samples.try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    /// A gauge without labels.
    pub fn value(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        value: Option<f64>,
    ) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        let kind = MetricType::Gauge;
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        family.encode_gauge(&value)
    }

    fn counter<L: EncodeLabelSet, V: prometheus_client::encoding::EncodeCounterValue>(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let kind = MetricType::Counter;
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        samples.try_for_each(|(labels, value)| {
            let mut sample = family.encode_family(&labels)?;
            sample.encode_counter::<NoLabelSet, V, f64>(&value, None)
        })
    }

    /// A counter without labels.
    fn count(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let kind = MetricType::Counter;
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        family.encode_counter::<NoLabelSet, u64, f64>(&count, None)
    }

    fn info<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        labels: impl IntoIterator<Item = L>,
    ) -> fmt::Result {
        let mut labels = labels.into_iter().peekable();
        if labels.peek().is_none() {
            return Ok(());
        }
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        labels.try_for_each(|labels| family.encode_info(&labels))
    }
}

const QUALITIES: [(Quality, &str); 5] = [
    (Quality::Good, "good"),
    (Quality::NearFullScale, "near-full-scale"),
    (Quality::Saturated, "saturated"),
    (Quality::Stale, "stale"),
    (Quality::Failed, "failed"),
];

fn named(sensor: &str) -> [(&'static str, String); 1] {
    [("sensor", sensor.to_owned())]
}

fn boundary(boundary: Option<Boundary>) -> String {
    boundary.map(|known| known.to_string()).unwrap_or_default()
}

fn basis(basis: BoundaryBasis) -> &'static str {
    match basis {
        BoundaryBasis::Declared => "declared",
        BoundaryBasis::Profile => "profile",
    }
}

pub fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}
