//! hwmon chips that tell power (`powerN_input`, µW) or energy (`energyN_input`, µJ), found
//! by name since hwmon numbers change from boot to boot.

use super::config::SensorConfig;
use super::schedule::Schedule;
use super::sweep::{Channel, Sample, Sweep};
use super::sysfs::{ASSUMED_GAIN, NumberFile, entries, text};
use super::{
    Boundary, ErrorLimits, KnownRails, OpenError, Pace, PollError, RailSpec, ReadingKind, Sink,
    Source,
};
use crate::units::{Joules, MonoNs, Watts};
use std::path::{Path, PathBuf};

const FULL_RATE_HZ: f64 = 10.0;
const IDLE_RATE_HZ: f64 = 10.0;

/// A chip's input and whether it can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// The chip's name.
    pub chip: String,
    /// The channel's label, or `power1`.
    pub label: String,
    pub path: PathBuf,
    /// `Point` for power, `Counter` for energy.
    pub kind: ReadingKind,
    pub readable: Result<(), String>,
}

/// The power and energy channels under `sysfs_root` (usually `/sys`). A chip with both gives
/// its power only, since both tell the same energy.
pub fn discover(sysfs_root: &Path) -> Vec<Input> {
    let mut found = Vec::new();
    for folder in entries(&sysfs_root.join("class/hwmon")) {
        let Some(chip) = text(&folder.join("name")) else {
            continue;
        };
        let power = channels(&folder, &chip, "power", ReadingKind::Point);
        found.extend(if power.is_empty() {
            channels(&folder, &chip, "energy", ReadingKind::Counter)
        } else {
            power
        });
    }
    found
}

fn channels(folder: &Path, chip: &str, prefix: &str, kind: ReadingKind) -> Vec<Input> {
    entries(folder)
        .into_iter()
        .filter_map(|path| {
            let file = path.file_name()?.to_str()?;
            let channel = file.strip_suffix("_input")?;
            let number = channel.strip_prefix(prefix)?;
            number.parse::<u32>().ok()?;
            let label = text(&folder.join(format!("{channel}_label")));
            let readable = NumberFile::open(path.clone())
                .and_then(|file| file.read().map(drop).map_err(|error| error.to_string()));
            Some(Input {
                chip: chip.to_owned(),
                label: label.unwrap_or_else(|| channel.to_owned()),
                path: path.clone(),
                kind,
                readable,
            })
        })
        .collect()
}

struct Hwmon {
    name: String,
    chip: String,
    root: PathBuf,
    files: Vec<(ReadingKind, NumberFile)>,
    sweep: Sweep,
    schedule: Schedule,
}

/// Opens the channels of the chip that `config` names. `config` has passed its check.
pub fn open(config: &SensorConfig, known: &KnownRails) -> Result<Box<dyn Source>, OpenError> {
    let root = PathBuf::from(config.sysfs_root.as_deref().unwrap_or("/sys"));
    let chip = config.chip.clone().unwrap_or_default();
    let found = of_chip(&root, &chip).map_err(OpenError::Device)?;
    let channels = found.iter().map(described).collect();
    let mut sweep = Sweep::new(config, known, "hwmon", Boundary::Rail, channels);
    let full_rate_hz = config.rate_hz.unwrap_or(FULL_RATE_HZ).min(1000.0);
    sweep.set_rate(full_rate_hz);
    Ok(Box::new(Hwmon {
        name: config.name.clone(),
        chip,
        root,
        files: open_files(found).map_err(OpenError::Device)?,
        sweep,
        schedule: Schedule::new(full_rate_hz, IDLE_RATE_HZ),
    }))
}

fn described(input: &Input) -> Channel {
    let mut limits = ErrorLimits {
        scale: vec![ASSUMED_GAIN],
        ..ErrorLimits::default()
    };
    if input.kind == ReadingKind::Counter {
        limits.energy_step = Joules(1e-6);
    } else {
        limits.power_step = Watts(1e-6);
    }
    Channel {
        label: input.label.clone(),
        kind: input.kind,
        wrap: None,
        limits,
    }
}

fn of_chip(root: &Path, chip: &str) -> Result<Vec<Input>, String> {
    let found = discover(root);
    let ours: Vec<Input> = found
        .iter()
        .filter(|channel| channel.chip == chip)
        .cloned()
        .collect();
    if ours.is_empty() {
        let mut others: Vec<&str> = found.iter().map(|channel| channel.chip.as_str()).collect();
        others.dedup();
        let others = if others.is_empty() {
            "no chip there does".to_owned()
        } else {
            format!("these do: {}", others.join(", "))
        };
        return Err(format!(
            "{}: no chip named `{chip}` tells power or energy; {others}",
            root.join("class/hwmon").display()
        ));
    }
    Ok(ours)
}

