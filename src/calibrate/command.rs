//! `jouled calibrate` as the user sees it.

use super::bar::Bar;
use super::{CalibrateError, Point, Reading, file, gain_of, offset_of, read, today};
use crate::clock::Monotonic;
use crate::sensor::{Calibration, KnownRails, SensorConfig, SensorKind, Source, open};
use crate::units::Span;
use std::io::{BufRead, Write};
use std::path::Path;

/// Which sensor of which configuration.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The main configuration file; the calibration is written beside it.
    pub main: &'a Path,
    pub sensor: &'a SensorConfig,
    pub span: Span,
}

/// The currents that a reference meter states.
#[derive(Debug, Clone)]
pub struct Gain {
    pub currents_a: Vec<f64>,
    /// Relative half-width of the meter's readings.
    pub limit: f64,
}

/// Finds and stores the offset. Returns what was written.
pub fn offset(target: Target<'_>) -> Result<Calibration, CalibrateError> {
    let before = target.sensor.calibration.as_ref();
    let mut source = opened(target, None)?;
    let reading = measure(source.as_mut(), target.span)?;
    let found = offset_of(&reading, &source.rails()[0], before, today())?;
    finish(target, found)
}

/// Finds and stores the gain. Returns what was written.
pub fn gain(target: Target<'_>, gain: &Gain) -> Result<Calibration, CalibrateError> {
    let before = target.sensor.calibration.as_ref();
    // The gain of before would enter the new one.
    let offset_alone = before.map(|before| Calibration {
        gain: None,
        gain_limit: None,
        ..before.clone()
    });
    let mut source = opened(target, offset_alone)?;
    let mut points = Vec::with_capacity(gain.currents_a.len());
    for &true_a in &gain.currents_a {
        if gain.currents_a.len() > 1 {
            wait_for(true_a)?;
        }
        let reading = measure(source.as_mut(), target.span)?;
        points.push(Point { true_a, reading });
    }
    let rail = &source.rails()[0];
    let found = gain_of(&points, gain.limit, rail, before, today())?;
    finish(target, found)
}

fn opened(
    target: Target<'_>,
    calibration: Option<Calibration>,
) -> Result<Box<dyn Source>, CalibrateError> {
    let sensor = target.sensor;
    match sensor.kind {
        SensorKind::Ina219 | SensorKind::Ina226 | SensorKind::Ina228 => {}
        SensorKind::Simulated => println!("{}: a simulated sensor", sensor.name),
        kind => {
            return Err(CalibrateError::Target(format!(
                "sensor \"{}\": kind = \"{kind}\" can't be calibrated; ina219, ina226 and ina228 \
                 can",
                sensor.name
            )));
        }
    }
    let config = SensorConfig {
        calibration,
        ..sensor.clone()
    };
    let source = open(&config, &KnownRails::default())
        .map_err(|error| CalibrateError::Sensor(error.to_string()))?;
    for warning in source.warnings() {
        eprintln!("{warning}");
    }
    Ok(source)
}

fn measure(source: &mut dyn Source, span: Span) -> Result<Reading, CalibrateError> {
    let mut bar = Bar::new("reading");
    let reading = read(source, &Monotonic, span, &mut |share| bar.show(share));
    drop(bar);
    let reading = reading?;
    println!(
        "indicated: {:.5} A, standard error {:.5} A, {} cycles",
        reading.mean_a,
        reading.sem_a(),
        reading.windows
    );
    Ok(reading)
}

fn wait_for(true_a: f64) -> Result<(), CalibrateError> {
    print!("set the load to {true_a} A, then press Enter ");
    let input = std::io::stdout()
        .flush()
        .and_then(|()| std::io::stdin().lock().read_line(&mut String::new()));
    match input {
        Ok(0) => Err(CalibrateError::Target(
            "the input ended before the load was set; nothing was changed".to_owned(),
        )),
        Ok(_) => Ok(()),
        Err(error) => Err(CalibrateError::Target(error.to_string())),
    }
}

fn finish(target: Target<'_>, found: Calibration) -> Result<Calibration, CalibrateError> {
    if let Some(before) = &target.sensor.calibration {
        println!("before: {}", described(before));
    }
    let path = file::store(target.main, &target.sensor.name, &found)?;
    println!("now:    {}", described(&found));
    println!(
        "written to {}; a running jouled takes it up when restarted",
        path.display()
    );
    Ok(found)
}

fn described(calibration: &Calibration) -> String {
    let part = |name: &str, value: Option<f64>, limit: Option<f64>, unit: &str| match value {
        None => format!("{name} not calibrated"),
        Some(value) => {
            let limit = limit.map_or(String::new(), |limit| format!(" ± {limit:.3}{unit}"));
            format!("{name} {value:.3}{unit}{limit}")
        }
    };
    let percent = |of: f64| of * 100.0;
    let offset = part(
        "offset",
        calibration.offset_uv,
        calibration.offset_limit_uv,
        " uV",
    );
    let gain = part(
        "gain",
        calibration.gain.map(percent),
        calibration.gain_limit.map(percent),
        " %",
    );
    format!("{offset}, {gain} ({})", calibration.date)
}
