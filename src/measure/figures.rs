//! From the energy core's estimates to the blocks of the result record.

use super::context::Context;
use super::moments::surround;
use super::observed::{Observed, TokenTimes};
use crate::energy::{
    self, Baseline, DecodeReads, Distribution, Estimate, Figure, GrossNet, PhaseEnergy, RepEnergy,
    Trace,
};
use crate::record::Reason;
use crate::record::result::{
    Budget, Contributions, Counters, Figures, Hardware, PhaseFigures, Reasons, Rep, Statistic,
    Summary,
};
use crate::runtime::protocol::{
    HardwareCounters, HardwareCounts, PhaseCounters, RepDone, StopReason,
};
use crate::workload::{Kind, Phase};
use std::collections::BTreeMap;

/// Writes figures into optional fields and notes why one stays empty.
#[derive(Default)]
pub struct Noted {
    pub reasons: Reasons,
}

impl Noted {
    pub fn value<T>(&mut self, name: &str, value: Result<T, Reason>) -> Option<T> {
        value
            .map_err(|reason| self.reasons.insert(name.to_owned(), reason))
            .ok()
    }

    /// A figure and its expanded uncertainty.
    pub fn estimate(&mut self, name: &str, figure: Figure) -> (Option<f64>, Option<f64>) {
        let estimate = self.value(name, figure);
        (estimate.map(|e| e.value), estimate.map(|e| e.u95()))
    }
}

impl Noted {
    /// A figure over the repetitions and its expanded uncertainty.
    pub fn pair(
        &mut self,
        name: &str,
        figure: Result<(f64, Option<f64>), Reason>,
    ) -> (Option<f64>, Option<f64>) {
        let figure = self.value(name, figure);
        (
            figure.map(|figure| figure.0),
            figure.and_then(|figure| figure.1),
        )
    }
}

/// What the uncertainty of a figure is made of; empty where there is none.
pub fn contributions(trace: Option<&Trace>, figure: Figure) -> Contributions {
    let parts = trace.zip(figure.ok()).map(|(trace, estimate)| {
        let named = |(name, u): (&str, f64)| (name.to_owned(), six_digits(u));
        let parts = trace.budget().contributions(&estimate);
        parts.into_iter().map(named).collect()
    });
    parts.unwrap_or_default()
}

/// More would say nothing about an uncertainty, a voltage or a ratio of counts, and a record
/// has room for 128 KiB.
pub fn six_digits(u: f64) -> f64 {
    format!("{u:.5e}").parse().expect("just printed")
}

/// What the worker did in a phase.
pub fn counters(observed: &Observed, phase: Phase, rep: Option<u32>) -> Counters {
    let mut noted = Noted::default();
    let counted = observed.counters.get(&(phase, rep));
    let hardware = counted.and_then(|counted| counted.hardware);
    let loaded = observed.loaded.as_ref();
    let no_hardware = match loaded.and_then(|loaded| loaded.hardware_counters) {
        Some(HardwareCounters::NotPermitted) => Reason::NotPermitted,
        Some(HardwareCounters::NotSupported) => Reason::NotSupported,
        Some(HardwareCounters::Counting) | None => Reason::NotReported,
    };
    let mut take = |name, of: fn(&PhaseCounters) -> Option<u64>| {
        noted.value(name, counted.and_then(of).ok_or(Reason::NotReported))
    };
    Counters {
        major_faults: take("major_faults", |counted| counted.major_faults),
        read_bytes: take("read_bytes", |counted| counted.read_bytes),
        hardware: noted.value("hardware", hardware.map(hardware_record).ok_or(no_hardware)),
        reasons: noted.reasons,
    }
}

