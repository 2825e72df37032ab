//! Jobs, events and facts of one board, each in a pane that scrolls.

use super::super::app::{App, Pane};
use super::super::board::{Board, Job};
use super::{BAD, GOOD, WARNING, cells, highlight};
use crate::lab::sheet::phase_name;
use crate::probe::figure::MISSING;
use crate::record::device::{ModelInfo, SensorState};
use crate::workload::JobState;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

pub fn draw(frame: &mut Frame, area: Rect, app: &mut App, board: &Board, pane: Pane, shown: usize) {
    let focused = app.pane == pane;
    let block = Block::new()
        .borders(Borders::TOP)
        .title(heading(pane, focused, shown));
    let inside = block.inner(area);
    frame.render_widget(block, area);
    if inside.height == 0 {
        return;
    }
    match pane {
        Pane::Jobs => jobs(frame, inside, app, board, focused),
        Pane::Events => scrolled(frame, inside, app, events(board, inside.width), focused),
        Pane::Info => scrolled(frame, inside, app, facts(board), focused),
    }
}

/// Where one pane is shown, it names the others too.
fn heading(pane: Pane, focused: bool, shown: usize) -> Line<'static> {
    let named = |pane: Pane, focused: bool| match focused {
        true => Span::from(format!(" {} ", pane.name())).bold().reversed(),
        false => Span::from(format!(" {} ", pane.name())).dim(),
    };
    match shown {
        1 => Pane::ALL
            .map(|other| named(other, other == pane))
            .to_vec()
            .into(),
        _ => named(pane, focused).into(),
    }
}

fn scrolled(
    frame: &mut Frame,
    area: Rect,
    app: &mut App,
    lines: Vec<Line<'static>>,
    focused: bool,
) {
    let most = lines.len().saturating_sub(usize::from(area.height));
    let most = u16::try_from(most).unwrap_or(u16::MAX);
    let mut from = 0;
    if focused {
        app.scroll = app.scroll.min(most);
        from = app.scroll;
    }
    frame.render_widget(Paragraph::new(lines).scroll((from, 0)), area);
}

fn jobs(frame: &mut Frame, area: Rect, app: &App, board: &Board, focused: bool) {
    let jobs = board.jobs_in_order();
    if jobs.is_empty() {
        return frame.render_widget(Line::from(" No job was heard of.").dim(), area);
    }
    let cursor = app.job_cursor(&jobs);
    let longest = jobs.iter().map(|job| job.state.id.chars().count());
    let name = longest
        .max()
        .unwrap_or(0)
        .clamp(4, usize::from(area.width / 3).max(8));
    let shown = usize::from(area.height);
    let first = (cursor + 1).saturating_sub(shown);
    for (place, job) in jobs.iter().enumerate().skip(first).take(shown) {
        let line = Rect::new(area.x, area.y + (place - first) as u16, area.width, 1);
        frame.render_widget(job_line(job, board, name), line);
        if focused && place == cursor {
            highlight(frame, line);
        }
    }
}

fn job_line(job: &Job, board: &Board, name: usize) -> Line<'static> {
    let state = &job.state;
    let runs = board.run.as_ref().is_some_and(|run| run.id == state.id);
    // Its state `running` is published when its attempt has ended, if that was undisturbed.
    let shown = match state.state {
        JobState::Queued if runs => JobState::Running,
        other => other,
    };
    let sign = match shown {
        JobState::Queued => Span::from("·"),
        JobState::Running => Span::from("▶").fg(GOOD).bold(),
        JobState::Succeeded => Span::from("✔").fg(GOOD),
        JobState::Failed => Span::from("✖").fg(BAD).bold(),
        JobState::Cancelled => Span::from("–").fg(WARNING),
    };
    let mut note = Vec::new();
    if runs && !state.state.is_final() {
        note.extend(state.phase.map(|phase| phase_name(phase).to_owned()));
        note.extend(state.progress.map(cells::percent));
    }
    if state.attempt > 1 {
        note.push(format!("attempt {}", state.attempt));
    }
    note.extend(state.reason.clone());
    let time = match job.time.as_str() {
        "" => " ".repeat(14),
        time => cells::label(time),
    };
    let id = cells::cut(&state.id, name);
    Line::from(vec![
        Span::from(" "),
        sign,
        Span::from(format!(" {id:<name$}  ")).bold(),
        Span::from(format!("{:<9}  ", shown.as_str())),
        Span::from(format!("{time}  ")).dim(),
        Span::from(note.join(", ")),
    ])
}

