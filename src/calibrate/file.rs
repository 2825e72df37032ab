//! `conf.d/calibration-NAME.toml` beside the configuration: a layer that completes the
//! sensor's block.

use super::CalibrateError;
use crate::sensor::Calibration;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Serialize)]
struct Layer<'a> {
    sensor: [Block<'a>; 1],
}

#[derive(Serialize)]
struct Block<'a> {
    name: &'a str,
    calibration: &'a Calibration,
}

/// Where the calibration of `sensor` is kept for the configuration `main`.
pub fn path(main: &Path, sensor: &str) -> PathBuf {
    let folder = main.parent().unwrap_or(Path::new("."));
    folder
        .join("conf.d")
        .join(format!("calibration-{sensor}.toml"))
}

/// Writes it whole or not at all.
pub fn store(
    main: &Path,
    sensor: &str,
    calibration: &Calibration,
) -> Result<PathBuf, CalibrateError> {
    let path = path(main, sensor);
    let layer = Layer {
        sensor: [Block {
            name: sensor,
            calibration,
        }],
    };
    let text = toml::to_string(&layer).expect("names and numbers are plain TOML");
    let text = format!("# Written by `jouled calibrate` for the sensor \"{sensor}\".\n{text}");
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
