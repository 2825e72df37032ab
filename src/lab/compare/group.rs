//! Runs that belong together, and which of them count.

use crate::energy::{Shared, Statistic};
use crate::lab::explain::budget::{Kind, counted, in_repetition, kind};
use crate::lab::lookup::{self, Absent, Found, Path};
use crate::record::result::{JobResult, LeftOut};
use crate::record::{Reason, Stamped};
use serde::Serialize;

/// One run, read from a file.
pub struct Run {
    pub file: String,
    pub record: Stamped<JobResult>,
}

/// Which runs count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    LeftOut,
    Included,
}

/// A run that does not count, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Left {
    pub file: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<LeftOut>,
    /// Why it has no such figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// What the values of a sample are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    Runs,
    /// Of the only run: how runs differ is not in it.
    Repetitions,
}

/// One figure of a group of runs.
pub struct Sample<'a> {
    pub of: Of,
    /// One value a run or a repetition; `None` keeps the place of one that does not count.
    pub values: Vec<Option<f64>>,
    /// The runs whose value counts.
    pub counted: Vec<&'a Run>,
    pub statistic: Option<Statistic>,
    pub shared: Shared,
    pub left: Vec<Left>,
}

impl<'a> Sample<'a> {
    /// The figure at `path` of the runs that count.
    ///
    /// Errors: the run that counts and whose record has no such field.
    pub fn of(runs: &'a [Run], path: &Path, marked: Marked) -> Result<Self, &'a Run> {
        let mut left = Vec::new();
        let mut values = Vec::new();
        let mut counted = Vec::new();
        let mut shared = Vec::new();
        for run in runs {
            let result = &run.record.body;
            let marks = match marked {
                Marked::LeftOut => result.left_out.clone(),
                Marked::Included => Vec::new(),
            };
            let found = lookup::find(result, path);
            let reason = match found {
                // A marked run is left out whatever it holds.
                Err(Absent::Unknown) if marks.is_empty() => return Err(run),
                Ok(found) if marks.is_empty() => {
                    values.push(Some(found.value()));
                    shared.push(systematic(result, path, &found));
                    counted.push(run);
                    continue;
                }
                Err(Absent::Because(reason)) => reason,
                Ok(_) | Err(Absent::Unknown) => None,
            };
            values.push(None);
            left.push(Left {
                file: run.file.clone(),
                marks,
                reason,
            });
        }
        let mut of = Of::Runs;
        if let ([only], [Some(_)]) = (runs, values.as_slice())
            && let Some(repetitions) = repetitions(&only.record.body, path)
        {
            of = Of::Repetitions;
            values = repetitions.into_iter().map(Some).collect();
        }
        let known: Vec<f64> = values.iter().copied().flatten().collect();
        Ok(Self {
            of,
            statistic: Statistic::of(&known),
            values,
            counted,
            shared: mean(&shared),
            left,
        })
    }

    pub fn known(&self) -> Vec<f64> {
        self.values.iter().copied().flatten().collect()
    }
}

/// The values behind a figure of the summary.
fn repetitions(result: &JobResult, path: &Path) -> Option<Vec<f64>> {
    let Path::Summary(name) = path else {
        return None;
    };
    counted(&result.reps)
        .map(|rep| {
            let found = lookup::find(result, &in_repetition(name, rep.rep)?);
            Some(found.ok()?.value())
        })
        .collect()
}

/// Systematic standard uncertainties of a figure as shares of it.
pub fn systematic(result: &JobResult, path: &Path, found: &Found) -> Shared {
    let value = found.value().abs();
    let (u_sys, parts) = match found {
        Found::Statistic(statistic) => {
            let of_first = match path {
                Path::Summary(name) => counted(&result.reps)
                    .next()
                    .and_then(|rep| in_repetition(name, rep.rep))
                    .and_then(|path| lookup::find(result, &path).ok()),
                _ => None,
            };
            (statistic.u_sys.unwrap_or_default(), of_first)
        }
        Found::Measured { .. } => (0.0, Some(found.clone())),
        Found::Plain(_) => return Shared::default(),
    };
    let rail = lookup::rail(result, path);
    let (budget, whole) = match parts {
        Some(Found::Measured {
            budget: Some(budget),
            value,
            ..
        }) => (budget, value.abs()),
        // All of it, as if nothing were shared.
        _ => {
            return Shared {
                other: u_sys / value,
                ..Shared::default()
            };
        }
    };
    let relative = |names: &dyn Fn(&str) -> bool| {
        let squares: f64 = budget
            .iter()
            .filter(|(source, _)| names(source))
            .map(|(_, u)| (u / whole).powi(2))
            .sum();
        squares.sqrt()
    };
    let gains = |source: &str| rail.is_some_and(|rail| rail.limits.scale.contains_key(source));
    Shared {
        scale: relative(&gains),
        offset: relative(&|source| source == "offset"),
        other: relative(&|source| {
            kind(source, rail) == Kind::Systematic && source != "offset" && !gains(source)
        }),
    }
}

/// Errors that all runs of a sensor share don't average out.
fn mean(all: &[Shared]) -> Shared {
    let n = all.len().max(1) as f64;
    let of = |part: fn(&Shared) -> f64| all.iter().map(part).sum::<f64>() / n;
    Shared {
        scale: of(|shared| shared.scale),
        offset: of(|shared| shared.offset),
        other: of(|shared| shared.other),
    }
}
