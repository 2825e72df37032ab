//! A table as people read it, the same in HTML and Markdown.

use super::figure::{Figure, Unit};
use super::study::{Configuration, Outcome, Pooled, Standing, Study};
use crate::lab::figure::{self, prefix, reason_name};
use crate::lab::reason::sentence;
use crate::record::Reason;
use serde::Serialize;
use std::collections::BTreeSet;

/// More rows than a page can be read with; the CSV has them all.
pub const MOST_ROWS: usize = 300;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    pub id: &'static str,
    pub heading: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
    /// What stands below it.
    pub notes: Vec<String>,
    /// Reasons of missing figures in it, with what they mean.
    pub reasons: Vec<(String, &'static str)>,
    /// Rows beyond [`MOST_ROWS`].
    pub left_out: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    pub heading: String,
    pub unit: String,
    pub meaning: String,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Cell {
    pub text: String,
    /// A dash, with this reason.
    pub missing: bool,
    /// Shown when the pointer rests on it.
    pub title: String,
    /// What it sorts by.
    pub value: Option<f64>,
    pub link: Option<String>,
}

impl Column {
    pub fn plain(heading: impl Into<String>) -> Self {
        Self {
            heading: heading.into(),
            unit: String::new(),
            meaning: String::new(),
        }
    }
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    pub fn number(number: usize) -> Self {
        Self {
            text: figure::count(number as u64),
            value: Some(number as f64),
            ..Self::default()
        }
    }

    pub fn missing(reason: Option<Reason>) -> Self {
        Self {
            text: missing(reason),
            missing: true,
            title: reason.map_or(String::new(), |reason| sentence(reason).to_owned()),
            ..Self::default()
        }
    }
}

/// `– too-coarse`.
pub fn missing(reason: Option<Reason>) -> String {
    figure::Figure::Missing(reason).show("")
}

impl Table {
    pub fn new(
        id: &'static str,
        heading: &str,
        columns: Vec<Column>,
        mut rows: Vec<Vec<Cell>>,
    ) -> Self {
        let left_out = rows.len().saturating_sub(MOST_ROWS);
        rows.truncate(MOST_ROWS);
        Self {
            id,
            heading: heading.to_owned(),
            columns,
            rows,
            notes: Vec::new(),
            reasons: Vec::new(),
            left_out,
        }
    }

    /// Figures of each configuration. What no configuration has is no column but a note.
    pub fn of_figures(id: &'static str, heading: &str, study: &Study, figures: &[Figure]) -> Self {
        let has = |figure: &&Figure| {
            study
                .configurations
                .iter()
                .any(|c| c.figure(figure).is_ok())
        };
        let (known, unknown): (Vec<&Figure>, Vec<&Figure>) = figures.iter().partition(has);
        let scales: Vec<Scaled> = known
            .iter()
            .map(|figure| Scaled::of(figure, study))
            .collect();
        let mut columns = vec![Column::plain("configuration")];
        columns.extend(known.iter().zip(&scales).map(|(figure, scaled)| Column {
            heading: figure.heading.to_owned(),
            unit: scaled.unit.clone(),
            meaning: figure.meaning.to_owned(),
        }));
        let rows = study.configurations.iter().map(|configuration| {
            let cells = known.iter().zip(&scales);
            let cells = cells.map(|(figure, scaled)| scaled.cell(configuration.figure(figure)));
            std::iter::once(name(configuration)).chain(cells).collect()
        });
        let mut table = Self::new(id, heading, columns, rows.collect());
        table.reasons = reasons(study, figures);
        table.notes = unknown
            .iter()
            .map(|figure| nowhere(figure, study))
            .collect();
        table
    }
}

/// The first cell of a configuration's row.
pub fn name(configuration: &Configuration) -> Cell {
    Cell {
        text: match configuration.standing {
            Standing::Counted => configuration.number_and_label(),
            Standing::OnlyMarked => format!("{} †", configuration.number_and_label()),
        },
        value: Some(configuration.number as f64),
        ..Cell::default()
    }
}

/// A figure that no configuration has: `on accelerators: – not-reported`.
fn nowhere(figure: &Figure, study: &Study) -> String {
    let found: BTreeSet<String> = study
        .configurations
        .iter()
        .filter_map(|configuration| configuration.figure(figure).as_ref().err())
        .map(|reason| missing(*reason))
        .collect();
    let found: Vec<String> = found.into_iter().collect();
    format!("{}: {}", figure.heading, found.join(", "))
}

fn reasons(study: &Study, figures: &[Figure]) -> Vec<(String, &'static str)> {
    let all: BTreeSet<Reason> = study
        .configurations
        .iter()
        .flat_map(|configuration| figures.iter().map(|figure| configuration.figure(figure)))
        .filter_map(|outcome| match outcome {
            Ok(pooled) => pooled.reason,
            Err(reason) => *reason,
        })
        .collect();
    let meant = all.into_iter();
    meant
        .map(|reason| (reason_name(reason), sentence(reason)))
        .collect()
}

/// One unit for all values of a figure, so that they compare at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaled {
    pub factor: f64,
    pub unit: String,
    of: Unit,
}

