//! What the metrics say, as plain data: the last of everything that the daemon has told.

use super::Around;
use crate::record::device::{Boundary, BoundaryBasis, Health, Quality, RailRecord};
use crate::record::last_job::LastJob;
use crate::sensor::RailSpec;
use crate::units::{Joules, MonoNs};
use crate::workload::JobState;

/// Models whose last job is remembered; of more, those that ran last.
const MOST_MODELS: usize = 32;

/// Whose metrics these are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct About {
    pub version: String,
    pub device: String,
    pub group: Option<String>,
    pub profile: String,
    pub model: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub about: About,
    /// When the rails were read last, or the daemon's start.
    pub taken: MonoNs,
    pub rails: Vec<Rail>,
    pub running: bool,
    pub health: Option<Health>,
    pub around: Option<Around>,
    pub ended: Ended,
    /// Of each model, the one that ran last at the end.
    pub last_jobs: Vec<LastJob>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rail {
    pub boundary: Boundary,
    pub basis: BoundaryBasis,
    pub contained_in: Option<String>,
    pub source: String,
    /// `None` where that moment is over.
    pub quality: Option<Quality>,
    pub last: RailRecord,
}

/// Jobs by their final state, since the daemon started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ended {
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
}

impl Ended {
    /// Other states are no end.
    pub fn count(&mut self, state: JobState) {
        match state {
            JobState::Succeeded => self.succeeded += 1,
            JobState::Failed => self.failed += 1,
            JobState::Cancelled => self.cancelled += 1,
            JobState::Queued | JobState::Running => {}
        }
    }
}

impl Snapshot {
    pub fn new(about: About, started: MonoNs) -> Self {
        Self {
            about,
            taken: started,
            rails: Vec::new(),
            running: false,
            health: None,
            around: None,
            ended: Ended::default(),
            last_jobs: Vec::new(),
        }
    }

    pub fn take_rails(
        &mut self,
        specs: &[RailSpec],
        records: &[RailRecord],
        running: bool,
        now: MonoNs,
    ) {
        let rail = |(spec, record): (&RailSpec, &RailRecord)| Rail {
            boundary: spec.boundary,
            basis: spec.boundary_basis,
            contained_in: spec.contained_in.clone(),
            source: spec.source.to_string(),
            quality: Some(record.quality),
            last: record.clone(),
        };
        self.rails = specs.iter().zip(records).map(rail).collect();
        self.running = running;
        self.taken = now;
    }

    /// Of the rails that are known, in their order.
    pub fn take_energies(&mut self, energies: &[Option<Joules>], now: MonoNs) {
        for (rail, energy) in self.rails.iter_mut().zip(energies) {
            rail.last.energy_wh = energy.map(|energy| energy.0 / 3600.0);
        }
        self.taken = now;
    }

    pub fn take_job(&mut self, job: LastJob) {
        self.last_jobs.retain(|other| other.model != job.model);
        self.last_jobs.push(job);
        let surplus = self.last_jobs.len().saturating_sub(MOST_MODELS);
        self.last_jobs.drain(..surplus);
    }

    /// Leaves out what was true at the moment of reading alone.
    pub fn forget_the_moment(&mut self) {
        for rail in &mut self.rails {
            rail.last.power_w = None;
            rail.last.voltage_v = None;
            rail.last.current_a = None;
            rail.quality = None;
        }
        if let Some(health) = &mut self.health {
            health.temperature_c = None;
            for sensor in health.sensors.values_mut() {
                sensor.rate_hz = None;
            }
        }
    }
}
