//! A raw file as it lies on a disk, and what is made of it again.

use crate::lab::LabError;
use crate::measure::AttemptRecords;
use crate::measure::archive::{self, Archive};
use crate::workload::job::hex;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A raw file that was read.
pub struct Source {
    pub archive: Archive,
    pub sha256: String,
}

impl Source {
    pub fn read(path: &Path) -> Result<Self, LabError> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let file = File::open(path).map_err(|error| LabError::Usage(named(&error)))?;
        let mut input = Hashing {
            input: file,
            hash: Sha256::new(),
        };
        let archive = archive::read(&mut input).map_err(|error| LabError::Failed(named(&error)))?;
        Ok(Self {
            archive,
            sha256: hex(&input.hash.finalize()),
        })
    }

    pub fn records(&self) -> AttemptRecords {
        self.archive.records()
    }

    /// What to know before judging a difference.
    pub fn caution(&self) -> Option<String> {
        let measured = &self.archive.context.jouled.version;
        let this = env!("CARGO_PKG_VERSION");
        (measured != this).then(|| {
            format!(
                "measured by jouled {measured}, recomputed by {this}: figures differ where the \
                 method has changed; joulectl {measured} reproduces them"
            )
        })
    }
}

struct Hashing<R> {
    input: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(part)?;
        self.hash.update(&part[..n]);
        Ok(n)
    }
}
