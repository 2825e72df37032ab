//! Which power sensor the demo measures with: a real one of this machine if it can be read,
//! else a simulated INA219 whose current follows the machine's CPU use.

use std::path::Path;

/// A `[[sensor]]` block and the primary rail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub block: String,
    pub primary: String,
    pub simulated: bool,
}

const NAME: &str = "input";

/// Looks under `sysfs_root` (`/sys` but for tests).
pub fn choose(sysfs_root: &Path) -> Choice {
    rapl(sysfs_root)
        .or_else(|| hwmon(sysfs_root))
        .unwrap_or_else(simulated)
}

/// The CPU package's energy counter; since 2020 only root may read it.
fn rapl(sysfs_root: &Path) -> Option<Choice> {
    let zone = sysfs_root.join("class/powercap/intel-rapl:0");
    readable_number(&zone.join("energy_uj"))?;
    Some(Choice {
        block: format!("name = \"{NAME}\"\nkind = \"rapl\"\nboundary = \"package\"\n"),
        primary: NAME.to_owned(),
        simulated: false,
    })
}

/// The first chip with a power reading. What it encloses can't be known here: a rail.
fn hwmon(sysfs_root: &Path) -> Option<Choice> {
    let class = std::fs::read_dir(sysfs_root.join("class/hwmon")).ok()?;
    let mut chips: Vec<_> = class.filter_map(|entry| Some(entry.ok()?.path())).collect();
    chips.sort();
    let chip = chips.iter().find(|chip| {
        let inputs = (1..=8).map(|n| chip.join(format!("power{n}_input")));
        inputs
            .into_iter()
            .any(|input| readable_number(&input).is_some())
    })?;
    let name = std::fs::read_to_string(chip.join("name")).ok()?;
    let chip = toml::Value::String(name.trim().to_owned());
    Some(Choice {
        block: format!("name = \"{NAME}\"\nkind = \"hwmon\"\nchip = {chip}\nboundary = \"rail\"\n"),
        primary: NAME.to_owned(),
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

fn readable_number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    fn block(choice: &Choice) -> toml::Table {
        choice.block.parse().expect("the block is TOML")
    }

    #[test]
    fn a_readable_counter_is_preferred() {
        let sys = tempfile::tempdir().unwrap();
        let zone = sys.path().join("class/powercap/intel-rapl:0");
        create_dir_all(&zone).unwrap();
        write(zone.join("energy_uj"), "123456\n").unwrap();
        let choice = choose(sys.path());
        assert_eq!(block(&choice)["kind"].as_str(), Some("rapl"));
        assert!(!choice.simulated);
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
    }

    #[test]
    fn else_it_is_simulated_and_says_so() {
        let sys = tempfile::tempdir().unwrap();
        let choice = choose(sys.path());
        assert!(choice.simulated);
        assert_eq!(block(&choice)["kind"].as_str(), Some("simulated"));
    }
}
