//! Costs as tables.

use super::super::assumptions::{Api, Cost, Electricity, Utilisation};
use super::super::configuration::Dimension;
use super::super::findings::{Scope, scopes};
use super::super::study::{Configuration, Standing, Study};
use super::super::table::{Cell, Column, Table, missing, name};
use super::{Amount, Costs, Known, Missing, charge, profile};
use crate::lab::figure::Figure;
use crate::lab::reason::sentence;
use std::collections::BTreeSet;

/// Shares of time in use that the sensitivity is shown for.
const SHARES: [f64; 6] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0];
/// What the price of electricity is multiplied with there.
const FACTORS: [f64; 3] = [0.5, 1.0, 2.0];

/// Heading, meaning, and where it is among the costs.
type Part = (&'static str, &'static str, fn(&Costs) -> Known);

fn column(heading: impl Into<String>, unit: &str, meaning: impl Into<String>) -> Column {
    Column {
        heading: heading.into(),
        unit: unit.to_owned(),
        meaning: meaning.into(),
    }
}

fn a_million(cost: &Cost) -> String {
    format!("{} / 10⁶ tok", cost.currency)
}

/// `0.0301 ± 0.0004`.
fn amount(amount: Amount) -> String {
    let figure = Figure::because(Some(amount.value), amount.u95, None);
    figure.show_plain("").trim_end().to_owned()
}

pub fn cell(known: Known) -> Cell {
    match known {
        Ok(found) => Cell {
            text: amount(found),
            value: Some(found.value),
            ..Cell::default()
        },
        Err(Missing::NotStated(key)) => Cell {
            text: "– not stated".to_owned(),
            missing: true,
            title: format!("{key} is not among the assumptions"),
            ..Cell::default()
        },
        Err(Missing::NotMeasured(reason)) => Cell {
            text: missing(reason),
            missing: true,
            title: reason.map_or(String::new(), |reason| sentence(reason).to_owned()),
            ..Cell::default()
        },
    }
}

/// What a million output tokens of each configuration cost.
pub fn costs(cost: &Cost, all: &[(&Configuration, Costs)]) -> Table {
    let unit = a_million(cost);
    let parts: [Part; 4] = [
        (
            "energy",
            "gross energy at the configuration's boundary × the price of electricity",
            |costs| costs.energy,
        ),
        (
            "between uses",
            "idle power over the time in which nothing is asked, as a share of the tokens",
            |costs| costs.between_uses,
        ),
        (
            "hardware",
            "price ÷ tokens of its life, at this speed and the stated utilisation",
            |costs| costs.hardware,
        ),
        ("total", "the sum of those that are stated", |costs| {
            costs.total
        }),
    ];
    // A part that nobody states is a note, not a column of dashes.
    let stated = |of: &fn(&Costs) -> Known| {
        let key = |known: Known| match known {
            Err(Missing::NotStated(key)) => Some(key),
            _ => None,
        };
        all.iter().any(|(_, costs)| key(of(costs)).is_none())
    };
    let (shown, absent): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(_, _, of)| stated(of));
    let mut columns = vec![Column::plain("configuration")];
    columns.push(column(
        "tokens of",
        "",
        "whole requests, prefill paid for too; or decode alone, where no request was measured",
    ));
    for (heading, meaning, _) in &shown {
        columns.push(column(*heading, &unit, *meaning));
    }
    let rows = all.iter().map(|(configuration, costs)| {
        let mut row = vec![name(configuration), Cell::text(costs.basis.name())];
        row.extend(shown.iter().map(|(_, _, of)| cell(of(costs))));
        row
    });
    let mut table = Table::new(
        "cost",
        "Cost of a million output tokens",
        columns,
        rows.collect(),
    );
    for (heading, _, of) in &absent {
        if let Some((_, costs)) = all.first()
            && let Err(Missing::NotStated(key)) = of(costs)
        {
            table.notes.push(format!(
                "{heading}: not computed, since {key} is not stated."
            ));
        }
    }
    table.notes.extend(boundaries(cost, all));
    table
}

/// What the price of a kilowatt-hour was multiplied with.
fn boundaries(cost: &Cost, all: &[(&Configuration, Costs)]) -> Vec<String> {
    let found: BTreeSet<String> = all
        .iter()
        .map(|(configuration, _)| configuration.text(Dimension::Boundary))
        .collect();
    let note = |boundary: &String| match (boundary.as_str(), &cost.supply) {
        ("wall" | "–", _) => None,
        ("board-input", Some(supply)) => Some(format!(
            "board-input: energy ÷ the supply's efficiency of {}.",
            supply.efficiency
        )),
        ("board-input", None) => Some(
            "board-input: what the power supply loses is not in it, since cost.supply is not \
             stated."
                .to_owned(),
        ),
        (part, _) => Some(format!(
            "{part}: encloses a part of the board only, so that its energy costs at least this."
        )),
    };
    found.iter().filter_map(note).collect()
}

