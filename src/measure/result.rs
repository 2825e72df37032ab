//! The records of an attempt, made when everything has ended.

use super::context::Context;
use super::figures::{self, Noted, Repetition};
use super::meter::Recorded;
use super::observed::{Ending, Observed};
use super::tokens::TokenBatches;
use super::trace;
use crate::board::Throttling;
use crate::energy::{self, Baseline, IdleLevel, Measured, Trace};
use crate::record::job::{Tokens, Trace as TraceRecord};
use crate::record::result::{
    Build, Contention, IdlePair, IdlePhase, Interval, JobResult, Load, Memory, Own, Rail, Reasons,
    Records, Thermal, Total,
};
use crate::record::{Reason, Stamped};
use crate::units::Span;
use crate::workload::{Job, JobState, Phase, TokensWhen};
use std::collections::BTreeMap;

/// Under 5 % of the file in memory before loading is a cold load.
const COLD_BELOW: f64 = 0.05;

/// Everything that an attempt leaves behind.
pub struct AttemptRecords {
    pub tokens: Vec<Stamped<Tokens>>,
    pub traces: Vec<Stamped<TraceRecord>>,
    pub result: Stamped<JobResult>,
}

/// Makes the records of an attempt from what was observed and recorded. `batches` are the
/// token records that have left already.
pub fn records(
    context: &Context,
    observed: &Observed,
    rails: &[Recorded],
    batches: TokenBatches,
) -> AttemptRecords {
    let primary = context.primary.and_then(|primary| rails.get(primary));
    let tokens = match context.job.publish.tokens {
        TokensWhen::None => Vec::new(),
        _ => batches.finish(context, observed, primary.map(|rail| &rail.trace)),
    };
    let traces = match context.job.publish.trace {
        true => trace::chunks(context, observed, rails),
        false => Vec::new(),
    };
    let counts = Records {
        tokens: tokens.len() as u64,
        trace: traces.len() as u64,
    };
    AttemptRecords {
        result: context.stamped(result(context, observed, rails, primary, counts)),
        tokens,
        traces,
    }
}

fn result(
    context: &Context,
    observed: &Observed,
    rails: &[Recorded],
    primary: Option<&Recorded>,
    counts: Records,
) -> JobResult {
    let job = &context.job;
    let trace = primary.map(|rail| &rail.trace);
    let level = |phase, minimum_s| {
        let span = observed.phase(phase, None)?;
        let minimum = Span::from_secs_f64(minimum_s);
        Some(IdleLevel::measure(trace?, span.t0, span.t1, minimum))
    };
    let before = level(Phase::IdleBefore, job.idle.before_s);
    let after = level(Phase::IdleAfter, job.idle.after_s);
    let baseline = Baseline::new(before.as_ref(), after.as_ref());
    let reps: Vec<Repetition> = observed
        .reps
        .iter()
        .map(|done| figures::repetition(observed, job.kind, done, trace, baseline.as_ref()))
        .collect();
    let loaded = observed.loaded.as_ref();
    let (state, reason) = ending(&observed.ending);
    let primary_rail = match (primary, context.primary) {
        (Some(rail), _) => Ok(rail.spec.name.clone()),
        (None, Some(_)) => Err(Reason::NotReached),
        (None, None) => Err(Reason::NoPrimaryRail),
    };
    let engine = loaded.map(|loaded| loaded.engine.clone());
    let mut noted = Noted::default();
    let load = load(observed, trace).ok_or(Reason::NotReached);
    let summary = figures::summary(&reps).ok_or(Reason::TooFew);
    let timelines: BTreeMap<String, Vec<energy::Part>> = rails
        .iter()
        .map(|rail| (rail.spec.name.clone(), timeline(observed, rail)))
        .collect();
    JobResult {
        id: job.id.to_string(),
        attempt: context.attempt,
        kind: job.kind,
        state,
        reason,
        tags: job.tags.clone(),
        records: counts,
        t0_mono_ns: observed.t0.0,
        jouled: Build {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profile: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            }
            .to_owned(),
        },
        model: noted.value("model", context.model.clone().ok_or(Reason::NotReached)),
        engine: noted.value("engine", engine.ok_or(Reason::NotReached)),
        params: job.params.clone(),
        tokens_published: job.publish.tokens,
        board: context.board.clone(),
        rig: context.rig.clone(),
        primary_rail: noted.value("primary_rail", primary_rail),
        rails: rails
            .iter()
            .map(|rail| rail_facts(observed, rail))
            .collect(),
        timeline: timelines
            .iter()
            .map(|(rail, parts)| {
                let parts = parts.iter().map(|part| interval(observed, part)).collect();
                (rail.clone(), parts)
            })
            .collect(),
        total: rails
            .iter()
            .map(|rail| (rail.spec.name.clone(), total(observed, rail)))
            .collect(),
        idle: IdlePair {
            before: idle_phase(observed, Phase::IdleBefore, before),
            after: idle_phase(observed, Phase::IdleAfter, after),
            reasons: idle_reasons(observed, job),
        },
        load: noted.value("load", load),
        summary: noted.value("summary", summary),
        memory: memory(observed),
        thermal: thermal(observed),
        contention: contention(observed),
        own: own(observed),
        warnings: warnings(context, observed, rails),
        reps: reps.into_iter().map(|rep| rep.record).collect(),
        reasons: noted.reasons,
    }
}

