//! What a worker may read and write: Landlock rules (landlock(7)).
//!
//! The system's programs and libraries can be read and run; the models, `/proc`, `/sys` and
//! what loaders and GPU drivers look up in `/etc` can be read; GPUs can be used. Nothing else
//! can be opened, and nothing written, but what the administrator has added: not the queue
//! with other people's prompts, not passwords in `/etc/jouled`.
//!
//! Landlock also keeps a worker from reading the memory and environment of processes outside
//! (ptrace access), and with newer kernels from TCP and from signalling them.

use super::Policy;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};
use std::path::PathBuf;

/// The newest set of restrictions whose effect on a worker is known. Older kernels have fewer.
const NEWEST: ABI = ABI::V9;

/// Programs and libraries of the system.
const SYSTEM: [&str; 10] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/gnu/store",
];

/// What programs, loaders and drivers look up.
const LOOKED_UP: [&str; 21] = [
    "/proc",
    "/sys",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/ld-musl-*",
    "/etc/localtime",
    "/etc/locale.alias",
    "/etc/nsswitch.conf",
    "/etc/python3*",
    "/etc/OpenCL",
    "/etc/vulkan",
    "/etc/glvnd",
    "/etc/drirc",
    "/etc/libva.conf",
    "/etc/cuda*",
    "/etc/nvidia",
    "/etc/nv_tegra_release",
    "/etc/nv_boot_control.conf",
    "/etc/alternatives",
];

/// Read and written by everything.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// Nodes of GPUs and other accelerators.
const ACCELERATORS: [&str; 15] = [
    "/dev/nvidia*",
    "/dev/nvhost*",
    "/dev/nvmap",
    "/dev/nvgpu",
    "/dev/nvsciipc",
    "/dev/host1x*",
    "/dev/tegra*",
    "/dev/dri",
    "/dev/kfd",
    "/dev/dxg",
    "/dev/mali*",
    "/dev/accel",
    "/dev/dma_heap",
    "/dev/hailo*",
    "/dev/rknpu*",
];

/// Whose drivers open Unix sockets between their own parts.
const WITH_SOCKETS: [&str; 5] = [
    "/dev/nvidia*",
    "/dev/nvhost*",
    "/dev/nvmap",
    "/dev/kfd",
    "/dev/dxg",
];

/// Whom a worker can send signals to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signals {
    /// Itself and its children.
    Inside,
    /// The kernel does not say: the filter of system calls has to.
    Anywhere,
}

#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("this kernel has none, or it is not among its security modules (lsm=)")]
    Absent,
    #[error(transparent)]
    Refused(#[from] RulesetError),
}

/// What of the above is here. Asked before the rules are in force.
#[derive(Debug, Clone)]
pub struct Accelerators {
    nodes: Vec<PathBuf>,
    pub with_sockets: bool,
}

impl Accelerators {
    pub fn find() -> Self {
        Self {
            nodes: there(&ACCELERATORS),
            with_sockets: !there(&WITH_SOCKETS).is_empty(),
        }
    }
}

/// Takes effect at once and for good, also after `execve`.
pub fn restrict(policy: &Policy, accelerators: &Accelerators) -> Result<Signals, FilesError> {
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let run = read | AccessFs::Execute;
    let write = AccessFs::from_all(NEWEST) & !BitFlags::from(AccessFs::Execute);
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?;
    if !policy.network {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?;
    }
    let mut created = ruleset
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, run))?
        .add_rules(path_beneath_rules(&policy.run, run))?
        .add_rules(path_beneath_rules(there(&LOOKED_UP), read))?
        .add_rules(path_beneath_rules(&policy.read, read))?
        .add_rules(path_beneath_rules(DEVICES, write))?
        .add_rules(path_beneath_rules(&policy.write, write))?;
    if !accelerators.nodes.is_empty() {
        created = created
            .add_rules(path_beneath_rules(&accelerators.nodes, write))?
            .add_rules(path_beneath_rules(["/dev/shm"], write))?;
    }
    let status = created.restrict_self()?;
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else {
        return Err(FilesError::Absent);
    };
    Ok(if effective_abi >= ABI::V6 {
        Signals::Inside
    } else {
        Signals::Anywhere
    })
}

/// What of these patterns exists here.
fn there(patterns: &[&str]) -> Vec<PathBuf> {
    let found = patterns
        .iter()
        .filter_map(|pattern| glob::glob(pattern).ok());
    found.flatten().filter_map(Result::ok).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_one() {
        for pattern in LOOKED_UP.iter().chain(&ACCELERATORS) {
            assert!(glob::Pattern::new(pattern).is_ok(), "{pattern}");
        }
        assert_eq!(there(&["/proc", "/nonexistent*"]), [PathBuf::from("/proc")]);
    }
}
