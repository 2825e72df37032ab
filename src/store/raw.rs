//! Raw data of attempts: one file an attempt in the storage directory's `raw`.
//!
//! A file is there whole or not at all: it is written under another name, reaches the disk,
//! and is renamed. It comes before its attempt is committed, so that a result never names a
//! file that is not there; one whose attempt was lost is removed at start. A file of an attempt
//! that the store doesn't know may be all that is left of a lost or replaced database: it
//! stays as long as any other. What it holds is the caller's.

use super::{Store, StoreError, directory};
use crate::record::result::Raw;
use crate::workload::JobId;
use crate::workload::job::hex;
use rusqlite::{OptionalExtension, Transaction, params};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Below the storage directory.
const DIRECTORY: &str = "raw";
const SUFFIX: &str = ".jsonl.gz";
const UNFINISHED: &str = ".unfinished";
/// They hold prompts, and texts where a job asks for them: for the daemon's group at most.
const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;
/// So that the last sync is short too on a slow card, and the daemon can end in time.
const SYNC_EVERY_BYTES: u64 = 4 << 20;

/// Where raw data lies.
#[derive(Debug, Clone)]
pub struct RawDirectory {
    dir: PathBuf,
}

/// One raw file by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFile {
    pub id: JobId,
    pub attempt: u32,
    pub path: PathBuf,
    pub bytes: u64,
    /// When it was written, in seconds of the Unix epoch.
    pub written_s: i64,
}

impl RawDirectory {
    /// That of a storage directory.
    pub fn of(storage: &Path) -> Self {
        Self {
            dir: storage.join(DIRECTORY),
        }
    }

    /// Keeps what `write` writes as the raw data of an attempt.
    pub fn keep<E: From<io::Error>>(
        &self,
        id: &JobId,
        attempt: u32,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<Raw, E> {
        directory::make(&self.dir, DIRECTORY_MODE)?;
        let name = file_name(id, attempt);
        let unfinished = self.dir.join(UNFINISHED);
        let kept = put(&unfinished, write).and_then(|(size_bytes, sha256)| {
            let finished = self.dir.join(&name);
            fs::rename(&unfinished, &finished)?;
            if let Err(error) = directory::sync(&self.dir) {
                // The result will say that it is not stored.
                let _ = fs::remove_file(&finished);
                return Err(error.into());
            }
            Ok(Raw {
                file: format!("{DIRECTORY}/{name}"),
                size_bytes,
                sha256,
            })
        });
        if kept.is_err() {
            // What is left of it is removed at the next start at the latest.
            let _ = fs::remove_file(&unfinished);
        }
        kept
    }

    /// Every raw file, by name. Empty where none was ever kept.
    pub fn files(&self) -> io::Result<Vec<RawFile>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some((id, attempt)) = name.to_str().and_then(parse_name) else {
                continue;
            };
            let about = match entry.metadata() {
                Ok(about) => about,
                // Removed since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if about.is_file() {
                files.push(RawFile {
                    id,
                    attempt,
                    path: entry.path(),
                    bytes: about.len(),
                    written_s: unix_seconds(about.modified()?),
                });
            }
        }
        files.sort_by(|a, b| (&a.id, a.attempt).cmp(&(&b.id, b.attempt)));
        Ok(files)
    }

    fn remove_unfinished(&self) {
        let _ = fs::remove_file(self.dir.join(UNFINISHED));
    }

    pub(super) fn unusable(&self, source: io::Error) -> StoreError {
        StoreError::Raw {
            path: self.dir.clone(),
            source,
        }
    }

    /// Drops the raw data of an attempt whose result will not name it.
    pub fn discard(&self, id: &JobId, attempt: u32) -> io::Result<()> {
        match fs::remove_file(self.dir.join(file_name(id, attempt))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes all that can be removed, and returns how many were there, or the first error.
    pub(super) fn remove(&self, files: &[RawFile]) -> Result<u64, StoreError> {
        let mut removed = 0;
        let mut failed = None;
        for file in files {
            match fs::remove_file(&file.path) {
                Ok(()) => removed += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(self.unusable(error)),
            None => Ok(removed),
        }
    }
}

/// Before the epoch, as on a board without a clock, is negative.
fn unix_seconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_secs() as i64,
        Err(before) => -(before.duration().as_secs() as i64),
    }
}

fn file_name(id: &JobId, attempt: u32) -> String {
    format!("{id}.{attempt}{SUFFIX}")
}

