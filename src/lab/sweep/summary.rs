//! What has come of a study: each point on each board with its figures, how far the baseline
//! drifted, and what failed.

use super::book::{Book, Item, Role, Standing};
use super::manifest::Spread;
use super::ranking::{Better, Drift, ranks};
use super::study::Study;
use super::text::{percent, plural};
use crate::lab::figure::Figure;
use crate::lab::submit::aligned;
use crate::record::Stamped;
use crate::record::result::{JobResult, Statistic, Summary as Figures};
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

/// The study of the same name that a run was taken over from; `None`: this one.
type Session = Option<String>;

/// The baseline on a board.
#[derive(Debug, Clone)]
struct Bracket {
    device: String,
    runs: usize,
    taken_over: usize,
    /// In which it has runs that count.
    sessions: BTreeSet<Session>,
    j_per_token: Option<Drift>,
    tok_s: Option<Drift>,
}

/// The baseline's runs on a board; of those that count a value each.
#[derive(Debug, Clone, Default)]
struct Runs {
    j_per_token: Vec<f64>,
    tok_s: Vec<f64>,
    succeeded: usize,
    taken_over: usize,
    sessions: BTreeSet<Session>,
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
            .map(|(device, runs)| Bracket {
                device,
                runs: runs.succeeded,
                taken_over: runs.taken_over,
                j_per_token: Drift::of(&runs.j_per_token),
                tok_s: Drift::of(&runs.tok_s),
                sessions: runs.sessions,
            })
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

impl Runs {
    fn add(&mut self, figures: Option<OfRun>, session: &Session) {
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
    /// Ranks the board's points by energy, or where it has none by speed.
    fn rank(&self, rows: &mut [Row]) {
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

    fn told(&self) -> String {
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
mod tests {
    use super::*;
    use crate::lab::sweep::testing::{of, seat};
    use crate::lab::testing;
    use crate::record::result::LeftOut;

    const THREE: &str = "name = 'a'\nretries = 0\n[job]\nkind = 'bench'\n[[matrix]]\nmodel = 'm'\n\
                         threads = [1, 2, 4]\n[baseline]\nmodel = 'm'\n";

    /// A study of three points with a baseline, as it ran on the board of the canned results:
    /// energies of baseline, points, baseline.
    fn ran(energies: [f64; 5]) -> (Study, Book, Vec<Stamped<JobResult>>) {
        let study = of(THREE);
        let mut book = Book::new(&study);
        let results = goes_on(&study, &mut book, &energies);
        (study, book, results)
    }

    fn goes_on(study: &Study, book: &mut Book, energies: &[f64]) -> Vec<Stamped<JobResult>> {
        let mut results = Vec::new();
        for energy in energies {
            let task = book.next(study, &seat(study, testing::DEVICE)).unwrap();
            let at = book.begin(study, testing::DEVICE, task, None);
            book.items[at].state = Standing::Succeeded;
            let mut result = testing::result();
            result.body.id.clone_from(&book.items[at].id);
            result.body.left_out.clear();
            let summary = result.body.summary.as_mut().unwrap();
            summary.j_per_output_token.as_mut().unwrap().mean = *energy;
            results.push(result);
        }
        assert_eq!(book.next(study, &seat(study, testing::DEVICE)), None);
        results
    }

    fn ranks_of(summary: &Summary) -> Vec<Option<usize>> {
        summary.rows.iter().map(|row| row.rank).collect()
    }

    #[test]
    fn points_are_ranked_by_what_the_baseline_tells_apart() {
        let (study, book, results) = ran([1.00, 2.0, 1.01, 1.5, 1.02]);
        let summary = Summary::new(&study, &book, &results);
        assert_eq!(ranks_of(&summary), [Some(3), Some(1), Some(2)]);
        let text = console::strip_ansi_codes(&summary.text()).into_owned();
        assert!(
            text.contains("2 baseline runs, J/token lies 2.0 % apart, +2.0 % from"),
            "{text}"
        );
        assert!(text.contains("SIMULATED"), "{text}");
        let (study, book, results) = ran([1.0, 1.02, 1.01, 1.0, 1.1]);
        let same = Summary::new(&study, &book, &results);
        assert!(same.rows.iter().all(|row| row.rank == Some(1)));
        assert_eq!(same.json()["baseline"][0]["j_per_output_token"]["runs"], 2);
    }

    #[test]
    fn marked_runs_have_no_figures_and_failures_are_named() {
        let (study, mut book, mut results) = ran([1.00, 2.0, 1.01, 1.5, 1.0]);
        results[1].body.left_out.push(LeftOut::SettingChanged);
        results.remove(2);
        book.items[3].state = Standing::Failed;
        book.items[3].reason = Some("worker killed".to_owned());
        let summary = Summary::new(&study, &book, &results);
        assert_eq!(summary.missing(), 1);
        let text = console::strip_ansi_codes(&summary.text()).into_owned();
        assert!(
            text.contains("1, 1 marked") && text.contains("1, 1 not collected"),
            "{text}"
        );
        assert!(
            text.contains("1 run was contended or throttled, or had a setting changed meanwhile:"),
            "{text}"
        );
        assert!(
            text.contains("failed: m threads 4 on ") && text.contains("worker killed"),
            "{text}"
        );
        assert!(summary.rows.iter().all(|row| row.rank.is_none()));
    }

    #[test]
    fn a_baseline_that_failed_counts_until_a_later_one_succeeds() {
        let (study, mut book, results) = ran([1.0, 2.0, 1.01, 1.5, 1.0]);
        book.items[0].state = Standing::Refused;
        assert_eq!(Summary::new(&study, &book, &results).missing(), 0);
        book.items[4].state = Standing::Cancelled;
        assert_eq!(Summary::new(&study, &book, &results).missing(), 2);
        book.forgive();
        let task = book.next(&study, &seat(&study, testing::DEVICE)).unwrap();
        let at = book.begin(&study, testing::DEVICE, task, None);
        assert_eq!(Summary::new(&study, &book, &results).missing(), 2);
        book.items[at].state = Standing::Succeeded;
        assert_eq!(Summary::new(&study, &book, &results).missing(), 0);
    }

    #[test]
    fn what_was_taken_over_is_ranked_by_the_drift_between_the_studies() {
        let (_, before, mut results) = ran([1.00, 2.0, 1.01, 1.5, 1.01]);
        let wider = of(&THREE.replace("4]", "4, 8]"));
        let mut book = Book::new(&wider);
        book.take_over(&wider, &before);
        // The board needs half as much again by now.
        results.extend(goes_on(&wider, &mut book, &[1.50, 2.2, 1.51]));
        let summary = Summary::new(&wider, &book, &results);
        assert_eq!(ranks_of(&summary), [Some(1); 4]);
        let text = console::strip_ansi_codes(&summary.text()).into_owned();
        assert!(
            text.contains("4 baseline runs, 2 of them taken over, J/token lies")
                && text.contains("+51.0 % from first to last"),
            "{text}"
        );
    }

    #[test]
    fn what_ran_beside_another_baseline_has_no_rank() {
        let (_, before, mut results) = ran([1.00, 2.0, 1.01, 1.5, 1.01]);
        let other = THREE.replace("4]", "4, 8, 16]") + "threads = 2\n";
        let other = of(&other);
        let mut book = Book::new(&other);
        book.take_over(&other, &before);
        results.extend(goes_on(&other, &mut book, &[1.50, 2.2, 3.0, 1.51]));
        let summary = Summary::new(&other, &book, &results);
        assert_eq!(ranks_of(&summary), [None, None, None, Some(1), Some(2)]);
        let text = summary.text();
        assert!(
            text.contains("no rank for 3 points: the baseline"),
            "{text}"
        );
    }

    #[test]
    fn without_a_baseline_there_are_no_ranks() {
        let (_, book, results) = ran([1.0, 2.0, 1.0, 1.5, 1.0]);
        let study = of("name = 'a'\n[[matrix]]\nkind = 'bench'\nmodel = 'm'\n");
        let mut book = book;
        book.items.retain(|item| item.role == Role::Point);
        let summary = Summary::new(&study, &book, &results);
        assert!(summary.rows.iter().all(|row| row.rank.is_none()));
        assert!(summary.text().contains("without a [baseline]"));
    }
}
