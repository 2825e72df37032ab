//! The fleet: a line a board.

use super::super::activity::Activity;
use super::super::app::App;
use super::super::row::Row;
use super::{SIMULATED, cells, census, highlight, title};
use crate::lab::sheet::phase_name;
use crate::minute::Chart;
use crate::probe::figure::{self, or_missing};
use crate::units::MonoNs;
use crate::workload::QueueMode;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

const SHORTEST_BAR: usize = 6;
const LONGEST_BAR: usize = 20;
/// A minute in columns of equal length.
const MINUTES: [u16; 9] = [60, 48, 40, 30, 24, 20, 16, 15, 12];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    Simulated,
    Group,
    State,
    Queue,
    Job,
    Speed,
    Energy,
    EnergyWithUncertainty,
    Power,
    Minute,
    Temperature,
    Profile,
    Counts,
    Marks,
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Self::Name => "board",
            Self::Simulated => "",
            Self::Group => "group",
            Self::State => "state",
            Self::Queue => "wait",
            Self::Job => "job",
            Self::Speed => "tok/s",
            Self::Energy | Self::EnergyWithUncertainty => "J/token",
            Self::Power => "power",
            Self::Minute => "last minute",
            Self::Temperature => "temp",
            Self::Profile => "profile",
            Self::Counts | Self::Marks => "health",
        }
    }

    fn is_right(self) -> bool {
        use Column::*;
        matches!(
            self,
            Queue | Speed | Energy | EnergyWithUncertainty | Power | Temperature
        )
    }
}

/// What fits into `width`.
fn columns(width: u16, name: u16, simulated: bool) -> Vec<(Column, Constraint)> {
    use Column::*;
    let length = Constraint::Length;
    let mut columns = vec![(Name, length(name))];
    if simulated {
        let width = if width >= 150 { 9 } else { 3 };
        columns.push((Simulated, length(width)));
    }
    if width >= 110 {
        columns.push((Group, length(8)));
    }
    columns.push((State, length(11)));
    if width < 60 {
        columns.push((Power, Constraint::Fill(1)));
        return columns;
    }
    columns.push((Queue, length(5)));
    columns.push((Job, Constraint::Fill(2)));
    columns.push((Speed, length(6)));
    match width {
        150.. => columns.push((EnergyWithUncertainty, length(17))),
        _ => columns.push((Energy, length(8))),
    }
    columns.push((Power, length(8)));
    if width >= 100 {
        let room = (width - 100) / 4 + 12;
        let minute = MINUTES.into_iter().find(|minute| *minute <= room);
        columns.push((Minute, length(minute.unwrap_or(12))));
        columns.push((Temperature, length(6)));
    }
    if width >= 150 {
        columns.push((Profile, length(18)));
        columns.push((Marks, length(26)));
    } else {
        columns.push((Counts, length(6)));
    }
    columns
}

pub fn draw(frame: &mut Frame, top: Rect, body: Rect, app: &App, now: MonoNs) {
    let (fleet, moment) = app.shown(now);
    let left = format!(" joulectl watch  {}", fleet.broker);
    title(frame, top, left, &format!("{} ", census(fleet)));
    let rows = app.rows(now);
    if rows.is_empty() {
        return empty(frame, body, app, now);
    }
    let cursor = app.cursor(&rows);
    let [table, detail] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(body);
    let longest = rows.iter().map(|row| row.board.name.chars().count());
    let name = u16::try_from(longest.max().unwrap_or(0)).unwrap_or(u16::MAX);
    let name = name.clamp(6, (table.width / 6).clamp(10, 30));
    let simulated = rows.iter().any(|row| row.board.is_simulated());
    let columns = columns(table.width, name, simulated);
    let widths = Layout::horizontal(columns.iter().map(|(_, width)| *width)).spacing(1);
    let line = |y: u16| {
        let area = Rect::new(table.x, y, table.width, 1);
        widths.split(area)
    };
    if table.height == 0 {
        return;
    }
    for ((column, _), area) in columns.iter().zip(line(table.y).iter()) {
        let heading = Line::from(column.heading()).style(Style::new().dim());
        frame.render_widget(aligned(heading, *column), *area);
    }
    let shown = usize::from(table.height - 1);
    let first = (cursor + 1).saturating_sub(shown);
    for (place, row) in rows.iter().enumerate().skip(first).take(shown) {
        let y = table.y + 1 + (place - first) as u16;
        for ((column, _), area) in columns.iter().zip(line(y).iter()) {
            cell(frame, *column, *area, row, moment);
        }
        if place == cursor {
            let area = Rect::new(table.x, y, table.width, 1);
            highlight(frame, area);
        }
    }
    if let Some(row) = rows.get(cursor) {
        frame.render_widget(about(row, rows.len(), cursor), detail);
    }
}

