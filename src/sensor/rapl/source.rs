//! Polls the counters of the packages and of what is beside and in them.

use super::discover::{Domain, Place, advice, discover};
use crate::sensor::schedule::Schedule;
use crate::sensor::sweep::{Channel, Sample, Sweep};
use crate::sensor::sysfs::{ASSUMED_GAIN, NumberFile, Outcome};
use crate::sensor::{
    Boundary, ErrorLimits, KnownRail, KnownRails, KnownTotal, OpenError, Pace, PollError, RailSpec,
    ReadingKind, SensorConfig, Sink, Source,
};
use crate::units::{Joules, MonoNs, Span};
use std::path::{Path, PathBuf};

const FULL_RATE_HZ: f64 = 100.0;
const IDLE_RATE_HZ: f64 = 10.0;
/// The usual energy unit of Intel's processors, 2^-14 J.
const COUNTER_STEP: Joules = Joules(61e-6);
/// The counters move about every millisecond.
const REFRESH: Span = Span::from_millis(1);

struct Rapl {
    name: String,
    root: PathBuf,
    labels: Vec<String>,
    files: Vec<NumberFile>,
    samples: Vec<Option<Sample>>,
    sweep: Sweep,
    schedule: Schedule,
}

/// Opens every counter but psys, as long as one of them can be read. `config` has passed its
/// check.
pub fn open(config: &SensorConfig) -> Result<Box<dyn Source>, OpenError> {
    let root = PathBuf::from(config.sysfs_root.as_deref().unwrap_or("/sys"));
    let domains = rails(&root).map_err(OpenError::Device)?;
    let channels = domains
        .iter()
        .map(|domain| Channel {
            label: domain.label.clone(),
            kind: ReadingKind::Counter,
            wrap: domain.wrap,
            limits: ErrorLimits {
                scale: vec![ASSUMED_GAIN],
                energy_step: COUNTER_STEP,
                refresh: REFRESH,
                ..ErrorLimits::default()
            },
        })
        .collect();
    let known = known(&domains);
    let mut sweep = Sweep::new(config, &known, "rapl", Boundary::Package, channels);
    for (index, domain) in domains.iter().enumerate() {
        // A graphics unit that is switched off draws nothing.
        if matches!(domain.place, Place::Inside(_)) {
            sweep.may_stand_still(index);
        }
    }
    let full_rate_hz = config.rate_hz.unwrap_or(FULL_RATE_HZ).min(1000.0);
    sweep.set_rate(full_rate_hz);
    Ok(Box::new(Rapl {
        name: config.name.clone(),
        root,
        labels: domains.iter().map(|domain| domain.label.clone()).collect(),
        files: domains.iter().map(file).collect(),
        samples: Vec::new(),
        sweep,
        schedule: Schedule::new(full_rate_hz, IDLE_RATE_HZ),
    }))
}

fn file(domain: &Domain) -> NumberFile {
    NumberFile::new(domain.folder.join("energy_uj"))
}

/// The domains that are rails; an error when there is none, or none can be read.
fn rails(root: &Path) -> Result<Vec<Domain>, String> {
    let mut domains = discover(root);
    domains.retain(|domain| domain.place != Place::Enclosing);
    let first_reason = domains
        .iter()
        .find_map(|domain| domain.readable.clone().err());
    match first_reason {
        None if domains.is_empty() => Err(format!(
            "{}: no RAPL package; the processor has none, or the module intel_rapl_common (for a \
             virtual machine: the host) does not show it",
            root.join("class/powercap").display()
        )),
        Some(reason) if domains.iter().all(|domain| domain.readable.is_err()) => Err(reason),
        _ => Ok(domains),
    }
}

/// What RAPL itself says about its domains: what is inside which package, and the sum of
/// those that stand beside each other.
fn known(domains: &[Domain]) -> KnownRails {
    let rails = domains.iter().map(|domain| KnownRail {
        label: domain.label.clone(),
        boundary: match domain.place {
            Place::Part if domain.label.starts_with("package") => Boundary::Package,
            _ => Boundary::Rail,
        },
        contained_in: match &domain.place {
            Place::Inside(package) => Some(package.clone()),
            Place::Part | Place::Enclosing => None,
        },
        excludes: Vec::new(),
        shunt: None,
        nominal_voltage: None,
    });
    let parts = domains.iter().filter(|domain| domain.place == Place::Part);
    KnownRails {
        rails: rails.collect(),
        total: Some(KnownTotal {
            labels: parts.map(|domain| domain.label.clone()).collect(),
            boundary: Boundary::Partial,
            excludes: ["mainboard", "storage", "fans", "power supply loss"]
                .map(str::to_owned)
                .to_vec(),
        }),
    }
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
        let mut outcome = Outcome::default();
        self.samples.clear();
        for file in &mut self.files {
            let reading = outcome.of(file.read());
            self.samples.push(reading.map(|reading| Sample::Counter {
                at: reading.at(),
                microjoules: reading.value,
            }));
        }
        let advanced = self
            .sweep
            .advance(&self.samples, self.schedule.period(), sink);
        outcome.result(advice).and(advanced)?;
        Ok(self.schedule.next())
    }

    fn reset(&mut self) -> Result<(), PollError> {
        let domains = rails(&self.root).map_err(PollError::Fatal)?;
        for (label, known) in self.labels.iter().zip(&mut self.files) {
            if let Some(domain) = domains.iter().find(|domain| domain.label == *label) {
                *known = file(domain);
            }
        }
        self.sweep.restart();
        self.schedule.restart();
        Ok(())
    }
}
