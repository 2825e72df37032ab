//! The rails of one board: what each encloses, what it says now, and the last minute.

use super::super::board::{Board, Rail};
use super::super::row::power_w;
use super::{SIMULATED, cells};
use crate::lab::figure::Figure;
use crate::minute::Chart;
use crate::probe::figure::{self, MISSING, or_missing};
use crate::units::MonoNs;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// The power of the primary rail, large.
pub fn chart(frame: &mut Frame, area: Rect, board: &Board, now: MonoNs) {
    let Some(rail) = board.primary().filter(|_| area.height > 1) else {
        return;
    };
    let [about, bars] = Layout::horizontal([Constraint::Length(20), Constraint::Fill(1)])
        .spacing(1)
        .areas(area);
    let color = cells::quality(rail.record.quality, rail.record.simulated);
    let chart = Chart::new(&rail.history, color, now, bars.width, bars.height);
    let power = or_missing(power_w(rail, now), figure::watts);
    let mut lines = vec![
        Line::from(vec![Span::from(" "), Span::from(power).fg(color).bold()]),
        Line::from(format!(" {}", chart.bounds())),
        Line::from(format!(" {}, primary", rail.record.rail)).dim(),
    ];
    if rail.record.simulated {
        lines.insert(0, Line::from(" SIMULATED").fg(SIMULATED).bold());
    }
    frame.render_widget(Paragraph::new(lines), about);
    frame.render_widget(chart.bars(), bars);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    Simulated,
    Boundary,
    Power,
    Voltage,
    Current,
    Energy,
    Minute,
    Bounds,
    Quality,
}

fn columns(width: u16, name: u16, simulated: bool) -> Vec<(Column, &'static str, Constraint)> {
    use Column::*;
    let length = Constraint::Length;
    let mut columns = vec![(Name, "rail", length(name))];
    if simulated {
        let wide = if width >= 110 { 9 } else { 3 };
        columns.push((Simulated, "", length(wide)));
    }
    if width >= 60 {
        columns.push((Boundary, "boundary", length(11)));
    }
    columns.push((Power, "power", length(8)));
    if width >= 60 {
        columns.push((Voltage, "voltage", length(7)));
    }
    if width >= 100 {
        columns.push((Current, "current", length(7)));
    }
    if width >= 76 {
        columns.push((Energy, "energy", length(9)));
    }
    columns.push((Minute, "last minute", Constraint::Fill(1)));
    if width >= 70 {
        columns.push((Bounds, "lowest–highest", length(14)));
    }
    if width >= 100 {
        columns.push((Quality, "quality", length(15)));
    }
    columns
}

pub fn table(frame: &mut Frame, area: Rect, board: &Board, now: MonoNs) {
    if area.height == 0 {
        return;
    }
    if board.rails.is_empty() {
        let text = match &board.info {
            Some(info) if info.rails.is_empty() => {
                " This board has no rails: `jouled probe` there says what it could measure with."
            }
            _ => " No rail was heard yet.",
        };
        return frame.render_widget(Line::from(text).dim(), area);
    }
    let primary = board
        .info
        .as_ref()
        .and_then(|info| info.primary_rail.as_deref());
    let mut rails: Vec<&Rail> = board.rails.values().collect();
    rails.sort_by_key(|rail| Some(rail.record.rail.as_str()) != primary);
    let longest = rails.iter().map(|rail| rail.record.rail.chars().count());
    let name = u16::try_from(longest.max().unwrap_or(0) + 1).unwrap_or(u16::MAX);
    let name = name.clamp(6, (area.width / 5).max(8));
    let simulated = rails.iter().any(|rail| rail.record.simulated);
    let columns = columns(area.width, name, simulated);
    let widths = Layout::horizontal(columns.iter().map(|(_, _, width)| *width)).spacing(1);
    let line = |y: u16| widths.split(Rect::new(area.x, y, area.width, 1));
    for ((column, heading, _), place) in columns.iter().zip(line(area.y).iter()) {
        let heading = match column {
            Column::Name => format!(" {heading}"),
            _ => (*heading).to_owned(),
        };
        frame.render_widget(aligned(Line::from(heading).dim(), *column), *place);
    }
    for (y, rail) in (area.y + 1..area.bottom()).zip(&rails) {
        for ((column, _, _), place) in columns.iter().zip(line(y).iter()) {
            let is_primary = Some(rail.record.rail.as_str()) == primary;
            cell(frame, *column, *place, board, rail, is_primary, now);
        }
    }
    let hidden = rails.len().saturating_sub(usize::from(area.height - 1));
    if hidden > 0 {
        let text = format!(" +{hidden} more rails ");
        let place = Rect::new(area.x, area.y, area.width, 1);
        frame.render_widget(Line::from(text).bold().right_aligned(), place);
    }
}

fn aligned(line: Line<'static>, column: Column) -> Line<'static> {
    use Column::*;
    match column {
        Power | Voltage | Current | Energy | Bounds => line.right_aligned(),
        Name | Simulated | Boundary | Minute | Quality => line,
    }
}

fn cell(
    frame: &mut Frame,
    column: Column,
    area: Rect,
    board: &Board,
    rail: &Rail,
    is_primary: bool,
    now: MonoNs,
) {
    let record = &rail.record;
    let color = cells::quality(record.quality, record.simulated);
    let heard = power_w(rail, now).is_some();
    let fresh = |value: Option<f64>| value.filter(|_| heard);
    let chart = Chart::new(&rail.history, color, now, area.width, 1);
    let width = usize::from(area.width);
    let text = match column {
        Column::Name => {
            let name = cells::cut(&format!(" {}", record.rail), width);
            let style = Style::new().bold();
            Line::from(name).style(if is_primary {
                style.underlined()
            } else {
                style
            })
        }
        Column::Simulated if record.simulated => {
            Line::from(if width >= 9 { "SIMULATED" } else { "SIM" })
                .fg(SIMULATED)
                .bold()
        }
        Column::Simulated => Line::default(),
        Column::Boundary => {
            let known = board.rail_info(&record.rail);
            Line::from(or_missing(known, |rail| rail.boundary.to_string()))
        }
        Column::Power => {
            let power = or_missing(fresh(record.power_w), figure::watts);
            Line::from(power).fg(color).bold()
        }
        Column::Voltage => Line::from(or_missing(fresh(record.voltage_v), figure::volts)),
        Column::Current => Line::from(or_missing(fresh(record.current_a), figure::amps)),
        Column::Energy => {
            let energy = record.energy_wh.map(|wh| Figure::exact(wh).show("Wh"));
            Line::from(energy.unwrap_or_else(|| MISSING.to_owned()))
        }
        Column::Minute => return frame.render_widget(chart.bars(), area),
        Column::Bounds => {
            // Of the whole minute, however few bars there is room for.
            Line::from(Chart::new(&rail.history, color, now, 60, 1).bounds())
        }
        Column::Quality => Line::from(figure::quality(record.quality)).fg(color),
    };
    frame.render_widget(aligned(text, column), area);
}