/// The final state of the job and the reason of its failure.
pub fn ending(ending: &Ending) -> (JobState, Option<String>) {
    use super::control::Stop;
    match ending {
        Ending::Succeeded => (JobState::Succeeded, None),
        Ending::Failed(reason) => (JobState::Failed, Some(reason.clone())),
        Ending::Stopped(Stop::Timeout) => (JobState::Failed, Some("timeout".to_owned())),
        Ending::Stopped(Stop::Cancelled) => (JobState::Cancelled, Some("cancelled".to_owned())),
        Ending::Stopped(Stop::Interrupted) => (JobState::Queued, Some("interrupted".to_owned())),
    }
}

fn timeline(observed: &Observed, rail: &Recorded) -> Vec<energy::Part> {
    energy::timeline(&rail.trace, observed.t0, observed.t1, &observed.phases)
}

fn interval(observed: &Observed, part: &energy::Part) -> Interval {
    let energy = part.energy_j.ok();
    Interval {
        phase: part.span.phase,
        rep: part.span.rep,
        t0_ns: part.span.t0.since(observed.t0).0,
        t1_ns: part.span.t1.since(observed.t0).0,
        energy_j: energy.map(|e| e.value),
        energy_j_u95: energy.map(|e| e.u95()),
        coverage: part.measured.coverage,
        reason: part.energy_j.err(),
    }
}

fn whole(observed: &Observed, rail: &Recorded) -> Measured {
    rail.trace.measure(observed.t0, observed.t1)
}

fn total(observed: &Observed, rail: &Recorded) -> Total {
    let energy = whole(observed, rail).share_j();
    Total {
        energy_j: energy.ok().map(|e| e.value),
        energy_j_u95: energy.ok().map(|e| e.u95()),
        reason: energy.err(),
    }
}

fn rail_facts(observed: &Observed, rail: &Recorded) -> Rail {
    let spec = &rail.spec;
    let whole = whole(observed, rail);
    let delivered_s = whole.span().as_secs_f64() * whole.coverage;
    let rate_hz = (delivered_s > 0.0).then(|| whole.windows as f64 / delivered_s);
    let coverage = (rail.trace.windows() > 0).then_some(whole.coverage);
    let mut noted = Noted::default();
    Rail {
        name: spec.name.clone(),
        boundary: spec.boundary,
        boundary_basis: spec.boundary_basis,
        contained_in: spec.contained_in.clone(),
        excludes: spec.excludes.clone(),
        source: spec.source.to_owned(),
        simulated: spec.simulated,
        mode: spec.mode.clone(),
        range_mv: spec.range_mv,
        shunt_ohm: spec.shunt.map(|shunt| shunt.0),
        calibration_date: spec.calibration_date.clone(),
        duty: spec.duty,
        coverage: noted.value("coverage", coverage.ok_or(Reason::NoData)),
        windows: whole.windows,
        lost_windows: whole.lost,
        saturated_windows: whole.saturated,
        rate_hz: noted.value("rate_hz", rate_hz.ok_or(Reason::NoData)),
        missed_deadlines: rail.missed_deadlines,
        reasons: noted.reasons,
    }
}

fn idle_phase(observed: &Observed, phase: Phase, level: Option<IdleLevel>) -> Option<IdlePhase> {
    let span = observed.phase(phase, None)?;
    let power = level.map_or(Err(Reason::NoPrimaryRail), |level| level.power_w);
    Some(IdlePhase {
        power_w: power.ok().map(|p| p.value),
        power_w_u95: power.ok().map(|p| p.u95()),
        duration_s: span.t1.since(span.t0).as_secs_f64(),
        settled: observed.settled.get(&phase).copied().unwrap_or(false),
        reason: power.err(),
    })
}

/// Why an idle phase has no entry: the job left it out, or the attempt ended before.
fn idle_reasons(observed: &Observed, job: &Job) -> Reasons {
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

fn load(observed: &Observed, trace: Option<&Trace>) -> Option<Load> {
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
        cold: cold.map(|share| share < COLD_BELOW),
        reasons: noted.reasons,
    })
}