fn hardware_record(counted: HardwareCounts) -> Hardware {
    let mut noted = Noted::default();
    // The events that this CPU lacks, where others are counted.
    let mut event = |name, count: Option<u64>| noted.value(name, count.ok_or(Reason::NotSupported));
    let instructions = event("instructions", counted.instructions);
    let cycles = event("cycles", counted.cycles);
    let cache_references = event("cache_references", counted.cache_references);
    let cache_misses = event("cache_misses", counted.cache_misses);
    let share = |part: Option<u64>, whole: Option<u64>| {
        let (part, whole) = part.zip(whole).filter(|(_, whole)| *whole > 0)?;
        Some(six_digits(part as f64 / whole as f64))
    };
    let ipc = share(instructions, cycles).ok_or(Reason::NotSupported);
    let counted_share = share(counted.running_ns, counted.enabled_ns);
    Hardware {
        instructions,
        cycles,
        ipc: noted.value("ipc", ipc),
        cache_references,
        cache_misses,
        counted_share: noted.value("counted_share", counted_share.ok_or(Reason::NotReported)),
        reasons: noted.reasons,
    }
}

/// One repetition on the primary rail, and the estimates that the summary is made of.
pub struct Repetition {
    pub record: Rep,
    estimates: Estimates,
}

impl Repetition {
    /// Energy of `prefill`, which is all that a job of data does.
    pub fn evaluation(&self) -> GrossNet {
        self.estimates.prefill
    }
}

struct Estimates {
    complete: bool,
    prefill: GrossNet,
    j_per_prompt_token: Figure,
    j_per_output_token: GrossNet,
    all_in: Figure,
    all: Figure,
}

/// Makes the figures of repetition `done`. `trace` is the primary rail's.
pub fn repetition(
    context: &Context,
    observed: &Observed,
    done: &RepDone,
    trace: Option<&Trace>,
    baseline: Option<&Baseline>,
) -> Repetition {
    let kind = context.job.kind;
    let empty = Trace::new(Default::default());
    let energies = trace.unwrap_or(&empty);
    let decoded = observed
        .tokens
        .get(&done.rep)
        .map_or(0, TokenTimes::decoded);
    let measure = |phase, tokens| {
        let span = observed.phase(phase, Some(done.rep))?;
        Some(PhaseEnergy::measure(
            energies, baseline, tokens, span.t0, span.t1,
        ))
    };
    let prefill = measure(Phase::Prefill, done.prompt_tokens);
    let decode = measure(Phase::Decode, u32::try_from(decoded).unwrap_or(u32::MAX));
    let mut energy = match (kind, prefill, decode) {
        (Kind::Generate, Some(prefill), decode) => {
            // A request for one token ends with prefill.
            let end = prefill.measured.t1;
            let none = || PhaseEnergy::measure(energies, baseline, 0, end, end);
            let decode = decode.unwrap_or_else(none);
            RepEnergy::generate(energies, baseline, prefill, decode, done.output_tokens)
        }
        (_, prefill, decode) => RepEnergy::Bench { prefill, decode },
    };
    if trace.is_none() {
        withhold(&mut energy);
    }
    let figures = energy::Figures::new(&energy);
    let not_reached = GrossNet {
        gross: Err(Reason::NotReached),
        net: Err(Reason::NotReached),
    };
    let complete = matches!(done.stop_reason, StopReason::Length | StopReason::Eog);
    let estimates = Estimates {
        complete,
        prefill: energy.prefill().map_or(not_reached, |phase| phase.energy_j),
        j_per_prompt_token: figures.j_per_prompt_token.gross,
        j_per_output_token: figures.j_per_output_token,
        all_in: figures.j_per_output_token_all_in.gross,
        all: figures.j_per_token_all.gross,
    };
    let mut record = record(context, observed, done, &energy, figures, energies);
    surround(&mut record, observed, trace);
    Repetition { record, estimates }
}

