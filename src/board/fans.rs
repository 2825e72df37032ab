//! Fans, as hwmon shows them (kernel documentation, hwmon/sysfs-interface).

use super::absence::Absence;
use super::gauge::{Gauges, entries, line};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A machine with more is no board.
const MOST: usize = 6;

/// Full drive of a fan without a tachometer.
const FULL_PWM: f64 = 255.0;

#[derive(Debug)]
pub(super) struct Fans {
    speeds: Gauges,
    /// Looked at only where no fan tells its speed.
    drives: Gauges,
}

impl Fans {
    pub fn find(sysfs: &Path) -> Self {
        let chips = entries(&sysfs.join("class/hwmon"));
        let files = |of: fn(&str) -> bool| -> Vec<(String, PathBuf)> {
            let chip = |(_, folder): &(String, PathBuf)| {
                let chip = line(&folder.join("name")).unwrap_or_default();
                let files = entries(folder).into_iter().filter(|(file, _)| of(file));
                let named = move |(file, path): (String, PathBuf)| {
                    let file = file.strip_suffix("_input").unwrap_or(&file);
                    (format!("{chip}.{file}"), path)
                };
                files.map(named).collect::<Vec<_>>()
            };
            chips.iter().flat_map(chip).collect()
        };
        let speeds = Gauges::open(files(is_speed), 1.0, MOST);
        let drives = match speeds.is_empty() {
            true => Gauges::open(files(is_drive), FULL_PWM, MOST),
            false => Gauges::default(),
        };
        Self { speeds, drives }
    }

    /// Revolutions a minute by `<chip>.<fan>`.
    pub fn read_rpm(&self) -> Result<BTreeMap<String, f64>, Absence> {
        self.speeds.read()
    }

    /// Share of full drive, of a board whose fans have no tachometer.
    pub fn read_drive(&self) -> BTreeMap<String, f64> {
        self.drives.read().unwrap_or_default()
    }
}

/// `fan1_input`, and `rpm` of the tachometer driver of L4T.
fn is_speed(file: &str) -> bool {
    let number = file
        .strip_prefix("fan")
        .and_then(|rest| rest.strip_suffix("_input"));
    file == "rpm" || number.is_some_and(is_number)
}

/// `pwm1`, not `pwm1_enable`.
fn is_drive(file: &str) -> bool {
    file.strip_prefix("pwm").is_some_and(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_speed_goes_before_a_drive() {
        let tree = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = tree.path().join("class/hwmon").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        };
        let find = || Fans::find(tree.path());
        assert_eq!(find().read_rpm(), Err(Absence::NotSupported));
        assert!(find().read_drive().is_empty());
        write("hwmon1/name", "pwmfan");
        write("hwmon1/pwm1", "51");
        write("hwmon1/pwm1_enable", "1");
        assert_eq!(find().read_rpm(), Err(Absence::NotSupported));
        assert_eq!(
            find().read_drive(),
            [("pwmfan.pwm1".to_owned(), 0.2)].into()
        );
        write("hwmon1/fan1_input", "3120");
        write("hwmon4/name", "pwm_tach");
        write("hwmon4/rpm", "0");
        let speeds = [("pwmfan.fan1", 3120.0), ("pwm_tach.rpm", 0.0)];
        let speeds = speeds.map(|(name, rpm)| (name.to_owned(), rpm));
        assert_eq!(find().read_rpm(), Ok(speeds.into()));
        assert!(find().read_drive().is_empty());
    }
}
