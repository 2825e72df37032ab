//! The verdict of a tuning in a sentence.

use super::fate::{Beyond, Interval};
use super::report::{Report, Verdict};
use crate::lab::figure::{Figure, decimals_for, seconds};

/// What was found, with the figures that it rests on.
pub fn verdict(report: &Report) -> String {
    match report.verdict {
        Verdict::Gain => gain(report),
        Verdict::NoGainShown => no_gain(report),
        Verdict::WithinBounds => format!(
            "the defaults exceed a bound, this keeps it: {}",
            report.label
        ),
        Verdict::ExceedsBounds => exceeds(report),
        Verdict::BoundsNotMet => not_met(report),
    }
}

/// `0.921 (0.905 to 0.937)`
pub fn interval(found: &Interval) -> String {
    let Interval { ratio, low, high } = *found;
    let digits = decimals_for((high - low).max(1e-3), 2).clamp(2, 3);
    format!("{ratio:.digits$} ({low:.digits$} to {high:.digits$})")
}

/// `gain: 7.9 % ± 1.6 % less energy …, with threads 2`
fn gain(report: &Report) -> String {
    let Some((gain, half)) = report.gain() else {
        return report.label.clone();
    };
    let decimals = decimals_for(100.0 * half, 2).min(2);
    format!(
        "gain: {:.decimals$} % ± {:.decimals$} % less {}, over {} interleaved rounds, with {}",
        100.0 * gain,
        100.0 * half,
        report.goal.objective.what(),
        report.check_rounds,
        report.label
    )
}

/// `TPOT 55.1 ± 0.4 ms, where 50 ms are allowed`
fn beyond(found: &Beyond) -> String {
    let value = Figure::because(Some(found.value_s), found.value_s_u95, None).show("s");
    let not_shown = match (found.value_s_u95, found.is_shown()) {
        (Some(_), false) => " (within the 95 % interval)",
        _ => "",
    };
    format!(
        "{} {value}, where {} is allowed{not_shown}",
        found.time.as_str(),
        seconds(found.bound_s)
    )
}

/// Why the defaults stay though something was chosen.
fn exceeds(report: &Report) -> String {
    let chosen = report.not_confirmed.as_deref().unwrap_or(&report.label);
    let beyond = report.beyond.as_ref().map_or_else(String::new, beyond);
    let cost = report.checked.as_ref().map_or_else(String::new, |found| {
        format!("; it costs {} of what they do", interval(found))
    });
    format!(
        "the defaults stay: over {} interleaved rounds {chosen} does not keep a bound that they \
         keep: {beyond}{cost}",
        report.check_rounds
    )
}

fn not_met(report: &Report) -> String {
    let beyond = report.beyond.as_ref().map_or_else(String::new, beyond);
    match report.nothing_was_tried() {
        true => {
            format!("the defaults do not keep the bounds, and nothing else was tried: {beyond}")
        }
        false => format!(
            "nothing that was tried keeps the bounds; the nearest: {}, {beyond}",
            report.label
        ),
    }
}

fn no_gain(report: &Report) -> String {
    match (&report.not_confirmed, &report.checked) {
        (None, _) if report.nothing_was_tried() => {
            "no gain shown: nothing was tried beside the defaults".to_owned()
        }
        (Some(chosen), Some(found)) => format!(
            "no gain shown: over {} interleaved rounds {chosen} costs {} of what the defaults do",
            report.check_rounds,
            interval(found)
        ),
        (Some(chosen), None) => {
            format!("no gain shown: too few jobs of the check of {chosen} counted")
        }
        (None, _) => "no gain shown: nothing that was tried was shown to cost less than the \
                      defaults"
            .to_owned(),
    }
}
