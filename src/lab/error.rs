//! How a command ends when it does not end well.

/// The text is for the person at the terminal: what failed and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabError {
    /// The work itself failed.
    #[error("{0}")]
    Failed(String),
    /// The command line or the job is not acceptable.
    #[error("{0}")]
    Usage(String),
    /// No broker, or no such board on it.
    #[error("{0}")]
    Unreachable(String),
    /// The user stopped it.
    #[error("{0}")]
    Interrupted(String),
}

impl LabError {
    /// The exit code of `joulectl`; 130 is the shell's own for a command stopped by Ctrl-C.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Interrupted(_) => 130,
        }
    }
}
