//! Boxes over what is shown: help, and the question before a job is cancelled.

use super::super::app::Question;
use super::WARNING;
use crate::workload::JobState;
use ratatui::Frame;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

const HELP: [(&str, &str); 17] = [
    ("↑ ↓  j k", "move; PgUp PgDn Home End farther"),
    ("Enter", "look at one board"),
    ("Esc", "back to the fleet; clears the filter"),
    ("[ ]", "the board before, the board after"),
    ("Tab", "jobs, events, facts of a board"),
    ("r", "ask the board for its queue"),
    ("/", "boards that mention some text"),
    ("s", "sort by the next column"),
    ("p  Space", "pause what is shown"),
    ("c", "cancel the selected job; asks first"),
    ("q  Ctrl-C", "quit"),
    ("", ""),
    ("◆ measuring", "undisturbed: nothing leaves the board"),
    ("▶ running", "the job publishes its tokens as they come"),
    ("‖3  ↓3", "3 wait; the queue is paused, is draining"),
    ("dim figures", "of the last job, bold ones of this one"),
    ("SIM", "power of a simulated sensor, of no real board"),
];

fn middle(frame: &Frame, width: u16, height: u16) -> Rect {
    let [area] = Layout::vertical([Constraint::Max(height)])
        .flex(Flex::Center)
        .areas(frame.area());
    let [area] = Layout::horizontal([Constraint::Max(width)])
        .flex(Flex::Center)
        .areas(area);
    area
}

pub fn help(frame: &mut Frame) {
    let area = middle(frame, 66, HELP.len() as u16 + 2);
    let lines = HELP.map(|(key, what)| {
        Line::from(vec![
            Span::from(format!(" {key:<13}")).bold(),
            Span::from(what),
        ])
    });
    let block = Block::bordered().title(" Keys and signs ".bold());
    let block = block.title_bottom(" any key closes ");
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines.to_vec()).block(block), area);
}

pub fn question(frame: &mut Frame, question: &Question) {
    let area = middle(frame, 62, 7);
    let what = match question.state {
        JobState::Running => "It runs: what it has measured is kept as cancelled.",
        _ => "It waits in the queue and will not run.",
    };
    let lines = vec![
        Line::from(vec![
            Span::from(" Cancel "),
            Span::from(question.id.clone()).bold(),
            Span::from(" on "),
            Span::from(question.device.clone()).bold(),
            Span::from("?"),
        ]),
        Line::from(format!(" {what}")),
        Line::default(),
        Line::from(vec![
            Span::from(" y").bold(),
            Span::from(" cancels it; any other key lets it be"),
        ]),
    ];
    let block = Block::bordered().title(" Cancel a job ".bold()).fg(WARNING);
    let text = Paragraph::new(lines)
        .wrap(Wrap { trim: false })
        .block(block);
    frame.render_widget(Clear, area);
    frame.render_widget(text, area);
}
