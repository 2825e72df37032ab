//! Clock domains: the CPUs' (kernel documentation, admin-guide/pm/cpufreq) and those of other
//! devices (class devfreq): GPU, NPU, memory.

use super::absence::Absence;
use super::gauge::{Gauges, entries, line};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An Arm board has up to four clusters, and some ten other devices with clocks.
const MOST: usize = 12;

/// The computing devices' clocks come first where there is no room for all.
const FIRST: [&str; 4] = ["gpu", "npu", "dmc", "emc"];

/// Tegra's GPUs go by their chip's name in L4T up to 35 (jetson_stats, core/gpu.py).
const TEGRA_GPUS: [&str; 4] = ["gm20b", "gp10b", "gv11b", "ga10b"];

/// Whether a policy of cpufreq, by its folder, has CPUs that are online. The kernel keeps the
/// folders of the others. There it answers EBUSY since 5.19; before, EINVAL to the governor and
/// the last clocks to whoever asks for clocks.
pub(crate) fn is_online(policy: &Path) -> bool {
    line(&policy.join("affected_cpus")).is_ok()
}

/// CPUs that share a clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    /// `cpu0-3`
    pub name: String,
    folder: PathBuf,
}

impl Policy {
    /// Those of a machine whose CPUs are online, in the order of their first CPUs.
    pub fn all(sysfs: &Path) -> Vec<Self> {
        entries(&sysfs.join("devices/system/cpu/cpufreq"))
            .into_iter()
            .filter_map(|(entry, folder)| {
                let first = entry.strip_prefix("policy")?;
                if !is_online(&folder) {
                    return None;
                }
                let cpus = line(&folder.join("related_cpus"));
                let name = span(cpus.as_deref().unwrap_or(first));
                Some(Self { name, folder })
            })
            .collect()
    }

    pub fn governor(&self) -> Result<String, Absence> {
        line(&self.folder.join("scaling_governor"))
    }

    /// The most that the governor may choose, in kHz.
    pub fn max_khz(&self) -> Option<u32> {
        let khz = line(&self.folder.join("scaling_max_freq")).ok()?;
        khz.parse().ok()
    }

    /// What the governor may choose between, in MHz.
    pub fn limits_mhz(&self) -> Option<(f64, f64)> {
        let mhz = |file| {
            let khz: f64 = line(&self.folder.join(file)).ok()?.parse().ok()?;
            Some(khz / 1e3)
        };
        Some((mhz("scaling_min_freq")?, mhz("scaling_max_freq")?))
    }
}

/// The clocks of a machine, each in MHz.
#[derive(Debug)]
pub(super) struct Clocks {
    cpus: Gauges,
    others: Gauges,
}

impl Clocks {
    pub fn find(sysfs: &Path) -> Self {
        let cpus: Vec<(String, PathBuf)> = Policy::all(sysfs)
            .into_iter()
            .map(|policy| (policy.name, policy.folder.join("scaling_cur_freq")))
            .collect();
        let mut others: Vec<(String, PathBuf)> = entries(&sysfs.join("class/devfreq"))
            .into_iter()
            .map(|(device, folder)| (device_name(&device), folder.join("cur_freq")))
            .collect();
        let rank = |name: &str| {
            let place = FIRST.iter().position(|first| name.starts_with(first));
            place.unwrap_or(FIRST.len())
        };
        others.sort_by_key(|(name, _)| rank(name));
        let room = MOST.saturating_sub(cpus.len());
        Self {
            // cpufreq counts in kHz, devfreq in Hz.
            cpus: Gauges::open(cpus, 1e3, MOST),
            others: Gauges::open(others, 1e6, room),
        }
    }

    pub fn read_mhz(&self) -> Result<BTreeMap<String, f64>, Absence> {
        match (self.cpus.read(), self.others.read()) {
            (Ok(mut cpus), Ok(others)) => {
                cpus.extend(others);
                Ok(cpus)
            }
            (Ok(clocks), Err(_)) | (Err(_), Ok(clocks)) => Ok(clocks),
            (Err(Absence::NotSupported), Err(absence)) => Err(absence),
            (Err(absence), Err(_)) => Err(absence),
        }
    }
}

