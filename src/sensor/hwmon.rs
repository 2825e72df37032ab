//! hwmon chips that tell power (`powerN_input`, µW) or energy (`energyN_input`, µJ), found
//! by name since hwmon numbers change from boot to boot.

use super::config::SensorConfig;
use super::open::{rail, rail_names};
use super::sysfs::{ASSUMED_GAIN, Counter, NumberFile, Points, entries, next_deadline, text};
use super::{
    Boundary, ErrorLimits, OpenError, Pace, PollError, RailSpec, ReadingKind, Sink, Source,
};
use crate::clock;
use crate::units::{Joules, MonoNs, Span, Watts};
use std::path::{Path, PathBuf};

const FULL_RATE_HZ: f64 = 10.0;
const IDLE_RATE_HZ: f64 = 10.0;

/// A channel of a chip and whether it can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
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
pub fn discover(sysfs_root: &Path) -> Vec<Channel> {
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

fn channels(folder: &Path, chip: &str, prefix: &str, kind: ReadingKind) -> Vec<Channel> {
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
            Some(Channel {
                chip: chip.to_owned(),
                label: label.unwrap_or_else(|| channel.to_owned()),
                path: path.clone(),
                kind,
                readable,
            })
        })
        .collect()
}

enum Reading {
    Power(Points),
    Energy(Counter),
}

struct Rail {
    file: NumberFile,
    reading: Reading,
}

struct Hwmon {
    name: String,
    chip: String,
    root: PathBuf,
    specs: Vec<RailSpec>,
    rails: Vec<Rail>,
    full_rate_hz: f64,
    rate_hz: f64,
    deadline: MonoNs,
}

/// Opens the channels of the chip that `config` names. `config` has passed its check.
pub fn open(config: &SensorConfig) -> Result<Box<dyn Source>, OpenError> {
    let root = PathBuf::from(config.sysfs_root.as_deref().unwrap_or("/sys"));
    let chip = config.chip.clone().unwrap_or_default();
    let found = of_chip(&root, &chip).map_err(OpenError::Device)?;
    let labels: Vec<String> = found.iter().map(|channel| channel.label.clone()).collect();
    let full_rate_hz = config.rate_hz.unwrap_or(FULL_RATE_HZ).min(1000.0);
    let specs = rail_names(&config.name, &labels)
        .iter()
        .zip(&found)
        .map(|(name, channel)| {
            let mut spec = rail(config, name, Boundary::Rail, "hwmon", channel.kind);
            spec.nominal_rate_hz = full_rate_hz;
            spec.limits = ErrorLimits {
                scale: vec![ASSUMED_GAIN],
                power_step: Watts(1e-6),
                ..ErrorLimits::default()
            };
            if channel.kind == ReadingKind::Counter {
                spec.limits.power_step = Watts(0.0);
                spec.limits.energy_step = Joules(1e-6);
            }
            spec
        })
        .collect();
    Ok(Box::new(Hwmon {
        name: config.name.clone(),
        chip,
        root,
        specs,
        rails: open_rails(found).map_err(OpenError::Device)?,
        full_rate_hz,
        rate_hz: full_rate_hz,
        deadline: clock::now(),
    }))
}

fn of_chip(root: &Path, chip: &str) -> Result<Vec<Channel>, String> {
    let found = discover(root);
    let ours: Vec<Channel> = found
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

fn open_rails(channels: Vec<Channel>) -> Result<Vec<Rail>, String> {
    channels
        .into_iter()
        .map(|channel| {
            channel.readable?;
            Ok(Rail {
                file: NumberFile::open(channel.path)?,
                reading: match channel.kind {
                    ReadingKind::Counter => Reading::Energy(Counter::new(None)),
                    ReadingKind::Point | ReadingKind::Window => Reading::Power(Points::default()),
                },
            })
        })
        .collect()
}

impl Source for Hwmon {
    fn name(&self) -> &str {
        &self.name
    }

    fn rails(&self) -> &[RailSpec] {
        &self.specs
    }

    fn set_pace(&mut self, pace: Pace) -> Result<(), PollError> {
        self.rate_hz = match pace {
            Pace::Full => self.full_rate_hz,
            Pace::Idle => self.full_rate_hz.min(IDLE_RATE_HZ),
        };
        for spec in &mut self.specs {
            spec.nominal_rate_hz = self.rate_hz;
        }
        self.deadline = clock::now();
        Ok(())
    }

    fn poll(&mut self, sink: &mut dyn Sink) -> Result<MonoNs, PollError> {
        let period = Span::from_secs_f64(1.0 / self.rate_hz);
        let mut outcome = Ok(());
        for (index, rail) in self.rails.iter_mut().enumerate() {
            let window = rail
                .file
                .read()
                .and_then(|(at, raw)| match &mut rail.reading {
                    Reading::Power(points) => {
                        Ok(points.advance(at, Watts(raw as f64 * 1e-6), period))
                    }
                    Reading::Energy(counter) => counter.advance(at, raw),
                });
            match window {
                Ok(Some(window)) => sink.push(index, window),
                Ok(None) => {}
                Err(error) => outcome = Err(error),
            }
        }
        outcome?;
        self.deadline = next_deadline(self.deadline, period, clock::now());
        Ok(self.deadline)
    }

    fn reset(&mut self) -> Result<(), PollError> {
        let rails = of_chip(&self.root, &self.chip).and_then(open_rails);
        self.rails = rails.map_err(PollError::Fatal)?;
        self.deadline = clock::now();
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
        let mut source = open(&config(tree.path(), "ina219")).unwrap();
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
        let source = open(&config(tree.path(), "amd_energy")).unwrap();
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
        let error = open(&config(tree.path(), "ina219")).err().unwrap();
        assert!(error.to_string().contains("these do: ina226"), "{error}");
    }
}
