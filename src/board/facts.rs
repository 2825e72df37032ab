//! What the board is, from device tree or DMI, /proc and sysfs.

use super::detect::BoardIdentity;
use super::power_mode::PowerMode;
use super::profile::Profile;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// This machine: what is known about its kind, and where the kernel shows the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    pub profile: Profile,
    pub identity: BoardIdentity,
    /// /sys, or a copy of it.
    pub sysfs: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Board {
    pub profile: String,
    pub model: Option<String>,
    pub kernel: String,
    pub cpu: Option<String>,
    pub cpus: u32,
    pub memory_bytes: Option<u64>,
    /// Peak bandwidth of the main memory as the profile states it, 10^9 bytes a second.
    #[serde(default)]
    pub memory_bandwidth_gb_s: Option<f64>,
    pub governor: Option<String>,
    pub power_mode: Option<String>,
    /// `null` also where the board names its mode only.
    #[serde(default)]
    pub power_mode_id: Option<u32>,
    pub power_mode_reason: Option<String>,
}

impl Board {
    /// Reads the board's facts. Where the profile knows how to ask for the power mode, a
    /// command is run: not to be called within a measured window.
    pub fn read(host: &Host) -> Self {
        let kernel = rustix::system::uname();
        let identity = &host.identity;
        let mode = match &host.profile.power_mode {
            Some(modes) => PowerMode::read(modes),
            None => Err("not supported".to_owned()),
        };
        Self {
            profile: host.profile.name.clone(),
            model: identity.model.clone().or_else(|| identity.product.clone()),
            kernel: kernel.release().to_string_lossy().into_owned(),
            cpu: cpu_name(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cpus: std::thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
            memory_bytes: super::memory::meminfo("MemTotal"),
            memory_bandwidth_gb_s: host.profile.memory_bandwidth_gb_s(identity),
            governor: first_line(
                &host
                    .sysfs
                    .join("devices/system/cpu/cpufreq/policy0/scaling_governor"),
            ),
            power_mode_id: mode.as_ref().ok().and_then(|mode| mode.id),
            power_mode_reason: mode.as_ref().err().cloned(),
            power_mode: mode.ok().map(|mode| mode.name),
        }
    }
}

fn first_line(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim().to_owned();
    (!line.is_empty()).then_some(line)
}

/// x86 names its model; arm64 kernels only give implementer and part numbers.
fn cpu_name(cpuinfo: &str) -> Option<String> {
    let value = |key: &str| {
        cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        })
    };
    value("model name").or_else(|| {
        Some(format!(
            "implementer {} part {}",
            value("CPU implementer")?,
            value("CPU part")?
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_tree_names_the_board() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(
            tree.path().join("model"),
            "Raspberry Pi 5 Model B Rev 1.0\0",
        )
        .expect("write");
        let board = Board::read(&Host {
            profile: Profile::unknown("mine"),
            identity: BoardIdentity::read(tree.path(), tree.path()),
            sysfs: tree.path().to_owned(),
        });
        assert_eq!(board.profile, "mine");
        assert_eq!(
            board.model.as_deref(),
            Some("Raspberry Pi 5 Model B Rev 1.0")
        );
        assert_eq!(board.governor, None);
        assert_eq!(board.power_mode_reason.as_deref(), Some("not supported"));
    }

    #[test]
    fn both_kinds_of_cpuinfo_name_the_cpu() {
        assert_eq!(
            cpu_name("model name\t: AMD EPYC\n").as_deref(),
            Some("AMD EPYC")
        );
        assert_eq!(
            cpu_name("CPU implementer\t: 0x41\nCPU part\t: 0xd0b\n").as_deref(),
            Some("implementer 0x41 part 0xd0b")
        );
        assert_eq!(cpu_name(""), None);
    }
}
