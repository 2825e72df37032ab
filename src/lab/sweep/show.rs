//! What the person at the terminal, or a program, gets to see while a study runs.

use super::book::{Item, Role, Standing};
use super::cooling::{Cooled, How};
use super::text::lasting;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::time::Duration;

pub enum Show {
    /// A bar, and lines above it.
    Terminal(ProgressBar),
    Lines,
    Json,
}

/// How far a study is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    pub done: usize,
    pub jobs: usize,
    pub left_s: Option<f64>,
    /// What each board is at.
    pub now: Vec<String>,
}

impl Show {
    pub fn new(as_json: bool) -> Self {
        if as_json {
            return Self::Json;
        }
        if !console::user_attended_stderr() {
            return Self::Lines;
        }
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{spinner} {elapsed:>4} [{bar:24}] {wide_msg}")
            .expect("the template is right")
            .progress_chars("=> ");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(120));
        Self::Terminal(bar)
    }

    pub fn progress(&self, progress: &Progress) {
        if let Self::Terminal(bar) = self {
            bar.set_length(progress.jobs as u64);
            bar.set_position(progress.done as u64);
            bar.set_message(line(progress));
        }
    }

    pub fn sent(&self, item: &Item) {
        let fields = json!({"device": item.device, "id": item.id, "point": item.point,
            "role": item.role.as_str(), "round": item.round, "trial": item.trial,
            "cooled": item.cooled});
        if let Self::Json = self {
            self.event("sent", fields);
        }
    }

    pub fn ended(&self, item: &Item, progress: &Progress) {
        let fields = json!({"device": item.device, "id": item.id, "point": item.point,
            "role": item.role.as_str(), "round": item.round, "state": item.state,
            "reason": item.reason, "took_s": item.took_s, "done": progress.done,
            "jobs": progress.jobs, "left_s": progress.left_s});
        self.tell("ended", fields, || {
            let state = match item.state {
                Standing::Succeeded => item.took_s.map_or("done".to_owned(), lasting),
                Standing::Sent => "sent".to_owned(),
                Standing::Failed => "failed".to_owned(),
                Standing::Cancelled => "cancelled".to_owned(),
                Standing::Refused => "refused".to_owned(),
            };
            let why = item.reason.as_ref();
            let why = why.map_or(String::new(), |why| format!(": {why}"));
            format!(
                "{:>width$}/{}  {}  {}  {state}{why}{}",
                progress.done,
                progress.jobs,
                item.device,
                name(item),
                cooled(item.cooled.as_ref()),
                width = progress.jobs.to_string().len(),
            )
        });
    }

    /// Something that the person may want to act on.
    pub fn note(&self, event: &str, text: &str) {
        self.tell(event, json!({"message": text}), || text.to_owned());
    }

    pub fn summary(&self, text: &str, fields: Value) {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
        match self {
            Self::Json => self.event("summary", fields),
            Self::Terminal(_) | Self::Lines => print!("{text}"),
        }
    }

    fn tell(&self, event: &str, fields: Value, text: impl FnOnce() -> String) {
        match self {
            Self::Json => self.event(event, fields),
            Self::Terminal(bar) => bar.suspend(|| eprintln!("{}", text())),
            Self::Lines => eprintln!("{}", text()),
        }
    }

    fn event(&self, event: &str, mut fields: Value) {
        fields["event"] = json!(event);
        println!("{fields}");
    }
}

/// A job as people call it.
pub fn name(item: &Item) -> String {
    let again = match item.trial {
        1 => String::new(),
        trial => format!(", try {trial}"),
    };
    match item.role {
        Role::Baseline => format!("baseline {}{again}", item.number),
        Role::Point if item.round > 1 => format!("{} (round {}{again})", item.point, item.round),
        Role::Point if again.is_empty() => item.point.clone(),
        Role::Point => format!("{} ({})", item.point, &again[2..]),
    }
}

/// What a board was waited for, where that says something about the figures.
fn cooled(cooled: Option<&Cooled>) -> String {
    match cooled {
        Some(Cooled {
            how: How::GaveUp,
            temperature_c: Some(celsius),
            ..
        }) => format!("  (still {celsius:.1} °C when it was sent)"),
        _ => String::new(),
    }
}

fn line(progress: &Progress) -> String {
    let left = match progress.left_s {
        Some(left_s) => format!(", about {} left", lasting(left_s)),
        None => String::new(),
    };
    format!(
        "{} of {} done{left}  {}",
        progress.done,
        progress.jobs,
        progress.now.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::sweep::book::Book;
    use crate::lab::sweep::testing::{seat, study};

    #[test]
    fn a_job_is_called_by_its_point_round_and_try() {
        let study = study(2);
        let mut book = Book::new(&study);
        let task = book.next(&study, &seat(&study, "a")).unwrap();
        let at = book.begin(&study, "a", task, None);
        let mut item = book.items[at].clone();
        assert_eq!(name(&item), "m threads 1");
        item.trial = 2;
        assert_eq!(name(&item), "m threads 1 (try 2)");
        item.round = 3;
        assert_eq!(name(&item), "m threads 1 (round 3, try 2)");
        item.role = Role::Baseline;
        assert_eq!(name(&item), "baseline 1, try 2");
        let progress = Progress {
            done: 3,
            jobs: 10,
            left_s: Some(90.0),
            now: vec!["a: x".to_owned()],
        };
        assert_eq!(line(&progress), "3 of 10 done, about 1 min 30 s left  a: x");
    }
}
