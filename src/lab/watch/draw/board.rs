//! One board: its state, its rails, its job, and what it has to tell.

use super::super::app::{App, Pane};
use super::super::board::{Board, KnownHealth};
use super::super::row::Row;
use super::{cells, job, panes, rails, title};
use crate::probe::figure::{MISSING, elapsed};
use crate::record::device::Presence;
use crate::units::{MonoNs, Span as Time};
use crate::workload::QueueMode;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Health comes every ten seconds; a temperature that is older says so.
const SOON: Time = Time::from_millis(15_000);
/// A job's lines with their heading.
const JOB: u16 = 5;
/// The least that a pane needs: heading, column names, four lines.
const PANES: u16 = 6;
/// Side by side from this width on.
const TWO_PANES: u16 = 120;
const THREE_PANES: u16 = 180;

pub fn draw(frame: &mut Frame, top: Rect, body: Rect, app: &mut App, name: &str, now: MonoNs) {
    let (fleet, moment) = app.shown(now);
    let Some(board) = fleet.boards.get(name) else {
        title(frame, top, format!(" {name}"), "");
        let text = format!(
            "Nothing was heard of a board named {name} on {} yet. Esc lists the boards that \
             there are.",
            fleet.broker
        );
        return frame.render_widget(Paragraph::new(text).centered(), body);
    };
    let row = Row::of(board, fleet.sight(moment));
    title(frame, top, left(&row), &right(board));
    let (height, rails_count) = (body.height, board.rails.len().max(1));
    let room = height.saturating_sub(1 + JOB + PANES);
    let rail_lines = u16::try_from(rails_count + 1).unwrap_or(u16::MAX);
    let rail_lines = rail_lines.min(room.max(2));
    let chart_lines = match room.saturating_sub(rail_lines) {
        lines @ 4.. => (lines / 2).clamp(3, 10),
        _ => 0,
    };
    let [state, chart, table, work, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(chart_lines),
        Constraint::Length(rail_lines),
        Constraint::Length(JOB),
        Constraint::Fill(1),
    ])
    .areas(body);
    frame.render_widget(condition(&row, moment), state);
    rails::chart(frame, chart, board, moment);
    rails::table(frame, table, board, moment);
    job::draw(frame, work, &row);
    let count = match bottom.width {
        THREE_PANES.. => 3,
        TWO_PANES.. => 2,
        _ => 1,
    };
    let board = board.clone();
    draw_panes(frame, bottom, app, &board, count);
}

/// The pane in focus is among those shown.
fn draw_panes(frame: &mut Frame, area: Rect, app: &mut App, board: &Board, count: usize) {
    let shown: Vec<Pane> = match (count, app.pane) {
        (3, _) => Pane::ALL.to_vec(),
        (2, Pane::Info) => vec![Pane::Jobs, Pane::Info],
        (2, _) => vec![Pane::Jobs, Pane::Events],
        (_, pane) => vec![pane],
    };
    let widths = shown.iter().map(|_| Constraint::Fill(1));
    let areas = Layout::horizontal(widths).spacing(1).split(area);
    for (pane, area) in shown.iter().zip(areas.iter()) {
        panes::draw(frame, *area, app, board, *pane, count);
    }
}

fn left(row: &Row<'_>) -> String {
    let state = cells::activity(&row.activity).content;
    let since = cells::since(&row.activity).unwrap_or_default();
    let simulated = match row.board.is_simulated() {
        true => "   SIMULATED",
        false => "",
    };
    format!(" {}   {state} {since}{simulated}", row.board.name)
}

fn right(board: &Board) -> String {
    let info = board.info.as_ref();
    let profile = info.map_or(MISSING, |info| info.board.profile.as_str());
    let group = info.and_then(|info| info.group.as_deref());
    let group = group.map_or_else(String::new, |group| format!(" · {group}"));
    let since = board.status.as_ref().map_or_else(String::new, |status| {
        let since = cells::label(&status.since);
        match status.state {
            Presence::Online => format!(" · online since {since} UTC"),
            Presence::Offline => format!(" · last came or went {since} UTC"),
        }
    });
    format!("{profile}{group}{since} ")
}

/// Queue, warmth, what is wrong, what waits to leave.
fn condition(row: &Row<'_>, now: MonoNs) -> Line<'static> {
    let board = row.board;
    let mut parts = Vec::new();
    let status = board.status.as_ref();
    if let Some(queued) = status.and_then(|status| status.jobs_queued) {
        let mode = status.and_then(|status| status.queue);
        let mode = mode.filter(|mode| *mode != QueueMode::Open);
        let mode = mode.map_or_else(String::new, |mode| format!(", queue {}", mode.as_str()));
        parts.push(Span::from(format!("{queued} wait{mode}")));
    }
    if let Some((at, celsius)) = board.temperature {
        let age = now.since(at);
        let age = match age > SOON {
            true => format!(" ({} ago)", elapsed(age)),
            false => String::new(),
        };
        parts.push(Span::from(format!("{}{age}", cells::celsius(celsius))));
    }
    parts.extend(row.marks.iter().map(cells::mark));
    if row.marks.is_empty() && row.is_judged() {
        parts.push(Span::from("health ok").dim());
    }
    if let Some(KnownHealth { health, .. }) = &board.health {
        let disk = health.disk_free_bytes;
        let disk = disk.map(|free| format!("disk {:.1} GB free", free as f64 / 1e9));
        let rss = health.rss_bytes;
        let rss = rss.map(|rss| format!("jouled {:.0} MB", rss as f64 / 1e6));
        let outbox = Some(format!("outbox {}", health.outbox.pending));
        parts.extend([outbox, disk, rss].into_iter().flatten().map(Span::from));
    }
    let mut spans = vec![Span::from(" ")];
    for part in parts {
        spans.extend([part, Span::from("   ")]);
    }
    Line::from(spans)
}
