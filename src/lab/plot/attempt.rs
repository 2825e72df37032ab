//! The plots of one attempt: the power of the attempt, the power of one repetition with its
//! tokens, and the energy of each token.

use super::{
    Band, Frame, Plot, Scale, Tick, Window, area_path, line_path, marks_path, round, trace_path,
};
use crate::lab::sheet::phase_name;
use crate::record::job::{Token, Tokens, Trace};
use crate::record::result::{Interval, JobResult};
use crate::workload::Phase;

const FRAME: Frame = Frame::WIDE;
const TOKEN_MARK: f64 = 12.0;
/// Shown before and after a repetition, as a share of its length.
const MARGIN: f64 = 0.03;

/// Phases in the order of an attempt, with one colour for both idle phases.
pub const PHASES: [Phase; 7] = [
    Phase::Load,
    Phase::IdleBefore,
    Phase::Warmup,
    Phase::Prepare,
    Phase::Depth,
    Phase::Prefill,
    Phase::Decode,
];
pub const REP_PHASES: [Phase; 4] = [Phase::Prepare, Phase::Depth, Phase::Prefill, Phase::Decode];

/// `(class, name)` of those `phases` that occur.
pub fn legend(result: &JobResult, phases: &[Phase]) -> Vec<(&'static str, &'static str)> {
    let occurs = |phase: &Phase| {
        let mut intervals = result.timeline.values().flatten();
        intervals.any(|interval| interval.phase == *phase)
    };
    let shown = phases.iter().copied().filter(occurs);
    shown
        .map(|phase| match phase {
            Phase::IdleBefore => (class(phase), "idle"),
            _ => (class(phase), phase_name(phase)),
        })
        .collect()
}

/// The class of a phase in the style sheet.
pub fn class(phase: Phase) -> &'static str {
    match phase {
        Phase::Load => "load",
        Phase::IdleBefore | Phase::IdleAfter => "idle",
        Phase::Warmup => "warmup",
        Phase::Prepare => "prepare",
        Phase::Depth => "depth",
        Phase::Prefill => "prefill",
        Phase::Decode => "decode",
        Phase::Other => "other",
    }
}

/// Windows of the primary rail in seconds since the attempt's start.
pub fn windows(result: &JobResult, trace: &[&Trace]) -> Vec<Window> {
    let mut windows = Vec::new();
    let zero = result.t0_mono_ns as f64;
    for chunk in trace {
        if Some(&chunk.rail) != result.primary_rail.as_ref() {
            continue;
        }
        let mut t0 = (chunk.t0_mono_ns as f64 - zero) * 1e-9;
        for (dt_ns, power) in chunk.dt_ns.iter().zip(&chunk.power_w) {
            let t1 = t0 + *dt_ns as f64 * 1e-9;
            windows.push((t0, t1, *power));
            t0 = t1;
        }
    }
    windows
}

fn timeline(result: &JobResult) -> &[Interval] {
    result
        .primary_rail
        .as_ref()
        .and_then(|rail| result.timeline.get(rail))
        .map_or(&[], Vec::as_slice)
}

fn highest(windows: &[Window]) -> Option<f64> {
    windows
        .iter()
        .filter_map(|window| window.2)
        .max_by(f64::total_cmp)
        .filter(|power| *power > 0.0)
}

fn bands(timeline: &[Interval], x: Scale, zero_s: f64, unit_s: f64) -> Vec<Band> {
    timeline
        .iter()
        .filter(|interval| interval.phase != Phase::Other)
        .filter_map(|interval| {
            let (from, to) = (interval.t0_ns as f64 * 1e-9, interval.t1_ns as f64 * 1e-9);
            let name = match interval.rep {
                Some(rep) => format!("{} {rep}", phase_name(interval.phase)),
                None => phase_name(interval.phase).to_owned(),
            };
            let energy = crate::lab::figure::Figure::because(
                interval.energy_j,
                interval.energy_j_u95,
                interval.reason,
            );
            let title = format!(
                "{name}: {}, {}",
                crate::lab::figure::seconds(to - from),
                energy.show("J")
            );
            Band::new(
                x,
                (from - zero_s) / unit_s,
                (to - zero_s) / unit_s,
                class(interval.phase),
                &name,
                title,
            )
        })
        .collect()
}

