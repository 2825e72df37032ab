//! `[power]`: where power modes, governors and frequency caps are set for jobs.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PowerConfig {
    /// The socket of jouled-power. Where nobody serves it, jobs can't ask for such settings.
    pub socket: PathBuf,
}

impl Default for PowerConfig {
    fn default() -> Self {
        Self {
            socket: "/run/jouled/power.sock".into(),
        }
    }
}
