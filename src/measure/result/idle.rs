//! Idle phases, and the load of the model.

use crate::energy::{IdleLevel, Trace};
use crate::measure::figures::{Noted, contributions, counters};
use crate::measure::observed::Observed;
use crate::record::Reason;
use crate::record::result::{IdlePhase, Load, Reasons};
use crate::workload::{Job, Phase};

/// Under 5 % of the file in memory before loading is a cold load.
const COLD_BELOW: f64 = 0.05;

pub(super) fn idle_phase(
    observed: &Observed,
    phase: Phase,
    level: Option<IdleLevel>,
    trace: Option<&Trace>,
) -> Option<IdlePhase> {
    let span = observed.phase(phase, None)?;
    let power = level.map_or(Err(Reason::NoPrimaryRail), |level| level.power_w);
    Some(IdlePhase {
        power_w: power.ok().map(|p| p.value),
        power_w_u95: power.ok().map(|p| p.u95()),
        budget: contributions(trace, power),
        duration_s: span.t1.since(span.t0).as_secs_f64(),
        settled: observed.settled.get(&phase).copied().unwrap_or(false),
        reason: power.err(),
    })
}

/// Why an idle phase has no entry: the job left it out, or the attempt ended before.
pub(super) fn idle_reasons(observed: &Observed, job: &Job) -> Reasons {
    let phases = [
        ("before", Phase::IdleBefore, job.idle.before_s),
        ("after", Phase::IdleAfter, job.idle.after_s),
    ];
    phases
        .into_iter()
        .filter(|(_, phase, _)| observed.phase(*phase, None).is_none())
        .map(|(name, _, wanted_s)| match wanted_s {
            0.0 => (name.to_owned(), Reason::NotAsked),
            _ => (name.to_owned(), Reason::NotReached),
        })
        .collect()
}

pub(super) fn load(observed: &Observed, trace: Option<&Trace>) -> Option<Load> {
    let span = observed.phase(Phase::Load, None)?;
    let mut noted = Noted::default();
    let energy = match trace {
        Some(trace) => trace.measure(span.t0, span.t1).energy_j(),
        None => Err(Reason::NoPrimaryRail),
    };
    let (energy_j, energy_j_u95) = noted.estimate("energy_j", energy);
    let resident = observed
        .loaded
        .as_ref()
        .and_then(|loaded| loaded.resident_before);
    let cold = noted.value("cold", resident.ok_or(Reason::NotReported));
    noted
        .reasons
        .insert("energy_net_j".to_owned(), Reason::NoBaseline);
    Some(Load {
        duration_s: span.t1.since(span.t0).as_secs_f64(),
        energy_j,
        energy_j_u95,
        budget: contributions(trace, energy),
        cold: cold.map(|share| share < COLD_BELOW),
        resident_before: resident,
        counters: counters(observed, Phase::Load, None),
        reasons: noted.reasons,
    })
}
