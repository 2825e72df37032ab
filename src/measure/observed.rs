//! What an attempt observed: the raw material of its record.

use super::control::Stop;
use crate::board::Contention;
use crate::energy::PhaseSpan;
use crate::runtime::process::ProcessMemory;
use crate::runtime::protocol::{Loaded, RepDone, WorkerMemory};
use crate::units::MonoNs;
use crate::workload::{Job, Kind, Phase};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::path::Path;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    Succeeded,
    Failed(String),
    Stopped(Stop),
}

/// Everything that was observed.
#[derive(Debug)]
pub struct Observed {
    pub t0: MonoNs,
    pub t1: MonoNs,
    pub ending: Ending,
    pub loaded: Option<Loaded>,
    /// In order of time, without overlap.
    pub phases: Vec<PhaseSpan>,
    /// Whether each idle phase settled.
    pub settled: BTreeMap<Phase, bool>,
    /// Output token times by repetition: token `first_token + k` is element k.
    pub tokens: BTreeMap<u32, Vec<MonoNs>>,
    /// 0 for `generate`, whose token 0 ends prefill; 1 for `bench`.
    pub first_token: u32,
    pub reps: Vec<RepDone>,
    pub worker_memory: WorkerMemory,
    pub process_memory: Option<ProcessMemory>,
    pub contention: Option<Contention>,
    pub hottest_c: Option<f64>,
    /// CPU seconds of this daemon by phase.
    pub own_cpu_s: BTreeMap<Phase, f64>,
}

impl Observed {
    /// Nothing observed yet, from `t0` on.
    pub fn new(t0: MonoNs, kind: Kind) -> Self {
        Self {
            t0,
            t1: t0,
            ending: Ending::Succeeded,
            loaded: None,
            phases: Vec::new(),
            settled: BTreeMap::new(),
            tokens: BTreeMap::new(),
            first_token: u32::from(kind == Kind::Bench),
            reps: Vec::new(),
            worker_memory: WorkerMemory::default(),
            process_memory: None,
            contention: None,
            hottest_c: None,
            own_cpu_s: BTreeMap::new(),
        }
    }

    pub fn push(&mut self, phase: Phase, rep: Option<u32>, t0: MonoNs, t1: MonoNs) {
        self.phases.push(PhaseSpan { phase, rep, t0, t1 });
    }

    /// Share of the output tokens that are known; `None` where none are counted.
    pub fn progress(&self, job: &Job) -> Option<f64> {
        let each = match job.kind {
            Kind::Bench => job.bench_sizes().n_gen,
            _ => job.n_predict,
        };
        let all = f64::from(each) * f64::from(job.repetitions);
        let known: usize = self.tokens.values().map(Vec::len).sum();
        (all > 0.0).then(|| (known as f64 / all).min(1.0))
    }

    pub fn phase(&self, phase: Phase, rep: Option<u32>) -> Option<&PhaseSpan> {
        self.phases
            .iter()
            .find(|span| span.phase == phase && span.rep == rep)
    }

    /// Notes the hottest zone of this moment.
    pub fn see_temperature(&mut self, sysfs: &Path) {
        let now = crate::board::hottest_c(sysfs);
        self.hottest_c = match (self.hottest_c, now) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }
}

/// This daemon's CPU seconds, split by phase at the moments when a phase's end is heard of.
pub struct OwnCpu {
    last: f64,
    pub by_phase: BTreeMap<Phase, f64>,
}

impl OwnCpu {
    pub fn start() -> Self {
        Self {
            last: Self::now(),
            by_phase: BTreeMap::new(),
        }
    }

    /// CPU seconds of this process since it started, all threads.
    pub fn now() -> f64 {
        let t = clock_gettime(ClockId::ProcessCPUTime);
        t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
    }

    /// Books what was used since the last phase to `phase`.
    pub fn close(&mut self, phase: Phase) {
        let now = Self::now();
        *self.by_phase.entry(phase).or_default() += now - self.last;
        self.last = now;
    }
}
