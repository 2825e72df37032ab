//! What has come of a study: each point on each board with its figures, how far the baseline
//! drifted, and what failed.

mod bracket;

use super::book::{Book, Item, Role, Standing};
use super::manifest::Spread;
use super::ranking::Drift;
use super::study::Study;
use super::text::plural;
use crate::lab::figure::Figure;
use crate::lab::submit::aligned;
use crate::record::Stamped;
use crate::record::result::{JobResult, Statistic, Summary as Figures};
use bracket::{Bracket, Runs, Session};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Failures that are told one by one.
const MOST_TOLD: usize = 10;

/// A point on a board, over its rounds.
#[derive(Debug, Clone, Default)]
struct Row {
    device: String,
    point: String,
    number: usize,
    succeeded: usize,
    /// Of these, runs whose result is not here.
    missing: usize,
    /// Runs that count, one value each.
    j_per_token: Vec<f64>,
    tok_s: Vec<f64>,
    /// Runs that say of themselves that summaries leave them out, whose figures don't count.
    marked: Vec<OfRun>,
    simulated: bool,
    /// Of jobs that are about it, as the last run says.
    quality: Option<String>,
    /// In which the runs that count were made.
    sessions: BTreeSet<Session>,
    rank: Option<usize>,
    /// It has figures, and no rank: the baseline did not run where they are from.
    apart: bool,
}

#[derive(Debug, Clone)]
pub struct Summary {
    study: String,
    hash: String,
    rows: Vec<Row>,
    brackets: Vec<Bracket>,
    failures: Vec<String>,
    /// Jobs that have not ended.
    open: usize,
    has_baseline: bool,
}

impl Summary {
    pub fn new(study: &Study, book: &Book, results: &[Stamped<JobResult>]) -> Self {
        // Of several attempts of a job the last is the one that ended it.
        let of: BTreeMap<(&str, &str), &Stamped<JobResult>> = results
            .iter()
            .map(|result| {
                let key = (result.stamp.device.as_str(), result.body.id.as_str());
                (key, result)
            })
            .collect();
        let stamped = |item: &Item| of.get(&(item.device.as_str(), item.id.as_str())).copied();
        let found = |item: &Item| stamped(item).map(|result| &result.body);
        // What was taken over ran before, and its results tell in which order.
        let mut items: Vec<&Item> = book.items.iter().collect();
        items.sort_by_key(|item| match item.taken_over_from {
            Some(_) => (false, stamped(item).map(|result| &result.stamp.time)),
            None => (true, None),
        });
        let mut rows: BTreeMap<(String, usize), Row> = BTreeMap::new();
        let mut baselines: BTreeMap<String, Runs> = BTreeMap::new();
        for item in items {
            let figures = found(item).map(read);
            match item.role {
                Role::Point => {
                    let key = (item.device.clone(), item.number);
                    let row = rows.entry(key).or_insert_with(|| Row {
                        device: item.device.clone(),
                        point: item.point.clone(),
                        number: item.number,
                        ..Row::default()
                    });
                    if item.state == Standing::Succeeded {
                        row.add(figures, &item.taken_over_from);
                        let quality = found(item).and_then(quality);
                        row.quality = quality.or(row.quality.take());
                    }
                }
                Role::Baseline => {
                    let runs = baselines.entry(item.device.clone()).or_default();
                    if item.state == Standing::Succeeded {
                        runs.add(figures, &item.taken_over_from);
                    }
                }
            }
        }
        let brackets: Vec<Bracket> = baselines
            .into_iter()
            .map(|(device, runs)| Bracket::new(device, runs))
            .collect();
        let mut rows: Vec<Row> = rows.into_values().collect();
        for bracket in &brackets {
            bracket.rank(&mut rows);
        }
        let bad = |item: &&Item| !matches!(item.state, Standing::Succeeded | Standing::Sent);
        let failures = (0..book.items.len())
            .filter(|at| !made_good(book, *at))
            .map(|at| &book.items[at])
            .filter(bad)
            .filter(|item| !tried_again(study, book, item));
        Self {
            study: book.study.clone(),
            hash: book.hash.clone(),
            rows,
            brackets,
            failures: failures.map(failure).collect(),
            open: book.open().count(),
            has_baseline: study.baseline.is_some(),
        }
    }

