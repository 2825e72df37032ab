//! The Raspberry Pi 5's PMIC.

use super::{ConfigError, OpenError, SensorConfig, Source};

pub(super) fn check(_config: &SensorConfig) -> Result<(), ConfigError> {
    Ok(())
}

/// Opens the sensor that `config` describes. `config` has passed its check.
pub fn open(config: &SensorConfig) -> Result<Box<dyn Source>, OpenError> {
    Err(OpenError::Device(format!("{}: not built", config.name)))
}