fn aligned(line: Line<'static>, column: Column) -> Line<'static> {
    match column.is_right() {
        true => line.right_aligned(),
        false => line,
    }
}

fn cell(frame: &mut Frame, column: Column, area: Rect, row: &Row<'_>, now: MonoNs) {
    let board = row.board;
    let width = usize::from(area.width);
    let text = match column {
        Column::Name => Line::from(cells::cut(&board.name, width)).bold(),
        Column::Simulated if board.is_simulated() => {
            let text = if width >= 9 { "SIMULATED" } else { "SIM" };
            Line::from(text).fg(SIMULATED).bold()
        }
        Column::Simulated => Line::default(),
        Column::Group => Line::from(cells::cut(row.group().unwrap_or(figure::MISSING), width)),
        Column::State => Line::from(cells::activity(&row.activity)),
        Column::Queue => Line::from(queue(row)),
        Column::Job => job(row, width),
        Column::Speed => figures(cells::speed(row.speed.tok_s), row),
        Column::Energy => figures(cells::per_token_alone(row.speed.per_token), row),
        Column::EnergyWithUncertainty => figures(cells::per_token(row.speed.per_token), row),
        Column::Power => power(row, now),
        Column::Minute => {
            if let Some(rail) = board.primary() {
                let color = cells::quality(rail.record.quality, rail.record.simulated);
                let chart = Chart::new(&rail.history, color, now, area.width, 1);
                frame.render_widget(chart.bars(), area);
            }
            return;
        }
        Column::Temperature => {
            let known = board.temperature.map(|(_, celsius)| celsius);
            Line::from(or_missing(known, cells::celsius))
        }
        Column::Profile => Line::from(cells::cut(row.profile().unwrap_or(figure::MISSING), width)),
        Column::Counts | Column::Marks if !row.is_judged() => Line::from(figure::MISSING),
        Column::Counts => cells::counts(&row.marks),
        Column::Marks => match row.marks.as_slice() {
            [] => Line::from("ok").dim(),
            marks => Line::from(
                marks
                    .iter()
                    .flat_map(|mark| [cells::mark(mark), Span::from("  ")])
                    .collect::<Vec<_>>(),
            ),
        },
    };
    frame.render_widget(aligned(text, column), area);
}

/// Jobs that wait, and a sign where the queue does not simply run.
fn queue(row: &Row<'_>) -> String {
    let mode = row.board.status.as_ref().and_then(|status| status.queue);
    let sign = match mode {
        Some(QueueMode::Paused) => "‖",
        Some(QueueMode::Draining) => "↓",
        Some(QueueMode::Open) | None => "",
    };
    format!(
        "{sign}{}",
        or_missing(row.queued(), |queued| queued.to_string())
    )
}

/// `smol-1 decode ━━━━━───── 42 %`: as much of it as there is room for.
fn job(row: &Row<'_>, width: usize) -> Line<'static> {
    let Activity::Runs(running) = &row.activity else {
        let since = cells::since(&row.activity).unwrap_or_default();
        return Line::from(since).dim();
    };
    let state = running.state.filter(|_| !running.silent);
    let progress = state.and_then(|state| state.progress);
    let far = match progress {
        Some(progress) => cells::percent(progress),
        None => cells::since(&row.activity).unwrap_or_default(),
    };
    let phase = match state.and_then(|state| state.phase) {
        Some(phase) => phase_name(phase),
        None if running.silent => "silent",
        None => "begins",
    };
    let length = |text: &str| text.chars().count() + 1;
    let id = cells::cut(&running.run.id, width.saturating_sub(length(&far)).max(4));
    let mut spans = vec![Span::from(format!("{id} "))];
    let mut room = width.saturating_sub(length(&id) + length(&far));
    if room >= length(phase) {
        room -= length(phase);
        spans.push(Span::from(format!("{phase} ")).bold());
        if let Some(progress) = progress.filter(|_| room > SHORTEST_BAR) {
            let bar = (room - 1).min(LONGEST_BAR);
            spans.extend(cells::bar(progress, bar).spans);
            spans.push(Span::from(" "));
        }
    }
    spans.push(Span::from(far));
    Line::from(spans)
}

/// Those of a job that has ended are dim.
fn figures(text: String, row: &Row<'_>) -> Line<'static> {
    match row.speed.live {
        true => Line::from(text).bold(),
        false => Line::from(text).dim(),
    }
}

fn power(row: &Row<'_>, now: MonoNs) -> Line<'static> {
    let text = or_missing(row.power_w(now), figure::watts);
    match row.board.primary() {
        Some(rail) => {
            let color = cells::quality(rail.record.quality, rail.record.simulated);
            Line::from(text).fg(color).bold()
        }
        None => Line::from(text),
    }
}

/// More about the board that the cursor is on.
fn about(row: &Row<'_>, count: usize, cursor: usize) -> Line<'static> {
    let mut spans = vec![Span::from(format!(" {}/{count} ", cursor + 1)).dim()];
    spans.push(Span::from(row.board.name.clone()).bold());
    let info = row.board.info.as_ref();
    let model = info.and_then(|info| info.board.model.clone());
    let group = row.group().map(|group| format!("group {group}"));
    let profile = row.profile().map(str::to_owned);
    for text in [model, profile, group].into_iter().flatten() {
        spans.push(Span::from(format!("  {text}")).dim());
    }
    if row.board.is_simulated() {
        spans.push(Span::from("  SIMULATED").fg(SIMULATED).bold());
    }
    for mark in &row.marks {
        spans.push(Span::from("  "));
        spans.push(cells::mark(mark));
    }
    Line::from(spans)
}

fn empty(frame: &mut Frame, area: Rect, app: &App, now: MonoNs) {
    let (fleet, _) = app.shown(now);
    let text = match fleet.boards.is_empty() {
        true => format!(
            "No board has said anything yet.\n\nOne appears here as soon as jouled runs there with \
             mqtt.url = the broker at {} and the same prefix ({}). `jouled check` says what is \
             wrong with a configuration; `joulectl demo` needs no board.",
            fleet.broker,
            fleet.prefix()
        ),
        false => format!(
            "None of {} boards mentions “{}”. Esc clears the filter.",
            fleet.boards.len(),
            app.filter
        ),
    };
    let text = Paragraph::new(text).wrap(Wrap { trim: true }).centered();
    let [_, middle, _] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(7),
        Constraint::Fill(2),
    ])
    .areas(area);
    let [_, middle, _] = Layout::horizontal([
        Constraint::Fill(1),
        Constraint::Max(72),
        Constraint::Fill(1),
    ])
    .areas(middle);
    frame.render_widget(text, middle);
}
