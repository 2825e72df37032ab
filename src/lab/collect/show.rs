//! What the person at the terminal, or the journal, gets to see.

use super::roller::Rolled;
use super::said::{Seldom, plain};
use super::staging::Closed;
use super::tally::{Pace, Tally, grouped};
use crate::lab::dataset::Table;
use crate::units::{MonoNs, Span};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// JSON lines tell of the progress this often.
const PROGRESS_EVERY: Span = Span::from_millis(10_000);

pub struct Show {
    form: Form,
    pace: Pace,
    told: MonoNs,
    unreadable: Seldom,
    refused: Seldom,
}

enum Form {
    /// A line that is alive, and others above it.
    Terminal(ProgressBar),
    Lines,
    Json,
    /// Another command collects beside its own work, and shows what it sees fit.
    Told(UnboundedSender<Told>),
}

/// What happened, for a command that collects beside its own work.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// As in JSON lines.
    pub event: String,
    pub text: String,
}

impl Show {
    pub fn new(as_json: bool, now: MonoNs) -> Self {
        let form = if as_json {
            Form::Json
        } else if console::user_attended_stderr() {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {elapsed:>4}  {wide_msg}")
                .expect("a valid template");
            bar.set_style(style);
            bar.enable_steady_tick(Duration::from_millis(120));
            Form::Terminal(bar)
        } else {
            Form::Lines
        };
        Self::of(form, now)
    }

    /// Tells another command.
    pub fn to(told: UnboundedSender<Told>, now: MonoNs) -> Self {
        Self::of(Form::Told(told), now)
    }

    fn of(form: Form, now: MonoNs) -> Self {
        Self {
            form,
            pace: Pace::new(now),
            told: now,
            unreadable: Seldom::default(),
            refused: Seldom::default(),
        }
    }

    pub fn progress(&mut self, tally: &Tally, now: MonoNs) {
        match &self.form {
            Form::Terminal(bar) => bar.set_message(self.pace.line(tally, now)),
            Form::Json if now.since(self.told) >= PROGRESS_EVERY => {
                self.told = now;
                self.event("progress", json!(tally));
            }
            Form::Json | Form::Lines | Form::Told(_) => {}
        }
    }

    pub fn connected(&self, broker: &str, again: bool) {
        let word = if again {
            "connected again"
        } else {
            "connected"
        };
        self.tell("connected", json!({"broker": broker}), || {
            format!("{word} to {broker}")
        });
    }

    pub fn disconnected(&self, reason: &str) {
        let reason = plain(reason);
        self.tell("disconnected", json!({"reason": reason}), || {
            format!("{reason}; trying again, and nothing is lost")
        });
    }

    pub fn rolled(&self, rolled: &Rolled) {
        if rolled.parts == 0 {
            return;
        }
        let rows = rolled.rows.iter();
        let rows: serde_json::Map<String, Value> = rows
            .map(|(table, rows)| (Table::as_str(*table).to_owned(), json!(rows)))
            .collect();
        let fields = json!({"parts": rolled.parts, "records": rolled.records, "rows": rows});
        self.tell("rolled", fields, || {
            let tokens = rolled.rows.get(&Table::Tokens).copied().unwrap_or(0);
            format!(
                "{} records are in the dataset, {} tokens among them",
                grouped(rolled.records),
                grouped(tokens)
            )
        });
    }

    pub fn asked(&self, device: &str, id: &str, attempt: u32) {
        // In a journal it would be noise: what counts is what comes of it.
        if let Form::Json = self.form {
            let fields = json!({"device": device, "id": id, "attempt": attempt});
            self.event("replay", fields);
        }
    }

    pub fn lost(&self, lost: &Closed) {
        self.tell("lost", json!(lost), || {
            let Closed {
                device,
                id,
                attempt,
                here,
                ..
            } = lost;
            match lost.announced {
                Some(announced) => format!(
                    "board {device} has not all records of job {id}, attempt {attempt}, any more: \
                     {here} of {announced} are here"
                ),
                None => {
                    format!("board {device} has the result of job {id}, attempt {attempt}, no more")
                }
            }
        });
    }

