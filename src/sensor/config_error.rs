//! What can be wrong with a `[[sensor]]` block, and what to do about it.

use super::config::SensorKind;
use super::simulated::WaveformError;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    #[error("sensor name `{0}`: use 1 to 63 characters out of a-z, 0-9, `_`, `.` and `-`")]
    Name(String),
    #[error("sensor `{sensor}`: kind = \"{kind}\" needs the key `{key}`: {what}")]
    Missing {
        sensor: String,
        kind: SensorKind,
        key: &'static str,
        what: &'static str,
    },
    #[error("sensor `{sensor}`: the key `{key}` does not apply to kind = \"{kind}\": remove it")]
    NotApplicable {
        sensor: String,
        kind: SensorKind,
        key: String,
    },
    #[error("sensor `{sensor}`: `{key}` = {value} is out of range: {allowed}")]
    Range {
        sensor: String,
        key: &'static str,
        value: String,
        allowed: &'static str,
    },
    #[error("sensor `{sensor}`: `waveform`: {error}")]
    Waveform {
        sensor: String,
        error: WaveformError,
    },
}

impl ConfigError {
    /// The key to blame, for a message that points into the file.
    pub fn key(&self) -> &str {
        match self {
            Self::Name(_) => "name",
            Self::NotApplicable { key, .. } => key,
            Self::Missing { key, .. } | Self::Range { key, .. } => key,
            Self::Waveform { .. } => "waveform",
        }
    }
}
