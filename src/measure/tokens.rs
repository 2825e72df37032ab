//! Token records: made once, in order, whether they leave while the attempt runs or after.

use super::context::Context;
use super::observed::{Observed, TokenTimes};
use crate::energy::{Trace, attribute_part};
use crate::record::job::{Token, Tokens};
use crate::record::{Reason, Stamped};
use crate::units::MonoNs;
use crate::workload::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Tokens of a record: about 45 kB of JSON.
const MOST_TOKENS: usize = 256;
/// ... and with the rest of a step that they end in: a token has 200 bytes at most.
const MOST_WITH_STEP: usize = 2 * MOST_TOKENS;

/// Which tokens a record holds: those of a repetition from `from` up to but not with `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    pub rep: u32,
    pub from: usize,
    pub to: usize,
}

/// The token records of an attempt so far.
#[derive(Debug, Default)]
pub struct TokenBatches {
    /// Tokens of each repetition that are in a record already.
    taken: BTreeMap<u32, usize>,
    extents: Vec<Extent>,
    records: Vec<Stamped<Tokens>>,
}

impl TokenBatches {
    /// Makes records of the tokens whose figures `trace` has settled, and returns the new
    /// ones. They are those that would be made after the attempt: the last tokens known wait
    /// for one that came later, since the next may share their step.
    pub fn take_settled(
        &mut self,
        context: &Context,
        observed: &Observed,
        trace: &Trace,
    ) -> Vec<Stamped<Tokens>> {
        let ready = |times: &TokenTimes, from: usize| {
            let left = times.known.get(from..).unwrap_or_default();
            let last = times.known.last();
            let settled = |t: &&MonoNs| Some(*t) != last && trace.has_settled(**t);
            from + left.iter().take_while(settled).count()
        };
        self.take(context, observed, Some(trace), ready)
    }

    /// Makes the records again that had left when the attempt ended. An extent that these
    /// tokens don't have, or that doesn't follow the one before, is left out.
    pub fn again(
        context: &Context,
        observed: &Observed,
        trace: Option<&Trace>,
        extents: &[Extent],
    ) -> Self {
        let mut batches = Self::default();
        for extent in extents {
            let times = observed.tokens.get(&extent.rep);
            let taken = batches.taken.get(&extent.rep).copied();
            let taken = taken.unwrap_or_else(|| first(context));
            let within = |times: &&TokenTimes| {
                extent.from == taken && taken < extent.to && extent.to <= times.known.len()
            };
            if let Some(times) = times.filter(within) {
                batches.push(context, times, *extent, trace);
            }
        }
        batches
    }

    /// Of the records so far.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Makes records of all that is left; without a trace every energy is missing.
    pub fn finish(
        mut self,
        context: &Context,
        observed: &Observed,
        trace: Option<&Trace>,
    ) -> Vec<Stamped<Tokens>> {
        self.take(context, observed, trace, |times, _| times.known.len());
        self.records
    }

    fn take(
        &mut self,
        context: &Context,
        observed: &Observed,
        trace: Option<&Trace>,
        ready: impl Fn(&TokenTimes, usize) -> usize,
    ) -> Vec<Stamped<Tokens>> {
        let before = self.records.len();
        for (&rep, times) in &observed.tokens {
            let known = &times.known;
            let mut taken = self.taken.get(&rep).copied().unwrap_or(first(context));
            let until = ready(times, taken);
            while taken < until {
                let mut next = until.min(taken + MOST_TOKENS);
                // Tokens that became known together share an energy, which is the last's: they
                // stay together where a record has room for them.
                let most = until.min(taken + MOST_WITH_STEP);
                while next < most && known[next] == known[next - 1] {
                    next += 1;
                }
                let extent = Extent {
                    rep,
                    from: taken,
                    to: next,
                };
                self.push(context, times, extent, trace);
                taken = next;
            }
        }
        self.records[before..].to_vec()
    }

