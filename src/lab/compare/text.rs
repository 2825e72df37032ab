//! A comparison for the terminal.

use super::group::{Left, Marked, Of};
use super::{Against, Compared, Row};
use crate::energy::{Sensors, Verdict};
use crate::lab::figure::{decimals_for, prefix, reason_name};
use crate::lab::table::{NARROWEST, WIDEST, pad, wrap};
use crate::record::Reason;
use crate::record::result::LeftOut;
use console::{Color, measure_text_width, style};
use std::collections::BTreeSet;

/// `B ÷ A  `
const INDENT: &str = "       ";

/// The tables of all figures, then which runs stand behind the letters and which don't count.
pub fn render(compared: &[Compared], marked: Marked, width: usize) -> String {
    let width = width.clamp(NARROWEST, WIDEST);
    let mut lines: Vec<String> = Vec::new();
    if let Some(first) = compared.first() {
        for row in &first.groups {
            let text = format!("{}  {} on {}", row.group, row.what, row.device);
            lines.extend(wrap(&text, width));
        }
    }
    for figure in compared {
        lines.push(String::new());
        lines.extend(table(figure, width));
        lines.extend(
            figure
                .ratios
                .iter()
                .flat_map(|ratio| sentence(ratio, width)),
        );
        for warning in &figure.warnings {
            lines.extend(marked_lines(warning, width));
        }
    }
    lines.extend(left_out(compared, marked, width));
    let mut out = lines
        .iter()
        .map(|line| line.trim_end())
        .collect::<Vec<_>>()
        .join("\n");
    out.push('\n');
    out
}

fn marked_lines(warning: &str, width: usize) -> Vec<String> {
    wrap(warning, width - 2)
        .into_iter()
        .enumerate()
        .map(|(n, part)| {
            let mark = if n == 0 { "! " } else { "  " };
            style(format!("{mark}{part}")).yellow().to_string()
        })
        .collect()
}

fn table(figure: &Compared, width: usize) -> Vec<String> {
    let largest = figure
        .groups
        .iter()
        .filter_map(|row| row.mean)
        .fold(0.0, f64::max);
    let (factor, si) = prefix(largest, figure.unit);
    let decimals = decimals_for(largest * factor, 4);
    let number = |value: Option<f64>| match value {
        Some(value) => format!("{:.decimals$}", value * factor),
        None => "–".to_owned(),
    };
    let cells = |row: &Row| {
        [
            row.group.to_string(),
            match row.of {
                Of::Runs => counted(row.n, "run"),
                Of::Repetitions => counted(row.n, "repetition"),
            },
            number(row.median),
            number(row.iqr),
            number(row.mean),
            number(row.sd),
        ]
    };
    let heading = ["", "n", "median", "IQR", "mean", "sd"].map(str::to_owned);
    let rows: Vec<[String; 6]> = figure.groups.iter().map(cells).collect();
    let column = |column: usize| {
        let cells = rows
            .iter()
            .chain([&heading])
            .map(|row| measure_text_width(&row[column]));
        cells.max().unwrap_or_default() + 2
    };
    let widths: Vec<usize> = (0..heading.len()).map(column).collect();
    let line = |row: &[String; 6]| -> String {
        let cells = row.iter().zip(&widths);
        cells.map(|(cell, width)| pad(cell, *width)).collect()
    };
    let before: usize = widths.iter().sum();
    let room = width.saturating_sub(before).max("board-input".len());
    let unit = format!("{si}{}", figure.unit);
    let title = match unit.as_str() {
        "" => figure.figure.clone(),
        unit => format!("{} in {unit}", figure.figure),
    };
    let mut lines = vec![
        style(title).bold().to_string(),
        style(format!("{}boundary", line(&heading)))
            .underlined()
            .to_string(),
    ];
    for (row, group) in rows.iter().zip(&figure.groups) {
        let mut first = line(row);
        for part in boundary(group, room) {
            lines.push(format!("{first}{part}"));
            first = " ".repeat(before);
        }
    }
    lines
}

