//! What stands out: the best configuration of each headline figure, and from which others the
//! intervals don't tell it apart. Joules are compared within one boundary alone, and simulated
//! ones never with measured ones.

use super::configuration::Dimension;
use super::figure;
use super::study::{Configuration, Pooled, Study};
use super::table::{Cell, Column, Scaled, Table};
use std::collections::BTreeMap;

/// Configurations whose joules may stand side by side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    boundary: String,
    /// Of a rail that encloses a part of its board: no other encloses the same.
    rail: Option<String>,
    simulated: bool,
}

impl Scope {
    pub fn of(configuration: &Configuration) -> Self {
        let boundary = configuration.text(Dimension::Boundary);
        let part = matches!(boundary.as_str(), "rail" | "partial");
        let [rail, board] = [Dimension::Rail, Dimension::Board].map(|d| configuration.text(d));
        Self {
            boundary,
            rail: part.then(|| format!("{rail} of {board}")),
            simulated: configuration.is_simulated(),
        }
    }

    /// `board-input, SIMULATED`; `rail vdd_soc of orin-03`.
    pub fn name(&self) -> String {
        if self.boundary == "–" {
            return "no rail".to_owned();
        }
        let rail = self
            .rail
            .as_ref()
            .map_or(String::new(), |rail| format!(" {rail}"));
        let mark = if self.simulated { ", SIMULATED" } else { "" };
        format!("{}{rail}{mark}", self.boundary)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Best {
    Lowest,
    Highest,
}

/// Standing configurations by what their joules enclose.
pub fn scopes(study: &Study) -> BTreeMap<Scope, Vec<&Configuration>> {
    let mut scopes: BTreeMap<Scope, Vec<&Configuration>> = BTreeMap::new();
    for configuration in study.standing() {
        scopes
            .entry(Scope::of(configuration))
            .or_default()
            .push(configuration);
    }
    scopes
}

/// The main findings; `None` with nothing to choose from.
pub fn table(study: &Study) -> Option<Table> {
    let all: Vec<&Configuration> = study.standing().collect();
    if all.len() < 2 {
        return None;
    }
    let mut rows = Vec::new();
    for (scope, configurations) in scopes(study) {
        let within = |name: &str| format!("{name} ({})", scope.name());
        for (what, name) in [
            ("Least energy per output token, gross", "j_per_output_token"),
            ("the same net of idle", "j_per_output_token_net"),
        ] {
            rows.extend(row(
                &within(what),
                name,
                Best::Lowest,
                &configurations,
                study,
            ));
        }
    }
    for (what, name, best) in [
        ("Fastest decode", "decode_tok_s", Best::Highest),
        ("Fastest prefill", "prefill_tok_s", Best::Highest),
        ("First token soonest", "ttft_s", Best::Lowest),
        ("Least memory", "rss_peak_bytes", Best::Lowest),
    ] {
        rows.extend(row(what, name, best, &all, study));
    }
    let columns = [
        "finding",
        "configuration",
        "mean ± u95",
        "beside the others",
    ];
    let columns = columns.map(Column::plain).to_vec();
    (!rows.is_empty()).then(|| Table::new("findings", "Main findings", columns, rows))
}

fn row(
    what: &str,
    name: &str,
    best: Best,
    configurations: &[&Configuration],
    study: &Study,
) -> Option<Vec<Cell>> {
    let mut known: Vec<(&Configuration, &Pooled)> = configurations
        .iter()
        .filter_map(|configuration| {
            Some((*configuration, configuration.named(name).as_ref().ok()?))
        })
        .collect();
    known.sort_by(|a, b| {
        let order = a.1.value.mean.total_cmp(&b.1.value.mean);
        match best {
            Best::Lowest => order,
            Best::Highest => order.reverse(),
        }
    });
    let ((first, value), others) = known.split_first()?;
    if others.is_empty() {
        return None;
    }
    let scaled = Scaled::of(figure::named(name), study);
    let without = configurations.len() - known.len();
    let mut beside = beside(value, others);
    if without > 0 {
        beside += &format!("; {without} without the figure");
    }
    let same = first.number_and_label();
    Some(vec![
        Cell::text(what),
        Cell::text(same),
        Cell::text(scaled.show(value)),
        Cell::text(beside),
    ])
}

fn beside(value: &Pooled, others: &[(&Configuration, &Pooled)]) -> String {
    let equal = others
        .iter()
        .take_while(|(_, other)| other.value.mean == value.value.mean);
    let equal: Vec<String> = equal.map(|(c, _)| c.number.to_string()).collect();
    if !equal.is_empty() {
        return format!("the same in {}", equal.join(", "));
    }
    let near: Vec<String> = others
        .iter()
        .take_while(|(_, other)| told_apart(value, other) == Some(false))
        .map(|(configuration, _)| configuration.number.to_string())
        .collect();
    let (next, other) = others[0];
    let factor = other.value.mean / value.value.mean;
    let ratio = match factor.is_finite() && factor > 0.0 {
        true => format!("next is {}, at {factor:.2} times this", next.number),
        false => format!("next is {}", next.number),
    };
    match near.len() {
        0 if told_apart(value, other).is_none() => format!("{ratio}; no interval to judge it by"),
        0 => ratio,
        1..=6 => format!(
            "NOT TOLD APART from {}: the intervals overlap",
            near.join(", ")
        ),
        n => format!("NOT TOLD APART from {n} others: the intervals overlap"),
    }
}

/// Whether two means differ by more than their uncertainties together; `None` where one has
/// none.
pub fn told_apart(a: &Pooled, b: &Pooled) -> Option<bool> {
    let both = a.value.u95?.hypot(b.value.u95?);
    Some((a.value.mean - b.value.mean).abs() > both)
}

#[cfg(test)]
mod tests {
    use super::super::study::Marked;
    use super::*;
    use crate::lab::testing;

    fn study(values: &[(u32, f64, f64)]) -> Study {
        let runs = values.iter().map(|(threads, j, u95)| {
            let mut run = testing::result();
            run.body.left_out.clear();
            run.body.id = format!("run-{threads}");
            run.body.engine.as_mut().unwrap().threads = *threads;
            let summary = run.body.summary.as_mut().unwrap();
            let statistic = summary.j_per_output_token.as_mut().unwrap();
            (statistic.mean, statistic.u95) = (*j, Some(*u95));
            run
        });
        Study::new(runs.collect(), Marked::LeftOut)
    }

    fn finding(study: &Study) -> Vec<String> {
        let table = table(study).unwrap();
        table.rows[0].iter().map(|cell| cell.text.clone()).collect()
    }

    #[test]
    fn the_best_is_named_with_its_distance() {
        let found = finding(&study(&[
            (1, 0.050, 0.001),
            (2, 0.040, 0.001),
            (4, 0.060, 0.001),
        ]));
        assert_eq!(
            found[0],
            "Least energy per output token, gross (board-input, SIMULATED)"
        );
        assert_eq!(found[1], "2 · 2 threads");
        assert_eq!(found[2], "40.0 ± 1.0 mJ");
        assert_eq!(found[3], "next is 1, at 1.25 times this");
    }

    #[test]
    fn what_the_intervals_don_t_tell_apart_is_no_best() {
        let found = finding(&study(&[
            (1, 0.0405, 0.001),
            (2, 0.040, 0.001),
            (4, 0.060, 0.001),
        ]));
        assert!(
            found[3].starts_with("NOT TOLD APART from 1:"),
            "{}",
            found[3]
        );
    }

    #[test]
    fn one_configuration_has_no_findings() {
        assert_eq!(table(&study(&[(1, 0.05, 0.001)])), None);
    }
}
