//! The live table in a terminal.

use super::Follow;
use super::view::View;
use crate::clock;
use crate::units::Span;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EVERY: Span = Span::from_millis(250);

/// Whether keys can be read and a table can be drawn.
pub fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Shows the rails until `q`, Escape or Ctrl-C, until `ended` is set or `span` has passed.
/// The terminal is as before when it returns, also after a panic.
pub fn run(
    follow: &mut Follow,
    board: String,
    span: Option<Span>,
    ended: &AtomicBool,
) -> io::Result<()> {
    let terminal = ratatui::try_init()?;
    let outcome = watch(terminal, follow, board, span, ended);
    ratatui::try_restore()?;
    outcome
}

fn watch(
    mut terminal: DefaultTerminal,
    follow: &mut Follow,
    board: String,
    span: Option<Span>,
    ended: &AtomicBool,
) -> io::Result<()> {
    let mut view = View { board, offset: 0 };
    let start = clock::now();
    loop {
        let frame = follow.frame();
        terminal.draw(|screen| view.draw(screen, &frame))?;
        let next = clock::now() + EVERY;
        let over = span.is_some_and(|span| clock::now().since(start) >= span);
        if over || ended.load(Ordering::Acquire) {
            return Ok(());
        }
        while event::poll(Duration::from_nanos(next.since(clock::now()).0))? {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                        return Ok(());
                    }
                    KeyCode::Down | KeyCode::Char('j') => view.offset += 1,
                    KeyCode::Up | KeyCode::Char('k') => {
                        view.offset = view.offset.saturating_sub(1);
                    }
                    _ => continue,
                },
                Event::Resize(..) => {}
                _ => continue,
            }
            terminal.draw(|screen| view.draw(screen, &frame))?;
        }
    }
}
