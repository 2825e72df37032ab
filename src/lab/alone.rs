//! One command at a time works in a folder.

use super::LabError;
use std::fs::{self, File, TryLockError};
use std::path::Path;

/// Held until it is dropped; it goes with the process.
pub type Alone = File;

/// Locks the file `name` of `folder`, which is made where it is missing. `works` says what
/// somebody else would do there: `joulectl sweep works on this study`.
pub fn lock(folder: &Path, name: &str, works: &str) -> Result<Alone, LabError> {
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let path = folder.join(name);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| failed(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LabError::Usage(format!(
            "another {works} in {}; wait for it, or stop it first",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed(&path, &error)),
    }
}

fn failed(path: &Path, error: &std::io::Error) -> LabError {
    LabError::Failed(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_where_the_first_works() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new");
        let held = lock(&folder, ".lock", "joulectl tune works").unwrap();
        let error = lock(&folder, ".lock", "joulectl tune works").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let said = error.to_string();
        let wanted = format!("another joulectl tune works in {}; wait", folder.display());
        assert!(said.starts_with(&wanted), "{said}");
        drop(held);
        assert!(lock(&folder, ".lock", "joulectl tune works").is_ok());
    }
}
