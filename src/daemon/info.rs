//! What the board is and can do, for `info`.

use super::{BrokenSensor, Shared};
use crate::record::device::{Info, ModelInfo, RailInfo, SensorInfo, SensorState};
use crate::record::result::Board;
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// The kinds of job and the job fields that do something in this version.
const FEATURES: [&str; 23] = [
    "generate",
    "bench",
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

    /// The command of a runtime that a job names.
    pub fn runtime(&self, name: &str) -> Option<Vec<String>> {
        match self.config.runtime.get(name) {
            Some(runtime) => Some(runtime.command.clone()),
            None if name == BUILT_IN_RUNTIME => Some(built_in_worker()),
            None => None,
        }
    }
}

const BUILT_IN_RUNTIME: &str = "llama.cpp";

/// The worker beside this program, where a build leaves it, else in the libexec directory
/// of the same prefix, where an installation does.
fn built_in_worker() -> Vec<String> {
    let program = std::env::current_exe().unwrap_or_default();
    let here = program.parent().unwrap_or(std::path::Path::new("."));
    let beside = here.join("jouled-worker");
    let installed = here.join("../libexec/jouled/jouled-worker");
    let worker = if beside.exists() { beside } else { installed };
    vec![worker.to_string_lossy().into_owned()]
}

pub fn info(shared: &Shared, models: Vec<ModelInfo>) -> Info {
    let sampler = shared.meter.sampler();
    let rails = sampler.rails();
    let mut runtimes: Vec<String> = shared.config.runtime.keys().cloned().collect();
    if !runtimes.iter().any(|name| name == BUILT_IN_RUNTIME) {
        runtimes.push(BUILT_IN_RUNTIME.to_owned());
    }
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
    let broken = shared
        .broken_sensors
        .iter()
        .map(|BrokenSensor { name, reason }| SensorInfo {
            kind: kind(name),
            state: SensorState::Failed,
            reason: Some(reason.clone()),
            name: name.clone(),
        });
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
        limits: shared.config.limits.clone(),
        runtimes,
        sandbox: BTreeMap::from([
            ("own-process-group".to_owned(), true),
            ("dies-with-daemon".to_owned(), true),
            ("no-network".to_owned(), false),
            ("models-read-only".to_owned(), false),
        ]),
        features: FEATURES.map(str::to_owned).to_vec(),
    }
}