/// Each configuration's total as a share of what APIs charge for the same tokens.
pub fn apis(cost: &Cost, all: &[(&Configuration, Costs)]) -> Option<Table> {
    if cost.api.is_empty() {
        return None;
    }
    let mut columns = vec![Column::plain("configuration")];
    columns.extend(cost.api.iter().map(|api| {
        column(
            &api.name,
            "× its price",
            format!(
                "{} for a million input tokens, {} for output, in {}",
                api.input_per_million, api.output_per_million, cost.currency
            ),
        )
    }));
    let rows = all.iter().map(|(configuration, costs)| {
        let of = |api: &Api| {
            let charged = charge(api, configuration, costs.basis);
            let Some(charged) = charged.filter(|charged| *charged > 0.0) else {
                return cell(Err(Missing::NotMeasured(None)));
            };
            let share = costs.total.map(|total| total.times(1.0 / charged));
            Cell {
                title: format!(
                    "of {charged:.4} {} for a million output tokens and their prompts",
                    cost.currency
                ),
                ..cell(share)
            }
        };
        let cells = cost.api.iter().map(of);
        std::iter::once(name(configuration)).chain(cells).collect()
    });
    let mut table = Table::new(
        "apis",
        "Beside what APIs charge for the same tokens",
        columns,
        rows.collect(),
    );
    table.notes.push(
        "Below 1 the board is cheaper. Prompts are paid for at the API's price of input tokens; \
         of decode alone only output tokens are. Other models may need more or fewer tokens, and \
         answer better or worse."
            .to_owned(),
    );
    Some(table)
}

/// How the total of the cheapest configuration depends on how much it is used and on the price
/// of electricity.
pub fn sensitivity(cost: &Cost, study: &Study, all: &[(&Configuration, Costs)]) -> Option<Table> {
    let stated = cost.utilisation.as_ref()?;
    let electricity = cost.electricity.as_ref()?;
    let mut rows = Vec::new();
    for (scope, _) in scopes(study) {
        let Some(configuration) = cheapest(&scope, all) else {
            continue;
        };
        for share in shares(stated.share) {
            let mut row = vec![
                Cell::text(format!(
                    "{} ({})",
                    configuration.number_and_label(),
                    scope.name()
                )),
                Cell {
                    text: match share == stated.share {
                        true => format!("{:.0} % (stated)", 100.0 * share),
                        false => format!("{:.0} %", 100.0 * share),
                    },
                    value: Some(share),
                    ..Cell::default()
                },
            ];
            row.extend(FACTORS.map(|factor| {
                let other = assuming(cost, stated, share, electricity, factor);
                let profile = profile(study, configuration);
                cell(super::costs(&other, configuration, profile).total)
            }));
            rows.push(row);
        }
    }
    let unit = a_million(cost);
    let mut columns = vec![Column::plain("cheapest"), Column::plain("in use")];
    columns.extend(FACTORS.map(|factor| {
        let price = electricity.price_per_kwh * factor;
        column(
            format!("{price:.3} {} a kWh", cost.currency),
            &unit,
            "total at this price of electricity",
        )
    }));
    (!rows.is_empty()).then(|| {
        Table::new(
            "sensitivity",
            "What the cheapest costs if it is used more or less",
            columns,
            rows,
        )
    })
}

fn cheapest<'a>(scope: &Scope, all: &[(&'a Configuration, Costs)]) -> Option<&'a Configuration> {
    let standing = |(configuration, _): &&(&Configuration, Costs)| {
        configuration.standing == Standing::Counted && Scope::of(configuration) == *scope
    };
    let known = all
        .iter()
        .filter(standing)
        .filter_map(|(configuration, costs)| Some((*configuration, costs.total.ok()?.value)));
    let least = known.min_by(|a, b| a.1.total_cmp(&b.1));
    least.map(|(configuration, _)| configuration)
}

fn shares(stated: f64) -> Vec<f64> {
    let mut all = SHARES.to_vec();
    if !all.contains(&stated) {
        all.push(stated);
    }
    all.sort_by(f64::total_cmp);
    all
}

fn assuming(
    cost: &Cost,
    utilisation: &Utilisation,
    share: f64,
    electricity: &Electricity,
    factor: f64,
) -> Cost {
    Cost {
        utilisation: Some(Utilisation {
            share,
            ..utilisation.clone()
        }),
        electricity: Some(Electricity {
            price_per_kwh: electricity.price_per_kwh * factor,
            ..electricity.clone()
        }),
        ..cost.clone()
    }
}
