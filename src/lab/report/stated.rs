//! What a report is told, in tables: assumptions and values of others, each with its source.

use super::assumptions::{Assumptions, AtMost, BetweenUses, Cost, Reference, Usability};
use super::figure;
use super::table::{Cell, Column, Table};

fn columns(headings: &[&str]) -> Vec<Column> {
    headings
        .iter()
        .map(|heading| Column::plain(*heading))
        .collect()
}

/// Name, value, source and date.
type Stated = (String, String, String, String);

/// Prices and bounds; `None` where nothing is stated.
pub fn assumptions(assumptions: &Assumptions) -> Option<Table> {
    let cost = assumptions.cost.iter().flat_map(prices);
    let usability = assumptions.usability.iter().flat_map(bounds);
    let rows: Vec<Vec<Cell>> = cost
        .chain(usability)
        .map(|(name, value, source, date)| {
            [name, value, source, date]
                .map(Cell::text)
                .into_iter()
                .collect()
        })
        .collect();
    let headings = ["assumption", "value", "source", "date"];
    (!rows.is_empty()).then(|| Table::new("assumptions", "Assumptions", columns(&headings), rows))
}

fn prices(cost: &Cost) -> Vec<Stated> {
    let currency = &cost.currency;
    let mut all = Vec::new();
    let mut add = |name: String, value: String, source: &String, date: &String| {
        all.push((name, value, source.clone(), date.clone()));
    };
    if let Some(one) = &cost.electricity {
        let value = format!("{} {currency} a kWh", one.price_per_kwh);
        add("electricity".to_owned(), value, &one.source, &one.date);
    }
    if let Some(one) = &cost.supply {
        let value = format!("{} of the energy from the socket", one.efficiency);
        add("power supply".to_owned(), value, &one.source, &one.date);
    }
    for one in &cost.hardware {
        let of = match one.boards.is_empty() {
            true => "hardware".to_owned(),
            false => format!("hardware of {}", one.boards.join(", ")),
        };
        add(
            of,
            format!("{} {currency}", one.price),
            &one.source,
            &one.date,
        );
    }
    if let Some(one) = &cost.life {
        let value = format!("{} years", one.years);
        add("life".to_owned(), value, &one.source, &one.date);
    }
    if let Some(one) = &cost.utilisation {
        let between = match one.between_uses {
            None => "",
            Some(BetweenUses::Idle) => "; idle between uses, the model loaded",
            Some(BetweenUses::Off) => "; off between uses",
        };
        let value = format!("{} of the time{between}", one.share);
        add("utilisation".to_owned(), value, &one.source, &one.date);
    }
    for one in &cost.api {
        let value = format!(
            "{} {currency} a million input tokens, {} output",
            one.input_per_million, one.output_per_million
        );
        add(format!("API {}", one.name), value, &one.source, &one.date);
    }
    all
}

fn bounds(usability: &Usability) -> Vec<Stated> {
    let mut all = Vec::new();
    if let Some(one) = &usability.reading {
        let value = format!(
            "at least {} tok/s",
            crate::lab::figure::stated(one.tokens_per_s, "")
        );
        let source = match one.stated.ends_with("tok/s") {
            true => one.source.clone(),
            false => format!("{} ({})", one.source, one.stated),
        };
        all.push((
            "reading speed".to_owned(),
            value.replace("  ", " "),
            source,
            one.date.clone(),
        ));
    }
    let times = [
        ("first token", &usability.ttft),
        ("cold load", &usability.load_cold),
        ("warm load", &usability.load_warm),
    ];
    for (name, stated) in times {
        if let Some(AtMost {
            at_most_s,
            source,
            date,
        }) = stated
        {
            let value = format!("at most {at_most_s} s");
            all.push((name.to_owned(), value, source.clone(), date.clone()));
        }
    }
    for (name, stated) in [("acc", &usability.acc), ("acc_norm", &usability.acc_norm)] {
        if let Some(one) = stated {
            let value = format!("at least {}", one.at_least);
            let name = format!("{name} on {}", one.data);
            all.push((name, value, one.source.clone(), one.date.clone()));
        }
    }
    if let Some(one) = &usability.perplexity {
        let value = format!("at most {}", one.at_most);
        let name = format!("perplexity on {}", one.data);
        all.push((name, value, one.source.clone(), one.date.clone()));
    }
    if let Some(one) = &usability.battery {
        let value = format!("{} Wh", one.wh);
        all.push((
            "battery".to_owned(),
            value,
            one.source.clone(),
            one.date.clone(),
        ));
    }
    all
}

/// Values of others; `None` without any.
pub fn references(all: &[Reference]) -> Option<Table> {
    let rows: Vec<Vec<Cell>> = all.iter().map(row).collect();
    let headings = [
        "figure", "model", "quant", "device", "value", "boundary", "known", "source", "note",
    ];
    let mut table = (!rows.is_empty())
        .then(|| Table::new("references", "Values of others", columns(&headings), rows))?;
    table.notes.push(
        "Not measured here. Boundary, prompt, length and settings of others may be other ones, so \
         that they stand beside the study's figures and are never compared with them."
            .to_owned(),
    );
    Some(table)
}

fn row(reference: &Reference) -> Vec<Cell> {
    let or_dash = |text: &Option<String>| Cell {
        missing: text.is_none(),
        ..Cell::text(text.clone().unwrap_or_else(|| "–".to_owned()))
    };
    let source = match &reference.date {
        Some(date) => format!("{}, {date}", reference.source),
        None => reference.source.clone(),
    };
    vec![
        Cell {
            title: figure::named(&reference.figure).meaning.to_owned(),
            ..Cell::text(&reference.figure)
        },
        Cell::text(&reference.model),
        or_dash(&reference.quant),
        Cell::text(&reference.device),
        Cell {
            value: Some(reference.value),
            ..Cell::text(&reference.stated)
        },
        or_dash(&reference.boundary),
        Cell::text(reference.basis.as_str()),
        Cell::text(source),
        or_dash(&reference.note),
    ]
}
