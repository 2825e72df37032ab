//! A disk that fails, is slow or loses power on command, below the real daemon: the Rust side
//! of `tests/disk/shim.c`.

use super::daemon::Daemon;
use rustix::io::Errno;
use std::fs::File;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Words of the shim's `struct control`.
#[derive(Clone, Copy)]
enum Word {
    Calls,
    FailFrom,
    FailUntil,
    Error,
    SyncMs,
    SkipSync,
    Failed,
}

const WORDS: usize = 7;

/// What a call that changes the disk did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Create,
    Write { offset: u64, data: Vec<u8> },
    Truncate { length: u64 },
    Sync,
    Rename { to: String },
    Unlink,
    Mkdir,
    SyncDir,
}

/// One call, in the order of the disk. Paths are relative to the watched directory.
#[derive(Debug, Clone)]
pub struct Entry {
    pub path: String,
    pub change: Change,
    /// CLOCK_MONOTONIC before the call; of a sync, when it was done.
    pub begin_ns: u64,
    pub end_ns: u64,
}

/// The shim, and the files through which it is driven.
pub struct Disk {
    files: tempfile::TempDir,
    watched: PathBuf,
    control: File,
}

impl Disk {
    /// A healthy disk below this directory.
    pub fn below(watched: &Path) -> Self {
        let files = tempfile::tempdir().expect("a temporary directory");
        let library = files.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/disk/shim.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status()
            .expect("a C compiler is installed: apt-get install gcc");
        assert!(compiled.success(), "{}", source.display());
        let control = files.path().join("control");
        std::fs::write(&control, [0; 8 * WORDS]).expect("writable");
        let control = File::options()
            .read(true)
            .write(true)
            .open(control)
            .expect("just made");
        Self {
            watched: watched.canonicalize().expect("it is there"),
            files,
            control,
        }
    }

    /// What a process is started with to be on this disk.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let file = |name| self.files.path().join(name);
        vec![
            ("LD_PRELOAD", file("shim.so")),
            ("DISK_SHIM_DIR", self.watched.clone()),
            ("DISK_SHIM_CONTROL", file("control")),
            ("DISK_SHIM_JOURNAL", file("journal")),
        ]
    }

    /// Puts a daemon that is to be started on a disk of its own.
    pub fn of(daemon: &mut Daemon) -> Self {
        let disk = Self::below(daemon.path());
        daemon.environment = disk.environment();
        disk
    }

    /// From now on the calls of these numbers fail, the next being 1.
    pub fn fail(&self, calls: RangeInclusive<u64>, error: Errno) {
        self.fail_with(calls, error.raw_os_error() as u64);
    }

    /// From now on the writes of these numbers write half of what they should.
    pub fn write_short(&self, calls: RangeInclusive<u64>) {
        self.fail_with(calls, 0);
    }

    fn fail_with(&self, calls: RangeInclusive<u64>, error: u64) {
        self.heal();
        self.set(Word::Error, error);
        self.set(Word::FailUntil, *calls.end());
        self.set(Word::Failed, 0);
        self.set(Word::Calls, 0);
        self.set(Word::FailFrom, *calls.start());
    }

    pub fn heal(&self) {
        self.set(Word::FailFrom, 0);
    }

    /// Calls that changed something since the start, or since the last change of what fails.
    pub fn calls(&self) -> u64 {
        self.get(Word::Calls)
    }

    /// How many of them failed because they had to.
    pub fn failed(&self) -> u64 {
        self.get(Word::Failed)
    }

    /// How long each sync takes from now on.
    pub fn slow_down(&self, sync_ms: u64) {
        self.set(Word::SyncMs, sync_ms);
    }

    /// Nothing reaches the machine's own disk any more, which saves a test's time.
    pub fn only_pretend_to_sync(&self) {
        self.set(Word::SkipSync, 1);
    }

    /// Every change so far.
    pub fn journal(&self) -> Vec<Entry> {
        let bytes = std::fs::read(self.files.path().join("journal")).unwrap_or_default();
        let mut rest = &bytes[..];
        let mut entries = Vec::new();
        // The last one may be on its way.
        while let Some((entry, after)) = parse(rest) {
            entries.push(entry);
            rest = after;
        }
        entries
    }

    fn get(&self, word: Word) -> u64 {
        let mut value = [0; 8];
        self.control
            .read_exact_at(&mut value, word as u64 * 8)
            .expect("readable");
        u64::from_ne_bytes(value)
    }

    fn set(&self, word: Word, value: u64) {
        self.control
            .write_all_at(&value.to_ne_bytes(), word as u64 * 8)
            .expect("writable");
    }
}

fn parse(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    let small = |at: usize| -> Option<u32> {
        Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    let large = |at: usize| -> Option<u64> {
        Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
    };
    let kind = small(0)?;
    let [path, other, data] = [small(4)?, small(8)?, small(12)?].map(|length| length as usize);
    let (offset, begin_ns, end_ns) = (large(16)?, large(24)?, large(32)?);
    let (path, rest) = bytes.get(40..)?.split_at_checked(path)?;
    let (other, rest) = rest.split_at_checked(other)?;
    let (data, rest) = rest.split_at_checked(data)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let change = match kind {
        1 => Change::Create,
        2 => Change::Write {
            offset,
            data: data.to_vec(),
        },
        3 => Change::Truncate { length: offset },
        4 => Change::Sync,
        5 => Change::Rename { to: text(other) },
        6 => Change::Unlink,
        7 => Change::Mkdir,
        8 => Change::SyncDir,
        unknown => panic!("the shim's journal has an entry of kind {unknown}"),
    };
    let entry = Entry {
        path: text(path),
        change,
        begin_ns,
        end_ns,
    };
    Some((entry, rest))
}
