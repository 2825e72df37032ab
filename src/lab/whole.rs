//! Files for people that are there whole or as they were before.

use super::LabError;
use crate::store::directory;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Makes `path` hold `text`. What is no plain file, such as a pipe, `/dev/stdout` or a link, is
/// written to as it is.
pub fn write(path: &Path, text: &str) -> Result<(), LabError> {
    let written = match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => fs::write(path, text),
        _ => replace(path, text),
    };
    written.map_err(|error| LabError::Failed(format!("{}: {error}", path.display())))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}.tmp"));
    let mut file = File::create(&unfinished)?;
    let done = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, path));
    if let Err(error) = done {
        // It may be gone already, and the first fault is the one to tell.
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    directory::sync(directory::above(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.html");
        write(&path, "long text").unwrap();
        write(&path, "short").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "short");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&link, "text").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "text");
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/report.html");
        let said = write(&path, "").unwrap_err().to_string();
        assert!(said.contains("missing/report.html: No such file"), "{said}");
    }
}