/// The whole attempt. `None` without a trace.
pub fn attempt(result: &JobResult, windows: &[Window]) -> Option<Plot> {
    let top = highest(windows)? * 1.08;
    let end = windows.last()?.1;
    let (x, y) = (FRAME.x(0.0, end), FRAME.y(0.0, top));
    let mut plot = Plot::new(
        FRAME,
        (0.0, end),
        (0.0, top),
        "time since the start in s",
        "power in W",
    );
    plot.bands = bands(timeline(result), x, 0.0, 1.0);
    plot.line = trace_path(windows, x, y);
    plot.description = "Power over the whole attempt, its phases shaded".to_owned();
    Some(plot)
}

/// The repetition that stands in the middle by its decode energy, of those that have one; where
/// none has, the middle one.
pub fn typical_rep(result: &JobResult) -> Option<u32> {
    let energy = |rep: &crate::record::result::Rep| {
        let decode = rep.decode.as_ref();
        decode.and_then(|decode| decode.energy_j)
    };
    let measured = result.reps.iter();
    let mut measured: Vec<_> = measured
        .filter_map(|rep| Some((energy(rep)?, rep.rep)))
        .collect();
    measured.sort_by(|a, b| a.0.total_cmp(&b.0));
    match measured.as_slice() {
        [] => result
            .reps
            .get(middle(result.reps.len()))
            .map(|rep| rep.rep),
        measured => Some(measured[middle(measured.len())].1),
    }
}

/// The lower one of an even number.
fn middle(length: usize) -> usize {
    length.saturating_sub(1) / 2
}

/// Output tokens of repetition `rep`, in order.
pub fn tokens_of<'t>(tokens: &[&'t Tokens], rep: u32) -> Vec<&'t Token> {
    let mut list: Vec<&Token> = tokens
        .iter()
        .filter(|record| record.rep == rep)
        .flat_map(|record| &record.tokens)
        .collect();
    list.sort_by_key(|token| token.i);
    list
}

/// One repetition with a mark for each token. `None` without a trace.
pub fn repetition(
    result: &JobResult,
    windows: &[Window],
    tokens: &[&Token],
    rep: u32,
) -> Option<Plot> {
    let of_rep = || timeline(result).iter().filter(|i| i.rep == Some(rep));
    let start = of_rep().map(|i| i.t0_ns).min()? as f64 * 1e-9;
    let end = of_rep().map(|i| i.t1_ns).max()? as f64 * 1e-9;
    let (unit_s, unit) = if end - start < 10.0 {
        (1e-3, "ms")
    } else {
        (1.0, "s")
    };
    let length = (end - start) / unit_s;
    let (from, to) = (-MARGIN * length, length * (1.0 + MARGIN));
    let near: Vec<Window> = windows
        .iter()
        .map(|(t0, t1, power)| ((t0 - start) / unit_s, (t1 - start) / unit_s, *power))
        .filter(|(t0, t1, _)| *t1 > from && *t0 < to)
        .collect();
    let top = highest(&near)? * 1.08;
    let (x, y) = (FRAME.x(from, to), FRAME.y(0.0, top));
    let title = format!("time since the request in {unit}");
    let mut plot = Plot::new(FRAME, (from, to), (0.0, top), &title, "power in W");
    plot.bands = bands(timeline(result), x, start, unit_s);
    plot.line = trace_path(&near, x, y);
    plot.marks = marks_path(
        tokens.iter().map(|t| t.t_s / unit_s),
        x,
        plot.bottom,
        TOKEN_MARK,
    );
    plot.description =
        format!("Power during repetition {rep}, its phases shaded, a mark for each token");
    Some(plot)
}