fn memory(observed: &Observed) -> Memory {
    let mut noted = Noted::default();
    let process = observed.process_memory.unwrap_or_default();
    let engine = observed.worker_memory;
    let unknown = if_loaded(observed, Reason::NotReported);
    let not_reported = |bytes: Option<u64>| bytes.ok_or(unknown);
    Memory {
        rss_peak_bytes: noted.value("rss_peak_bytes", not_reported(process.rss_peak_bytes)),
        anon_bytes: noted.value("anon_bytes", not_reported(process.anon_bytes)),
        file_bytes: noted.value("file_bytes", not_reported(process.file_bytes)),
        swap_bytes: noted.value("swap_bytes", not_reported(process.swap_bytes)),
        kv_bytes: noted.value("kv_bytes", not_reported(engine.kv_bytes)),
        compute_bytes: noted.value("compute_bytes", not_reported(engine.compute_bytes)),
        repack_bytes: noted.value("repack_bytes", not_reported(engine.repack_bytes)),
        repack_reason: engine
            .repack_bytes
            .is_none()
            .then(|| "not reported by the engine".to_owned()),
        reasons: noted.reasons,
    }
}

/// Why something about the run is not known.
fn if_loaded(observed: &Observed, reason: Reason) -> Reason {
    match observed.loaded {
        Some(_) => reason,
        None => Reason::NotReached,
    }
}

fn thermal(observed: &Observed) -> Thermal {
    let mut noted = Noted::default();
    let unknown = if_loaded(observed, Reason::NotSupported);
    let throttled = match &observed.throttling {
        Some(Throttling::Seen(_)) => Ok(true),
        Some(Throttling::NotSeen) => Ok(false),
        Some(Throttling::Unclear) => Err(Reason::Unclear),
        Some(Throttling::NoEvidence) => Err(Reason::NotSupported),
        None => Err(Reason::NotReached),
    };
    Thermal {
        max_c: noted.value("max_c", observed.hottest_c.ok_or(unknown)),
        throttled: noted.value("throttled", throttled),
        reasons: noted.reasons,
    }
}

fn contention(observed: &Observed) -> Contention {
    let mut noted = Noted::default();
    // Too short an interval for the kernel's 10 ms ticks, or no /proc/stat.
    let unknown = if_loaded(observed, Reason::TooCoarse);
    let seen = observed.contention.ok_or(unknown);
    let psi = seen.and_then(|seen| seen.psi_some.ok_or(Reason::NotSupported));
    Contention {
        foreign_cpu: noted.value("foreign_cpu", seen.map(|seen| seen.foreign_cpu)),
        steal: noted.value("steal", seen.map(|seen| seen.steal)),
        psi_some: noted.value("psi_some", psi),
        contended: noted.value("contended", seen.map(|seen| seen.contended)),
        reasons: noted.reasons,
    }
}

fn own(observed: &Observed) -> Own {
    Own {
        cpu_s: observed
            .own_cpu_s
            .iter()
            .map(|(phase, seconds)| (phase.as_str().to_owned(), *seconds))
            .collect(),
        sampler_power_w: None,
        reasons: Reasons::from([("sampler_power_w".to_owned(), Reason::NotMeasured)]),
    }
}

fn warnings(context: &Context, observed: &Observed, rails: &[Recorded]) -> Vec<String> {
    let mut warnings = context.warnings.clone();
    for rail in rails {
        let name = &rail.spec.name;
        let whole = whole(observed, rail);
        if rail.spec.simulated {
            warnings.push(format!("{name}: SIMULATED sensor; its joules are not real"));
        }
        if rail.trace.windows() == 0 {
            warnings.push(format!("{name}: delivered nothing"));
        } else if whole.coverage < 1.0 {
            let covered = whole.coverage * 100.0;
            warnings.push(format!(
                "{name}: {covered:.3} % of the attempt was measured"
            ));
        }
        if whole.saturated > 0 {
            let n = whole.saturated;
            warnings.push(format!(
                "{name}: {n} windows at full scale; raise max_current_a"
            ));
        }
        if whole.near_full_scale > 0 {
            let n = whole.near_full_scale;
            warnings.push(format!(
                "{name}: {n} averaged windows near full scale may hide clipping"
            ));
        }
    }
    for (phase, settled) in &observed.settled {
        if !settled {
            warnings.push(format!("{}: power did not settle", phase.as_str()));
        }
    }
    if let Some(Throttling::Seen(evidence)) = &observed.throttling {
        warnings.extend(evidence.iter().map(|what| format!("throttled: {what}")));
    }
    if observed.contention.is_some_and(|seen| seen.contended) {
        warnings.push("contended: other processes used the CPU during the run".to_owned());
    }
    warnings
}