    /// Of `count` messages the newest, and why.
    pub fn unreadable(&mut self, why: &str, count: u64, now: MonoNs) {
        let Some(others) = self.unreadable.pass(count, now) else {
            return;
        };
        let why = plain(why);
        self.tell(
            "unreadable",
            json!({"message": why, "others": others}),
            || format!("set aside: {why}{}", and_others(others)),
        );
    }

    /// `count` records that this version can't write, and why the newest of them.
    pub fn held(&mut self, why: &str, count: u64) {
        let why = plain(why);
        self.tell("held", json!({"message": why, "count": count}), || {
            format!(
                "{count} records can't be written: {why}. Nothing is lost: they stay in .collect, \
                 and each run of joulectl tries them again"
            )
        });
    }

    /// A board does not list its jobs.
    pub fn refused(&mut self, device: &str, why: &str, now: MonoNs) {
        let Some(others) = self.refused.pass(1, now) else {
            return;
        };
        let why = plain(why);
        let fields = json!({"device": device, "message": why, "others": others});
        self.tell("refused", fields, || {
            format!(
                "board {device} does not list its jobs: {why}{}",
                and_others(others)
            )
        });
    }

    pub fn trouble(&self, what: &str) {
        self.tell("trouble", json!({"message": what}), || {
            format!(
                "{what}. Nothing is acknowledged until this works again; what was acknowledged \
                 is kept. It is tried again"
            )
        });
    }

    pub fn recovered(&self) {
        self.tell("recovered", json!({}), || "it works again".to_owned());
    }

    pub fn summary(&self, tally: &Tally, root: &Path, staged: u64) {
        match &self.form {
            Form::Terminal(bar) => bar.finish_and_clear(),
            // It looks for itself what has come of its jobs.
            Form::Told(_) => return,
            Form::Lines | Form::Json => {}
        }
        let mut fields = json!(tally);
        fields["staged"] = json!(staged);
        fields["dataset"] = json!(root.display().to_string());
        if let Form::Json = self.form {
            self.event("summary", fields);
            return;
        }
        let mut lines = vec![format!(
            "{} records, {} results and {} tokens are in {}",
            grouped(tally.records),
            grouped(tally.results),
            grouped(tally.tokens),
            root.display()
        )];
        let mut some = |count: u64, what: &str| {
            if count > 0 {
                lines.push(format!("  {} {what}", grouped(count)));
            }
        };
        some(tally.duplicates, "came more than once and are there once");
        some(
            tally.conflicts,
            "of these are other records of the same device, job and attempt: the first is there",
        );
        some(tally.replays, "requests to boards for missing records");
        some(
            tally.gaps_open,
            "attempts still miss records; the next run asks for them",
        );
        some(
            tally.gaps_lost,
            "attempts miss records that no board has any more",
        );
        some(
            tally.unreadable,
            "messages could not be read and are set aside",
        );
        some(tally.samples_left_out, "samples had no room");
        some(
            staged,
            "records wait for the next run to write them into the dataset",
        );
        println!("{}", lines.join("\n"));
    }

    fn tell(&self, event: &str, fields: Value, text: impl FnOnce() -> String) {
        match &self.form {
            Form::Json => self.event(event, fields),
            Form::Terminal(bar) => bar.suspend(|| eprintln!("{}", text())),
            Form::Lines => eprintln!("{}", text()),
            Form::Told(told) => {
                // Who is not there any more does not want to know.
                let _ = told.send(Told {
                    event: event.to_owned(),
                    text: text(),
                });
            }
        }
    }

    fn event(&self, event: &str, mut fields: Value) {
        fields["event"] = json!(event);
        println!("{fields}");
    }
}

/// Since the last line of its kind.
fn and_others(others: u64) -> String {
    match others {
        0 => String::new(),
        others => format!(", and {} others", grouped(others)),
    }
}
