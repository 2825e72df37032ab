//! A file that one process alone writes, under a name that others know.

use std::fs::{File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Between opening and locking there is no time for more than one other process, as a rule.
const MOST_OPENED: usize = 16;

/// What `open` opens at `path`, locked until it is dropped; `None` while another process has it.
///
/// One that another process has renamed since it was opened is let go of, and opened anew: by its
/// lock it would be a finished file that is begun again. `open` is to follow no link.
pub fn open(
    path: &Path,
    mut open: impl FnMut(&Path) -> io::Result<File>,
) -> io::Result<Option<File>> {
    for _ in 0..MOST_OPENED {
        let file = open(path).map_err(|error| plain(error, path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let there = path.symlink_metadata();
        if is_same(&file.metadata()?, there)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// What the kernel says of a link is a riddle (`ELOOP`).
fn plain(error: io::Error, path: &Path) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ELOOP) => {
            let name = path.file_name().unwrap_or_default();
            io::Error::other(format!(
                "{} is a link, which may lead anywhere and is not followed; remove it",
                name.display()
            ))
        }
        _ => error,
    }
}

fn is_same(file: &Metadata, there: io::Result<Metadata>) -> io::Result<bool> {
    match there {
        Ok(there) => Ok((file.dev(), file.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn append(path: &Path) -> io::Result<File> {
        File::options().create(true).append(true).open(path)
    }

    /// A process that another test starts has the lock too, until it executes its program.
    fn soon(mut take: impl FnMut() -> Option<File>) -> File {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match take() {
                Some(file) => return file,
                None if Instant::now() < deadline => std::thread::yield_now(),
                None => panic!("it stays locked"),
            }
        }
    }

    #[test]
    fn one_process_has_it_until_it_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let first = open(&path, append).unwrap();
        assert!(first.is_some());
        assert!(open(&path, append).unwrap().is_none());
        drop(first);
        soon(|| open(&path, append).unwrap());
    }

    #[test]
    fn what_has_got_another_name_since_it_was_opened_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, model) = (dir.path().join("f"), dir.path().join("model"));
        let renamed = || std::fs::rename(&path, &model).unwrap();
        let removed = || std::fs::remove_file(&path).unwrap();
        let ends: [&dyn Fn(); 2] = [&renamed, &removed];
        for end in ends {
            let mut other = Some(soon(|| open(&path, append).unwrap()));
            let mut opened = 0;
            let mut append_late = |path: &Path| {
                opened += 1;
                let file = append(path);
                if let Some(other) = other.take() {
                    // The other process ends between the opening and the lock.
                    end();
                    drop(other);
                }
                file
            };
            let file = soon(|| open(&path, &mut append_late).unwrap());
            assert_eq!(opened, 2);
            let there = path.symlink_metadata().unwrap();
            assert_eq!(file.metadata().unwrap().ino(), there.ino());
        }
    }
}
