//! How far the baseline of a study drifted: the same configuration, run first, last and between.
//! What differs by less than it drifts is not told apart by this study.

use super::figure;
use super::study::Study;
use super::table::{Cell, Column, Table};
use crate::energy::Statistic;
use crate::lab::figure::{Figure, share};
use crate::record::Stamped;
use crate::record::result::JobResult;
use std::collections::BTreeMap;

/// A board's baseline runs of one study and model; `None` where there are none.
pub fn table(study: &Study) -> Option<Table> {
    let mut groups: BTreeMap<([&str; 3], usize), Vec<&Stamped<JobResult>>> = BTreeMap::new();
    for (at, run) in study.runs.iter().enumerate() {
        let tag = |name: &str| run.body.tags.get(name).map_or("–", String::as_str);
        if tag("role") != "baseline" {
            continue;
        }
        let (of_study, point) = (tag("study"), tag("point"));
        // A point's name says what varies in its study, not what another study had.
        let Some(configuration) = study.configuration_of(at) else {
            continue;
        };
        let group = [of_study, run.stamp.device.as_str(), point];
        let group = (group, configuration.number);
        groups.entry(group).or_default().push(run);
    }
    let mut rows = Vec::new();
    for (([of_study, device, point], number), mut runs) in groups {
        let point = &format!("{number} · {point}");
        runs.sort_by_key(|run| (&run.stamp.time, run.stamp.mono_ns));
        for (name, unit) in [("j_per_output_token", "J"), ("decode_tok_s", "tok/s")] {
            let known: Vec<f64> = runs
                .iter()
                .filter_map(|run| Some(figure::named(name).of(&run.body).ok()?.mean))
                .collect();
            let Some(statistic) = Statistic::of(&known) else {
                continue;
            };
            rows.push(row(
                [of_study, device, point],
                name,
                unit,
                &known,
                &statistic,
            ));
        }
    }
    let headings = [
        "study",
        "board",
        "baseline",
        "figure",
        "runs",
        "mean",
        "standard deviation",
        "least to most",
        "last ÷ first",
    ];
    let columns = headings.map(Column::plain).to_vec();
    let mut table =
        (!rows.is_empty()).then(|| Table::new("baseline", "Baseline", columns, rows))?;
    table.notes.push(
        "The same configuration again and again, in the order of time, marked runs too. What \
         differs by less than this scatters and drifts is not told apart."
            .to_owned(),
    );
    Some(table)
}

fn row(
    [of_study, device, point]: [&str; 3],
    name: &str,
    unit: &str,
    known: &[f64],
    statistic: &Statistic,
) -> Vec<Cell> {
    let relative = |value: f64| share(value / statistic.mean);
    let spread = known
        .iter()
        .fold((f64::INFINITY, 0.0), |(least, most), value| {
            (value.min(least), value.max(most))
        });
    let dash = || Cell {
        missing: true,
        ..Cell::text("–")
    };
    let of = |value: Option<String>| value.map_or_else(dash, Cell::text);
    let several = known.len() > 1;
    let drift = known[known.len() - 1] / known[0];
    vec![
        Cell::text(of_study),
        Cell::text(device),
        Cell::text(point),
        Cell::text(name),
        Cell::number(known.len()),
        Cell {
            value: Some(statistic.mean),
            ..Cell::text(Figure::exact(statistic.mean).show(unit))
        },
        of(statistic.sd.map(relative)),
        of(several.then(|| relative(spread.1 - spread.0))),
        of(several.then(|| format!("{drift:.3}"))),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::study::Marked;
    use super::*;
    use crate::lab::testing;

    #[test]
    fn the_baseline_shows_its_scatter_and_drift() {
        let runs = [(1, 0.040), (2, 0.042), (3, 0.044)].map(|(n, joules)| {
            let mut run = testing::result();
            run.body.id = format!("base-{n}");
            run.stamp.time = format!("2026-11-21T1{n}:00:00.000Z");
            for (name, value) in [("role", "baseline"), ("study", "s"), ("point", "p")] {
                run.body.tags.insert(name.to_owned(), value.to_owned());
            }
            let summary = run.body.summary.as_mut().unwrap();
            summary.j_per_output_token.as_mut().unwrap().mean = joules;
            run
        });
        let found = table(&Study::new(runs.to_vec(), Marked::LeftOut)).unwrap();
        let text: Vec<&str> = found.rows[0]
            .iter()
            .map(|cell| cell.text.as_str())
            .collect();
        assert_eq!(
            text,
            [
                "s",
                "pi5-01",
                "1 · p",
                "j_per_output_token",
                "3",
                "42.00 mJ",
                "4.76 %",
                "9.52 %",
                "1.100"
            ]
        );
        let other = Study::new(vec![testing::result()], Marked::LeftOut);
        assert!(table(&other).is_none());
    }
}
