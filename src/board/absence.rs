//! Why a board doesn't tell something.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io;

/// Why a board doesn't tell something. On the wire the same words as a figure's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Absence {
    /// It has nothing that tells, or what it has doesn't answer.
    NotSupported,
    /// This user may not look.
    NotPermitted,
    /// Its profile doesn't state it.
    NotReported,
}

impl From<io::Error> for Absence {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::NotPermitted,
            _ => Self::NotSupported,
        }
    }
}
