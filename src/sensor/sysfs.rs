//! Numbers from sysfs.

use super::PollError;
use crate::clock;
use crate::units::{MonoNs, Span};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Neither RAPL nor a hwmon chip states an error limit for its power: this one is assumed,
/// so that a figure never looks exact.
pub(super) const ASSUMED_GAIN: (&str, f64) = ("gain-assumed", 0.05);

/// A file with one decimal number, opened once.
#[derive(Debug)]
pub(super) struct NumberFile {
    path: PathBuf,
    file: File,
}

impl NumberFile {
    pub fn open(path: PathBuf) -> Result<NumberFile, String> {
        match File::open(&path) {
            Ok(file) => Ok(NumberFile { path, file }),
            Err(error) => Err(explain(&path, &error)),
        }
    }

    /// The number and the moment at which it was read.
    pub fn read(&self) -> Result<(MonoNs, i64), PollError> {
        let mut text = [0; 32];
        let before = clock::now();
        let length = self.file.read_at(&mut text, 0);
        let took = clock::now().since(before);
        let length = length.map_err(|error| PollError::Retry(explain(&self.path, &error)))?;
        let text = String::from_utf8_lossy(&text[..length]);
        let number = text.trim().parse().map_err(|_| {
            PollError::Retry(format!(
                "{}: `{}` is no number",
                self.path.display(),
                text.trim()
            ))
        })?;
        Ok((before + Span(took.0 / 2), number))
    }
}

pub(super) fn explain(path: &Path, error: &io::Error) -> String {
    let what = path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "{what}: permission denied; the kernel shows it to root only: let udev or tmpfiles.d \
             give the group that runs jouled read access to it"
        ),
        io::ErrorKind::NotFound => format!("{what}: not found; is the driver loaded?"),
        _ => format!("{what}: {error}"),
    }
}

/// The trimmed text of a small file.
pub(super) fn text(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The folder's entries, in order of their names.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    // hwmon10 after hwmon9.
    paths.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    paths
}
