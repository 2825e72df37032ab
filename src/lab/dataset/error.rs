//! What is wrong with a record, or with a dataset.

use crate::lab::LabError;
use std::io;
use std::path::{Path, PathBuf};

/// A message that is not what a board publishes. The text repeats nothing of the payload but
/// names of fields and numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("{0} bytes, where a record has at most {max}", max = super::record::MOST_BYTES)]
    TooLarge(usize),
    #[error("the topic names no device: a name has 1 to 63 characters of [a-z0-9-]")]
    Device,
    #[error("{0}")]
    Json(#[from] crate::strict_json::JsonError),
    #[error("a record of version {0}; this joulectl reads version {known}", known = crate::record::VERSION)]
    Version(u32),
    #[error("`{field}` is not what the topic says")]
    OtherTopic { field: &'static str },
    #[error("`{field}` {expected}")]
    Field {
        field: &'static str,
        expected: &'static str,
    },
}

/// A dataset can't be written or read. Paths are those of the machine joulectl runs on.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {why}", path = path.display())]
    Foreign { path: PathBuf, why: String },
    #[error(
        "{path}: a dataset of schema {found}; this joulectl knows schema {known}. Use the joulectl that \
         wrote it, or a newer one",
        path = path.display(), known = super::SCHEMA_VERSION
    )]
    Version { path: PathBuf, found: String },
    /// A record among the rows has what its table has no place for.
    #[error("the table {table}: {source}")]
    Rows {
        table: super::Table,
        source: arrow_schema::ArrowError,
    },
    /// A loose result file; the text names it.
    #[error("{0}")]
    Result(String),
    #[error("a part's name must be 1 to 64 characters of [a-z0-9-]")]
    PartName,
}

impl DatasetError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    pub(super) fn foreign(path: &Path, why: impl ToString) -> Self {
        Self::Foreign {
            path: path.to_owned(),
            why: why.to_string(),
        }
    }
}

impl From<DatasetError> for LabError {
    fn from(error: DatasetError) -> Self {
        match error {
            DatasetError::Io { ref source, .. } if source.kind() != io::ErrorKind::NotFound => {
                Self::Failed(error.to_string())
            }
            DatasetError::Rows { .. } => Self::Failed(error.to_string()),
            _ => Self::Usage(error.to_string()),
        }
    }
}
