//! What the board is and can do, for `info`.

use super::Shared;
use super::sensors::BrokenSensor;
use crate::data::Listed;
use crate::power::protocol::Offer;
use crate::record::device::{Info, ModelInfo, RailInfo, SensorInfo, SensorState};
use crate::record::result::Board;
use std::sync::PoisonError;

/// The kinds of job and the job fields that do something in this version, but for those of
/// [`power_features`].
const FEATURES: [&str; 28] = [
    "generate",
    "bench",
    "perplexity",
    "choice",
    "model",
    "model_sha256",
    "runtime",
    "prompt",
    "messages",
    "n_predict",
    "ignore_eos",
    "n_prompt",
    "n_gen",
    "n_depth",
    "data",
    "n_chunks",
    "n_items",
    "repetitions",
    "warmup",
    "params",
    "idle",
    "timeout_s",
    "deadline_unix_s",
    "priority",
    "max_attempts",
    "publish",
    "tags",
    "signature",
];

impl Shared {
    /// The board's facts as they were read last.
    pub fn board(&self) -> Board {
        self.board
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the board's facts again; it may run a command, so not while anything is
    /// measured.
    pub fn refreshed_board(&self) -> Board {
        let board = Board::read(&self.host);
        self.board
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&board);
        board
    }
}

pub fn info(shared: &Shared, models: Vec<ModelInfo>, data: Listed) -> Info {
    let sampler = shared.meter.sampler();
    let rails = sampler.rails();
    let kind = |name: &str| {
        let config = shared
            .config
            .sensor
            .iter()
            .find(|sensor| sensor.name == name);
        config
            .map(|sensor| sensor.kind.to_string())
            .unwrap_or_default()
    };
    let working = sampler.sensors().into_iter().map(|sensor| SensorInfo {
        kind: kind(&sensor.name),
        state: sensor.state,
        reason: sensor.reason,
        name: sensor.name,
    });
    let broken = shared.sensors.broken().into_iter();
    let broken = broken.map(|BrokenSensor { name, reason, .. }| SensorInfo {
        kind: kind(&name),
        state: SensorState::Failed,
        reason: Some(reason),
        name,
    });
    let mut sandbox = shared.in_force();
    // By how a worker is started.
    sandbox.insert("own-process-group".to_owned(), true);
    sandbox.insert("dies-with-daemon".to_owned(), true);
    let power = shared.power.offer();
    let features = FEATURES.into_iter().chain(power_features(&power));
    Info {
        group: shared.config.device.group.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        board: shared.board(),
        primary_rail: shared.primary_rail().map(|rail| rails[rail].name.clone()),
        sensors: working.chain(broken).collect(),
        rails: rails
            .into_iter()
            .zip(shared.meter.voltages())
            .map(|(rail, voltage)| RailInfo {
                resolution_w: rail.limits.power_step(voltage).map(|step| step.0),
                name: rail.name,
                boundary: rail.boundary,
                boundary_basis: rail.boundary_basis,
                contained_in: rail.contained_in,
                source: rail.source.to_owned(),
                simulated: rail.simulated,
            })
            .collect(),
        models,
        data: data.files,
        data_left_out: data.left_out,
        limits: shared.config.limits.clone(),
        runtimes: shared.runtimes(),
        sandbox,
        features: features.map(str::to_owned).collect(),
        power_reason: power.as_ref().err().cloned(),
        power: power.ok(),
    }
}

/// Job fields that do something where somebody may set such things.
fn power_features(power: &Result<Offer, String>) -> impl Iterator<Item = &'static str> {
    let offered = power.as_ref().ok().map(|offer| {
        [
            ("power_mode", !offer.power_modes.is_empty()),
            ("governor", !offer.governors.is_empty()),
            ("max_freq_khz", offer.freq.is_some()),
        ]
    });
    let fields = offered.into_iter().flatten();
    fields.filter_map(|(field, there)| there.then_some(field))
}
