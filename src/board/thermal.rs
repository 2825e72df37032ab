//! Temperatures from the thermal zones.

use super::profile::ThermalZones;
use std::path::Path;

/// Zones that are switched off fail to read, or read far outside (−256 °C on a Jetson).
const TOO_COLD_C: f64 = -100.0;
const TOO_WARM_C: f64 = 150.0;

/// The hottest plausible thermal zone in °C, of those that the profile names.
pub fn hottest_c(sysfs: &Path, zones: &ThermalZones) -> Option<f64> {
    let folders = std::fs::read_dir(sysfs.join("class/thermal")).ok()?;
    folders
        .filter_map(|folder| {
            let folder = folder.ok()?.path();
            if !counts(&folder, zones) {
                return None;
            }
            let text = std::fs::read_to_string(folder.join("temp")).ok()?;
            let celsius = text.trim().parse::<f64>().ok()? / 1000.0;
            (celsius > TOO_COLD_C && celsius <= TOO_WARM_C).then_some(celsius)
        })
        .max_by(f64::total_cmp)
}

fn counts(zone: &Path, zones: &ThermalZones) -> bool {
    if zones.zones.is_empty() {
        return true;
    }
    let kind = std::fs::read_to_string(zone.join("type")).unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    let mut known = zones.zones.iter();
    known.any(|known| kind.starts_with(&known.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_live_zone_that_matters_counts() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        let all = ThermalZones::default();
        assert_eq!(hottest_c(tree.path(), &all), None);
        for (zone, kind, text) in [
            ("thermal_zone0", "CPU-therm\n", "48000\n"),
            ("thermal_zone1", "gpu-thermal\n", "61200\n"),
            ("thermal_zone2", "cv0-thermal\n", "-256000\n"),
            ("thermal_zone3", "PMIC-Die\n", "100000\n"),
            ("thermal_zone4", "cpu-broken\n", "900000\n"),
            ("cooling_device0", "", ""),
        ] {
            let dir = tree.path().join("class/thermal").join(zone);
            std::fs::create_dir_all(&dir).expect("mkdir");
            std::fs::write(dir.join("type"), kind).expect("write");
            std::fs::write(dir.join("temp"), text).expect("write");
        }
        assert_eq!(hottest_c(tree.path(), &all), Some(100.0));
        let of = |zones: &[&str]| ThermalZones {
            zones: zones.iter().map(|zone| zone.to_string()).collect(),
            ..ThermalZones::default()
        };
        assert_eq!(hottest_c(tree.path(), &of(&["cpu", "gpu"])), Some(61.2));
        assert_eq!(hottest_c(tree.path(), &of(&["cpu", "cv"])), Some(48.0));
        assert_eq!(hottest_c(tree.path(), &of(&["npu"])), None);
    }
}
