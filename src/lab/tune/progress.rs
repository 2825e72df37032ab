//! What somebody who waits for a tuning sees, on standard error: what runs, and what was
//! decided.

use super::fate::Entry;
use super::order::{Order, Outcome, Part};
use super::text::{duration, fate};
use super::tuner::Tuner;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

pub struct Progress {
    bar: ProgressBar,
    /// Where the output is no terminal a line is a line.
    lines: bool,
}

impl Progress {
    pub fn on_stderr() -> Self {
        let bar = ProgressBar::new_spinner();
        let style =
            ProgressStyle::with_template("{spinner} {elapsed:>4} {msg}").expect("it is right");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(120));
        let lines = bar.is_hidden();
        Self { bar, lines }
    }

    pub fn nowhere() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            lines: false,
        }
    }

    pub fn line(&self, text: &str) {
        match self.lines {
            true => eprintln!("{text}"),
            false => self.bar.println(text),
        }
    }

    pub fn begins(&self, order: &Order, tuner: &Tuner) {
        let place = order.place;
        let rounds = tuner.rounds();
        let about = tuner.remaining_s().map_or_else(String::new, |seconds| {
            format!(", about {}", duration(seconds))
        });
        let part = match order.part {
            Part::First => "first job of the defaults".to_owned(),
            Part::Rung { stage, rung } => format!("{}, rung {rung}", stage.as_str()),
            Part::Check => "check".to_owned(),
        };
        if (place.round, place.job, place.repeated) == (1, 1, 0) {
            let of_rounds = match order.part {
                Part::First => String::new(),
                _ => format!(": {rounds} rounds{about}"),
            };
            self.line(&format!("{part}{of_rounds}"));
        }
        let again = match place.repeated {
            0 => "",
            _ => ", again",
        };
        self.bar.set_message(format!(
            "{part}, round {} of {rounds}: {}{again}{about}",
            place.round,
            order.candidate.label()
        ));
    }

    pub fn ended(&self, order: &Order, outcome: &Outcome) {
        let why = match outcome {
            Outcome::Measured(_) => return,
            Outcome::LeftOut { why, .. } => why.clone(),
            Outcome::Failed { reason } => format!("failed: {reason}"),
            Outcome::Cancelled => "cancelled".to_owned(),
        };
        let why = crate::print::harmless(&why);
        self.line(&format!(
            "  {}: does not count: {why}",
            order.candidate.label()
        ));
    }

    pub fn decided(&self, entry: &Entry) {
        self.line(&format!("  {}: {}", entry.label, fate(entry)));
    }

    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}