fn open_files(inputs: Vec<Input>) -> Result<Vec<(ReadingKind, NumberFile)>, String> {
    inputs
        .into_iter()
        .map(|input| {
            input.readable?;
            Ok((input.kind, NumberFile::open(input.path)?))
        })
        .collect()
}

impl Source for Hwmon {
    fn name(&self) -> &str {
        &self.name
    }

    fn rails(&self) -> &[RailSpec] {
        self.sweep.specs()
    }

    fn set_pace(&mut self, pace: Pace) -> Result<(), PollError> {
        self.schedule.set_pace(pace);
        self.sweep.set_rate(self.schedule.rate_hz());
        Ok(())
    }

    fn poll(&mut self, sink: &mut dyn Sink) -> Result<MonoNs, PollError> {
        let mut failed = None;
        let samples: Vec<Option<Sample>> = self
            .files
            .iter()
            .map(|(kind, file)| match (file.read(), kind) {
                (Ok((at, microjoules)), ReadingKind::Counter) => {
                    Some(Sample::Counter { at, microjoules })
                }
                (Ok((at, microwatts)), _) => Some(Sample::Point {
                    at,
                    power: Watts(microwatts as f64 * 1e-6),
                    voltage: None,
                    current: None,
                }),
                (Err(error), _) => {
                    failed.get_or_insert(error);
                    None
                }
            })
            .collect();
        self.sweep.advance(&samples, self.schedule.period(), sink)?;
        match failed {
            Some(error) => Err(error),
            None => Ok(self.schedule.next()),
        }
    }

    fn reset(&mut self) -> Result<(), PollError> {
        let inputs = of_chip(&self.root, &self.chip).and_then(open_files);
        self.files = inputs.map_err(PollError::Fatal)?;
        self.sweep.restart();
        self.schedule.restart();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::{SensorKind, Window};
    use std::fs;

    struct Collect(Vec<(usize, Window)>);

    impl Sink for Collect {
        fn push(&mut self, rail: usize, window: Window) {
            self.0.push((rail, window));
        }
    }

    fn chip(root: &Path, folder: &str, files: &[(&str, &str)]) {
        let folder = root.join("class/hwmon").join(folder);
        fs::create_dir_all(&folder).unwrap();
        for (file, content) in files {
            fs::write(folder.join(file), content).unwrap();
        }
    }

    fn config(root: &Path, chip: &str) -> SensorConfig {
        let mut config = SensorConfig::new("board", SensorKind::Hwmon);
        config.boundary = Some(Boundary::BoardInput);
        config.sysfs_root = Some(root.to_str().unwrap().to_owned());
        config.chip = Some(chip.to_owned());
        config
    }

    #[test]
    fn a_chip_is_found_by_name_and_its_power_read() {
        let tree = tempfile::tempdir().unwrap();
        chip(
            tree.path(),
            "hwmon0",
            &[("name", "cpu_thermal\n"), ("temp1_input", "40000")],
        );
        chip(
            tree.path(),
            "hwmon3",
            &[
                ("name", "ina219\n"),
                ("power1_input", "2000000\n"),
                ("energy1_input", "5"),
            ],
        );
        let mut source = open(&config(tree.path(), "ina219"), &KnownRails::default()).unwrap();
        assert_eq!(source.rails()[0].name, "board");
        assert_eq!(source.rails()[0].kind, ReadingKind::Point);
        let mut sink = Collect(Vec::new());
        source.poll(&mut sink).unwrap();
        chip(tree.path(), "hwmon3", &[("power1_input", "4000000\n")]);
        source.poll(&mut sink).unwrap();
        // A machine that stops for 250 ms between the two polls makes this a gap.
        assert!(sink.0.iter().all(|(_, window)| window.power == Watts(3.0)));
    }

    #[test]
    fn several_channels_are_named_by_their_labels() {
        let tree = tempfile::tempdir().unwrap();
        chip(
            tree.path(),
            "hwmon1",
            &[
                ("name", "amd_energy\n"),
                ("energy1_input", "100\n"),
                ("energy1_label", "Ecore 0\n"),
                ("energy2_input", "100\n"),
            ],
        );
        let source = open(&config(tree.path(), "amd_energy"), &KnownRails::default()).unwrap();
        let names: Vec<&str> = source
            .rails()
            .iter()
            .map(|rail| rail.name.as_str())
            .collect();
        assert_eq!(names, ["board.ecore_0", "board.energy2"]);
        assert_eq!(source.rails()[0].kind, ReadingKind::Counter);
    }

    #[test]
    fn a_missing_chip_names_those_that_are_there() {
        let tree = tempfile::tempdir().unwrap();
        chip(
            tree.path(),
            "hwmon0",
            &[("name", "ina226\n"), ("power1_input", "1\n")],
        );
        let error = open(&config(tree.path(), "ina219"), &KnownRails::default())
            .err()
            .unwrap();
        assert!(error.to_string().contains("these do: ina226"), "{error}");
    }
}