/// What the joules of a group enclose, and whether they are real, in lines of at most `room`
/// columns.
fn boundary(row: &Row, room: usize) -> Vec<String> {
    let mut lines = wrap(row.boundary.as_deref().unwrap_or("–"), room);
    if row.simulated {
        let simulated = style("SIMULATED").yellow();
        match lines.last_mut() {
            Some(last) if measure_text_width(last) + "  SIMULATED".len() <= room => {
                last.push_str(&format!("  {simulated}"));
            }
            _ => lines.push(simulated.to_string()),
        }
    }
    lines
}

fn counted(n: u32, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// `B ÷ A  0.921 (0.905 to 0.937): B is lower by 7.9 %`
fn sentence(against: &Against, width: usize) -> Vec<String> {
    let (a, b) = (against.first, against.group);
    let (Some(ratio), Some(low), Some(high)) = (against.ratio, against.low, against.high) else {
        let why = match against.reason {
            Some(Reason::NotDefined) => {
                "not-defined: a value is not positive, and a ratio of it says nothing"
            }
            _ => "too-few: fewer than two values a side have no spread",
        };
        return wrap(&format!("{b} ÷ {a}  – {why}; not resolved"), width);
    };
    let percent = |share: f64| {
        let decimals = decimals_for(100.0 * share, 2).min(2);
        format!("{:.decimals$} %", 100.0 * share)
    };
    let (verdict, colour) = match against.verdict {
        Verdict::BLower => (
            format!("{b} is lower by {}", percent(1.0 - ratio)),
            Color::Green,
        ),
        Verdict::ALower => (
            format!("{a} is lower by {}", percent(1.0 - ratio.recip())),
            Color::Green,
        ),
        Verdict::NotResolved => (
            "NOT RESOLVED: the noise is larger than the effect; neither is lower".to_owned(),
            Color::Yellow,
        ),
    };
    let sensors = match against.sensors {
        Some(Sensors::Same) => "(one sensor: its gain cancels)",
        Some(Sensors::Different) => "(different sensors: their gains count)",
        None => "",
    };
    let digits = decimals_for(1.0, 4).max(decimals_for(high - low, 2)).min(5);
    let numbers = format!("{b} ÷ {a}  {ratio:.digits$}  95 %: {low:.digits$} to {high:.digits$}");
    let mut lines = match measure_text_width(&format!("{numbers}  {sensors}")) <= width {
        true => vec![format!(
            "{}  {}",
            style(numbers).bold(),
            style(sensors).dim()
        )],
        false => vec![
            style(numbers).bold().to_string(),
            format!("{INDENT}{}", style(sensors).dim()),
        ],
    };
    let verdict = wrap(&verdict, width - INDENT.len());
    lines.extend(
        verdict
            .into_iter()
            .map(|part| format!("{INDENT}{}", style(part).fg(colour))),
    );
    lines
}

fn left_out(compared: &[Compared], marked: Marked, width: usize) -> Vec<String> {
    if marked == Marked::Included {
        return marked_lines(
            "--include-marked: runs that were contended or throttled, had a setting changed \
             meanwhile, or did not succeed count here",
            width,
        );
    }
    let mut said = BTreeSet::new();
    let mut lines = Vec::new();
    let mut any_marked = false;
    for figure in compared {
        for row in &figure.groups {
            for left in &row.left_out {
                any_marked |= !left.marks.is_empty();
                let why = why(left, &figure.figure);
                let text = format!("left out of {}: {}: {why}", row.group, left.file);
                if said.insert(text.clone()) {
                    lines.extend(marked_lines(&text, width));
                }
            }
        }
    }
    if any_marked {
        let hint = "  --include-marked counts marked runs all the same";
        lines.push(style(hint).dim().to_string());
    }
    lines
}

fn why(left: &Left, figure: &str) -> String {
    let name = |mark: &LeftOut| {
        let name = serde_json::to_value(mark).expect("a mark serialises as its name");
        name.as_str().unwrap_or_default().to_owned()
    };
    if !left.marks.is_empty() {
        return left.marks.iter().map(name).collect::<Vec<_>>().join(", ");
    }
    match left.reason {
        Some(reason) => format!("no {figure}, {}", reason_name(reason)),
        None => format!("no {figure}"),
    }
}