    /// Jobs that did not succeed, or have not ended.
    pub fn missing(&self) -> usize {
        self.failures.len() + self.open
    }

    pub fn json(&self) -> Value {
        let drift = |drift: &Option<Drift>| {
            drift.map(|drift| {
                json!({"runs": drift.runs, "mean": drift.mean, "spread": drift.spread,
                       "drift": drift.drift})
            })
        };
        let rows = self.rows.iter().map(|row| {
            json!({"device": row.device, "point": row.point, "number": row.number,
                   "succeeded": row.succeeded, "marked": row.marked.len(), "simulated": row.simulated,
                   "j_per_output_token": mean(&row.j_per_token), "decode_tok_s": mean(&row.tok_s),
                   "quality": row.quality, "rank": row.rank})
        });
        let brackets = self.brackets.iter().map(|bracket| {
            json!({"device": bracket.device, "runs": bracket.runs,
                   "taken_over": bracket.taken_over,
                   "j_per_output_token": drift(&bracket.j_per_token),
                   "decode_tok_s": drift(&bracket.tok_s)})
        });
        json!({"study": self.study, "hash": self.hash, "points": rows.collect::<Vec<_>>(),
               "baseline": brackets.collect::<Vec<_>>(), "failures": self.failures,
               "open": self.open})
    }

    /// For people.
    pub fn text(&self) -> String {
        // Only where some job is about it.
        let last = match self.rows.iter().any(|row| row.quality.is_some()) {
            true => "quality",
            false => "",
        };
        let heading = ["rank", "point", "board", "runs", "decode", "J/token", last];
        let mut table = vec![heading.map(str::to_owned)];
        for row in &self.rows {
            type Of = fn(&OfRun) -> Option<f64>;
            let figure = |values: &[f64], marked: Of, show: fn(Figure) -> String| {
                let of_marked = || super::estimate::mean(row.marked.iter().map(marked));
                match (mean(values), of_marked()) {
                    (Some(mean), _) => show(Figure::exact(mean)),
                    // Something to look at, nothing to conclude from.
                    (None, Some(mean)) => format!("({})", show(Figure::exact(mean))),
                    (None, None) => "–".to_owned(),
                }
            };
            let mut runs = row.succeeded.to_string();
            if row.missing > 0 {
                runs += &format!(", {} not collected", row.missing);
            }
            if !row.marked.is_empty() {
                runs += &format!(", {} marked", row.marked.len());
            }
            let simulated = if row.simulated { " SIMULATED" } else { "" };
            table.push([
                row.rank.map_or("–".to_owned(), |rank| rank.to_string()),
                row.point.clone(),
                row.device.clone(),
                runs,
                figure(
                    &row.tok_s,
                    |run| run.tok_s,
                    |figure| figure.show_plain("tok/s"),
                ),
                format!(
                    "{}{simulated}",
                    figure(
                        &row.j_per_token,
                        |run| run.j_per_token,
                        |figure| figure.show("J"),
                    )
                ),
                row.quality.clone().unwrap_or_default(),
            ]);
        }
        let mut out = String::from("\n");
        if !self.rows.is_empty() {
            out += &aligned(&table);
            out.push('\n');
        }
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        for bracket in &self.brackets {
            line(bracket.told());
        }
        if !self.has_baseline && !self.rows.is_empty() {
            line(
                "no ranks: without a [baseline] nobody knows how far the same job lies apart"
                    .to_owned(),
            );
        }
        let apart = self.rows.iter().filter(|row| row.apart).count();
        if apart > 0 {
            line(format!(
                "no rank for {}: the baseline has no run that counts from when they ran, so that \
                 nobody knows what the board was like",
                plural(apart, "point")
            ));
        }
        let marked: usize = self.rows.iter().map(|row| row.marked.len()).sum();
        if marked > 0 {
            line(format!(
                "{} contended or throttled, or had a setting changed meanwhile: their figures \
                 don't count, and stand in parentheses",
                match marked {
                    1 => "1 run was".to_owned(),
                    several => format!("{several} runs were"),
                }
            ));
        }
        for failure in self.failures.iter().take(MOST_TOLD) {
            line(format!("failed: {failure}"));
        }
        if self.failures.len() > MOST_TOLD {
            line(format!("and {} more", self.failures.len() - MOST_TOLD));
        }
        if self.open > 0 {
            line(format!("{} not ended", plural(self.open, "job")));
        }
        out
    }
}

