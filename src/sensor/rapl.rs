//! RAPL package counters from `/sys/class/powercap`, in µJ.
//!
//! Only packages: `core` and `uncore` are inside them and `psys` contains them, so that
//! either would count energy twice. Since CVE-2020-8694 the counters are readable by root
//! only.

use super::config::SensorConfig;
use super::schedule::Schedule;
use super::sweep::{Channel, Sample, Sweep};
use super::sysfs::{ASSUMED_GAIN, NumberFile, entries, text};
use super::{
    Boundary, ErrorLimits, KnownRails, OpenError, Pace, PollError, RailSpec, ReadingKind, Sink,
    Source,
};
use crate::units::{Joules, MonoNs};
use std::path::{Path, PathBuf};

const FULL_RATE_HZ: f64 = 100.0;
const IDLE_RATE_HZ: f64 = 10.0;
/// The usual energy unit of Intel's processors, 2^-14 J.
const COUNTER_STEP: Joules = Joules(61e-6);

/// One package domain and whether its counter can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    /// `package-0`.
    pub label: String,
    pub folder: PathBuf,
    pub readable: Result<(), String>,
}

/// The package domains under `sysfs_root` (usually `/sys`).
pub fn discover(sysfs_root: &Path) -> Vec<Package> {
    entries(&sysfs_root.join("class/powercap"))
        .into_iter()
        .filter_map(|folder| {
            let label = text(&folder.join("name"))?;
            if !label.starts_with("package") {
                return None;
            }
            let readable = NumberFile::open(folder.join("energy_uj"))
                .and_then(|file| file.read().map(drop).map_err(|error| error.to_string()));
            Some(Package {
                label,
                folder,
                readable,
            })
        })
        .collect()
}

struct Rapl {
    name: String,
    root: PathBuf,
    files: Vec<NumberFile>,
    sweep: Sweep,
    schedule: Schedule,
}

/// Opens every package's counter. `config` has passed its check.
pub fn open(config: &SensorConfig) -> Result<Box<dyn Source>, OpenError> {
    let root = PathBuf::from(config.sysfs_root.as_deref().unwrap_or("/sys"));
    let packages = discover(&root);
    let files = open_files(&root, &packages).map_err(OpenError::Device)?;
    let channels = packages
        .iter()
        .map(|package| Channel {
            label: package.label.clone(),
            kind: ReadingKind::Counter,
            wrap: text(&package.folder.join("max_energy_range_uj"))
                .and_then(|range| range.parse().ok()),
            limits: ErrorLimits {
                scale: vec![ASSUMED_GAIN],
                energy_step: COUNTER_STEP,
                ..ErrorLimits::default()
            },
        })
        .collect();
    let known = KnownRails::default();
    let mut sweep = Sweep::new(config, &known, "rapl", Boundary::Package, channels);
    let full_rate_hz = config.rate_hz.unwrap_or(FULL_RATE_HZ).min(1000.0);
    sweep.set_rate(full_rate_hz);
    Ok(Box::new(Rapl {
        name: config.name.clone(),
        root,
        files,
        sweep,
        schedule: Schedule::new(full_rate_hz, IDLE_RATE_HZ),
    }))
}

fn open_files(root: &Path, packages: &[Package]) -> Result<Vec<NumberFile>, String> {
    if packages.is_empty() {
        return Err(format!(
            "{}: no RAPL package; the processor has none, or the module intel_rapl_common (for a \
             virtual machine: the host) does not show it",
            root.join("class/powercap").display()
        ));
    }
    packages
        .iter()
        .map(|package| {
            package.readable.clone()?;
            NumberFile::open(package.folder.join("energy_uj"))
        })
        .collect()
}

impl Source for Rapl {
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
            .map(|file| match file.read() {
                Ok((at, microjoules)) => Some(Sample::Counter { at, microjoules }),
                Err(error) => {
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
        let packages = discover(&self.root);
        self.files = open_files(&self.root, &packages).map_err(PollError::Fatal)?;
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

    fn domain(root: &Path, folder: &str, name: &str, energy: &str) {
        let folder = root.join("class/powercap").join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("name"), name).unwrap();
        fs::write(folder.join("energy_uj"), energy).unwrap();
        fs::write(folder.join("max_energy_range_uj"), "1000000\n").unwrap();
    }

    fn config(root: &Path) -> SensorConfig {
        let mut config = SensorConfig::new("cpu", SensorKind::Rapl);
        config.sysfs_root = Some(root.to_str().unwrap().to_owned());
        config
    }

    #[test]
    fn only_packages_are_read() {
        let tree = tempfile::tempdir().unwrap();
        domain(tree.path(), "intel-rapl:0", "package-0\n", "900000\n");
        domain(tree.path(), "intel-rapl:0:0", "core\n", "5\n");
        domain(tree.path(), "intel-rapl:1", "psys\n", "5\n");
        let mut source = open(&config(tree.path())).unwrap();
        assert_eq!(source.rails().len(), 1);
        assert_eq!(source.rails()[0].name, "cpu");
        assert_eq!(source.rails()[0].boundary, Boundary::Package);

        let mut sink = Collect(Vec::new());
        source.poll(&mut sink).unwrap();
        domain(tree.path(), "intel-rapl:0", "package-0\n", "100000\n");
        source.poll(&mut sink).unwrap();
        let (_, window) = sink.0[0];
        let energy = window.power * window.t1.since(window.t0);
        assert!((energy.0 - 0.2).abs() < 1e-9);
    }

    #[test]
    fn a_machine_without_rapl_is_told() {
        let tree = tempfile::tempdir().unwrap();
        let error = open(&config(tree.path())).err().unwrap();
        assert!(error.to_string().contains("no RAPL package"), "{error}");
        assert!(discover(tree.path()).is_empty());
    }

    #[test]
    fn a_half_written_counter_is_an_error_not_a_zero() {
        let tree = tempfile::tempdir().unwrap();
        domain(tree.path(), "intel-rapl:0", "package-0\n", "12\n");
        let mut source = open(&config(tree.path())).unwrap();
        domain(tree.path(), "intel-rapl:0", "package-0\n", "\n");
        let mut sink = Collect(Vec::new());
        assert!(matches!(source.poll(&mut sink), Err(PollError::Retry(_))));
        assert!(sink.0.is_empty());
    }
}
