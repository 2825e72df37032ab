//! What a calibration found, as a layer of the configuration in `conf.d` beside it:
//! `calibration-NAME.toml` and `lag-NAME.toml` complete a sensor's block,
//! `sampler-power.toml` the block `[energy]`.

use super::CalibrateError;
use crate::config::SamplerPower;
use crate::sensor::{Calibration, Lag};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Serialize)]
struct SensorLayer<T> {
    sensor: [T; 1],
}

#[derive(Serialize)]
struct CalibrationBlock<'a> {
    name: &'a str,
    calibration: &'a Calibration,
}

#[derive(Serialize)]
struct LagBlock<'a> {
    name: &'a str,
    lag: &'a BTreeMap<String, Lag>,
}

#[derive(Serialize)]
struct EnergyLayer<'a> {
    energy: EnergyBlock<'a>,
}

#[derive(Serialize)]
struct EnergyBlock<'a> {
    sampler_power: &'a SamplerPower,
}

/// Where the calibration of `sensor` is kept for the configuration `main`.
pub fn path(main: &Path, sensor: &str) -> PathBuf {
    layer(main, &format!("calibration-{sensor}"))
}

fn layer(main: &Path, name: &str) -> PathBuf {
    let folder = main.parent().unwrap_or(Path::new("."));
    folder.join("conf.d").join(format!("{name}.toml"))
}

/// Writes it whole or not at all.
pub fn store(
    main: &Path,
    sensor: &str,
    calibration: &Calibration,
) -> Result<PathBuf, CalibrateError> {
    let block = CalibrationBlock {
        name: sensor,
        calibration,
    };
    let found = format!("`jouled calibrate` for the sensor \"{sensor}\"");
    write(path(main, sensor), &found, &SensorLayer { sensor: [block] })
}

/// The lags of a sensor's rails.
pub(super) fn store_lag(
    main: &Path,
    sensor: &str,
    lag: &BTreeMap<String, Lag>,
) -> Result<PathBuf, CalibrateError> {
    let path = layer(main, &format!("lag-{sensor}"));
    let block = LagBlock { name: sensor, lag };
    let found = format!("`jouled calibrate lag` for the sensor \"{sensor}\"");
    write(path, &found, &SensorLayer { sensor: [block] })
}

pub(super) fn store_sampler_power(
    main: &Path,
    sampler_power: &SamplerPower,
) -> Result<PathBuf, CalibrateError> {
    let energy = EnergyBlock { sampler_power };
    let found = "`jouled calibrate sampler-power`";
    write(layer(main, "sampler-power"), found, &EnergyLayer { energy })
}

fn write(path: PathBuf, by: &str, layer: &impl Serialize) -> Result<PathBuf, CalibrateError> {
    let text = toml::to_string(layer).expect("names and numbers are plain TOML");
    let text = format!("# Written by {by}.\n{text}");
    replace(&path, &text).map_err(|error| CalibrateError::File {
        path: path.display().to_string(),
        message: format!("cannot be written: {error}"),
    })?;
    Ok(path)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().expect("it lies in conf.d");
    fs::create_dir_all(folder)?;
    // Not read as a layer while it is incomplete: its name doesn't end in .toml.
    let partial = path.with_extension("toml.partial");
    let mut file = File::create(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    File::open(folder)?.sync_all()
}