/// Without a primary rail that, and not the empty trace, is the reason.
fn withhold(energy: &mut RepEnergy) {
    let none = GrossNet {
        gross: Err(Reason::NoPrimaryRail),
        net: Err(Reason::NoPrimaryRail),
    };
    match energy {
        RepEnergy::Generate {
            prefill,
            decode,
            both,
            ..
        } => {
            prefill.energy_j = none;
            decode.energy_j = none;
            **both = none;
        }
        RepEnergy::Bench { prefill, decode } => {
            for phase in [prefill, decode].into_iter().flatten() {
                phase.energy_j = none;
            }
        }
    }
}

fn record(
    context: &Context,
    observed: &Observed,
    done: &RepDone,
    energy: &RepEnergy,
    figures: energy::Figures,
    trace: &Trace,
) -> Rep {
    let kind = context.job.kind;
    let mut noted = Noted::default();
    let none = TokenTimes::default();
    let times = observed.tokens.get(&done.rep).unwrap_or(&none);
    let ttft = match kind {
        Kind::Generate => times
            .known
            .first()
            .map(|first| first.since(times.t0).as_secs_f64())
            .ok_or(Reason::NotReached),
        _ => Err(Reason::NotDefined),
    };
    let resolved = observed
        .phase(Phase::Decode, Some(done.rep))
        .is_some_and(|decode| {
            let decoded = times.known.get(1..).unwrap_or_default();
            energy::attribute(trace, 1, decoded, decode.t0).resolved
        });
    // A bench without the part, or a repetition that ended before it.
    let missing = match kind {
        Kind::Generate => Reason::NotReached,
        _ => Reason::NotDefined,
    };
    let missing_tokens = match energy.decode() {
        None => missing,
        Some(_) => Reason::TooFew,
    };
    let mut phase = |name: &str, phase: Phase, energy: Option<&PhaseEnergy>| {
        let counters = counters(observed, phase, Some(done.rep));
        let figures = energy
            .ok_or(missing)
            .and_then(|energy| phase_figures(energy, counters));
        noted.value(name, figures)
    };
    let prefill = phase("prefill", Phase::Prefill, energy.prefill());
    let decode = phase("decode", Phase::Decode, energy.decode());
    let u_sys_rel = energy.decode().ok_or(missing).and_then(|decode| {
        let energy = decode.energy_j.gross?;
        energy.u_sys_rel().ok_or(Reason::BelowNoise)
    });
    let mbu = mbu(context, done, energy.decode());
    let figures = all_figures(&mut noted, figures, mbu);
    if kind == Kind::Generate {
        let reasons = noted.reasons.values_mut();
        for reason in reasons.filter(|reason| **reason == Reason::NotDefined) {
            *reason = Reason::NotReached;
        }
    }
    let hash = |hash: &Option<String>| hash.clone().ok_or(Reason::NotReported);
    Rep {
        rep: done.rep,
        ttft_s: noted.value("ttft_s", ttft),
        output_tokens: done.output_tokens,
        stop_reason: done.stop_reason,
        resolved,
        u_sys_rel: noted.value("u_sys_rel", u_sys_rel),
        prefill,
        decode,
        figures,
        tpot_distribution_s: noted.value(
            "tpot_distribution_s",
            Distribution::of(&energy::token_times_s(&times.known)).ok_or(missing_tokens),
        ),
        budget: budgets(energy, trace),
        start: None,
        end: None,
        supply_min_v: None,
        prompt_sha256: noted.value("prompt_sha256", hash(&done.prompt_sha256)),
        output_sha256: noted.value("output_sha256", hash(&done.output_sha256)),
        text: done.text.clone(),
        reasons: noted.reasons,
    }
}