impl Scaled {
    pub fn of(figure: &Figure, study: &Study) -> Self {
        let known = study
            .configurations
            .iter()
            .filter_map(|configuration| configuration.figure(figure).as_ref().ok())
            .map(|pooled| pooled.value.mean.abs())
            .filter(|value| *value > 0.0);
        let (least, largest) = known.fold((f64::INFINITY, 0.0), |(least, largest), value| {
            (value.min(least), value.max(largest))
        });
        // Between the extremes in decades, so that neither has too many zeros.
        let middle = if largest > 0.0 {
            (least * largest).sqrt()
        } else {
            0.0
        };
        let (factor, unit) = match figure.unit {
            Unit::Si(unit) => {
                // Of a ratio of units the first takes the prefix.
                let first = unit.split('/').next().unwrap_or(unit);
                let (factor, prefix) = prefix(middle, first);
                (factor, format!("{prefix}{unit}"))
            }
            Unit::Rate(unit) => (1.0, unit.to_owned()),
            Unit::Ratio => (1.0, String::new()),
            Unit::Millions(_) => (1e-6, "10⁶".to_owned()),
            Unit::Bytes if largest < 10e9 => (1e-6, "MB".to_owned()),
            Unit::Bytes => (1e-9, "GB".to_owned()),
            Unit::Celsius => (1.0, "°C".to_owned()),
        };
        Self {
            factor,
            unit,
            of: figure.unit,
        }
    }

    /// In the unit, without naming it: `40.5 ± 0.6`.
    pub fn number(&self, value: f64, u95: Option<f64>) -> String {
        let value = value * self.factor;
        match self.of {
            Unit::Celsius => format!("{value:.1}"),
            Unit::Bytes => format!("{value:.0}"),
            Unit::Si(_) | Unit::Rate(_) | Unit::Ratio | Unit::Millions(_) => {
                let figure =
                    figure::Figure::because(Some(value), u95.map(|u95| u95 * self.factor), None);
                figure.show_plain("").trim_end().to_owned()
            }
        }
    }

    /// With the unit.
    pub fn show(&self, pooled: &Pooled) -> String {
        let number = self.number(pooled.value.mean, pooled.value.u95);
        format!("{number} {}", self.unit).trim_end().to_owned()
    }

    pub fn cell(&self, outcome: &Outcome) -> Cell {
        let pooled = match outcome {
            Ok(pooled) => pooled,
            Err(reason) => return Cell::missing(*reason),
        };
        Cell {
            text: self.number(pooled.value.mean, pooled.value.u95),
            title: self.behind(pooled),
            value: Some(pooled.value.mean),
            ..Cell::default()
        }
    }

    /// What a mean does not show.
    pub fn behind(&self, pooled: &Pooled) -> String {
        let value = &pooled.value;
        let counted = match (pooled.runs, value.n) {
            (1, 1) => "1 run".to_owned(),
            (1, n) => format!("1 run of {n} repetitions"),
            (runs, _) => format!("{runs} runs"),
        };
        let mut parts = vec![counted];
        if value.n > 1 {
            parts.push(format!(
                "median {} {}",
                self.number(value.median, None),
                self.unit
            ));
        }
        if let Some(sd) = value.sd {
            parts.push(format!(
                "standard deviation {} {}",
                self.number(sd, None),
                self.unit
            ));
        }
        if let Some(u_sys) = value.u_sys.filter(|u_sys| *u_sys > 0.0) {
            let both = 2.0 * u_sys;
            parts.push(format!(
                "of its ± systematic {} {}",
                self.number(both, None),
                self.unit
            ));
        }
        if pooled.without > 0 {
            parts.push(format!(
                "{} more without: {}",
                pooled.without,
                missing(pooled.reason)
            ));
        }
        parts.join("; ")
    }
}
