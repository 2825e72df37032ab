//! What the sensors of this rig are off by. Of one sensor: its offset with the load
//! disconnected, and shunt and gain together against currents that a reference meter states.
//! Of all: how late each rail shows the load ([`lag()`]), and what reading them takes
//! ([`sampler_power()`]).
//!
//! Readings are means of complete conversion cycles; what is left after the correction is
//! stated as half-widths, which replace the data sheet's in every budget. Drift with
//! temperature after the calibration is allowed for with that of the INA219.

mod bar;
mod command;
mod file;
mod lag;
mod load;
mod reading;
mod rig;
mod sampler_power;

pub use command::{Gain, Target, gain, offset};
pub use file::{path, store};
pub use lag::{Found, Series, lag};
pub use reading::{Reading, read};
pub use sampler_power::sampler_power;

use crate::sensor::{Calibration, RailSpec};
use crate::units::Ohms;

/// Drift of the offset over 20 K at 0.1 uV/K (SBOS448G), in uV.
const DRIFT_UV: f64 = 2.0;
/// An offset beyond this many data-sheet limits is a load.
const PLAUSIBLE_OFFSETS: f64 = 2.0;
/// Noise of an idle input: this many steps, or this many uV for a fine converter.
const PLAUSIBLE_STEPS: f64 = 3.0;
const PLAUSIBLE_NOISE_UV: f64 = 20.0;
/// True over indicated current: beyond this the shunt's stated value is wrong.
const PLAUSIBLE_GAIN: std::ops::RangeInclusive<f64> = 0.8..=1.25;
/// What the sensor itself may add to the meter's uncertainty.
const LARGEST_GAIN_LIMIT: f64 = 0.05;

/// Nothing was changed; the text says what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalibrateError {
    #[error("{0}")]
    Sensor(String),
    #[error(
        "only {share:.0} % of the time was measured; stop whatever else reads the sensor (is \
         jouled running?) and try again"
    )]
    Gaps { share: f64 },
    #[error("the sensor stood at the end of its range; use a smaller current or a larger range")]
    Saturated,
    #[error(
        "{indicated_uv:.0} uV is no offset: the data sheet allows {limit_uv:.0} uV; disconnect \
         the load, on the side of the shunt that feeds it"
    )]
    Connected { indicated_uv: f64, limit_uv: f64 },
    #[error("the reading moves by {sd_uv:.0} uV (standard deviation): {hint}, and keep it steady")]
    Unsteady { sd_uv: f64, hint: &'static str },
    #[error("a true current of {0} A: state one that is neither zero nor infinite")]
    Current(f64),
    #[error(
        "{indicated_a:.4} A indicated for {true_a:.4} A is no gain error; check shunt_ohm ({shunt_ohm}), \
         the wiring and the stated current"
    )]
    Implausible {
        indicated_a: f64,
        true_a: f64,
        shunt_ohm: f64,
    },
    #[error(
        "the gain would be known to {limit:.1} % only; use a larger current, or calibrate the \
         offset first"
    )]
    TooCoarse { limit: f64 },
    #[error("{0}")]
    Target(String),
    #[error("{path}: {message}")]
    File { path: String, message: String },
}

/// What a rail reads in, in uV at its shunt.
struct Converter {
    shunt: Ohms,
    step_uv: f64,
    offset_limit_uv: f64,
}

impl Converter {
    fn of(rail: &RailSpec) -> Result<Converter, CalibrateError> {
        let Some(shunt) = rail.shunt else {
            return Err(CalibrateError::Target(format!(
                "{}: a source without a shunt of its own can't be calibrated",
                rail.name
            )));
        };
        Ok(Converter {
            shunt,
            step_uv: rail.limits.current_step.0 * shunt.0 * 1e6,
            offset_limit_uv: rail.limits.current_offset.0 * shunt.0 * 1e6,
        })
    }

    fn uv(&self, amps: f64) -> f64 {
        amps * self.shunt.0 * 1e6
    }

    /// Half-width of a mean: noise, and half a step where the noise is too small to dither.
    fn mean_limit_uv(&self, reading: &Reading) -> f64 {
        let (sd, sem) = (self.uv(reading.sd_a), self.uv(reading.sem_a()));
        let quantum = if sd < self.step_uv {
            self.step_uv / 2.0
        } else {
            0.0
        };
        3.0 * sem + quantum
    }

