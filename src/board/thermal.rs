//! Temperatures from the thermal zones.

use super::absence::Absence;
use super::gauge::{Gauge, entries};
use super::profile::ThermalZones;
use std::path::Path;

/// Zones that are switched off fail to read, or read far outside (−256 °C on a Jetson).
const TOO_COLD_C: f64 = -100.0;
const TOO_WARM_C: f64 = 150.0;

/// The thermal zones that count.
#[derive(Debug)]
pub struct Zones(Vec<Gauge>);

impl Zones {
    /// Those that the profile names.
    pub fn find(sysfs: &Path, zones: &ThermalZones) -> Self {
        let folders = entries(&sysfs.join("class/thermal")).into_iter();
        let folders = folders
            .filter(|(name, folder)| name.starts_with("thermal_zone") && counts(folder, zones));
        let millidegrees = |folder: &Path| Gauge::open(&folder.join("temp"), 1e3);
        Self(folders.map(|(_, folder)| millidegrees(&folder)).collect())
    }

    /// The hottest plausible one in °C.
    pub fn hottest_c(&self) -> Result<f64, Absence> {
        let mut hottest = Err(Absence::NotSupported);
        for zone in &self.0 {
            match zone.read() {
                Ok(celsius) if celsius > TOO_COLD_C && celsius <= TOO_WARM_C => {
                    hottest = Ok(hottest.map_or(celsius, |other: f64| other.max(celsius)));
                }
                Err(Absence::NotPermitted) if hottest.is_err() => {
                    hottest = Err(Absence::NotPermitted);
                }
                _ => {}
            }
        }
        hottest
    }
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
        let hottest = |zones: &ThermalZones| Zones::find(tree.path(), zones).hottest_c().ok();
        let all = ThermalZones::default();
        assert_eq!(hottest(&all), None);
        for (zone, kind, text) in [
            ("thermal_zone0", "CPU-therm\n", "48000\n"),
            ("thermal_zone1", "gpu-thermal\n", "61250\n"),
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
        assert_eq!(hottest(&all), Some(100.0));
        let of = |zones: &[&str]| ThermalZones {
            zones: zones.iter().map(|zone| zone.to_string()).collect(),
            ..ThermalZones::default()
        };
        assert_eq!(hottest(&of(&["cpu", "gpu"])), Some(61.25));
        assert_eq!(hottest(&of(&["cpu", "cv"])), Some(48.0));
        assert_eq!(hottest(&of(&["npu"])), None);
    }
}