impl Row {
    fn add(&mut self, figures: Option<OfRun>, session: &Session) {
        self.succeeded += 1;
        let Some(figures) = figures else {
            self.missing += 1;
            return;
        };
        self.simulated |= figures.simulated;
        if figures.marked {
            self.marked.push(figures);
            return;
        }
        self.sessions.insert(session.clone());
        self.j_per_token.extend(figures.j_per_token);
        self.tok_s.extend(figures.tok_s);
    }
}

/// Whether it was tried again: what became of that is what counts.
fn tried_again(study: &Study, book: &Book, bad: &Item) -> bool {
    let anywhere = study.spread == Spread::Any && bad.role == Role::Point;
    book.items.iter().any(|item| {
        let same = item.role == bad.role && item.number == bad.number && item.round == bad.round;
        let same = same && item.taken_over_from.is_none();
        same && item.trial > bad.trial && (anywhere || item.device == bad.device)
    })
}

/// Whether the baseline has succeeded on the board since: it tells of drift all the same.
fn made_good(book: &Book, at: usize) -> bool {
    let bad = &book.items[at];
    let mut later = book.items[at + 1..].iter();
    bad.role == Role::Baseline
        && later.any(|item| {
            item.role == Role::Baseline
                && item.device == bad.device
                && item.state == Standing::Succeeded
                && item.taken_over_from.is_none()
        })
}

fn failure(item: &Item) -> String {
    let state = match item.state {
        Standing::Cancelled => "cancelled",
        Standing::Refused => "refused",
        Standing::Failed | Standing::Sent | Standing::Succeeded => "failed",
    };
    let why = item.reason.as_deref().unwrap_or("no reason given");
    format!(
        "{} on {} ({}): {state}: {why}",
        item.point, item.device, item.id
    )
}

/// What counts of one run.
#[derive(Debug, Clone, Copy)]
struct OfRun {
    j_per_token: Option<f64>,
    tok_s: Option<f64>,
    marked: bool,
    simulated: bool,
}

fn read(result: &JobResult) -> OfRun {
    let summary = result.summary.as_ref();
    let mean = |of: fn(&Figures) -> Option<&Statistic>| {
        summary.and_then(of).map(|statistic| statistic.mean)
    };
    OfRun {
        j_per_token: mean(|summary| summary.j_per_output_token.as_ref()),
        tok_s: mean(|summary| summary.decode_tok_s.as_ref()),
        marked: !result.left_out.is_empty(),
        simulated: result.rails.iter().any(|rail| rail.simulated),
    }
}

/// How good the model's answers were, and what finding that out took.
fn quality(result: &JobResult) -> Option<String> {
    let with = |score: String, joules: Option<f64>, each: &str| match joules {
        Some(joules) => format!("{score}, {} {each}", Figure::exact(joules).show("J")),
        None => score,
    };
    if let Some(of) = &result.perplexity {
        let score = Figure::because(of.perplexity, None, None).show("");
        let score = format!("perplexity {score}");
        return Some(with(score, of.j_per_token_scored, "a token"));
    }
    let of = result.choice.as_ref()?;
    let score = format!("{} of {} right", of.correct, of.items);
    Some(with(score, of.j_per_item, "an item"))
}

fn mean(values: &[f64]) -> Option<f64> {
    super::estimate::mean(values.iter().map(|value| Some(*value)))
}

/// Those of a dataset's results that are of the book's jobs.
pub fn of_book(book: &Book, results: Vec<Stamped<JobResult>>) -> Vec<Stamped<JobResult>> {
    let ids: std::collections::BTreeSet<(&str, &str)> = book
        .items
        .iter()
        .map(|item| (item.device.as_str(), item.id.as_str()))
        .collect();
    let is_mine = |result: &Stamped<JobResult>| {
        ids.contains(&(result.stamp.device.as_str(), result.body.id.as_str()))
    };
    results.into_iter().filter(is_mine).collect()
}

#[cfg(test)]
mod tests;
