//! An attempt on one rail as contiguous parts.
//!
//! The parts tile the attempt, and every energy is a difference of the same cumulative
//! energy, so the parts add up to the total where none is withheld. A withheld part is not
//! zero: its energy is still inside the total, which is measured over the whole attempt.
//! `load`, `prefill` and `decode` need 3 complete windows; the other parts may be shorter
//! than a window (a `prepare` takes 0.1 ms), and keep their energy with an uncertainty to
//! match.

use super::{Figure, Measured, Trace};
use crate::units::MonoNs;
use crate::workload::Phase;
use serde::{Deserialize, Serialize};

/// When a phase was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseSpan {
    pub phase: Phase,
    /// From 1; `None` outside repetitions.
    pub rep: Option<u32>,
    pub t0: MonoNs,
    pub t1: MonoNs,
}

/// One part of the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub span: PhaseSpan,
    pub measured: Measured,
    pub energy_j: Figure,
}

/// Tiles `[t0, t1]` with `phases`, in order of their beginnings. Time in no phase is `Other`;
/// what reaches beyond the attempt or into the phase before is cut off, and a phase with no
/// time left is left out.
pub fn timeline(trace: &Trace, t0: MonoNs, t1: MonoNs, phases: &[PhaseSpan]) -> Vec<Part> {
    let mut ordered = phases.to_vec();
    ordered.sort_by_key(|span| (span.t0, span.t1));
    let mut spans = Vec::with_capacity(2 * ordered.len() + 1);
    let other = |t0, t1| PhaseSpan {
        phase: Phase::Other,
        rep: None,
        t0,
        t1,
    };
    let mut cursor = t0;
    for span in ordered {
        let (from, to) = (span.t0.max(cursor), span.t1.min(t1));
        if from >= to {
            continue;
        }
        if cursor < from {
            spans.push(other(cursor, from));
        }
        spans.push(PhaseSpan {
            t0: from,
            t1: to,
            ..span
        });
        cursor = to;
    }
    if cursor < t1 {
        spans.push(other(cursor, t1));
    }
    spans.into_iter().map(|span| part(trace, span)).collect()
}

fn part(trace: &Trace, span: PhaseSpan) -> Part {
    let measured = trace.measure(span.t0, span.t1);
    let energy_j = match span.phase {
        Phase::Load | Phase::Prefill | Phase::Decode => measured.energy_j(),
        Phase::IdleBefore
        | Phase::Warmup
        | Phase::Prepare
        | Phase::Depth
        | Phase::IdleAfter
        | Phase::Other => measured.share_j(),
    };
    Part {
        span,
        measured,
        energy_j,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reason;
    use super::super::signal::sampled;
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn span(phase: Phase, t0: u64, t1: u64) -> PhaseSpan {
        PhaseSpan {
            phase,
            rep: None,
            t0: MonoNs(t0),
            t1: MonoNs(t1),
        }
    }

    fn shape(parts: &[Part]) -> Vec<(Phase, u64, u64)> {
        parts
            .iter()
            .map(|part| (part.span.phase, part.span.t0.0 / MS, part.span.t1.0 / MS))
            .collect()
    }

    #[test]
    fn holes_are_other_and_overlaps_are_cut() {
        let trace = sampled(&|t| t, 0, MS, 100);
        let phases = [
            span(Phase::Decode, 50 * MS, 200 * MS),
            span(Phase::Load, 10 * MS, 40 * MS),
            span(Phase::IdleBefore, 30 * MS, 45 * MS),
            span(Phase::Warmup, 46 * MS, 46 * MS),
        ];
        let parts = timeline(&trace, MonoNs(0), MonoNs(100 * MS), &phases);
        assert_eq!(
            shape(&parts),
            [
                (Phase::Other, 0, 10),
                (Phase::Load, 10, 40),
                (Phase::IdleBefore, 40, 45),
                (Phase::Other, 45, 50),
                (Phase::Decode, 50, 100)
            ]
        );
    }

    #[test]
    fn a_short_prepare_keeps_its_share_and_a_short_prefill_is_too_coarse() {
        let trace = sampled(&|t| 5.0 * t, 0, 5 * MS, 20);
        let phases = [
            span(Phase::Prepare, 0, MS / 10),
            span(Phase::Prefill, MS / 10, 9 * MS),
            span(Phase::Decode, 9 * MS, 100 * MS),
        ];
        let parts = timeline(&trace, MonoNs(0), MonoNs(100 * MS), &phases);
        assert!((parts[0].energy_j.unwrap().value - 0.0005).abs() < 1e-9);
        assert_eq!(parts[1].energy_j, Err(Reason::TooCoarse));
        let total = trace.measure(MonoNs(0), MonoNs(100 * MS)).share_j();
        assert!((total.unwrap().value - 0.5).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn parts_tile_the_attempt_and_add_up(
            bounds in prop::collection::vec((0u64..300, 0u64..300), 0..12),
        ) {
            let trace = sampled(&|t| 3.0 * t + 2.0 * t * t, 0, MS, 250);
            let phases: Vec<_> = bounds
                .iter()
                .map(|&(a, b)| span(Phase::Warmup, a * MS + 17, b * MS + 4_711))
                .collect();
            let (t0, t1) = (MonoNs(20 * MS), MonoNs(240 * MS));
            let parts = timeline(&trace, t0, t1, &phases);
            prop_assert_eq!(parts[0].span.t0, t0);
            prop_assert_eq!(parts[parts.len() - 1].span.t1, t1);
            for pair in parts.windows(2) {
                prop_assert_eq!(pair[0].span.t1, pair[1].span.t0);
            }
            let sum: f64 = parts.iter().map(|part| part.energy_j.unwrap().value).sum();
            let total = trace.measure(t0, t1).raw.value;
            prop_assert!((sum - total).abs() <= 1e-9 * total);
        }
    }
}
