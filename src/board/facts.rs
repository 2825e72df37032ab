//! What the board is, from device tree or DMI, /proc and sysfs.

use serde::{Deserialize, Serialize};
use std::path::Path;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Board {
    pub profile: String,
    pub model: Option<String>,
    pub kernel: String,
    pub cpu: Option<String>,
    pub cpus: u32,
    pub memory_bytes: Option<u64>,
    pub governor: Option<String>,
    pub power_mode: Option<String>,
    pub power_mode_reason: Option<String>,
}

impl Board {
    /// Reads the board's facts. `devicetree` is /proc/device-tree and `sysfs` /sys, or
    /// copies of them.
    pub fn read(devicetree: &Path, sysfs: &Path) -> Self {
        let kernel = rustix::system::uname();
        Self {
            profile: format!("generic-{}", std::env::consts::ARCH),
            model: first_line(&devicetree.join("model"))
                .or_else(|| first_line(&sysfs.join("class/dmi/id/product_name"))),
            kernel: kernel.release().to_string_lossy().into_owned(),
            cpu: cpu_name(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cpus: std::thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
            memory_bytes: super::memory::meminfo("MemTotal"),
            governor: first_line(
                &sysfs.join("devices/system/cpu/cpufreq/policy0/scaling_governor"),
            ),
            power_mode: None,
            power_mode_reason: Some("not supported".to_owned()),
        }
    }
}

/// The device tree ends its strings with NUL.
fn first_line(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim_matches(['\0', ' ']).to_owned();
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
        let board = Board::read(tree.path(), tree.path());
        assert_eq!(
            board.model.as_deref(),
            Some("Raspberry Pi 5 Model B Rev 1.0")
        );
        assert_eq!(board.governor, None);
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
