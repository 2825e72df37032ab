//! Files that are there whole or not at all, also after a power cut.

use super::error::DatasetError;
use crate::store::directory;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Makes `path` what `write` writes, and the folders above it. Returns its size.
///
/// Until it is whole it has a name with a dot in front, which readers of datasets pass over; a
/// run that was killed leaves at most that, and the next one of the same name replaces it.
pub(in crate::lab) fn replace(
    path: &Path,
    write: impl FnOnce(File) -> Result<File, DatasetError>,
) -> Result<u64, DatasetError> {
    let folder = directory::above(path);
    directory::make(folder, 0o777).map_err(DatasetError::io(folder))?;
    let unfinished = unfinished(path);
    let here = || DatasetError::io(&unfinished);
    let file = File::create(&unfinished).map_err(here())?;
    let file = write(file)?;
    file.sync_all().map_err(here())?;
    let size = file.metadata().map_err(here())?.len();
    fs::rename(&unfinished, path).map_err(DatasetError::io(path))?;
    directory::sync(folder).map_err(DatasetError::io(folder))?;
    Ok(size)
}

fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

/// What was read of a file, `None` if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<String>, DatasetError> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(DatasetError::io(path)),
    }
}
