//! A file that comes about beside its place under a hidden name, and appears there whole.

use crate::daemon::catalogue::alone;
use crate::lab::LabError;
use rustix::fs::{CWD, RenameFlags, renameat_with, statvfs};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What a disk keeps for the rest of the system.
const SPARE_BYTES: u64 = 256 << 20;

/// Removed when dropped, unless it was kept.
#[derive(Debug)]
pub struct Draft {
    place: PathBuf,
    path: PathBuf,
    file: File,
    replaces: bool,
    kept: bool,
}

impl Draft {
    /// Of a file that must not be there yet.
    pub fn new(place: &Path) -> Result<Self, LabError> {
        free(place)?;
        let draft = Self::begin(place, false)?;
        // Another process may have put it there until now.
        free(place)?;
        Ok(draft)
    }

    /// Of a file that may be there already.
    pub fn replacing(place: &Path) -> Result<Self, LabError> {
        Self::begin(place, true)
    }

    fn begin(place: &Path, replaces: bool) -> Result<Self, LabError> {
        let name = place.file_name().unwrap_or_default();
        let hidden = format!(".{}.making", name.display());
        let path = place.with_file_name(hidden);
        let failed =
            |error: std::io::Error| LabError::Failed(format!("{}: {error}", path.display()));
        let file = alone::open(&path, open).map_err(failed)?;
        let file = file.ok_or_else(|| {
            LabError::Failed(format!(
                "another joulectl is at {}; wait for it",
                place.display()
            ))
        })?;
        // What a killed process has left is taken over.
        file.set_len(0).map_err(failed)?;
        Ok(Self {
            place: place.to_owned(),
            path,
            file,
            replaces,
            kept: false,
        })
    }

    /// Where it lies for now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), LabError> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| LabError::Failed(format!("{}: {error}", self.path.display())))
    }

    /// Puts it into its place, in one step and on the disk.
    pub fn keep(mut self) -> Result<(), LabError> {
        let place = self.place.display().to_string();
        let failed = |error: std::io::Error| LabError::Failed(format!("{place}: {error}"));
        self.file.sync_all().map_err(failed)?;
        let moved = match self.replaces {
            true => std::fs::rename(&self.path, &self.place),
            false => rename_to_nothing(&self.path, &self.place),
        };
        moved.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => is_there(&self.place),
            _ => failed(error),
        })?;
        self.kept = true;
        let folder = folder(&self.place);
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // What can't be removed now is begun anew by the next draft.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A link in its place is not followed: in a folder that others write to, it could lead to any
/// file of this user.
fn open(path: &Path) -> std::io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

fn rename_to_nothing(from: &Path, to: &Path) -> std::io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that can't tell (NFS, some FUSE).
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if !to.exists() => {
            std::fs::rename(from, to)
        }
        moved => Ok(moved?),
    }
}

/// Nothing is overwritten: a model that was measured stays what it was.
pub fn free(place: &Path) -> Result<(), LabError> {
    match place.symlink_metadata() {
        Ok(_) => Err(is_there(place)),
        Err(_) => Ok(()),
    }
}

fn is_there(place: &Path) -> LabError {
    LabError::Failed(format!(
        "{} is there already and is not overwritten; remove it, or choose another folder with --out",
        place.display()
    ))
}

/// Whether so many bytes more fit beside `place`.
pub fn has_room(place: &Path, bytes: u64) -> bool {
    free_bytes(place).is_none_or(|free| bytes.saturating_add(SPARE_BYTES) <= free)
}

/// Of the disk, for a normal user; `None` where it does not tell.
pub fn free_bytes(place: &Path) -> Option<u64> {
    let disk = statvfs(folder(place)).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn folder(place: &Path) -> &Path {
    match place.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_appears_whole_and_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("m.gguf");
        let mut draft = Draft::new(&place).unwrap();
        draft.write(b"abc").unwrap();
        assert!(!place.exists());
        let second = Draft::new(&place).unwrap_err().to_string();
        assert!(second.contains("another joulectl"), "{second}");
        draft.keep().unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"abc");
        let error = Draft::new(&place).unwrap_err().to_string();
        assert!(error.contains("not overwritten"), "{error}");
        let mut other = Draft::replacing(&place).unwrap();
        other.write(b"d").unwrap();
        other.keep().unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"d");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_that_somebody_else_has_put_there_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("m.gguf");
        let draft = Draft::new(&place).unwrap();
        std::fs::write(&place, "theirs").unwrap();
        let error = draft.keep().unwrap_err().to_string();
        assert!(error.contains("not overwritten"), "{error}");
        assert_eq!(std::fs::read(&place).unwrap(), b"theirs");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("m.gguf");
        std::fs::write(dir.path().join(".m.gguf.making"), "half of it").unwrap();
        let mut draft = Draft::new(&place).unwrap();
        draft.write(b"x").unwrap();
        draft.keep().unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"x");
    }

    #[test]
    fn a_link_in_its_place_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        std::fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join(".m.gguf.making")).unwrap();
        let place = dir.path().join("m.gguf");
        for draft in [Draft::new(&place), Draft::replacing(&place)] {
            let error = draft.unwrap_err().to_string();
            assert!(
                error.contains("is a link") && error.contains("remove it"),
                "{error}"
            );
        }
        assert_eq!(std::fs::read(&other).unwrap(), b"mine");
    }

    #[test]
    fn a_disk_has_some_room_and_not_any() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("m.gguf");
        assert!(!has_room(&place, u64::MAX));
        assert!(free_bytes(Path::new("m.gguf")).is_some());
    }
}
