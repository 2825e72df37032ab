//! Which power sensor the demo measures with: a real one of this machine if it can be read,
//! else a simulated INA219 whose current follows the machine's CPU use.

use std::path::{Path, PathBuf};

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

/// The CPU packages' energy counters; since 2020 only root may read them.
fn rapl(sysfs_root: &Path) -> Option<Choice> {
    let mut packages: Vec<String> = folders(&sysfs_root.join("class/powercap"))
        .iter()
        .filter(|zone| readable_number(&zone.join("energy_uj")).is_some())
        .filter_map(|zone| text(&zone.join("name")))
        .filter(|name| name.starts_with("package"))
        .collect();
    packages.sort();
    Some(Choice {
        primary: rail_name(&packages)?,
        block: format!("name = \"{NAME}\"\nkind = \"rapl\"\nboundary = \"package\"\n"),
        simulated: false,
    })
}

/// The first chip with a power reading. What it encloses can't be known here: a rail.
fn hwmon(sysfs_root: &Path) -> Option<Choice> {
    let chips = folders(&sysfs_root.join("class/hwmon"));
    chips.iter().find_map(|chip| {
        let labels: Vec<String> = (1..=8)
            .map(|n| format!("power{n}"))
            .filter(|channel| readable_number(&chip.join(format!("{channel}_input"))).is_some())
            .map(|channel| text(&chip.join(format!("{channel}_label"))).unwrap_or(channel))
            .collect();
        let primary = rail_name(&labels)?;
        let name = toml::Value::String(text(&chip.join("name"))?);
        Some(Choice {
            block: format!(
                "name = \"{NAME}\"\nkind = \"hwmon\"\nchip = {name}\nboundary = \"rail\"\n"
            ),
            primary,
            simulated: false,
        })
    })
}

/// The name that jouled gives the first of a sensor's rails: the sensor's own when it is the
/// only one. `None` without any.
fn rail_name(labels: &[String]) -> Option<String> {
    let first = labels.first()?;
    if labels.len() == 1 {
        return Some(NAME.to_owned());
    }
    let safe = first.to_ascii_lowercase().replace(
        |c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c)),
        "_",
    );
    Some(format!("{NAME}.{safe}"))
}

/// Folders in `class`, in the order of their names; none where it can't be read.
fn folders(class: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(class).into_iter().flatten();
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    folders.sort();
    folders
}

fn text(path: &Path) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
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
    text(path)?.parse().ok()
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
        assert_eq!(choose(sys.path()).primary, "input.package-0");
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
