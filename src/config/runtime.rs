//! A worker of the administrator's choice, and what it may do beyond the usual.

use super::ConfigError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The runtime that needs no configuration.
pub const BUILT_IN_RUNTIME: &str = "llama.cpp";

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimeConfig {
    /// Program and arguments, without a shell. Only the built-in runtime can do without.
    pub command: Vec<String>,
    /// Files and folders that it may read and run beside the models and the system.
    pub read: Vec<PathBuf>,
    /// Files and folders that it may read and write.
    pub write: Vec<PathBuf>,
    /// It may open sockets of every kind.
    pub network: bool,
}

impl RuntimeConfig {
    pub fn check(&self, name: &str) -> Result<(), ConfigError> {
        let value = |key: &str, message: String| ConfigError::Value {
            key: format!("runtime.{name}.{key}"),
            message,
        };
        if self.command.is_empty() && name != BUILT_IN_RUNTIME {
            return Err(value("command", "needs a program".to_owned()));
        }
        for (key, paths) in [("read", &self.read), ("write", &self.write)] {
            if let Some(path) = paths.iter().find(|path| !path.is_absolute()) {
                let message = format!("\"{}\" is no absolute path", path.display());
                return Err(value(key, message));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_built_in_runtime_needs_no_command() {
        let extras = RuntimeConfig {
            read: vec!["/srv/lora".into()],
            ..RuntimeConfig::default()
        };
        assert_eq!(extras.check(BUILT_IN_RUNTIME), Ok(()));
        let error = extras.check("npu").unwrap_err().to_string();
        assert!(error.starts_with("runtime.npu.command: "), "{error}");
        let relative = RuntimeConfig {
            write: vec!["cache".into()],
            ..RuntimeConfig::default()
        };
        let error = relative.check(BUILT_IN_RUNTIME).unwrap_err().to_string();
        assert!(error.starts_with("runtime.llama.cpp.write: "), "{error}");
    }
}
