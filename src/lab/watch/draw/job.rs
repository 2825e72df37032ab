//! The job that a board runs, and the last one that has a result.

use super::super::activity::{Activity, Running};
use super::super::outcome::Outcome;
use super::super::row::Row;
use super::{SIMULATED, WARNING, cells};
use crate::lab::sheet::phase_name;
use crate::record::result::LeftOut;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

/// Progress is worth looking at from this width on.
const BAR: u16 = 24;

pub fn draw(frame: &mut Frame, area: Rect, row: &Row<'_>) {
    let block = Block::new().borders(Borders::TOP).title(" Job ".bold());
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let [first, second, third, last] = Layout::vertical([Constraint::Length(1); 4]).areas(inside);
    match &row.activity {
        Activity::Runs(running) => {
            runs(frame, first, running);
            frame.render_widget(Paragraph::new(told(running, row)), second);
            if running.silent {
                let why = " Undisturbed: figures come with the result; submit --tokens live \
                           shows them live.";
                frame.render_widget(Line::from(why).dim(), third);
            }
        }
        Activity::Idle => frame.render_widget(Line::from(" No job runs.").dim(), first),
        Activity::Offline(_) => {
            let text = " Offline: what is shown is the last that was heard.";
            frame.render_widget(Line::from(text).dim(), first);
        }
        Activity::Unknown => {
            let text = " This board has not said whether it is online.";
            frame.render_widget(Line::from(text).dim(), first);
        }
    }
    if let Some(outcome) = &row.board.last {
        frame.render_widget(ended(outcome), last);
    }
}

/// Its name, its phase, how far it is.
fn runs(frame: &mut Frame, area: Rect, running: &Running<'_>) {
    let mut spans = vec![
        Span::from(" "),
        Span::from(running.run.id.clone()).bold(),
        Span::from("  "),
    ];
    let state = running.state;
    if let Some(attempt) = state.map(|state| state.attempt).filter(|n| *n > 1) {
        spans.push(Span::from(format!("attempt {attempt}  ")).fg(WARNING));
    }
    if running.silent {
        spans.push(Span::from("measuring: board is silent until the attempt ends  ").bold());
        spans.push(Span::from(time(running)));
        return frame.render_widget(Line::from(spans), area);
    }
    let phase = state.and_then(|state| state.phase);
    spans.push(Span::from(phase.map_or("begins", phase_name)).bold());
    spans.push(Span::from("  "));
    let progress = state.and_then(|state| state.progress);
    let tail = match progress {
        Some(progress) => format!("  {}  {}", cells::percent(progress), time(running)),
        None => time(running),
    };
    let used = Line::from(spans.clone()).width() + tail.chars().count() + 1;
    let room = usize::from(area.width).saturating_sub(used);
    if let Some(progress) = progress.filter(|_| room >= usize::from(BAR)) {
        spans.extend(cells::bar(progress, room).spans);
    }
    spans.push(Span::from(tail));
    frame.render_widget(Line::from(spans), area);
}

fn time(running: &Running<'_>) -> String {
    let activity = Activity::Runs(running.clone());
    cells::since(&activity).unwrap_or_default()
}

/// What its tokens tell so far.
fn told(running: &Running<'_>, row: &Row<'_>) -> Line<'static> {
    let tokens = &running.run.tokens;
    if !row.speed.live {
        return Line::default();
    }
    let mut spans = vec![
        Span::from(format!(
            " repetition {}: {} tokens   ",
            tokens.rep,
            tokens.count()
        )),
        Span::from(format!("{} tok/s", cells::speed(row.speed.tok_s))).bold(),
        Span::from("   "),
        Span::from(format!(
            "{} per token",
            cells::per_token(row.speed.per_token)
        ))
        .bold(),
    ];
    if row.board.is_simulated() {
        spans.push(Span::from("   SIMULATED").fg(SIMULATED).bold());
    }
    Line::from(spans)
}

/// `last  smol-1 succeeded  26.1 tok/s  47.25 ± 0.70 mJ per token  SmolLM2 Q4_1`.
fn ended(outcome: &Outcome) -> Line<'static> {
    let mut spans = vec![
        Span::from(" last  ").dim(),
        Span::from(format!("{} {}   ", outcome.id, outcome.state.as_str())),
    ];
    if outcome.tok_s.is_some() || outcome.per_token.is_some() {
        spans.push(Span::from(format!(
            "{} tok/s   ",
            cells::speed(outcome.tok_s)
        )));
        spans.push(Span::from(format!(
            "{} per token   ",
            cells::per_token(outcome.per_token)
        )));
    }
    if outcome.simulated {
        spans.push(Span::from("SIMULATED   ").fg(SIMULATED).bold());
    }
    for why in &outcome.left_out {
        let why = match why {
            LeftOut::NotSucceeded => continue,
            LeftOut::Contended => "! contended   ",
            LeftOut::Throttled => "! throttled   ",
            LeftOut::SettingChanged => "! setting changed   ",
        };
        spans.push(Span::from(why).fg(WARNING).bold());
    }
    if let Some(celsius) = outcome.max_c {
        spans.push(Span::from(format!("up to {}   ", cells::celsius(celsius))));
    }
    let model = [outcome.model.clone(), outcome.quant.clone()];
    let model: Vec<String> = model.into_iter().flatten().collect();
    spans.push(Span::from(model.join(" ")).dim());
    Line::from(spans)
}
