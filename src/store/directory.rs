//! Directories whose names a power cut does not take back.
//!
//! A file's sync says nothing about its name: that is in its directory, which has a sync of its
//! own, and so up to a directory that was there before.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes a directory, and those above it, where they don't exist. They are on the disk then.
pub fn make(dir: &Path, mode: u32) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = above(dir);
    make(above, mode)?;
    match DirBuilder::new().mode(mode).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        made => made?,
    }
    sync(above)
}

/// Brings the names in a directory to the disk.
pub fn sync(dir: &Path) -> io::Result<()> {
    match File::open(dir)?.sync_all() {
        // Some file systems (vfat over FUSE, 9p) know no sync of a directory.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

/// The directory that holds the name of this one.
pub fn above(dir: &Path) -> &Path {
    match dir.parent() {
        Some(above) if above != Path::new("") => above,
        Some(_) => Path::new("."),
        None => dir,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn directories_are_made_down_to_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        make(&deep, 0o750).unwrap();
        make(&deep, 0o750).unwrap();
        let mode = deep.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o027, 0);
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "").unwrap();
        assert!(make(&dir.path().join("a"), 0o750).is_err());
        assert!(make(&dir.path().join("a/b"), 0o750).is_err());
    }

    #[test]
    fn what_is_above_a_plain_name_is_here() {
        assert_eq!(above(Path::new("state")), Path::new("."));
        assert_eq!(above(Path::new("/state")), Path::new("/"));
        assert_eq!(above(Path::new("/")), Path::new("/"));
    }
}