/// The newest first. A long message goes on in the next line.
fn events(board: &Board, width: u16) -> Vec<Line<'static>> {
    if board.events.is_empty() {
        let text = " No event since this watch began; the broker keeps none.";
        return vec![Line::from(text).dim()];
    }
    let mut lines = Vec::new();
    for noted in board.events.iter().rev() {
        let event = &noted.event;
        let good = event.code.ends_with("-recovered");
        let color = if good { GOOD } else { WARNING };
        let id = event
            .id
            .as_ref()
            .map_or_else(String::new, |id| format!(" {id}"));
        lines.push(Line::from(vec![
            Span::from(format!(" {}  ", cells::label(&noted.time))).dim(),
            Span::from(event.code.clone()).fg(color).bold(),
            Span::from(id),
        ]));
        let room = usize::from(width).saturating_sub(3).max(20);
        let wrapped = crate::lab::table::wrap(&event.message, room);
        lines.extend(
            wrapped
                .into_iter()
                .map(|part| Line::from(format!("   {part}"))),
        );
    }
    lines
}

fn facts(board: &Board) -> Vec<Line<'static>> {
    let Some(info) = &board.info else {
        return vec![Line::from(" This board has not said what it is.").dim()];
    };
    let of = &info.board;
    let fact = |name: &str, value: Option<String>| {
        Line::from(vec![
            Span::from(format!(" {name:<14}")).dim(),
            Span::from(value.unwrap_or_else(|| MISSING.to_owned())),
        ])
    };
    let memory = of
        .memory_bytes
        .map(|bytes| format!("{:.1} GB", bytes as f64 / 1e9));
    let governor = of.governor.clone();
    let mode = of
        .power_mode
        .clone()
        .or_else(|| of.power_mode_reason.clone());
    let mut lines = vec![
        fact("model", of.model.clone()),
        fact("profile", Some(of.profile.clone())),
        fact("kernel", Some(of.kernel.clone())),
        fact("system", of.os.clone()),
        fact(
            "CPU",
            of.cpu.clone().map(|cpu| format!("{cpu} × {}", of.cpus)),
        ),
        fact("memory", memory),
        fact("governor", governor),
        fact("power mode", mode),
        fact("jouled", Some(info.version.clone())),
        fact("primary rail", info.primary_rail.clone()),
        Line::default(),
        Line::from(" Sensors").bold(),
    ];
    for sensor in &info.sensors {
        let (sign, color) = match sensor.state {
            SensorState::Ok => ("✔", GOOD),
            SensorState::Failed => ("✖", BAD),
        };
        let reason = sensor.reason.clone().unwrap_or_default();
        lines.push(Line::from(vec![
            Span::from(format!(" {sign} ")).fg(color),
            Span::from(format!("{}  {}  ", sensor.name, sensor.kind)),
            Span::from(reason).fg(WARNING),
        ]));
    }
    lines.push(Line::default());
    lines.push(Line::from(" Models").bold());
    lines.extend(info.models.iter().map(|model| model_line(model, board)));
    if info.models.is_empty() {
        lines.push(Line::from(" none in its model directory").dim());
    }
    lines
}

/// Its quantisation is known once a result told it.
fn model_line(model: &ModelInfo, board: &Board) -> Line<'static> {
    let last = board.last.as_ref();
    let quant = last.filter(|last| last.model.as_ref() == Some(&model.name));
    let quant = quant.and_then(|last| last.quant.clone());
    let size = model
        .size_bytes
        .map(|bytes| format!("{:.0} MB", bytes as f64 / 1e6));
    let parts = [model.arch.clone(), quant, size, model.reason.clone()];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    Line::from(vec![
        Span::from(format!(" {}  ", model.name)),
        Span::from(parts.join(" · ")).dim(),
    ])
}
