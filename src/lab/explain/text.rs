//! An explained figure for the terminal.

use super::budget::{Explained, Kind};
use crate::lab::figure::{Figure, decimals_for, prefix, reason_name};
use crate::lab::reason;
use crate::lab::table::{NARROWEST, WIDEST, pad, wrap};
use crate::record::Stamp;
use crate::record::result::JobResult;
use console::{measure_text_width, style};

const KIND: usize = 12;
const SHARE: usize = 10;
const NARROWEST_BAR: usize = 10;
const NARROWEST_LIMIT: usize = 14;
const WIDEST_BAR: usize = 24;

/// What the record is about, and the sentence that nobody may overlook.
pub fn heading(stamp: &Stamp, result: &JobResult, width: usize) -> String {
    let model = result.model.as_ref().map(|model| model.name.as_str());
    let mut out = format!(
        "{}  on {}\n",
        style(model.unwrap_or("no model")).bold(),
        style(&stamp.device).bold()
    );
    let what = format!(
        "job {}, attempt {}  {}",
        result.id, result.attempt, stamp.time
    );
    out.push_str(&format!("{}\n", style(what).dim()));
    let simulated: Vec<&str> = result
        .rails
        .iter()
        .filter(|rail| rail.simulated)
        .map(|rail| rail.name.as_str())
        .collect();
    if !simulated.is_empty() {
        let sentence = format!(
            "SIMULATED: the power on rail {} comes from a simulated sensor; joules and their \
             uncertainties are those of no real board.",
            simulated.join(", ")
        );
        for part in wrap(&sentence, clamped(width)) {
            out.push_str(&format!("{}\n", style(part).yellow().bold()));
        }
    }
    out
}

fn clamped(width: usize) -> usize {
    width.clamp(NARROWEST, WIDEST)
}

/// The figure with its budget, in lines of at most `width` columns.
pub fn render(explained: &Explained, result: &JobResult, width: usize) -> String {
    let width = clamped(width);
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    let figure = Figure::because(explained.value, explained.u95, explained.reason);
    let shown = figure.show(explained.unit);
    line(format!(
        "{}  {}",
        style(&explained.figure).underlined(),
        if figure.is_missing() {
            style(shown).yellow()
        } else {
            style(shown).bold()
        }
    ));
    let paragraph = |text: &str| -> Vec<String> {
        wrap(text, width - 2)
            .iter()
            .map(|part| format!("  {part}"))
            .collect()
    };
    if figure.is_missing() {
        let why = explained
            .reason
            .map_or("the record does not say why", reason::sentence);
        paragraph(&explained.made_of)
            .into_iter()
            .for_each(&mut line);
        paragraph(why).into_iter().for_each(line);
        return out;
    }
    paragraph(&about(explained, result))
        .into_iter()
        .for_each(|part| line(style(part).dim().to_string()));
    if let Some(why) = &explained.no_budget {
        paragraph(why).into_iter().for_each(line);
        return out;
    }
    table(explained, width).into_iter().for_each(line);
    out
}

/// What the figure is made of, and on which rail.
fn about(explained: &Explained, result: &JobResult) -> String {
    let rail = explained.rail.as_ref().and_then(|name| {
        let rail = result.rails.iter().find(|rail| rail.name == *name)?;
        Some(format!(
            "rail {name}: {}, {}{}{}",
            rail.boundary,
            rail.source,
            if rail.simulated { " (SIMULATED)" } else { "" },
            match &rail.calibration_date {
                Some(date) => format!(", calibrated {date}"),
                None => String::new(),
            }
        ))
    });
    let parts = [Some(explained.made_of.clone()), rail];
    let parts: Vec<String> = parts
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("; ")
}

