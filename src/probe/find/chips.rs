//! What hwmon and power_supply show: chips, and what only looks like one.

use super::{Candidate, Found, Reach, safe};
use crate::probe::advice;
use crate::sensor::{SensorConfig, SensorKind, hwmon};
use std::path::PathBuf;

impl Found<'_> {
    /// A block per chip name where the profile knows the rails, which may be spread over
    /// several chips; else one per chip.
    pub(super) fn chips(&mut self) {
        let known = &self.scope.board.known;
        let mut seen: Vec<(String, Option<String>)> = Vec::new();
        for input in self.inputs.clone() {
            let chip = (input.chip.clone(), input.device.clone());
            if seen.contains(&chip) {
                continue;
            }
            seen.push(chip);
            let of_name = self.inputs.iter().filter(|other| other.chip == input.chip);
            let is_known = of_name
                .clone()
                .any(|other| known.rail(&other.label).is_some());
            let is_one = of_name.clone().all(|other| other.device == input.device);
            let mut config = SensorConfig::new("", SensorKind::Hwmon);
            config.chip = Some(input.chip.clone());
            config.sysfs_root = self.sysfs_root();
            let mut base = input.chip.clone();
            if !is_known && !is_one {
                config.device.clone_from(&input.device);
                base.push('-');
                base.push_str(input.device.as_deref().unwrap_or_default());
            }
            let refused: Vec<_> = of_name
                .filter(|other| is_chip(other, &config))
                .map(|other| (other.absence, other.readable.clone().err()))
                .collect();
            let listed = |other: &Candidate| is_chip(&input, &other.config);
            if self.candidates.iter().any(listed) {
                continue;
            }
            config.name = self.block(&base, SensorKind::Hwmon).name;
            match refused.as_slice() {
                [(Some(hwmon::Absence::NotMeasured), Some(why)), ..] => {
                    let chip = input.chip.clone();
                    self.refuse(&base, "hwmon", chip, why.clone());
                }
                _ => self.add(config, Reach::Open),
            }
        }
    }

    /// Batteries and USB-PD supplies look like sensors and are none.
    pub(super) fn supplies(&mut self) {
        let folder = self.scope.sysfs_root.join("class/power_supply");
        let mut supplies: Vec<PathBuf> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        supplies.sort();
        for supply in supplies {
            let kind = std::fs::read_to_string(supply.join("type")).unwrap_or_default();
            let tells = ["current_now", "power_now"]
                .iter()
                .any(|file| supply.join(file).exists());
            let name = supply.file_name().unwrap_or_default().to_string_lossy();
            let is_listed = self
                .candidates
                .iter()
                .any(|other| safe(&other.config.name).replace('-', "_") == name.replace('-', "_"));
            if let Some(refusal) = advice::refused_supply(kind.trim())
                && tells
                && !is_listed
            {
                let place = supply.display().to_string();
                self.refuse(&name, "power-supply", place, refusal.to_owned());
            }
        }
    }
}

/// Whether `config` is about the chip of `input`.
pub(super) fn is_chip(input: &hwmon::Input, config: &SensorConfig) -> bool {
    config.kind == SensorKind::Hwmon
        && config.chip.as_ref() == Some(&input.chip)
        && (config.device.is_none() || config.device == input.device)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{names, scope, write};
    use super::super::{Reach, find};
    use super::*;
    use crate::sensor::{Boundary, KnownRail};

    #[test]
    fn chips_of_one_name_are_apart_unless_the_profile_knows_their_rails() {
        let tree = tempfile::tempdir().unwrap();
        for (hwmon, device) in [("hwmon1", "1-0040"), ("hwmon2", "1-0041")] {
            let folder = format!("bus/i2c/drivers/ina3221/{device}/hwmon/{hwmon}");
            write(tree.path(), &format!("{folder}/name"), "ina3221\n");
            write(tree.path(), &format!("{folder}/in1_label"), "VDD_GPU\n");
            write(tree.path(), &format!("{folder}/in1_input"), "5000\n");
            write(tree.path(), &format!("{folder}/curr1_input"), "1000\n");
        }
        let mut scope = scope(tree.path());
        assert_eq!(names(&scope), ["ina3221-1-0040", "ina3221-1-0041"]);
        let second = &find(&scope)[1].config;
        assert_eq!(second.device.as_deref(), Some("1-0041"));
        scope.board.known.rails.push(KnownRail {
            label: "VDD_GPU".to_owned(),
            boundary: Boundary::Rail,
            contained_in: None,
            excludes: Vec::new(),
            shunt: None,
            nominal_voltage: None,
        });
        assert_eq!(names(&scope), ["ina3221"]);
        let mut one = SensorConfig::new("mine", SensorKind::Hwmon);
        one.chip = Some("ina3221".to_owned());
        scope.configured.push(one);
        assert_eq!(names(&scope), ["mine"]);
    }

    #[test]
    fn a_negotiated_supply_is_refused() {
        let tree = tempfile::tempdir().unwrap();
        let supply = "class/power_supply/tcpm-source-psy-4-0022";
        write(tree.path(), &format!("{supply}/type"), "USB\n");
        write(tree.path(), &format!("{supply}/current_now"), "3000000\n");
        write(tree.path(), "class/power_supply/AC/type", "Mains\n");
        let found = find(&scope(tree.path()));
        assert_eq!(found.len(), 1);
        assert!(matches!(&found[0].reach, Reach::Closed(why) if why.contains("negotiated")));
    }
}
