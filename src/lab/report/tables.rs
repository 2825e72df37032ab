//! The tables that say what was measured: configurations, boards, sensors, runs, and what was
//! left out.

use super::configuration::{Dimension, Value};
use super::source::Links;
use super::study::{Configuration, Standing, Study};
use super::table::{Cell, Column, Table, name};
use crate::lab::figure::{Figure, stated};
use crate::record::Stamped;
use crate::record::result::{JobResult, LeftOut, Rail};
use crate::sensor::BoundaryBasis;
use std::collections::BTreeMap;

fn columns(headings: &[&str]) -> Vec<Column> {
    headings
        .iter()
        .map(|heading| Column::plain(*heading))
        .collect()
}

/// Dimensions in which configurations differ, but a checksum that only says what a name says.
fn shown(study: &Study) -> Vec<Dimension> {
    let hash = |d: &Dimension| matches!(d, Dimension::Sha256 | Dimension::DataSha256);
    let told = |d: &Dimension| !hash(d) || study.naming.contains(d);
    study.varying.iter().copied().filter(told).collect()
}

/// What each configuration is, in the dimensions in which they differ.
pub fn configurations(study: &Study) -> Table {
    let shown = shown(study);
    let mut headings = columns(&["configuration"]);
    headings.extend(
        shown
            .iter()
            .map(|dimension| Column::plain(dimension.heading())),
    );
    headings.extend(columns(&["runs", "repetitions", "left out"]));
    let rows = study.configurations.iter().map(|configuration| {
        let mut cells = vec![Cell {
            text: match configuration.standing {
                Standing::Counted => configuration.number.to_string(),
                Standing::OnlyMarked => format!("{} †", configuration.number),
            },
            ..name(configuration)
        }];
        cells.extend(
            shown
                .iter()
                .map(|dimension| value(configuration.key.value(*dimension))),
        );
        let repetitions = configuration
            .counted
            .iter()
            .map(|at| study.runs[*at].body.reps.len());
        let counted = match configuration.standing {
            Standing::Counted => configuration.counted.len(),
            Standing::OnlyMarked => 0,
        };
        cells.push(Cell::number(counted));
        cells.push(Cell::number(repetitions.sum()));
        cells.push(left_out(configuration));
        cells
    });
    Table::new("configurations", "Configurations", headings, rows.collect())
}

fn value(value: &Value) -> Cell {
    Cell {
        text: value.to_string(),
        missing: *value == Value::Unknown,
        value: match value {
            Value::Number(number) => Some(*number as f64),
            Value::Text(_) | Value::Nothing | Value::Unknown => None,
        },
        ..Cell::default()
    }
}

fn left_out(configuration: &Configuration) -> Cell {
    let mut marks: BTreeMap<LeftOut, usize> = BTreeMap::new();
    for mark in configuration.left_out.iter().flat_map(|(_, marks)| marks) {
        *marks.entry(*mark).or_default() += 1;
    }
    let named = marks
        .iter()
        .map(|(mark, n)| format!("{n} {}", mark_name(*mark)));
    let named: Vec<String> = named.collect();
    match named.is_empty() {
        true => Cell::number(0),
        false => Cell {
            text: named.join(", "),
            value: Some(configuration.left_out.len() as f64),
            ..Cell::default()
        },
    }
}

pub fn mark_name(mark: LeftOut) -> &'static str {
    match mark {
        LeftOut::NotSucceeded => "not succeeded",
        LeftOut::Contended => "contended",
        LeftOut::Throttled => "throttled",
        LeftOut::SettingChanged => "setting changed",
    }
}

/// One row a board; what changed between its runs shows as several.
pub fn boards(study: &Study) -> Table {
    let row = |run: &Stamped<JobResult>| {
        let board = &run.body.board;
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
        let memory = board
            .memory_bytes
            .map(|bytes| format!("{:.1} GB", bytes as f64 * 1e-9));
        let model = board.model.clone().unwrap_or_else(|| board.profile.clone());
        vec![
            run.stamp.device.clone(),
            model,
            format!("{} × {}", board.cpus, board.cpu.as_deref().unwrap_or("CPU")),
            or_dash(&memory),
            or_dash(&board.power_mode),
            or_dash(&board.governor),
            or_dash(&board.os),
            board.kernel.clone(),
        ]
    };
    distinct(
        study,
        "boards",
        "Boards",
        &[
            "board",
            "model",
            "CPUs",
            "memory",
            "power mode",
            "governor",
            "system",
            "kernel",
        ],
        |run| vec![row(run)],
    )
}

/// One row a rail of a board.
pub fn sensors(study: &Study) -> Table {
    distinct(
        study,
        "rails",
        "Rails",
        &[
            "board",
            "rail",
            "encloses",
            "source",
            "mode",
            "shunt",
            "calibrated",
            "power",
        ],
        |run| {
            let rails = run.body.rails.iter();
            rails.map(|rail| sensor(run, rail)).collect()
        },
    )
}