/// `0 1 2 3` → `cpu0-3`, `0 4` → `cpu0,4`.
pub(super) fn span(cpus: &str) -> String {
    let numbers: Vec<u32> = cpus
        .split_whitespace()
        .filter_map(|cpu| cpu.parse().ok())
        .collect();
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match parts.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        })
        .collect();
    format!("cpu{}", parts.join(","))
}

/// A device's name without its address: `fb000000.gpu` → `gpu`.
pub(super) fn device_name(device: &str) -> String {
    let name = match device.split_once('.') {
        Some((address, name)) if address.bytes().all(|b| b.is_ascii_hexdigit()) => name,
        _ => device,
    };
    match TEGRA_GPUS.contains(&name) {
        true => "gpu".to_owned(),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn write(tree: &Path, file: &str, text: &str) {
        let path = tree.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    #[test]
    fn domains_are_named_by_what_they_clock() {
        assert_eq!(span("0 1 2 3"), "cpu0-3");
        assert_eq!(span("0 2 3"), "cpu0,2-3");
        assert_eq!(span("4"), "cpu4");
        for (device, name) in [
            ("17000000.gpu", "gpu"),
            ("17000000.ga10b", "gpu"),
            ("57000000.gpu", "gpu"),
            ("fb000000.gpu", "gpu"),
            ("fdab0000.npu", "npu"),
            ("gpu-gpc-0", "gpu-gpc-0"),
            ("dmc", "dmc"),
            ("soc:bus.wrapper", "soc:bus.wrapper"),
        ] {
            assert_eq!(device_name(device), name);
        }
    }

    #[test]
    fn clusters_and_accelerators_are_read_in_mhz() {
        let tree = tempfile::tempdir().unwrap();
        let sys = tree.path();
        assert_eq!(
            Clocks::find(sys).read_mhz(),
            Err(Absence::NotSupported),
            "an empty tree"
        );
        let cpufreq = "devices/system/cpu/cpufreq";
        for (policy, cpus, khz) in [(0, "0 1 2 3", "1800000"), (4, "4 5 6 7", "2256000")] {
            for file in ["related_cpus", "affected_cpus"] {
                write(sys, &format!("{cpufreq}/policy{policy}/{file}"), cpus);
            }
            let file = format!("{cpufreq}/policy{policy}/scaling_cur_freq");
            write(sys, &file, khz);
        }
        write(sys, &format!("{cpufreq}/boost"), "1");
        // Offline, with the clock that it had last.
        for (file, text) in [
            ("related_cpus", "8 9"),
            ("affected_cpus", ""),
            ("scaling_cur_freq", "2400000"),
        ] {
            write(sys, &format!("{cpufreq}/policy8/{file}"), text);
        }
        write(sys, "class/devfreq/fb000000.gpu/cur_freq", "1000000000");
        write(sys, "class/devfreq/dmc/cur_freq", "2112000000");
        let clocks = Clocks::find(sys);
        let expected = [
            ("cpu0-3", 1800.0),
            ("cpu4-7", 2256.0),
            ("dmc", 2112.0),
            ("gpu", 1000.0),
        ];
        let expected = expected.map(|(name, mhz)| (name.to_owned(), mhz));
        assert_eq!(clocks.read_mhz(), Ok(expected.into()));
        write(
            sys,
            &format!("{cpufreq}/policy4/scaling_cur_freq"),
            "408000",
        );
        assert_eq!(clocks.read_mhz().unwrap()["cpu4-7"], 408.0);
    }

    #[test]
    fn where_there_is_no_room_for_all_the_computing_devices_stay() {
        let tree = tempfile::tempdir().unwrap();
        for number in 10..30 {
            let file = format!("class/devfreq/1534{number}00.vic/cur_freq");
            write(tree.path(), &file, "1");
        }
        write(
            tree.path(),
            "class/devfreq/f7000000.npu/cur_freq",
            "1000000",
        );
        let read = Clocks::find(tree.path()).read_mhz().unwrap();
        assert_eq!((read.len(), read["npu"]), (MOST, 1.0));
    }

    proptest! {
        #[test]
        fn any_list_of_cpus_has_a_name(text in "\\PC*") {
            prop_assert!(span(&text).starts_with("cpu"));
        }
    }
}
