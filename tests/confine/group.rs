//! A control group with little memory, for a worker alone.

use rustix::process::Pid;
use std::fs;
use std::path::{Path, PathBuf};

/// Removed when it is dropped; by then its process has ended.
pub struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// `None` where this user can't make one.
    pub fn make(name: &str, limit_bytes: u64) -> Option<Self> {
        let first = Path::new("/sys/fs/cgroup/memory");
        let second = Path::new("/sys/fs/cgroup");
        let (root, limits) = if first.join("cgroup.procs").exists() {
            (
                first,
                ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
            )
        } else {
            let given = fs::read_to_string(second.join("cgroup.subtree_control")).ok()?;
            given.split_whitespace().find(|given| *given == "memory")?;
            (second, ["memory.max", "memory.swap.max"])
        };
        let folder = root.join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let group = Self(folder);
        fs::write(group.0.join(limits[0]), limit_bytes.to_string()).ok()?;
        // Only where swap is accounted for.
        let swap = if root == first { limit_bytes } else { 0 };
        let _ = fs::write(group.0.join(limits[1]), swap.to_string());
        Some(group)
    }

    /// Whether this user may put the process there.
    pub fn take(&self, process: Pid) -> bool {
        let pid = process.as_raw_nonzero().to_string();
        fs::write(self.0.join("cgroup.procs"), pid).is_ok()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // The kernel lets go of the last process a little after its end.
        super::support::daemon::eventually(|| fs::remove_dir(&self.0).is_ok());
    }
}
