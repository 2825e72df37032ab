//! What workers may take of the board, and how strictly they are confined.

use super::{ConfigError, bytes};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerConfig {
    pub confinement: Confinement,
    /// Most private memory of a worker, mapped weights not counted: `2GiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<String>,
}

/// What happens where the kernel can't confine a worker as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confinement {
    /// Jobs run, and `info.sandbox` says what is not in force.
    #[default]
    BestEffort,
    /// Jobs fail.
    Required,
}

impl WorkerConfig {
    /// `memory_max` in bytes.
    pub fn memory_max_bytes(&self) -> Result<Option<u64>, ConfigError> {
        let stated = self.memory_max.as_deref();
        stated
            .map(|text| bytes("worker.memory_max", text))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_limit_has_a_unit() {
        let with = |text: &str| {
            let config: WorkerConfig = toml::from_str(text).expect("a valid section");
            config.memory_max_bytes()
        };
        assert_eq!(with(""), Ok(None));
        assert_eq!(with("memory_max = \"2GiB\""), Ok(Some(2 << 30)));
        let wrong = with("memory_max = \"2\"").unwrap_err().to_string();
        assert!(wrong.starts_with("worker.memory_max: "), "{wrong}");
        assert!(toml::from_str::<WorkerConfig>("confinement = \"none\"").is_err());
    }
}
