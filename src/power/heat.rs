//! Whether the kernel holds the CPUs' clocks down for heat.
//!
//! Its thermal governors do so through cooling devices (driver-api/thermal/sysfs-api), those of
//! cpufreq named `thermal-cpufreq-0` before Linux 5.12 and `cpufreq-cpu0` since. Such a limit
//! shows in `scaling_max_freq` as if it were the administrator's.

use std::fs;
use std::path::Path;

/// Whether a cooling device of the CPUs' clocks is active below this sysfs.
pub fn limits_clocks(sysfs: &Path) -> bool {
    let devices = fs::read_dir(sysfs.join("class/thermal"))
        .into_iter()
        .flatten()
        .flatten();
    let mut devices = devices.filter(|device| {
        let name = device.file_name();
        name.to_string_lossy().starts_with("cooling_device")
    });
    devices.any(|device| is_active(&device.path()))
}

/// One that doesn't tell its state limits nothing as far as is known.
fn is_active(device: &Path) -> bool {
    let read = |file| fs::read_to_string(device.join(file)).unwrap_or_default();
    let state: u64 = read("cur_state").trim().parse().unwrap_or(0);
    read("type").contains("cpufreq") && state > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cooling_devices_of_the_cpus_that_are_active_limit_their_clocks() {
        let tree = tempfile::tempdir().unwrap();
        let device = |name: &str, kind: &str, state: &str| {
            let folder = tree.path().join("class/thermal").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("type"), format!("{kind}\n")).unwrap();
            fs::write(folder.join("cur_state"), format!("{state}\n")).unwrap();
            limits_clocks(tree.path())
        };
        assert!(!limits_clocks(tree.path()), "an empty tree");
        assert!(!device("cooling_device0", "pwm-fan", "3"));
        assert!(!device("cooling_device1", "devfreq-17000000.gpu", "2"));
        assert!(!device("thermal_zone0", "cpufreq-zone", "1"));
        for kind in ["thermal-cpufreq-0", "cpufreq-cpu4"] {
            assert!(!device("cooling_device2", kind, "0"));
            assert!(!device("cooling_device2", kind, "unknown"));
            assert!(device("cooling_device2", kind, "1"));
        }
    }
}
