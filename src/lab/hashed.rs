//! SHA-256 of files, shown on a bar while they are read.

use super::LabError;
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

pub fn of_file(path: &Path, bar: &ProgressBar) -> Result<String, LabError> {
    let failed = |error: std::io::Error| LabError::Failed(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    copy(&mut file, &mut std::io::sink(), size, bar).map_err(failed)
}

/// Copies all, of which `size` bytes are expected.
pub fn copy(
    from: &mut dyn Read,
    to: &mut dyn Write,
    size: u64,
    bar: &ProgressBar,
) -> std::io::Result<String> {
    bar.set_length(size);
    bar.set_position(0);
    let mut sha256 = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            return Ok(crate::workload::job::hex(&sha256.finalize()));
        }
        sha256.update(&chunk[..read]);
        to.write_all(&chunk[..read])?;
        bar.inc(read as u64);
    }
}

/// 64 hex digits, in lower case.
pub fn digits(text: &str) -> Option<String> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| text.to_ascii_lowercase())
}