/// Energy of each token with its uncertainty. `None` when no token has one.
pub fn energy_per_token(tokens: &[&Token]) -> Option<Plot> {
    let points: Vec<(f64, f64, Option<f64>)> = tokens
        .iter()
        .filter_map(|token| Some((f64::from(token.i), token.energy_j?, token.energy_j_u95)))
        .collect();
    let highest = points.iter().map(|(_, j, u95)| u95.map_or(*j, |u| j + u));
    let lowest = points.iter().map(|(_, j, u95)| u95.map_or(*j, |u| j - u));
    let largest = highest.max_by(f64::total_cmp)?;
    let smallest = lowest.min_by(f64::total_cmp)?;
    let (unit_j, unit) = if largest < 1.0 {
        (1e-3, "mJ")
    } else {
        (1.0, "J")
    };
    let pad = (largest - smallest).max(largest.abs() * 0.02) * 0.12;
    let bottom = (smallest - pad).max(0.0) / unit_j;
    let top = (largest + pad) / unit_j;
    let first = points.first()?.0 - 1.0;
    let last = points.last()?.0 + 1.0;
    let (x, y) = (FRAME.x(first, last), FRAME.y(bottom, top));
    let title = format!("energy in {unit}");
    let mut plot = Plot::new(
        FRAME,
        (first, last),
        (bottom, top),
        "output token i",
        &title,
    );
    // Nothing is drawn around tokens of unknown uncertainty, which is not the same as none.
    plot.area = points
        .split(|(_, _, u95)| u95.is_none())
        .map(|known| {
            let band = known.iter().filter_map(|(i, energy, u95)| {
                let u95 = (*u95)?;
                Some((*i, (energy - u95) / unit_j, (energy + u95) / unit_j))
            });
            area_path(&band.collect::<Vec<_>>(), x, y)
        })
        .collect();
    let line = tokens.iter().map(|token| {
        let energy = token.energy_j?;
        Some((f64::from(token.i), energy / unit_j))
    });
    plot.line = line_path(line, x, y);
    let mean = points.iter().map(|p| p.1).sum::<f64>() / points.len() as f64;
    plot.level = Some(Tick {
        at: round(y.at(mean / unit_j)),
        label: format!("mean {}", crate::lab::figure::Figure::exact(mean).show("J")),
    });
    plot.description = "Energy of each output token with its expanded uncertainty".to_owned();
    Some(plot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::testing;

    #[test]
    fn a_repetition_without_an_energy_is_not_the_one_with_the_least() {
        let mut result = testing::result().body;
        let rep = result.reps[0].clone();
        result.reps = [None, None, Some(2.0), Some(3.0), Some(1.0)]
            .into_iter()
            .zip(1..)
            .map(|(energy, n)| {
                let mut rep = rep.clone();
                rep.rep = n;
                rep.decode.as_mut().unwrap().energy_j = energy;
                rep
            })
            .collect();
        assert_eq!(typical_rep(&result), Some(3));
        result.reps.truncate(2);
        assert_eq!(typical_rep(&result), Some(1));
        result.reps.clear();
        assert_eq!(typical_rep(&result), None);
    }

    #[test]
    fn an_unknown_uncertainty_has_no_band() {
        let token = |i: u32, u95: Option<f64>| -> Token {
            serde_json::from_value(serde_json::json!({"i": i, "t_s": 0.1, "energy_j": 0.2,
                "energy_j_u95": u95, "u_ran_j": null, "power_w": null}))
            .unwrap()
        };
        let list = [1, 2, 3, 4, 5].map(|i| token(i, (i != 3).then_some(0.01)));
        let plot = energy_per_token(&list.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(plot.area.matches('M').count(), 2, "{}", plot.area);
        let list = [1, 2].map(|i| token(i, None));
        let plot = energy_per_token(&list.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!((plot.area.as_str(), plot.line.is_empty()), ("", false));
    }
}
