//! The data of a `perplexity` or `choice` job, as the daemon checks it and the worker reads it:
//! one file, as a whole, known by its SHA-256.

use crate::workload::job::hex;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Both read it as a whole. The usual test sets have 1 to 12 MB.
pub const MOST_BYTES: u64 = 32 << 20;

/// What was in the file when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub bytes: Vec<u8>,
    pub sha256: String,
}

/// Why a file is no data. The sentence lacks the file's name.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("can't be read: {0}")]
    Io(#[from] io::Error),
    #[error("is larger than the {} MiB that a job reads; split it", MOST_BYTES >> 20)]
    TooLarge,
    #[error("is empty")]
    Empty,
}

impl Content {
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)?;
        match bytes.len() as u64 {
            0 => Err(ReadError::Empty),
            n if n > MOST_BYTES => Err(ReadError::TooLarge),
            _ => Ok(Self {
                sha256: hex(&Sha256::digest(&bytes)),
                bytes,
            }),
        }
    }

    /// The text of a perplexity, without the end of its last line, which llama-perplexity
    /// doesn't count either.
    pub fn text(&self) -> Result<&str, std::str::Utf8Error> {
        let text = std::str::from_utf8(&self.bytes)?;
        Ok(text.strip_suffix('\n').unwrap_or(text))
    }
}