/// How much of the memory's bandwidth decode needed.
fn mbu(context: &Context, done: &RepDone, decode: Option<&PhaseEnergy>) -> Result<f64, Reason> {
    let decode = decode.ok_or(Reason::NotDefined)?;
    let speed = decode.tok_s().filter(|speed| *speed > 0.0);
    let model = context.model.as_ref().ok_or(Reason::NotReported)?;
    let weights = model.step_bytes.ok_or(Reason::NotReported)?;
    let (step_bytes, before) = match (model.encoder_token_bytes, context.job.kind) {
        // The decoder has a context of its own, which begins with one token.
        (Some(bytes), _) => {
            let encoded = bytes.saturating_mul(u64::from(done.prompt_tokens));
            (weights.saturating_add(encoded), 1)
        }
        (None, Kind::Bench) => (weights, context.job.bench_sizes().n_depth),
        (None, _) => (weights, done.prompt_tokens),
    };
    let reads = DecodeReads {
        step_bytes,
        kv_token_bytes: model.kv_token_bytes.ok_or(Reason::NotReported)?,
        before,
        steps: decode.tokens,
    };
    let peak = context.board.memory_bandwidth_gb_s;
    let peak = peak.ok_or(Reason::NotSupported)? * 1e9;
    Ok(reads.mbu(speed.ok_or(Reason::TooFew)?, peak))
}

/// What the uncertainties of the repetition's energies are made of.
fn budgets(energy: &RepEnergy, trace: &Trace) -> BTreeMap<String, Budget> {
    let both = match energy {
        RepEnergy::Generate { both, .. } => Some(**both),
        RepEnergy::Bench { .. } => None,
    };
    [
        ("prefill", energy.prefill().map(|phase| phase.energy_j)),
        ("decode", energy.decode().map(|phase| phase.energy_j)),
        ("both", both),
    ]
    .into_iter()
    .filter_map(|(name, energy)| {
        let energy = energy.filter(|energy| energy.gross.is_ok())?;
        let budget = Budget {
            gross: contributions(Some(trace), energy.gross),
            net: contributions(Some(trace), energy.net),
        };
        Some((name.to_owned(), budget))
    })
    .collect()
}

/// A phase without length, such as the decode of a single output token, has no figures.
fn phase_figures(phase: &PhaseEnergy, counters: Counters) -> Result<PhaseFigures, Reason> {
    let tok_s = phase.tok_s().ok_or(Reason::TooFew)?;
    let mut noted = Noted::default();
    let (energy_j, energy_j_u95) = noted.estimate("energy_j", phase.energy_j.gross);
    let (energy_net_j, energy_net_j_u95) = noted.estimate("energy_net_j", phase.energy_j.net);
    let measured = match phase.energy_j.gross {
        Err(Reason::NoPrimaryRail) => Err(Reason::NoPrimaryRail),
        _ => Ok(&phase.measured),
    };
    Ok(PhaseFigures {
        tokens: phase.tokens,
        duration_s: phase.duration_s(),
        tok_s,
        energy_j,
        energy_j_u95,
        energy_net_j,
        energy_net_j_u95,
        coverage: noted.value("coverage", measured.map(|measured| measured.coverage)),
        windows: noted.value("windows", measured.map(|measured| measured.windows)),
        counters,
        reasons: noted.reasons,
    })
}

fn all_figures(noted: &mut Noted, figures: energy::Figures, mbu: Result<f64, Reason>) -> Figures {
    let mut pair = |name: &str, figure: GrossNet| {
        let gross = noted.estimate(name, figure.gross);
        let net = noted.estimate(&format!("{name}_net"), figure.net);
        (gross, net)
    };
    let prompt = pair("j_per_prompt_token", figures.j_per_prompt_token);
    let output = pair("j_per_output_token", figures.j_per_output_token);
    let all_in = pair(
        "j_per_output_token_all_in",
        figures.j_per_output_token_all_in,
    );
    let all = pair("j_per_token_all", figures.j_per_token_all);
    Figures {
        j_per_prompt_token: prompt.0.0,
        j_per_prompt_token_u95: prompt.0.1,
        j_per_prompt_token_net: prompt.1.0,
        j_per_prompt_token_net_u95: prompt.1.1,
        j_per_output_token: output.0.0,
        j_per_output_token_u95: output.0.1,
        j_per_output_token_net: output.1.0,
        j_per_output_token_net_u95: output.1.1,
        j_per_output_token_all_in: all_in.0.0,
        j_per_output_token_all_in_u95: all_in.0.1,
        j_per_output_token_all_in_net: all_in.1.0,
        j_per_output_token_all_in_net_u95: all_in.1.1,
        j_per_token_all: all.0.0,
        j_per_token_all_u95: all.0.1,
        j_per_token_all_net: all.1.0,
        j_per_token_all_net_u95: all.1.1,
        tpot_s: noted.value("tpot_s", figures.tpot_s),
        tok_per_j: noted.value("tok_per_j", figures.tok_per_j),
        mwh_per_token: noted.value("mwh_per_token", figures.mwh_per_token),
        edp: noted.value("edp", figures.edp),
        s_t: noted.value("s_t", figures.s_t),
        mbu: noted.value("mbu", mbu),
    }
}