    fn push(
        &mut self,
        context: &Context,
        times: &TokenTimes,
        extent: Extent,
        trace: Option<&Trace>,
    ) {
        let seq = self.records.len() as u64;
        let record = record(context, seq, times, extent, trace);
        self.records.push(context.stamped(record));
        self.extents.push(extent);
        self.taken.insert(extent.rep, extent.to);
    }
}

/// Element 0 of `bench` is no token.
fn first(context: &Context) -> usize {
    usize::from(context.job.kind == Kind::Bench)
}

/// The record of the tokens in `part`.
fn record(
    context: &Context,
    seq: u64,
    times: &TokenTimes,
    extent: Extent,
    trace: Option<&Trace>,
) -> Tokens {
    let known = &times.known;
    let decode_t0 = known[0];
    let last = known[extent.to - 1];
    let empty = Trace::new(Default::default());
    let energies = {
        let first = first(context);
        let (times, part) = (&known[first..], extent.from - first..extent.to - first);
        let trace = trace.unwrap_or(&empty);
        attribute_part(trace, first as u32, times, part, decode_t0)
    };
    let whole = match trace {
        _ if last == decode_t0 => Err(Reason::InPrefill),
        Some(trace) => trace.measure(decode_t0, last).energy_j(),
        None => Err(Reason::NoPrimaryRail),
    };
    let u_sys_rel = whole.and_then(|energy| energy.u_sys_rel().ok_or(Reason::BelowNoise));
    Tokens {
        id: context.job.id.to_string(),
        attempt: context.attempt,
        rep: extent.rep,
        seq,
        simulated: context.simulated,
        resolved: energies.resolved,
        u_sys_rel: u_sys_rel.ok(),
        reason: u_sys_rel.err(),
        tokens: energies
            .tokens
            .iter()
            .map(|token| {
                let energy = token.energy_j.ok();
                Token {
                    i: token.i,
                    t_s: token.t.since(times.t0).as_secs_f64(),
                    energy_j: energy.map(|e| e.value),
                    energy_j_u95: energy.map(|e| e.u95()),
                    u_ran_j: energy.map(|e| e.u_ran()),
                    power_w: token.power_w,
                    step_n: (token.step_n > 1).then_some(token.step_n),
                    reason: token.energy_j.err().map(|reason| match (reason, trace) {
                        (Reason::NoData, None) => Reason::NoPrimaryRail,
                        (reason, _) => reason,
                    }),
                }
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::testing::{Play, T0, context, job, rail};
    use super::*;
    use crate::runtime::protocol::StopReason;
    use crate::units::Span;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// However often batches are taken while the attempt runs, every token is in exactly one
        /// record, and has the figures that it has without.
        #[test]
        fn tokens_leave_once_live_or_after(
            output in 1_u32..600,
            mut looks in prop::collection::vec(0_u64..60_000, 0..12),
        ) {
            let mut play = Play::begin();
            play.generate(1, output, StopReason::Length);
            play.generate(2, 5, StopReason::Length);
            let play = play.end(Ending::Succeeded);
            let context = context(job(|_| ()));
            let whole = play.recorded(rail("input"));
            let after = TokenBatches::default().finish(&context, &play.observed, Some(&whole.trace));

            // While a repetition runs its phases are not known yet.
            let mut running = Observed::new(T0);
            running.tokens.clone_from(&play.observed.tokens);
            let mut batches = TokenBatches::default();
            let mut live = Vec::new();
            looks.sort_unstable();
            for ms in looks {
                let until = T0 + Span::from_millis(ms);
                let part = play.recorded_until(rail("input"), until);
                live.extend(batches.take_settled(&context, &running, &part.trace));
            }
            let all = batches.finish(&context, &play.observed, Some(&whole.trace));
            prop_assert_eq!(&all[..live.len()], &live[..]);
            for (seq, record) in all.iter().enumerate() {
                prop_assert_eq!(record.body.seq, seq as u64);
                prop_assert!(!record.body.tokens.is_empty());
                prop_assert!(record.to_json().len() < 128 * 1024);
            }
            let flat = |records: &[Stamped<Tokens>]| {
                let of = |record: &Stamped<Tokens>| {
                    let rep = record.body.rep;
                    let tokens = record.body.tokens.iter();
                    tokens.map(|t| (rep, t.clone())).collect::<Vec<_>>()
                };
                let mut flat: Vec<_> = records.iter().flat_map(of).collect();
                flat.sort_by_key(|(rep, token)| (*rep, token.i));
                flat
            };
            prop_assert_eq!(flat(&all), flat(&after));
            prop_assert_eq!(flat(&all).len(), output as usize + 5);
        }
    }

    /// Whether live or after: the whole step is there, and its energy once.
    #[test]
    fn a_step_that_is_too_long_for_a_record_is_split() {
        let mut play = Play::begin();
        play.generate(1, 3_000, StopReason::Length);
        let times = play.observed.tokens.get_mut(&1).expect("tokens");
        for i in 100..2_800 {
            times.known[i] = times.known[2_799];
        }
        let play = play.end(Ending::Succeeded);
        let trace = play.recorded(rail("input")).trace;
        let context = context(job(|_| ()));
        let mut batches = TokenBatches::default();
        let live = batches.take_settled(&context, &play.observed, &trace);
        assert!(live.len() > 5);
        let records = batches.finish(&context, &play.observed, Some(&trace));
        for record in &records {
            let bytes = record.to_json().len();
            assert!(bytes < 128 * 1024, "{bytes}");
        }
        let tokens: Vec<_> = records
            .iter()
            .flat_map(|record| &record.body.tokens)
            .collect();
        assert_eq!(tokens.len(), 3_000);
        let step = &tokens[100..2_800];
        assert!(step.iter().all(|token| token.step_n == Some(2_700)));
        let with_energy = step.iter().filter(|token| token.energy_j.is_some());
        assert_eq!(
            with_energy.map(|token| token.i).collect::<Vec<_>>(),
            [2_799]
        );
        let sum: f64 = tokens.iter().filter_map(|token| token.energy_j).sum();
        let known = &play.observed.tokens[&1].known;
        let decode = trace.measure(known[0], known[2_999]).raw.value;
        assert!((sum - decode).abs() < 1e-9 * decode, "{sum} {decode}");
    }

    #[test]
    fn the_longest_record_of_tokens_fits() {
        let token = Token {
            i: u32::MAX,
            t_s: 86_399.123_456_789,
            energy_j: Some(1.234_567_890_123_456_7e-5),
            energy_j_u95: Some(1.234_567_890_123_456_7e-5),
            u_ran_j: Some(1.234_567_890_123_456_7e-5),
            power_w: Some(-1.234_567_890_123_456_7e-5),
            step_n: Some(u32::MAX),
            reason: None,
        };
        let context = context(job(|job| job["id"] = "i".repeat(64).into()));
        let record = context.stamped(Tokens {
            id: context.job.id.to_string(),
            attempt: u32::MAX,
            rep: u32::MAX,
            seq: u64::MAX,
            simulated: false,
            resolved: false,
            u_sys_rel: token.energy_j,
            reason: None,
            tokens: vec![token; MOST_WITH_STEP],
        });
        let bytes = record.to_json().len();
        assert!(bytes < 120 * 1024, "{bytes}");
    }

    #[test]
    fn tokens_that_became_known_together_stay_in_one_record() {
        let mut play = Play::begin();
        play.generate(1, 300, StopReason::Length);
        let times = play.observed.tokens.get_mut(&1).expect("tokens");
        for i in 250..260 {
            times.known[i] = times.known[260];
        }
        let play = play.end(Ending::Succeeded);
        let trace = play.recorded(rail("input")).trace;
        let records =
            TokenBatches::default().finish(&context(job(|_| ())), &play.observed, Some(&trace));
        let step: Vec<_> = records[0].body.tokens[250..]
            .iter()
            .map(|t| (t.step_n, t.reason))
            .collect();
        let shared = (Some(11), Some(Reason::SharedStep));
        assert_eq!(step[..10], [shared; 10]);
        assert_eq!((step[10], step.len()), ((Some(11), None), 11));
    }
}
