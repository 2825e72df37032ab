//! What an attempt observed: the raw material of its record.

use super::coded;
use super::control::Stop;
use super::moments::Moments;
use crate::board::{Contention, Finding, Setting};
use crate::clock;
use crate::energy::PhaseSpan;
use crate::runtime::process::ProcessMemory;
use crate::runtime::protocol::{Loaded, PhaseCounters, RepDone, WorkerMemory};
use crate::units::{MonoNs, Span};
use crate::workload::{Job, Kind, Phase};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    Succeeded,
    Failed(String),
    Stopped(Stop),
}

/// Everything that was observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    pub t0: MonoNs,
    pub t1: MonoNs,
    pub ending: Ending,
    pub loaded: Option<Loaded>,
    /// In order of time, without overlap.
    pub phases: Vec<PhaseSpan>,
    /// Whether each idle phase settled.
    pub settled: BTreeMap<Phase, bool>,
    /// What the worker did in each phase of each repetition; equal ones are added up.
    #[serde(with = "coded::pairs")]
    pub counters: BTreeMap<(Phase, Option<u32>), PhaseCounters>,
    pub tokens: BTreeMap<u32, TokenTimes>,
    pub reps: Vec<RepDone>,
    pub worker_memory: WorkerMemory,
    pub process_memory: Option<ProcessMemory>,
    pub contention: Option<Contention>,
    pub moments: Moments,
    /// `None` when the attempt never began.
    pub throttling: Option<Finding>,
    pub under_voltage: Option<Finding>,
    /// Governor, cap and power mode when it had ended; `None` when it never began.
    #[serde(default)]
    pub setting_after: Option<Setting>,
    /// CPU seconds of this daemon by phase.
    pub own_cpu_s: BTreeMap<Phase, f64>,
}

/// When the output tokens of a repetition became known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TokenTimes {
    /// When the repetition began.
    pub t0: MonoNs,
    /// By index. Decode begins at element 0: in `generate` the token that ends prefill, in
    /// `bench` no token at all.
    #[serde(with = "coded::times")]
    pub known: Vec<MonoNs>,
}

impl TokenTimes {
    /// Decode tokens: all but element 0.
    pub fn decoded(&self) -> usize {
        self.known.len().saturating_sub(1)
    }
}

impl Observed {
    /// Nothing observed yet, from `t0` on.
    pub fn new(t0: MonoNs) -> Self {
        Self {
            t0,
            t1: t0,
            ending: Ending::Succeeded,
            loaded: None,
            phases: Vec::new(),
            settled: BTreeMap::new(),
            counters: BTreeMap::new(),
            tokens: BTreeMap::new(),
            reps: Vec::new(),
            worker_memory: WorkerMemory::default(),
            process_memory: None,
            contention: None,
            moments: Moments::default(),
            throttling: None,
            under_voltage: None,
            setting_after: None,
            own_cpu_s: BTreeMap::new(),
        }
    }

    pub fn push(&mut self, phase: Phase, rep: Option<u32>, t0: MonoNs, t1: MonoNs) {
        self.phases.push(PhaseSpan { phase, rep, t0, t1 });
    }

    pub fn count(&mut self, phase: Phase, rep: Option<u32>, counters: PhaseCounters) {
        // A bench fills its depth twice in a repetition.
        let before = self.counters.get(&(phase, rep));
        let sum = before.map_or(counters, |before| before.plus(counters));
        self.counters.insert((phase, rep), sum);
    }

    pub fn push_tokens(&mut self, rep: u32, t0: MonoNs, known: Vec<MonoNs>) {
        let times = self.tokens.entry(rep).or_default();
        // Records that have left already count from the first.
        if times.known.is_empty() {
            times.t0 = t0;
        }
        times.known.extend(known);
    }

    /// Share of the decode tokens that are known; `None` where none are counted.
    pub fn progress(&self, job: &Job) -> Option<f64> {
        let each = match job.kind {
            Kind::Bench => job.bench_sizes().n_gen,
            Kind::Generate => job.n_predict - 1,
            Kind::Perplexity | Kind::Choice | Kind::Idle => 0,
        };
        let all = f64::from(each) * f64::from(job.repetitions);
        let known: usize = self.tokens.values().map(TokenTimes::decoded).sum();
        (all > 0.0).then(|| (known as f64 / all).min(1.0))
    }

    pub fn phase(&self, phase: Phase, rep: Option<u32>) -> Option<&PhaseSpan> {
        self.phases
            .iter()
            .find(|span| span.phase == phase && span.rep == rep)
    }
}

/// This daemon's CPU time, noted now and then, so that a phase that is only known later can
/// be charged with its share.
pub struct OwnCpu {
    /// In order of time: CPU seconds of this process, all threads, since it started.
    notes: Vec<(MonoNs, f64)>,
}

/// Notes no denser than this: a day's attempt has 86,400.
const NOTE_EVERY: Span = Span::from_millis(200);

impl OwnCpu {
    pub fn start() -> Self {
        Self {
            notes: vec![(clock::now(), Self::now())],
        }
    }

    pub fn now() -> f64 {
        let t = clock_gettime(ClockId::ProcessCPUTime);
        t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
    }

    /// Notes the CPU time of this moment.
    pub fn note(&mut self) {
        let now = clock::now();
        if self
            .notes
            .last()
            .is_none_or(|(last, _)| now.since(*last) >= NOTE_EVERY)
        {
            self.notes.push((now, Self::now()));
        }
    }

    /// CPU seconds of each phase, all its spans together; between two notes the use is taken
    /// as even.
    pub fn by_phase(&self, phases: &[PhaseSpan]) -> BTreeMap<Phase, f64> {
        let mut used = BTreeMap::new();
        for span in phases {
            *used.entry(span.phase).or_default() += self.at(span.t1) - self.at(span.t0);
        }
        used
    }

    fn at(&self, t: MonoNs) -> f64 {
        let after = self.notes.partition_point(|(noted, _)| *noted <= t);
        let (Some(&(t0, s0)), next) = (self.notes[..after].last(), self.notes.get(after)) else {
            return self.notes.first().map_or(0.0, |(_, first)| *first);
        };
        let Some(&(t1, s1)) = next else { return s0 };
        s0 + (s1 - s0) * t.since(t0).as_secs_f64() / t1.since(t0).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_charged_with_its_share_of_the_cpu_time() {
        let second = |s: u64| MonoNs(s * 1_000_000_000);
        let cpu = OwnCpu {
            notes: vec![(second(10), 1.0), (second(12), 1.4), (second(14), 1.4)],
        };
        let span = |phase, t0, t1| PhaseSpan {
            phase,
            rep: None,
            t0: second(t0),
            t1: second(t1),
        };
        let used = cpu.by_phase(&[
            span(Phase::Load, 10, 11),
            span(Phase::Decode, 11, 13),
            span(Phase::Other, 13, 20),
        ]);
        assert!((used[&Phase::Load] - 0.2).abs() < 1e-12);
        assert!((used[&Phase::Decode] - 0.2).abs() < 1e-12);
        assert_eq!(used[&Phase::Other], 0.0);
    }
}