/// Statistics over the repetitions that ran to their end; `None` without one.
pub fn summary(reps: &[Repetition]) -> Option<Summary> {
    let complete: Vec<&Repetition> = reps.iter().filter(|rep| rep.estimates.complete).collect();
    let n = u32::try_from(complete.len()).ok().filter(|n| *n > 0)?;
    let mut noted = Noted::default();
    let speeds = |of: fn(&Rep) -> Option<f64>| -> Vec<f64> {
        complete.iter().filter_map(|rep| of(&rep.record)).collect()
    };
    let prefill = speeds(|rep| rep.prefill.as_ref().map(|phase| phase.tok_s));
    let decode = speeds(|rep| rep.decode.as_ref().map(|phase| phase.tok_s));
    let ttft = speeds(|rep| rep.ttft_s);
    let tpot = speeds(|rep| rep.figures.tpot_s);
    let mut speed = |name, values: &[f64]| {
        let statistic = energy::Statistic::of(values).ok_or(Reason::NotDefined);
        noted.value(name, statistic).map(on_the_wire)
    };
    let prefill_tok_s = speed("prefill_tok_s", &prefill);
    let decode_tok_s = speed("decode_tok_s", &decode);
    let ttft_s = speed("ttft_s", &ttft);
    let tpot_s = speed("tpot_s", &tpot);
    let mut energies = |name, of: fn(&Estimates) -> Figure| {
        let figures: Vec<Figure> = complete.iter().map(|rep| of(&rep.estimates)).collect();
        let statistic = statistic_of_all(&figures);
        noted.value(name, statistic).map(on_the_wire)
    };
    Some(Summary {
        n,
        prefill_tok_s,
        decode_tok_s,
        ttft_s,
        tpot_s,
        j_per_prompt_token: energies("j_per_prompt_token", |e| e.j_per_prompt_token),
        j_per_output_token: energies("j_per_output_token", |e| e.j_per_output_token.gross),
        j_per_output_token_net: energies("j_per_output_token_net", |e| e.j_per_output_token.net),
        j_per_output_token_all_in: energies("j_per_output_token_all_in", |e| e.all_in),
        j_per_token_all: energies("j_per_token_all", |e| e.all),
        reasons: noted.reasons,
    })
}

/// A summary over some of the repetitions would hide why the others have no figure.
fn statistic_of_all(figures: &[Figure]) -> Result<energy::Statistic, Reason> {
    let estimates: Vec<Estimate> = figures.iter().copied().collect::<Result<_, _>>()?;
    energy::Statistic::of_estimates(&estimates).ok_or(Reason::TooFew)
}

fn on_the_wire(statistic: energy::Statistic) -> Statistic {
    Statistic {
        n: statistic.n,
        median: statistic.median,
        mean: statistic.mean,
        sd: statistic.sd,
        iqr: statistic.iqr,
        u95: statistic.u95,
        u_sys: statistic.u_sys,
    }
}
