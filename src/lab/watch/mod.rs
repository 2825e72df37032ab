//! `joulectl watch`: the fleet, or one board, live in a terminal, or as lines of JSON.
//!
//! [`heard`] says what a message is, [`fleet`] and [`board`] keep what is known, [`app`] is what
//! the person does with it, [`draw`] shows it: all without I/O, with the time as an argument.
//! [`link`] talks to the broker, [`screen`] to the terminal, [`lines`] to a pipe.
//!
//! Watching must not disturb what is measured: of single jobs only live tokens and the newest
//! result are read, and a board is asked for its queue only while it runs no job. An undisturbed
//! attempt publishes nothing; that is shown as what it is, not as a fault.

mod activity;
mod app;
mod board;
mod draw;
mod fleet;
mod heard;
mod lines;
mod link;
mod marks;
mod outcome;
#[cfg(test)]
mod picture;
mod requests;
mod row;
mod screen;
#[cfg(test)]
mod testing;
mod tokens;

use super::LabError;
use super::target::Target;
use crate::clock;
use fleet::Fleet;
use std::io::IsTerminal;

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Print one JSON object a line for each change, and draw nothing
    #[arg(long)]
    pub json: bool,
}

/// Watches until the person or the system ends it.
///
/// Errors: the first connection to the broker can't be had, or there is no terminal to draw on.
pub async fn run(target: &Target, options: &Options) -> Result<(), LabError> {
    if !options.json && !std::io::stdout().is_terminal() {
        return Err(LabError::Usage(
            "watch draws on a terminal, and the standard output is none; `joulectl watch --json` \
             prints a line for each change"
                .to_owned(),
        ));
    }
    for warning in target.warnings() {
        eprintln!("warning: {warning}");
    }
    let device = target.device.as_deref().filter(|_| options.json);
    let link = link::Link::connect(target, device).await?;
    let fleet = Fleet::new(&target.prefix, &target.shown(), clock::now());
    match options.json {
        true => lines::run(link, fleet).await,
        false => {
            let app = app::App::new(fleet, target.device.as_deref());
            screen::run(link, app, &target.prefix).await
        }
    }
}
