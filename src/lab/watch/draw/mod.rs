//! What is shown, drawn. Nothing is told by a colour alone: each has a word or a sign beside
//! it, so that it can be read without colours (`NO_COLOR`) and by the colour-blind.

mod board;
mod cells;
mod fleet;
mod job;
mod overlay;
mod panes;
mod rails;

use super::app::{App, View};
use super::fleet::{Fleet, Link};
use crate::probe::figure::elapsed;
use crate::units::MonoNs;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};

const GOOD: Color = Color::Cyan;
const SIMULATED: Color = Color::Magenta;
const WARNING: Color = Color::Yellow;
const BAD: Color = Color::Red;

/// Draws the whole screen. Without `colors` there is none.
pub fn draw(frame: &mut Frame, app: &mut App, now: MonoNs, colors: bool) {
    let alerts = alerts(app, now);
    let [title, top, body, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(u16::try_from(alerts.len()).unwrap_or(0)),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    for (line, alert) in (top.y..top.bottom()).zip(alerts) {
        frame.render_widget(alert, Rect::new(top.x, line, top.width, 1));
    }
    match app.view.clone() {
        View::Fleet => fleet::draw(frame, title, body, app, now),
        View::Board(name) => board::draw(frame, title, body, app, &name, now),
    }
    frame.render_widget(last_line(app, now), bottom);
    if let Some(question) = &app.question {
        overlay::question(frame, question);
    } else if app.help {
        overlay::help(frame);
    }
    if !colors {
        for cell in &mut frame.buffer_mut().content {
            cell.fg = Color::Reset;
            cell.bg = Color::Reset;
        }
    }
}

/// What must not be overlooked, whatever is shown.
fn alerts(app: &App, now: MonoNs) -> Vec<Line<'static>> {
    let mut alerts = Vec::new();
    let (shown, moment) = app.shown(now);
    if app.is_paused() {
        let age = elapsed(now.since(moment));
        let text = format!(" ‖ paused {age} ago; boards go on, p shows them again");
        alerts.push(Line::from(text).fg(WARNING).bold());
    }
    if let Link::Down { since, reason, .. } = &app.fleet.link {
        let age = elapsed(now.since(*since));
        let text = format!(" ✖ reconnecting for {age}: {reason}");
        alerts.push(Line::from(text).fg(BAD).bold());
    }
    if app.fleet.refused {
        let text = " ! the broker does not let this user read all that boards publish";
        alerts.push(Line::from(text).fg(WARNING));
    }
    if let Some((topic, why)) = &shown.not_understood {
        let text = format!(" ! {topic} is no record that this version understands: {why}");
        alerts.push(Line::from(text).fg(WARNING));
    }
    alerts
}

fn last_line(app: &App, now: MonoNs) -> Line<'static> {
    if app.typing {
        return Line::from(vec![
            Span::from(" filter: ").bold(),
            Span::from(app.filter.clone()),
            Span::from("█  ").dim(),
            Span::from("Enter keeps it, Esc clears it").dim(),
        ]);
    }
    if let Some(notice) = app.notice(now) {
        return Line::from(format!(" {notice}")).bold();
    }
    let sorting = format!("sort: {}", app.sort.name());
    let keys: &[(&str, &str)] = match app.view {
        View::Fleet => &[
            ("Enter", "board"),
            ("/", "filter"),
            ("s", &sorting),
            ("p", "pause"),
            ("c", "cancel job"),
            ("?", "help"),
            ("q", "quit"),
        ],
        View::Board(_) => &[
            ("Esc", "fleet"),
            ("Tab", "pane"),
            ("[ ]", "board"),
            ("↑↓", "move"),
            ("c", "cancel job"),
            ("p", "pause"),
            ("?", "help"),
            ("q", "quit"),
        ],
    };
    let mut spans = Vec::new();
    for (key, what) in keys {
        spans.push(Span::from(format!(" {key}")).bold());
        spans.push(Span::from(format!(" {what} ")).dim());
    }
    if !app.filter.is_empty() && app.view == View::Fleet {
        spans.push(Span::from(format!(" filter: {}", app.filter)).fg(WARNING));
    }
    Line::from(spans)
}

/// A line across the screen: what it is on the left, and on the right what there is room for.
fn title(frame: &mut Frame, area: Rect, left: String, right: &str) {
    let style = Style::new().reversed();
    frame.buffer_mut().set_style(area, style);
    let used = Line::from(left.as_str()).width() + 2;
    let room = usize::from(area.width).saturating_sub(used);
    let right = cells::cut(right, room);
    frame.render_widget(Line::from(left).style(style), area);
    frame.render_widget(Line::from(right).style(style).right_aligned(), area);
}

/// The line that the cursor is on, in one colour.
fn highlight(frame: &mut Frame, line: Rect) {
    for x in line.left()..line.right() {
        let cell = &mut frame.buffer_mut()[(x, line.y)];
        cell.fg = Color::Reset;
        cell.bg = Color::Reset;
        cell.modifier.remove(Modifier::DIM);
        cell.modifier.insert(Modifier::REVERSED);
    }
}

/// `6 boards · 5 online · 2 running · 7 waiting`.
fn census(fleet: &Fleet) -> String {
    let boards = fleet.boards.values();
    let online = boards.clone().filter(|board| board.is_online()).count();
    let running = boards.clone().filter(|board| board.run.is_some()).count();
    let waiting: u64 = boards
        .filter_map(|board| board.status.as_ref()?.jobs_queued)
        .map(u64::from)
        .sum();
    format!(
        "{} boards · {online} online · {running} running · {waiting} waiting",
        fleet.boards.len()
    )
}

#[cfg(test)]
mod tests;
