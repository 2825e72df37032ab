//! What `jouled calibrate` found one unit to be off by, as it is applied.

use crate::sensor::SensorConfig;
use crate::units::{Amps, Ohms, Volts};

/// Corrections of the shunt voltage, and what is left of the data sheet's limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Correction {
    offset: Volts,
    gain: f64,
    offset_limit: Option<Volts>,
    gain_limit: Option<f64>,
}

impl Default for Correction {
    /// Nothing is known about the unit.
    fn default() -> Self {
        Correction {
            offset: Volts(0.0),
            gain: 1.0,
            offset_limit: None,
            gain_limit: None,
        }
    }
}

impl Correction {
    pub fn of(config: &SensorConfig) -> Correction {
        let Some(calibration) = &config.calibration else {
            return Correction::default();
        };
        Correction {
            offset: Volts(calibration.offset_uv.unwrap_or(0.0) * 1e-6),
            gain: calibration.gain.unwrap_or(1.0),
            // A limit without its correction would be a claim about nothing.
            offset_limit: calibration
                .offset_uv
                .and(calibration.offset_limit_uv)
                .map(|limit| Volts(limit * 1e-6)),
            gain_limit: calibration.gain.and(calibration.gain_limit),
        }
    }

    /// The shunt's voltage without the converter's offset.
    pub fn drop(&self, indicated: Volts) -> Volts {
        indicated - self.offset
    }

    pub fn current(&self, indicated: Volts, shunt: Ohms) -> Amps {
        self.drop(indicated) / shunt * self.gain
    }

    /// Half-width of what is left of the offset.
    pub fn offset_limit(&self, data_sheet: Volts) -> Volts {
        self.offset_limit.unwrap_or(data_sheet)
    }

    /// Named half-widths of what is left of shunt and gain.
    pub fn scale_limits(&self, shunt_tolerance: f64, gain: f64) -> Vec<(&'static str, f64)> {
        match self.gain_limit {
            Some(limit) => vec![("calibration", limit)],
            None => vec![("shunt", shunt_tolerance), ("gain", gain)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::{Calibration, SensorKind};

    #[test]
    fn offset_comes_before_gain_and_limits_replace_the_data_sheets() {
        let mut config = SensorConfig::new("input", SensorKind::Ina219);
        let none = Correction::of(&config);
        assert_eq!(none.current(Volts(0.02), Ohms(0.01)), Amps(2.0));
        assert_eq!(none.offset_limit(Volts(1e-4)), Volts(1e-4));
        assert_eq!(none.scale_limits(0.01, 0.005).len(), 2);

        config.calibration = Some(Calibration {
            date: "2026-11-21".into(),
            offset_uv: Some(100.0),
            offset_limit_uv: Some(5.0),
            gain: Some(1.02),
            gain_limit: Some(0.002),
        });
        let known = Correction::of(&config);
        let current = known.current(Volts(0.0201), Ohms(0.01));
        assert!((current.0 - 2.04).abs() < 1e-12);
        assert_eq!(known.offset_limit(Volts(1e-4)), Volts(5.0 * 1e-6));
        assert_eq!(known.scale_limits(0.01, 0.005), [("calibration", 0.002)]);
    }

    #[test]
    fn a_limit_alone_corrects_nothing_and_claims_nothing() {
        let mut config = SensorConfig::new("input", SensorKind::Ina219);
        config.calibration = Some(Calibration {
            date: "2026-11-21".into(),
            offset_uv: None,
            offset_limit_uv: Some(1.0),
            gain: None,
            gain_limit: Some(1e-4),
        });
        assert_eq!(Correction::of(&config), Correction::default());
    }
}