fn table(explained: &Explained, width: usize) -> Vec<String> {
    let longest = |of: &dyn Fn(&super::budget::Line) -> usize, least: usize| {
        explained
            .lines
            .iter()
            .map(of)
            .chain([least])
            .max()
            .unwrap_or(least)
    };
    let (factor, si) = prefix(explained.u95.unwrap_or_default(), explained.unit);
    let unit = format!("{si}{}", explained.unit);
    // As many decimals for all as show four digits of the whole.
    let decimals = decimals_for(explained.u95.unwrap_or_default() * factor, 4);
    let number = |value: f64| format!("{:.decimals$}", value * factor);
    let sources = longest(&|line| measure_text_width(&line.source), "combined".len()) + 2;
    let heading_u = if unit.is_empty() {
        "u".to_owned()
    } else {
        format!("u in {unit}")
    };
    let numbers = longest(
        &|line| measure_text_width(&number(line.u)),
        measure_text_width(&heading_u),
    ) + 2;
    let room = width.saturating_sub(sources + KIND + numbers + SHARE);
    let longest_limit = longest(&|line| measure_text_width(&line.limit), "limit".len()) + 2;
    let limits = longest_limit
        .min(room.saturating_sub(NARROWEST_BAR))
        .max(NARROWEST_LIMIT);
    let bar_width = room.saturating_sub(limits + 2).min(WIDEST_BAR);

    let mut lines = vec![
        style(
            format!(
                "{}{}{}{}{}",
                pad("source", sources),
                pad("kind", KIND),
                pad("limit", limits),
                right(&heading_u, numbers - 2),
                right("variance", SHARE),
            )
            .trim_end(),
        )
        .underlined()
        .to_string(),
    ];
    for line in &explained.lines {
        let mut limit = wrap(&line.limit, limits - 2).into_iter();
        let shown = format!(
            "{}{}{}{}{}  {}",
            pad(&line.source, sources),
            pad(kind_name(line.kind), KIND),
            pad(&limit.next().unwrap_or_default(), limits),
            right(&number(line.u), numbers - 2),
            right(&format!("{:.1} %", 100.0 * line.share), SHARE),
            style(bar(line.share, bar_width)).cyan(),
        );
        lines.push(shown.trim_end().to_owned());
        for rest in limit {
            lines.push(format!("{:1$}{rest}", "", sources + KIND));
        }
    }
    let Some(u) = explained.u else { return lines };
    let total = |name: &str, how: &str, value: f64| {
        format!(
            "{}{}{}",
            pad(name, sources),
            pad(how, KIND + limits),
            style(right(&number(value), numbers - 2)).bold(),
        )
    };
    lines.push(total("combined", "root of the sum of squares", u));
    lines.push(total("expanded", "k = 2, about 95 %", 2.0 * u));
    lines.push(match (explained.agrees, explained.u95) {
        (Some(true), _) => {
            let text = format!("{}agrees with the record's u95", pad("check", sources));
            style(text).green().to_string()
        }
        (_, Some(u95)) => {
            let stated = number(u95);
            let text = format!(
                "{}IS NOT the record's own u95, {stated} {unit}: it was changed, or another \
                 version made it",
                pad("check", sources)
            );
            wrap(&text, width)
                .into_iter()
                .map(|part| style(part).red().bold().to_string())
                .collect::<Vec<_>>()
                .join("\n")
        }
        (_, None) => String::new(),
    });
    lines
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Systematic => "systematic",
        Kind::Random => "random",
        Kind::Unknown => "?",
    }
}

fn right(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(measure_text_width(text));
    format!("{:missing$}{text}", "")
}

/// A bar of `share` of `width` columns, in eighths of a column.
fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * 8.0 * width as f64).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// The figures that a record has, with values or reasons.
pub fn list(figures: &[Explained]) -> String {
    let width = figures
        .iter()
        .map(|figure| measure_text_width(&figure.figure))
        .max()
        .unwrap_or_default();
    let mut out = String::new();
    for figure in figures {
        let name = pad(&figure.figure, width + 2);
        let shown = match (figure.value, figure.reason) {
            (None, reason) => {
                let why = reason.map(reason_name).unwrap_or_default();
                style(format!("– {why}")).dim().to_string()
            }
            _ => Figure::because(figure.value, figure.u95, None).show(figure.unit),
        };
        out.push_str(format!("{name}{shown}").trim_end());
        out.push('\n');
    }
    out
}
