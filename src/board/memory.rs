//! Memory and disk of this machine, `None` where the kernel doesn't tell.

use super::absence::Absence;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// MemAvailable stands on the third line of /proc/meminfo, each of 28 bytes.
const HEAD: usize = 256;

/// /proc/meminfo, opened once and read again and again.
#[derive(Debug)]
pub(super) struct AvailableMemory(Result<File, Absence>);

impl AvailableMemory {
    pub fn open() -> Self {
        Self(File::open("/proc/meminfo").map_err(Absence::from))
    }

    pub fn bytes(&self) -> Result<u64, Absence> {
        let file = self.0.as_ref().map_err(|absence| *absence)?;
        let mut head = [0; HEAD];
        let length = file.read_at(&mut head, 0)?;
        let text = std::str::from_utf8(&head[..length]).unwrap_or_default();
        kib_field(text, AVAILABLE).ok_or(Absence::NotSupported)
    }
}

const AVAILABLE: &str = "MemAvailable";

/// One field of /proc/meminfo, in bytes.
pub(super) fn meminfo(field: &str) -> Option<u64> {
    kib_field(&std::fs::read_to_string("/proc/meminfo").ok()?, field)
}

/// What a new process could use without swapping, as the kernel estimates it.
pub fn available_bytes() -> Option<u64> {
    meminfo(AVAILABLE)
}

/// Resident memory of this process.
pub fn own_rss_bytes() -> Option<u64> {
    kib_field(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS")
}

/// Bytes that an unprivileged process can still write below `path`.
pub fn disk_free_bytes(path: &Path) -> Option<u64> {
    let fs = rustix::fs::statvfs(path).ok()?;
    Some(fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// The same as a share of the file system.
pub fn disk_free_share(path: &Path) -> Option<f64> {
    let fs = rustix::fs::statvfs(path).ok()?;
    (fs.f_blocks > 0).then(|| fs.f_bavail as f64 / fs.f_blocks as f64)
}

pub(super) fn kib_field(text: &str, field: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "MemTotal:       100 kB\nMemAvailable:    50 kB\n";
        assert_eq!(kib_field(text, "MemAvailable"), Some(50 * 1024));
        assert_eq!(kib_field(text, "Mem"), None);
        assert_eq!(kib_field(text, "SwapTotal"), None);
    }
}
