//! The rails for as long as somebody watches: a live table in a terminal, elsewhere a line
//! per rail and second.

mod lines;
mod live;
#[cfg(feature = "tui")]
mod screen;
#[cfg(feature = "tui")]
mod view;

pub use live::{Follow, Frame, RailFrame};

use crate::daemon::signals;
use crate::probe::find::{Board, Candidate};
use crate::units::Span;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shows the rails of `candidates` until the user or the system ends it, or `span` has
/// passed.
///
/// Errors: a thread can't be started, or the terminal or file can't be written.
pub fn run(board: &Board, candidates: &[Candidate], span: Option<Span>) -> io::Result<()> {
    let ended = Arc::new(AtomicBool::new(false));
    end_on_signal(Arc::clone(&ended))?;
    let mut follow = Follow::start(candidates, &board.known)?;
    #[cfg(feature = "tui")]
    if screen::is_possible() {
        return screen::run(&mut follow, board.to_string(), span, &ended);
    }
    lines::run(&mut follow, &mut io::stdout().lock(), span, &ended)
}

/// Sets `ended` at the first SIGINT or SIGTERM.
fn end_on_signal(ended: Arc<AtomicBool>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    std::thread::Builder::new().spawn(move || {
        let arrived = async {
            signals::terminated()?.await;
            io::Result::Ok(())
        };
        // Without handlers the signals end the process themselves.
        if runtime.block_on(arrived).is_ok() {
            ended.store(true, Ordering::Release);
        }
    })?;
    Ok(())
}
