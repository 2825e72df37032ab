//! The records of an attempt, made when everything has ended.

mod comparisons;
mod fit;
mod idle;
mod left_out;
mod rails;
mod surroundings;
mod warnings;
mod withheld;

use super::context::Context;
use super::figures::{self, Noted, Repetition};
use super::meter::Recorded;
use super::observed::{Ending, Observed};
use super::quality;
use super::tokens::TokenBatches;
use super::trace;
use crate::energy::{self, Baseline, IdleLevel};
use crate::record::job::{Tokens, Trace as TraceRecord};
use crate::record::result::{Board, IdlePair, JobResult, Raw, Records, Work};
use crate::record::{Reason, Stamped};
use crate::units::Span;
use crate::workload::{JobState, Kind, Phase, TokensWhen};
use comparisons::comparisons;
use fit::fitted;
use idle::{idle_phase, idle_reasons, load};
use left_out::{kept_setting, left_out};
use rails::{interval, rail_facts, timeline, total};
use std::collections::BTreeMap;
use surroundings::{contention, memory, own, thermal};
use warnings::warnings;

/// Within what a result leaves free.
const LONGEST_WHY: usize = 300;
const NO_ROOM_FOR_TRACE: &str = "trace: not stored, since the board's disk is full";
const NO_ROOM_FOR_TOKENS: &str = "tokens: not stored, since the board's disk is full";

/// Everything that an attempt leaves behind.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRecords {
    pub tokens: Vec<Stamped<Tokens>>,
    pub traces: Vec<Stamped<TraceRecord>>,
    pub result: Stamped<JobResult>,
}

impl AttemptRecords {
    /// Says where the raw data is kept, or in one sentence why it is not.
    pub fn note_raw(&mut self, kept: Result<Raw, String>) {
        let result = &mut self.result.body;
        match kept {
            Ok(raw) => {
                result.raw = Some(raw);
                result.reasons.remove("raw");
            }
            Err(why) => {
                let why: String = why.chars().take(LONGEST_WHY).collect();
                result.warnings.push(format!("raw data: not kept: {why}"));
            }
        }
    }

    /// Takes back that the raw data is kept.
    pub fn without_raw(&mut self, why: &str) {
        let result = &mut self.result.body;
        result.raw = None;
        let reasons = &mut result.reasons;
        reasons.insert("raw".to_owned(), Reason::NotStored);
        self.note_raw(Err(why.to_owned()));
    }

    /// Leaves out the trace records, and returns them.
    pub fn without_traces(&mut self) -> Vec<Stamped<TraceRecord>> {
        let traces = std::mem::take(&mut self.traces);
        if !traces.is_empty() {
            let result = &mut self.result.body;
            result.records.trace = 0;
            result.warnings.push(NO_ROOM_FOR_TRACE.to_owned());
        }
        traces
    }

    /// Leaves out the token records, and returns them.
    pub fn without_tokens(&mut self) -> Vec<Stamped<Tokens>> {
        let tokens = std::mem::take(&mut self.tokens);
        if !tokens.is_empty() {
            let result = &mut self.result.body;
            result.records.tokens = 0;
            result.warnings.push(NO_ROOM_FOR_TOKENS.to_owned());
        }
        tokens
    }
}

/// Makes the records of an attempt from what was observed and recorded. `batches` are the
/// token records that have left already.
pub fn records(
    context: &Context,
    observed: &Observed,
    rails: &[Recorded],
    batches: TokenBatches,
) -> AttemptRecords {
    let mut records = whole(context, observed, rails, batches);
    records.result.body = fitted(records.result.body);
    records
}

/// The same, with a result of any size.
pub fn whole(
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
        .map(|done| figures::repetition(context, observed, done, trace, baseline.as_ref()))
        .collect();
    let loaded = observed.loaded.as_ref();
    let (state, reason) = ending(&observed.ending);
    let primary_rail = match (primary, context.primary) {
        (Some(rail), _) => Ok(rail.spec.name.clone()),
        (None, Some(_)) => Err(Reason::NotReached),
        (None, None) => Err(Reason::NoPrimaryRail),
    };
    let thermal = thermal(observed);
    let contention = contention(observed);
    let left_out = left_out(
        state,
        &contention,
        &thermal,
        !kept_setting(context, observed),
    );
    let engine = loaded.map(|loaded| loaded.engine.clone());
    let mut noted = Noted::default();
    let load = load(observed, trace).ok_or(Reason::NotReached);
    let summary = figures::summary(&reps).ok_or(Reason::TooFew);
    // It is kept, if it is, once the result is made.
    let raw = match job.publish.trace {
        true => Reason::NotStored,
        false => Reason::NotAsked,
    };
    noted.reasons.insert("raw".to_owned(), raw);
    let mut of_kind = |name: &str, kind: Kind, reason: Option<Reason>| {
        if job.kind == kind
            && let Some(reason) = reason
        {
            noted.reasons.insert(name.to_owned(), reason);
        }
    };
    let perplexity = quality::perplexity(context, observed, &reps);
    of_kind(
        "perplexity",
        Kind::Perplexity,
        perplexity.as_ref().err().copied(),
    );
    let choice = quality::choice(context, observed, &reps);
    of_kind("choice", Kind::Choice, choice.as_ref().err().copied());
    let timelines: BTreeMap<String, Vec<energy::Part>> = rails
        .iter()
        .map(|rail| (rail.spec.name.clone(), timeline(observed, rail)))
        .collect();
    JobResult {
        id: job.id.to_string(),
        attempt: context.attempt,
        lost_attempts: context.lost_attempts.clone(),
        kind: job.kind,
        state,
        reason,
        tags: job.tags.clone(),
        records: counts,
        t0_mono_ns: observed.t0.0,
        jouled: context.jouled.clone(),
        model: noted.value("model", context.model.clone().ok_or(Reason::NotReached)),
        engine: noted.value("engine", engine.ok_or(Reason::NotReached)),
        params: job.params.clone(),
        work: Work::of(job),
        tokens_published: job.publish.tokens,
        board: Board {
            end: observed.setting_after.clone(),
            ..context.board.clone()
        },
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
        comparisons: comparisons(observed, rails),
        idle: IdlePair {
            before: idle_phase(observed, Phase::IdleBefore, before, trace),
            after: idle_phase(observed, Phase::IdleAfter, after, trace),
            reasons: idle_reasons(observed, job),
        },
        load: noted.value("load", load),
        summary: noted.value("summary", summary),
        perplexity: perplexity.ok(),
        choice: choice.ok(),
        memory: memory(context, observed),
        thermal,
        contention,
        own: own(context, observed, primary),
        warnings: warnings(context, observed, rails),
        left_out,
        raw: None,
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
