//! From a checked configuration to a source: one line a kind.

use super::config::{SensorConfig, SensorKind};
use super::{
    Boundary, BoundaryBasis, ConfigError, ErrorLimits, KnownRails, RailSpec, ReadingKind, Source,
    hwmon, ina2xx, ina219, modbus, pmic, rapl, simulated, tegrastats,
};

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A sentence that names the device, what failed and what to try.
    #[error("{0}")]
    Device(String),
}

/// Opens the sensor that `config` describes. `known` is what the board's profile says about
/// the rails of sensors of this kind.
pub fn open(config: &SensorConfig, known: &KnownRails) -> Result<Box<dyn Source>, OpenError> {
    config.check()?;
    match config.kind {
        SensorKind::Ina219 => ina219::open(config),
        SensorKind::Ina226 | SensorKind::Ina228 | SensorKind::Ina3221 => ina2xx::open(config),
        SensorKind::Hwmon => hwmon::open(config, known),
        SensorKind::Rapl => rapl::open(config),
        SensorKind::Tegrastats => tegrastats::open(config, known),
        SensorKind::Modbus => modbus::open(config),
        SensorKind::Pmic => pmic::open(config),
        SensorKind::Simulated => simulated::open(config),
    }
}

/// What the configuration says about a rail; what the source knows is filled in by it.
pub(super) fn rail(
    config: &SensorConfig,
    name: &str,
    default_boundary: Boundary,
    source: &'static str,
    kind: ReadingKind,
) -> RailSpec {
    RailSpec {
        name: name.to_owned(),
        boundary: config.boundary.unwrap_or(default_boundary),
        boundary_basis: BoundaryBasis::Declared,
        contained_in: config.contained_in.clone(),
        excludes: config.excludes.clone().unwrap_or_default(),
        source,
        simulated: false,
        kind,
        mode: None,
        range_mv: None,
        shunt: None,
        voltage_at: None,
        feeds: config.feeds,
        calibration_date: config.calibration.as_ref().map(|unit| unit.date.clone()),
        duty: None,
        nominal_rate_hz: 0.0,
        limits: ErrorLimits::default(),
        lag: config.lag.as_ref().and_then(|lags| lags.get(name)).cloned(),
    }
}

/// Names of the rails of one sensor: its own name for a single one, else
/// `<sensor>.<label>` made safe, with a suffix where two would be the same.
pub(super) fn rail_names(sensor: &str, labels: &[String]) -> Vec<String> {
    if labels.len() == 1 {
        return vec![sensor.to_owned()];
    }
    let mut names: Vec<String> = Vec::with_capacity(labels.len());
    for label in labels {
        let safe: String = label
            .to_lowercase()
            .chars()
            .map(|c| match c {
                'a'..='z' | '0'..='9' | '_' | '.' | '-' => c,
                _ => '_',
            })
            .collect();
        let plain = format!("{sensor}.{safe}");
        let name = std::iter::once(plain.clone())
            .chain((2..).map(|suffix| format!("{plain}_{suffix}")))
            .find(|name| !names.contains(name))
            .expect("the suffixes never end");
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rails_are_named_after_their_sensor() {
        let names = |labels: &[&str]| {
            let labels: Vec<String> = labels.iter().map(|label| label.to_string()).collect();
            rail_names("input", &labels)
        };
        assert_eq!(names(&["VDD_IN"]), ["input"]);
        assert_eq!(
            names(&["VDD_IN", "GPU 0", "gpu/0"]),
            ["input.vdd_in", "input.gpu_0", "input.gpu_0_2"]
        );
    }
}