fn parse_name(name: &str) -> Option<(JobId, u32)> {
    let stem = name.strip_suffix(SUFFIX)?;
    let (id, attempt) = stem.rsplit_once('.')?;
    let parsed = (id.parse().ok()?, attempt.parse().ok()?);
    // One name a file: "+1" and "01" are other people's.
    (file_name(&parsed.0, parsed.1) == name).then_some(parsed)
}

/// Writes a new file to the disk. Returns its size and SHA-256.
fn put<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(u64, String), E> {
    // Of an attempt that the daemon's end cut short.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path)?;
    let mut out = Hashing {
        out: BufWriter::with_capacity(1 << 16, file),
        bytes: 0,
        unsynced: 0,
        hash: Sha256::new(),
    };
    write(&mut out)?;
    let file = out
        .out
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok((out.bytes, hex(&out.hash.finalize())))
}

struct Hashing {
    out: BufWriter<File>,
    bytes: u64,
    unsynced: u64,
    hash: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.out.flush()?;
            self.out.get_ref().sync_data()?;
            self.unsynced = 0;
        }
        let n = self.out.write(part)?;
        self.bytes += n as u64;
        self.unsynced += n as u64;
        self.hash.update(&part[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A raw file and when its attempt ended, in seconds of the Unix epoch.
#[derive(Debug)]
pub(super) struct Aged {
    pub ended_s: i64,
    pub file: RawFile,
}

/// The oldest first. A file of an attempt that is not known is as old as it was written.
pub(super) fn by_age(tx: &Transaction<'_>, files: Vec<RawFile>) -> rusqlite::Result<Vec<Aged>> {
    let mut attempt = tx.prepare(
        "SELECT coalesce(ended_s, begun_s) FROM attempt WHERE job = ?1 AND attempt = ?2",
    )?;
    let mut aged = files
        .into_iter()
        .map(|file| {
            let ended: Option<i64> = attempt
                .query_row(params![file.id.as_str(), file.attempt], |row| row.get(0))
                .optional()?;
            let ended_s = ended.unwrap_or(file.written_s);
            Ok(Aged { ended_s, file })
        })
        .collect::<rusqlite::Result<Vec<_>>>()?;
    aged.sort_by_key(|aged| aged.ended_s);
    Ok(aged)
}

/// The files of attempts that were lost: their results were never made.
fn of_lost_attempts(
    tx: &Transaction<'_>,
    mut files: Vec<RawFile>,
) -> rusqlite::Result<Vec<RawFile>> {
    let mut lost = tx.prepare("SELECT job, attempt FROM attempt WHERE reason = 'lost'")?;
    let lost: HashSet<(String, u32)> = lost
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    files.retain(|file| lost.contains(&(file.id.to_string(), file.attempt)));
    Ok(files)
}

impl Store {
    /// Where the raw data of this store's attempts lies.
    pub fn raw(&self) -> RawDirectory {
        RawDirectory::of(self.path.parent().unwrap_or(Path::new(".")))
    }

    /// At start, when nothing is written: removes what a crash left unfinished, and files
    /// of lost attempts. Returns how many of the latter.
    pub fn sweep_raw(&mut self) -> Result<u64, StoreError> {
        let raw = self.raw();
        raw.remove_unfinished();
        let files = raw.files().map_err(|source| raw.unusable(source))?;
        let lost = self.change(|tx| of_lost_attempts(tx, files))?;
        raw.remove(&lost)
    }
}

#[cfg(test)]
mod tests {
    use super::super::expiry::tests::expire;
    use super::super::outbox::tests::{id, run};
    use super::super::room::used_bytes;
    use super::super::testing::*;
    use super::*;

    fn keep(raw: &RawDirectory, name: &str, attempt: u32) -> Raw {
        raw.keep(&id(name), attempt, |out| out.write_all(b"windows"))
            .expect("writable")
    }

    fn names(raw: &RawDirectory) -> Vec<(String, u32)> {
        let files = raw.files().expect("readable");
        let name = |file: RawFile| (file.id.to_string(), file.attempt);
        files.into_iter().map(name).collect()
    }

    #[test]
    fn a_file_is_named_with_its_size_and_hash() {
        let (dir, store) = new_store();
        let kept = keep(&store.raw(), "a.2", 3);
        assert_eq!(
            (kept.file.as_str(), kept.size_bytes),
            ("raw/a.2.3.jsonl.gz", 7)
        );
        let path = dir.path().join(&kept.file);
        let content = fs::read(&path).unwrap();
        assert_eq!(content, b"windows");
        assert_eq!(kept.sha256, hex(&Sha256::digest(content)));
        assert_eq!(names(&store.raw()), [("a.2".to_owned(), 3)]);
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o027, 0);
    }

    #[test]
    fn what_could_not_be_written_leaves_nothing() {
        let (dir, store) = new_store();
        let raw = store.raw();
        let failed = raw.keep(&id("a"), 1, |out| {
            out.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        let left = fs::read_dir(dir.path().join(DIRECTORY)).unwrap().count();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let (dir, store) = new_store();
        let victim = dir.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        fs::create_dir(dir.path().join(DIRECTORY)).unwrap();
        let link = dir.path().join(DIRECTORY).join(UNFINISHED);
        std::os::unix::fs::symlink(&victim, link).unwrap();
        keep(&store.raw(), "a", 1);
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
    }

    #[test]
    fn a_directory_that_is_a_file_is_an_error_with_the_system_s_reason() {
        let (dir, store) = new_store();
        fs::write(dir.path().join(DIRECTORY), "in the way").unwrap();
        let nothing = |_: &mut dyn Write| Ok::<(), io::Error>(());
        assert!(store.raw().keep(&id("a"), 1, nothing).is_err());
    }

    #[test]
    fn at_start_files_of_lost_attempts_go() {
        let (dir, mut store) = new_store();
        let raw = store.raw();
        run(&mut store, "done", 1);
        store.submit(&job("lost"), 100, &at(1)).unwrap();
        store.begin_attempt(&id("lost"), &at(1)).unwrap().unwrap();
        for name in ["done", "lost", "unknown"] {
            keep(&raw, name, 1);
        }
        fs::write(dir.path().join("raw/.unfinished"), "half").unwrap();
        fs::write(dir.path().join("raw/notes.txt"), "somebody's").unwrap();
        store.recover(&at(2)).unwrap();
        assert_eq!(store.sweep_raw().unwrap(), 1);
        assert_eq!(
            names(&raw),
            [("done".to_owned(), 1), ("unknown".to_owned(), 1)]
        );
        assert!(dir.path().join("raw/notes.txt").exists());
        assert!(!dir.path().join("raw/.unfinished").exists());
    }

    /// Whoever follows the advice to move a newer database away must not lose raw data by it.
    #[test]
    fn raw_data_outlives_its_database() {
        let (dir, store) = new_store();
        let raw = store.raw();
        keep(&raw, "a", 1);
        drop(store);
        fs::remove_file(dir.path().join(Store::FILE)).unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        assert_eq!(store.sweep_raw().unwrap(), 0);
        let written_s = raw.files().unwrap()[0].written_s;
        let held = used_bytes(&store.db).unwrap() + 7;
        let mut removed = |max_bytes, unix_s| expire(&mut store, 500, max_bytes, unix_s).raw_files;
        assert_eq!(removed(held, written_s + 500), 0);
        assert_eq!(removed(held, written_s + 501), 1);
        keep(&raw, "a", 1);
        assert_eq!(removed(held - 1, written_s), 1);
    }

    #[test]
    fn only_files_are_raw_data() {
        let (dir, store) = new_store();
        let raw = store.raw();
        keep(&raw, "b", 1);
        fs::create_dir(dir.path().join("raw/a.1.jsonl.gz")).unwrap();
        std::os::unix::fs::symlink("b.1.jsonl.gz", dir.path().join("raw/c.1.jsonl.gz")).unwrap();
        assert_eq!(names(&raw), [("b".to_owned(), 1)]);
    }

    #[test]
    fn one_file_that_can_t_be_removed_keeps_no_other() {
        let (dir, store) = new_store();
        let raw = store.raw();
        keep(&raw, "a", 1);
        keep(&raw, "b", 1);
        let files = raw.files().unwrap();
        // Became a directory since it was listed.
        fs::remove_file(&files[0].path).unwrap();
        fs::create_dir(&files[0].path).unwrap();
        assert!(raw.remove(&files).is_err());
        assert_eq!(names(&raw), []);
        assert!(dir.path().join("raw/a.1.jsonl.gz").is_dir());
    }

    #[test]
    fn other_people_s_names_are_left_alone() {
        for name in [
            "a.jsonl.gz",
            "a.01.jsonl.gz",
            "a.+1.jsonl.gz",
            ".1.jsonl.gz",
            "a.1.gz",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
