//! Texts and signs that several views show.

use super::super::activity::Activity;
use super::super::marks::{Level, Mark};
use super::super::tokens::PerToken;
use super::{BAD, GOOD, SIMULATED, WARNING};
use crate::lab::figure::{Figure, decimals_for};
use crate::probe::figure::{MISSING, elapsed};
use crate::sensor::Quality;
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};

/// `▶ running`, with a sign that is no colour.
pub fn activity(activity: &Activity) -> Span<'static> {
    match activity {
        Activity::Unknown => Span::from("? unknown").dim(),
        Activity::Offline(_) => Span::from("✖ offline").fg(BAD).bold(),
        Activity::Idle => Span::from("· idle"),
        Activity::Runs(running) if running.silent => Span::from("◆ measuring").fg(GOOD).bold(),
        Activity::Runs(_) => Span::from("▶ running").fg(GOOD).bold(),
    }
}

/// Since when it is so, where that was seen.
pub fn since(activity: &Activity) -> Option<String> {
    match activity {
        Activity::Offline(span) => span.map(|span| format!("for {}", elapsed(span))),
        Activity::Runs(running) => {
            let least = if running.run.before { "≥ " } else { "" };
            Some(format!("{least}{}", elapsed(running.elapsed)))
        }
        Activity::Unknown | Activity::Idle => None,
    }
}

/// Three digits: `138`, `26.1`, `5.12`.
pub fn speed(tok_s: Option<f64>) -> String {
    tok_s.map_or_else(
        || MISSING.to_owned(),
        |speed| format!("{speed:.*}", decimals_for(speed, 3)),
    )
}

/// `47.25 ± 0.70 mJ`.
pub fn per_token(per: Option<PerToken>) -> String {
    let figure = Figure::because(
        per.map(|per| per.energy_j),
        per.and_then(|per| per.u95),
        None,
    );
    figure.show("J")
}

/// `47.25 mJ`.
pub fn per_token_alone(per: Option<PerToken>) -> String {
    Figure::because(per.map(|per| per.energy_j), None, None).show("J")
}

pub fn celsius(value: f64) -> String {
    format!("{value:.0} °C")
}

/// `━━━━────`: told by its strokes, not by its colour.
pub fn bar(progress: f64, width: usize) -> Line<'static> {
    let full = (progress.clamp(0.0, 1.0) * width as f64).round() as usize;
    Line::from(vec![
        Span::from("━".repeat(full)).fg(GOOD).bold(),
        Span::from("─".repeat(width - full)).dim(),
    ])
}

pub fn percent(progress: f64) -> String {
    // Only what is done is 100 %.
    format!("{:.0} %", (progress * 100.0).floor())
}

pub fn level(level: Level) -> Color {
    match level {
        Level::Bad => BAD,
        Level::Warning => WARNING,
    }
}

/// `✖ sensor usb`.
pub fn mark(mark: &Mark) -> Span<'static> {
    let text = format!("{} {}", mark.level.symbol(), mark.text);
    Span::from(text).style(Style::new().fg(level(mark.level)).bold())
}

/// `✖1 !2`, or `ok`.
pub fn counts(marks: &[Mark]) -> Line<'static> {
    if marks.is_empty() {
        return Line::from("ok").dim();
    }
    let of = |wanted| marks.iter().filter(|mark| mark.level == wanted).count();
    let mut spans = Vec::new();
    for wanted in [Level::Bad, Level::Warning] {
        let count = of(wanted);
        if count > 0 {
            let text = format!("{}{count} ", wanted.symbol());
            spans.push(Span::from(text).fg(level(wanted)).bold());
        }
    }
    Line::from(spans)
}

/// Of the bars and the power of a rail.
pub fn quality(quality: Quality, simulated: bool) -> Color {
    match quality {
        Quality::Good if simulated => SIMULATED,
        Quality::Good => GOOD,
        Quality::NearFullScale => WARNING,
        Quality::Saturated | Quality::Failed => BAD,
        Quality::Stale => Color::DarkGray,
    }
}

/// `11-21 10:00:00` of an RFC 3339 time.
pub fn label(time: &str) -> String {
    match (time.get(5..10), time.get(11..19)) {
        (Some(day), Some(clock)) => format!("{day} {clock}"),
        _ => time.to_owned(),
    }
}

/// As much of a text as fits, and a sign where something is left out.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}
