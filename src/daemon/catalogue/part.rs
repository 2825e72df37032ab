//! The file in which a model comes together: `.NAME.part` beside the models. No model name
//! begins with a dot, so that no job can name it.

#[cfg(feature = "lab")]
use super::alone;
use crate::store::FileIdentity;
use crate::workload::ModelName;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What the kernel may still hold back from the disk when an attempt begins.
const UNSYNCED_AT_MOST: u64 = 8 << 20;

#[derive(Debug)]
pub struct Part {
    path: PathBuf,
    file: File,
    have: u64,
    unsynced: u64,
    /// It came in several pieces, perhaps of different files, or before the power went.
    pub pieced: bool,
}

fn path(dir: &Path, name: &ModelName) -> PathBuf {
    dir.join(format!(".{name}.part"))
}

/// Where it lies after a failure that no later try mends.
fn put_by(dir: &Path, name: &ModelName) -> PathBuf {
    dir.join(format!(".{name}.failed"))
}

/// The models that are on their way.
pub fn names(dir: &Path) -> Vec<ModelName> {
    names_with(dir, ".part")
}

/// The models of which something was put by.
pub fn names_put_by(dir: &Path) -> Vec<ModelName> {
    names_with(dir, ".failed")
}

fn names_with(dir: &Path, ending: &str) -> Vec<ModelName> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let name = |file: &str| -> Option<ModelName> {
        file.strip_prefix('.')?.strip_suffix(ending)?.parse().ok()
    };
    let mut names: Vec<ModelName> = entries
        .filter_map(|entry| name(entry.ok()?.file_name().to_str()?))
        .collect();
    names.sort();
    names
}

impl Part {
    /// Makes the file if need be, and sees to it that the disk has it.
    pub fn mark(dir: &Path, name: &ModelName) -> io::Result<()> {
        let path = path(dir, name);
        if !path.exists() {
            open(&path)?.sync_all()?;
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    }

    /// The file, to go on at its end. The daemon's has one writer.
    pub fn open(dir: &Path, name: &ModelName) -> io::Result<Self> {
        let path = path(dir, name);
        take_up(dir, name, &path)?;
        let file = open(&path)?;
        Self::of(path, file)
    }

    /// The same where any process may write it: no other does until this is dropped. `None`
    /// while another does.
    #[cfg(feature = "lab")]
    pub fn claim(dir: &Path, name: &ModelName) -> io::Result<Option<Self>> {
        let path = path(dir, name);
        take_up(dir, name, &path)?;
        let file = alone::open(&path, open)?;
        file.map(|file| Self::of(path, file)).transpose()
    }

    fn of(path: PathBuf, file: File) -> io::Result<Self> {
        let have = file.metadata()?.len();
        Ok(Self {
            have,
            path,
            file,
            unsynced: 0,
            pieced: have > 0,
        })
    }

    /// Bytes that have come.
    pub fn length(dir: &Path, name: &ModelName) -> u64 {
        std::fs::metadata(path(dir, name)).map_or(0, |file| file.len())
    }

    /// Removes the file, if there is one.
    pub fn forget(dir: &Path, name: &ModelName) {
        for path in [path(dir, name), put_by(dir, name)] {
            let removed = std::fs::remove_file(path);
            if let Err(error) = removed
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, %name, "what came of it can't be removed");
            }
        }
    }

    /// Keeps what has come for the next time that somebody asks: a restart leaves it alone.
    pub fn put_by(dir: &Path, name: &ModelName) {
        if let Err(error) = std::fs::rename(path(dir, name), put_by(dir, name)) {
            tracing::warn!(%error, %name, "what came of it can't be put by");
        }
    }

    pub fn have(&self) -> u64 {
        self.have
    }

    pub fn start_over(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.have = 0;
        self.pieced = false;
        Ok(())
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.have += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= UNSYNCED_AT_MOST {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Its content from the start. What is written goes to its end all the same.
    pub fn read_from_start(&mut self) -> io::Result<&mut impl Read> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok(&mut self.file)
    }

    /// Makes it the model of this name, in one step.
    pub fn place(self, dir: &Path, name: &ModelName) -> io::Result<FileIdentity> {
        self.file.sync_all()?;
        let identity = FileIdentity::of(&self.file.metadata()?);
        std::fs::rename(&self.path, dir.join(name.as_str()))?;
        File::open(dir)?.sync_all()?;
        Ok(identity)
    }
}

/// What was put by is on its way again.
fn take_up(dir: &Path, name: &ModelName, path: &Path) -> io::Result<()> {
    match std::fs::rename(put_by(dir, name), path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A link in its place is not followed.
fn open(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .append(true)
        .read(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> ModelName {
        "m.gguf".parse().unwrap()
    }

    #[test]
    fn it_goes_on_where_it_ended_and_becomes_the_model_in_one_step() {
        let dir = tempfile::tempdir().unwrap();
        Part::mark(dir.path(), &name()).unwrap();
        assert_eq!(names(dir.path()), [name()]);
        let mut part = Part::open(dir.path(), &name()).unwrap();
        part.write(b"ab").unwrap();
        drop(part);
        Part::mark(dir.path(), &name()).unwrap();
        let mut part = Part::open(dir.path(), &name()).unwrap();
        assert_eq!(part.have(), 2);
        let mut text = String::new();
        part.read_from_start()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "ab");
        part.write(b"c").unwrap();
        let identity = part.place(dir.path(), &name()).unwrap();
        let model = dir.path().join("m.gguf");
        assert_eq!(
            identity,
            FileIdentity::of(&std::fs::metadata(&model).unwrap())
        );
        assert_eq!(std::fs::read_to_string(model).unwrap(), "abc");
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn what_was_put_by_waits_for_somebody_to_ask() {
        let dir = tempfile::tempdir().unwrap();
        Part::open(dir.path(), &name())
            .unwrap()
            .write(b"ab")
            .unwrap();
        Part::put_by(dir.path(), &name());
        assert!(names(dir.path()).is_empty());
        assert_eq!(names_put_by(dir.path()), [name()]);
        let part = Part::open(dir.path(), &name()).unwrap();
        assert_eq!((part.have(), part.pieced), (2, true));
        assert_eq!(names(dir.path()), [name()]);
        Part::put_by(dir.path(), &name());
        Part::forget(dir.path(), &name());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_its_place_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        std::fs::write(&other, "x").unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join(".m.gguf.part")).unwrap();
        assert!(Part::open(dir.path(), &name()).is_err());
        #[cfg(feature = "lab")]
        assert!(Part::claim(dir.path(), &name()).is_err());
        assert_eq!(std::fs::read_to_string(other).unwrap(), "x");
    }

    #[test]
    #[cfg(feature = "lab")]
    fn one_process_alone_writes_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Part::claim(dir.path(), &name()).unwrap().unwrap();
        assert!(Part::claim(dir.path(), &name()).unwrap().is_none());
        first.write(b"ab").unwrap();
        // Its lock is gone with its name.
        Part::forget(dir.path(), &name());
        let again = Part::claim(dir.path(), &name()).unwrap().unwrap();
        assert_eq!((again.have(), again.pieced), (0, false));
    }

    #[test]
    fn foreign_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["m.gguf", "x.part", "..part", ".a b.part", ".hidden"] {
            std::fs::write(dir.path().join(file), "x").unwrap();
        }
        assert!(names(dir.path()).is_empty());
        assert!(names(&dir.path().join("absent")).is_empty());
    }
}