    fn allowed_noise_uv(&self) -> f64 {
        (PLAUSIBLE_STEPS * self.step_uv).max(PLAUSIBLE_NOISE_UV)
    }
}

/// The day in UTC.
fn today() -> String {
    crate::clock::wall().strftime("%Y-%m-%d").to_string()
}

/// To decimals far below what can be known, so that the file is readable.
fn rounded(value: f64, step: f64) -> f64 {
    let steps_per_unit = (1.0 / step).round();
    (value * steps_per_unit).round() / steps_per_unit
}

/// The offset, from a `reading` without load and without correction of `rail`. Gains known
/// `before` stay.
pub fn offset_of(
    reading: &Reading,
    rail: &RailSpec,
    before: Option<&Calibration>,
    date: String,
) -> Result<Calibration, CalibrateError> {
    let converter = Converter::of(rail)?;
    let indicated_uv = converter.uv(reading.mean_a);
    let limit_uv = converter.offset_limit_uv;
    if indicated_uv.abs() > PLAUSIBLE_OFFSETS * limit_uv {
        return Err(CalibrateError::Connected {
            indicated_uv,
            limit_uv,
        });
    }
    let sd_uv = converter.uv(reading.sd_a);
    if sd_uv > converter.allowed_noise_uv() {
        return Err(CalibrateError::Unsteady {
            sd_uv,
            hint: "disconnect the load",
        });
    }
    Ok(Calibration {
        date,
        offset_uv: Some(rounded(indicated_uv, 1e-2)),
        offset_limit_uv: Some(rounded(converter.mean_limit_uv(reading) + DRIFT_UV, 1e-2)),
        gain: before.and_then(|before| before.gain),
        gain_limit: before.and_then(|before| before.gain_limit),
    })
}

/// A reading, corrected by the known offset alone, and the true current in it.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub true_a: f64,
    pub reading: Reading,
}

/// The gain, from one point and the offset, or from two points whatever the offset.
/// `reference` is the relative half-width of the true currents.
pub fn gain_of(
    points: &[Point],
    reference: f64,
    rail: &RailSpec,
    before: Option<&Calibration>,
    date: String,
) -> Result<Calibration, CalibrateError> {
    let converter = Converter::of(rail)?;
    let mut unknown_uv = 0.0;
    for point in points {
        if !point.true_a.is_finite() || point.true_a == 0.0 {
            return Err(CalibrateError::Current(point.true_a));
        }
        let sd_uv = converter.uv(point.reading.sd_a);
        // A supply's ripple and a load's regulation are larger than an idle input's noise.
        let allowed = converter.allowed_noise_uv() + 0.05 * converter.uv(point.true_a.abs());
        if sd_uv > allowed {
            return Err(CalibrateError::Unsteady {
                sd_uv,
                hint: "use a constant load",
            });
        }
        unknown_uv += converter.mean_limit_uv(&point.reading);
    }
    let (true_a, indicated_a, stated_a) = match points {
        [one] => {
            unknown_uv += converter.offset_limit_uv;
            (one.true_a, one.reading.mean_a, one.true_a.abs())
        }
        [one, two] => (
            two.true_a - one.true_a,
            two.reading.mean_a - one.reading.mean_a,
            one.true_a.abs() + two.true_a.abs(),
        ),
        _ => {
            return Err(CalibrateError::Target(
                "state one current or two".to_owned(),
            ));
        }
    };
    let gain = true_a / indicated_a;
    if !PLAUSIBLE_GAIN.contains(&gain) {
        return Err(CalibrateError::Implausible {
            indicated_a,
            true_a,
            shunt_ohm: converter.shunt.0,
        });
    }
    let own = unknown_uv / converter.uv(indicated_a.abs());
    if own > LARGEST_GAIN_LIMIT {
        return Err(CalibrateError::TooCoarse { limit: own * 100.0 });
    }
    Ok(Calibration {
        date,
        offset_uv: before.and_then(|before| before.offset_uv),
        offset_limit_uv: before.and_then(|before| before.offset_limit_uv),
        gain: Some(rounded(gain, 1e-6)),
        gain_limit: Some(rounded(reference * stated_a / true_a.abs() + own, 1e-6)),
    })
}

#[cfg(test)]
mod tests;