fn sensor(run: &Stamped<JobResult>, rail: &Rail) -> Vec<String> {
    let primary = run.body.primary_rail.as_ref() == Some(&rail.name);
    let basis = match rail.boundary_basis {
        BoundaryBasis::Declared => "declared",
        BoundaryBasis::Profile => "by the profile",
    };
    let dash = || "–".to_owned();
    vec![
        run.stamp.device.clone(),
        match primary {
            true => format!("{} (primary)", rail.name),
            false => rail.name.clone(),
        },
        format!("{} ({basis})", rail.boundary),
        rail.source.clone(),
        rail.mode.clone().unwrap_or_else(dash),
        rail.shunt_ohm.map_or_else(dash, |ohm| stated(ohm, "Ω")),
        rail.calibration_date.clone().unwrap_or_else(dash),
        if rail.simulated {
            "SIMULATED"
        } else {
            "measured"
        }
        .to_owned(),
    ]
}

/// Rows that runs state, each once, in the order of the text.
fn distinct(
    study: &Study,
    id: &'static str,
    heading: &str,
    headings: &[&str],
    rows: impl Fn(&Stamped<JobResult>) -> Vec<Vec<String>>,
) -> Table {
    let mut all: Vec<Vec<String>> = study.runs.iter().flat_map(rows).collect();
    all.sort();
    all.dedup();
    let cells = |row: Vec<String>| {
        let cell = |text: String| Cell {
            missing: text == "–",
            text,
            ..Cell::default()
        };
        row.into_iter().map(cell).collect()
    };
    Table::new(
        id,
        heading,
        columns(headings),
        all.into_iter().map(cells).collect(),
    )
}

/// Every run with a way to its records.
pub fn runs(study: &Study, links: &Links) -> Table {
    let mut rows = Vec::new();
    for configuration in &study.configurations {
        let marks: BTreeMap<usize, &Vec<LeftOut>> = configuration
            .left_out
            .iter()
            .map(|(at, marks)| (*at, marks))
            .collect();
        let mut members: Vec<usize> = configuration.counted.clone();
        members.extend(
            marks
                .keys()
                .filter(|at| !configuration.counted.contains(at)),
        );
        for at in members {
            rows.push(run(
                &study.runs[at],
                configuration,
                marks.get(&at).copied(),
                links,
            ));
        }
    }
    let headings = [
        "configuration",
        "board",
        "job",
        "attempt",
        "time",
        "state",
        "counts",
        "energy per output token",
        "warnings",
    ];
    Table::new("runs", "Runs", columns(&headings), rows)
}

fn run(
    record: &Stamped<JobResult>,
    configuration: &Configuration,
    marks: Option<&Vec<LeftOut>>,
    links: &Links,
) -> Vec<Cell> {
    let result = &record.body;
    let names: Vec<&str> = marks
        .into_iter()
        .flatten()
        .map(|mark| mark_name(*mark))
        .collect();
    let energy = match super::figure::named("j_per_output_token").of(result) {
        Ok(value) => Cell {
            text: Figure::because(Some(value.mean), value.u95, None).show("J"),
            value: Some(value.mean),
            ..Cell::default()
        },
        Err(reason) => Cell::missing(reason),
    };
    vec![
        Cell {
            text: configuration.number.to_string(),
            value: Some(configuration.number as f64),
            title: configuration.label.clone(),
            ..Cell::default()
        },
        Cell::text(&record.stamp.device),
        Cell {
            link: links.of(record),
            ..Cell::text(&result.id)
        },
        Cell::number(result.attempt as usize),
        Cell::text(&record.stamp.time),
        Cell {
            title: result.reason.clone().unwrap_or_default(),
            ..Cell::text(result.state.as_str())
        },
        match names.is_empty() {
            true => Cell::text("yes"),
            false => Cell::text(format!("no: {}", names.join(", "))),
        },
        energy,
        Cell {
            value: Some(result.warnings.len() as f64),
            title: result.warnings.join("\n"),
            ..Cell::number(result.warnings.len())
        },
    ]
}

/// Distinct warnings of the records, the most frequent first: text and how many runs have it.
pub fn warnings(study: &Study) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for warning in study.runs.iter().flat_map(|run| &run.body.warnings) {
        *counts.entry(warning).or_default() += 1;
    }
    let mut all: Vec<(String, usize)> = counts
        .into_iter()
        .map(|(text, n)| (text.to_owned(), n))
        .collect();
    all.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    all
}

/// Dimensions that all configurations share, with their values.
pub fn common(study: &Study) -> Vec<(String, String)> {
    let dull = |dimension: Dimension, value: &Value| {
        dimension == Dimension::Kind && *value == Value::Text("generate".to_owned())
    };
    study
        .common()
        .into_iter()
        .filter(|(dimension, value)| !dull(*dimension, value))
        .map(|(dimension, value)| (dimension.heading().to_owned(), value.to_string()))
        .collect()
}
