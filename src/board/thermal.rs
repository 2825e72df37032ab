//! Temperatures from the thermal zones.

use std::path::Path;

/// The hottest readable thermal zone in °C. Zones that are switched off fail to read, or
/// read far below zero (−256 °C on a Jetson), and don't count.
pub fn hottest_c(sysfs: &Path) -> Option<f64> {
    let zones = std::fs::read_dir(sysfs.join("class/thermal")).ok()?;
    zones
        .filter_map(|zone| {
            let text = std::fs::read_to_string(zone.ok()?.path().join("temp")).ok()?;
            let celsius = text.trim().parse::<f64>().ok()? / 1000.0;
            (celsius > -100.0).then_some(celsius)
        })
        .max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_live_zone_counts() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(hottest_c(tree.path()), None);
        for (zone, text) in [
            ("thermal_zone0", "48000\n"),
            ("thermal_zone1", "61200\n"),
            ("thermal_zone2", "-256000\n"),
            ("cooling_device0", ""),
        ] {
            let dir = tree.path().join("class/thermal").join(zone);
            std::fs::create_dir_all(&dir).expect("mkdir");
            std::fs::write(dir.join("temp"), text).expect("write");
        }
        assert_eq!(hottest_c(tree.path()), Some(61.2));
    }
}
