//! Which power sensor the demo measures with: a real one of this machine if it can be read,
//! else a simulated INA219 whose current follows the machine's CPU use.

use crate::sensor::{self, Boundary, KnownRails, SensorConfig, SensorKind, hwmon};
use std::path::Path;

/// A `[[sensor]]` block and the primary rail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub block: String,
    pub primary: String,
    pub simulated: bool,
}

const NAME: &str = "input";

/// Looks under `sysfs_root` (`/sys` but for tests). Processors' counters come first; since
/// 2020 only root may read them.
pub fn choose(sysfs_root: &Path) -> Choice {
    let mut candidates = vec![SensorConfig::new(NAME, SensorKind::Rapl)];
    candidates[0].boundary = Some(Boundary::Package);
    for input in hwmon::discover(sysfs_root) {
        let mut config = SensorConfig::new(NAME, SensorKind::Hwmon);
        // What it encloses can't be known here.
        config.boundary = Some(Boundary::Rail);
        config.chip = Some(input.chip);
        candidates.push(config);
    }
    candidates
        .into_iter()
        .find_map(|config| real(config, sysfs_root))
        .unwrap_or_else(simulated)
}

/// A sensor that can be opened, with the first of its rails that no other encloses.
fn real(config: SensorConfig, sysfs_root: &Path) -> Option<Choice> {
    let block = toml::to_string(&config).ok()?;
    let there = SensorConfig {
        sysfs_root: Some(sysfs_root.to_str()?.to_owned()),
        ..config
    };
    let source = sensor::open(&there, &KnownRails::default()).ok()?;
    let primary = source
        .rails()
        .iter()
        .find(|rail| rail.contained_in.is_none())?;
    Some(Choice {
        block,
        primary: primary.name.clone(),
        simulated: false,
    })
}

/// About 1600 cycles a second (12-bit shunt, 9-bit bus conversions): enough windows for the
/// tokens of a small model. 5.1 V and 0.55 to 1.30 A are those of a small board.
fn simulated() -> Choice {
    Choice {
        block: format!(
            "name = \"{NAME}\"\n\
             kind = \"simulated\"\n\
             waveform = \"cpu:0.55,1.30\"\n\
             bus_v = 5.1\n\
             shunt_ohm = 0.01\n\
             max_current_a = 4.0\n\
             boundary = \"board-input\"\n\
             adc_shunt = \"12bit\"\n\
             adc_bus = \"9bit\"\n"
        ),
        primary: NAME.to_owned(),
        simulated: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    fn block(choice: &Choice) -> toml::Table {
        choice.block.parse().expect("the block is TOML")
    }

    fn package(sys: &Path, n: u32) {
        let zone = sys.join(format!("class/powercap/intel-rapl:{n}"));
        create_dir_all(&zone).unwrap();
        write(zone.join("name"), format!("package-{n}\n")).unwrap();
        write(zone.join("energy_uj"), "123456\n").unwrap();
    }

    #[test]
    fn a_readable_counter_is_preferred() {
        let sys = tempfile::tempdir().unwrap();
        package(sys.path(), 0);
        let choice = choose(sys.path());
        assert_eq!(block(&choice)["kind"].as_str(), Some("rapl"));
        assert_eq!(choice.primary, "input");
        assert!(!choice.simulated);
        package(sys.path(), 1);
        assert_eq!(choose(sys.path()).primary, "input.total");
    }

    #[test]
    fn then_a_chip_with_power() {
        let sys = tempfile::tempdir().unwrap();
        for (n, chip, file) in [
            (0, "coretemp", "temp1_input"),
            (1, "ina226", "power1_input"),
        ] {
            let dir = sys.path().join(format!("class/hwmon/hwmon{n}"));
            create_dir_all(&dir).unwrap();
            write(dir.join("name"), format!("{chip}\n")).unwrap();
            write(dir.join(file), "2810000\n").unwrap();
        }
        let choice = choose(sys.path());
        assert_eq!(block(&choice)["chip"].as_str(), Some("ina226"));
        assert_eq!(choice.primary, "input");
    }

    #[test]
    fn else_it_is_simulated_and_says_so() {
        let sys = tempfile::tempdir().unwrap();
        let choice = choose(sys.path());
        assert!(choice.simulated);
        assert_eq!(block(&choice)["kind"].as_str(), Some("simulated"));
    }
}
