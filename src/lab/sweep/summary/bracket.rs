//! The baseline on a board, and what it says of the points beside it.

use super::{OfRun, Row};
use crate::lab::sweep::ranking::{Better, Drift, ranks};
use crate::lab::sweep::text::{percent, plural};
use std::collections::BTreeSet;

/// The study of the same name that a run was taken over from; `None`: this one.
pub(super) type Session = Option<String>;

/// The baseline on a board.
#[derive(Debug, Clone)]
pub(super) struct Bracket {
    pub(super) device: String,
    pub(super) runs: usize,
    pub(super) taken_over: usize,
    /// In which it has runs that count.
    pub(super) sessions: BTreeSet<Session>,
    pub(super) j_per_token: Option<Drift>,
    pub(super) tok_s: Option<Drift>,
}

/// The baseline's runs on a board; of those that count a value each.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    j_per_token: Vec<f64>,
    tok_s: Vec<f64>,
    succeeded: usize,
    taken_over: usize,
    sessions: BTreeSet<Session>,
}

impl Runs {
    pub(super) fn add(&mut self, figures: Option<OfRun>, session: &Session) {
        self.succeeded += 1;
        self.taken_over += usize::from(session.is_some());
        if let Some(figures) = figures.filter(|figures| !figures.marked) {
            self.sessions.insert(session.clone());
            self.j_per_token.extend(figures.j_per_token);
            self.tok_s.extend(figures.tok_s);
        }
    }
}

impl Bracket {
    pub(super) fn new(device: String, runs: Runs) -> Self {
        Self {
            device,
            runs: runs.succeeded,
            taken_over: runs.taken_over,
            j_per_token: Drift::of(&runs.j_per_token),
            tok_s: Drift::of(&runs.tok_s),
            sessions: runs.sessions,
        }
    }

    /// Ranks the board's points by energy, or where it has none by speed.
    pub(super) fn rank(&self, rows: &mut [Row]) {
        let mut mine: Vec<&mut Row> = rows
            .iter_mut()
            .filter(|row| row.device == self.device)
            .collect();
        let by_energy = mine.iter().any(|row| !row.j_per_token.is_empty());
        let (drift, better) = match by_energy {
            true => (self.j_per_token, Better::Lower),
            false => (self.tok_s, Better::Higher),
        };
        let Some(drift) = drift else {
            return;
        };
        let values: Vec<Vec<f64>> = mine
            .iter_mut()
            .map(|row| {
                row.apart = !row.sessions.is_subset(&self.sessions);
                match by_energy {
                    _ if row.apart => Vec::new(),
                    true => row.j_per_token.clone(),
                    false => row.tok_s.clone(),
                }
            })
            .collect();
        for (row, rank) in mine.iter_mut().zip(ranks(&values, &drift, better)) {
            row.rank = rank;
        }
    }

    pub(super) fn told(&self) -> String {
        let of = |drift: &Drift, what: &str| {
            format!(
                "{what} lies {:.1} % apart, {} from first to last",
                drift.spread * 100.0,
                percent(drift.drift)
            )
        };
        let energy = self.j_per_token.as_ref().map(|drift| of(drift, "J/token"));
        let speed = self.tok_s.as_ref().map(|drift| of(drift, "decode"));
        let told: Vec<String> = energy.into_iter().chain(speed).collect();
        let mut runs = plural(self.runs, "baseline run");
        if self.taken_over > 0 {
            runs += &format!(", {} of them taken over", self.taken_over);
        }
        match told.is_empty() {
            true => format!(
                "{}: {runs}; at least two that count are needed to rank",
                self.device
            ),
            false => format!("{}: {runs}, {}", self.device, told.join("; ")),
        }
    }
}
