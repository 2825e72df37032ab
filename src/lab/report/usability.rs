//! Whether a configuration is of use to somebody: its figures against the bounds of `[usability]`.

use super::assumptions::Usability;
use super::figure;
use super::quality;
use super::study::{Configuration, Outcome, Study};
use super::table::{Cell, Column, Scaled, Table, missing, name};
use crate::lab::reason::sentence;
use crate::record::Reason;
use std::collections::BTreeSet;

const JOULES_A_WH: f64 = 3600.0;

/// What a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail,
    /// The bound lies within the figure's uncertainty.
    NotTold,
    /// The figure is missing.
    Unknown(Option<Reason>),
}

impl Bound {
    /// Passes or fails only what does so at both ends of its interval.
    pub fn judge(self, outcome: &Outcome) -> Verdict {
        let value = match outcome {
            Ok(pooled) => &pooled.value,
            Err(reason) => return Verdict::Unknown(*reason),
        };
        let u95 = value.u95.unwrap_or_default();
        let (low, high) = (value.mean - u95, value.mean + u95);
        let (surely, never) = match self {
            Self::AtLeast(bound) => (low >= bound, high < bound),
            Self::AtMost(bound) => (high <= bound, low > bound),
        };
        match (surely, never) {
            (true, _) => Verdict::Pass,
            (_, true) => Verdict::Fail,
            _ => Verdict::NotTold,
        }
    }
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotTold => "not told",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// A bound that is stated, on a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// As people call it: `reading speed`.
    pub name: String,
    pub figure: &'static str,
    /// Of a score: on which data. It is that of the model's file, whatever runs it.
    pub data: Option<String>,
    pub bound: Bound,
}

impl Threshold {
    /// The figure of a configuration that is judged.
    pub fn outcome(&self, study: &Study, configuration: &Configuration) -> Outcome {
        match &self.data {
            None => *configuration.named(self.figure),
            Some(data) => match quality::only_test(study, data) {
                Ok(test) => quality::score(study, configuration, &test, self.figure),
                Err(_) => Err(None),
            },
        }
    }
}

/// Those that are stated.
pub fn thresholds(usability: &Usability) -> Vec<Threshold> {
    let mut all = Vec::new();
    let mut add = |name: String, figure, data: Option<&String>, bound| {
        all.push(Threshold {
            name,
            figure,
            data: data.cloned(),
            bound,
        });
    };
    if let Some(reading) = &usability.reading {
        let bound = Bound::AtLeast(reading.tokens_per_s);
        add("reading speed".to_owned(), "decode_tok_s", None, bound);
    }
    for (name, figure, stated) in [
        ("first token", "ttft_s", &usability.ttft),
        ("cold load", "load_cold_s", &usability.load_cold),
        ("warm load", "load_warm_s", &usability.load_warm),
    ] {
        if let Some(stated) = stated {
            add(
                name.to_owned(),
                figure,
                None,
                Bound::AtMost(stated.at_most_s),
            );
        }
    }
    for (figure, stated) in [("acc", &usability.acc), ("acc_norm", &usability.acc_norm)] {
        if let Some(stated) = stated {
            let name = format!("{figure} on {}", stated.data);
            add(
                name,
                figure,
                Some(&stated.data),
                Bound::AtLeast(stated.at_least),
            );
        }
    }
    if let Some(stated) = &usability.perplexity {
        let name = format!("perplexity on {}", stated.data);
        add(
            name,
            "perplexity",
            Some(&stated.data),
            Bound::AtMost(stated.at_most),
        );
    }
    all
}

/// The verdict on each threshold.
pub fn verdicts(
    thresholds: &[Threshold],
    study: &Study,
    configuration: &Configuration,
) -> Vec<Verdict> {
    let each = thresholds.iter();
    each.map(|one| one.bound.judge(&one.outcome(study, configuration)))
        .collect()
}

/// What stands in the way first: a failure, then what the interval leaves open, then what is
/// missing.
pub fn overall(verdicts: &[Verdict]) -> Verdict {
    let is = |wanted: &str| {
        let found = verdicts.iter().find(|verdict| verdict.word() == wanted);
        found.copied()
    };
    ["fail", "not told", "unknown"]
        .into_iter()
        .find_map(is)
        .unwrap_or(Verdict::Pass)
}

/// Each configuration against each bound; `None` where nothing is stated.
pub fn table(usability: &Usability, study: &Study) -> Option<Table> {
    let thresholds = thresholds(usability);
    if thresholds.is_empty() && usability.battery.is_none() {
        return None;
    }
    let scales: Vec<Scaled> = thresholds
        .iter()
        .map(|one| Scaled::of(figure::named(one.figure), study))
        .collect();
    let mut columns = vec![Column::plain("configuration")];
    columns.extend(thresholds.iter().zip(&scales).map(heading));
    if usability.battery.is_some() {
        columns.push(Column {
            heading: "requests a charge".to_owned(),
            unit: String::new(),
            meaning: "energy of the battery ÷ gross energy of a response, one after the other"
                .to_owned(),
        });
    }
    if !thresholds.is_empty() {
        columns.push(Column::plain("in all"));
    }
    let judged = study.configurations.iter();
    let judged = judged.filter(|configuration| configuration.makes_tokens());
    let rows = judged.map(|configuration| {
        let verdicts = verdicts(&thresholds, study, configuration);
        let mut row = vec![name(configuration)];
        let judged = thresholds.iter().zip(&scales).zip(&verdicts);
        row.extend(judged.map(|((one, scaled), verdict)| {
            judged_cell(scaled, &one.outcome(study, configuration), *verdict)
        }));
        if let Some(battery) = &usability.battery {
            row.push(a_charge(battery.wh, configuration));
        }
        if !thresholds.is_empty() {
            row.push(Cell::text(in_all(&thresholds, &verdicts)));
        }
        row
    });
    let rows = rows.collect();
    let mut table = Table::new("usability", "Usability", columns, rows);
    table.notes.push(
        "not told: the bound lies within the figure's u95. unknown: the figure is missing. A \
         figure without an interval is judged by its mean."
            .to_owned(),
    );
    let data: BTreeSet<&String> = thresholds
        .iter()
        .filter_map(|one| one.data.as_ref())
        .collect();
    for data in data {
        if let Err(tests @ 2..) = quality::only_test(study, data) {
            table.notes.push(format!(
                "{data} stands for {tests} tests here, which differ in content, context or number \
                 of chunks or items: its scores are not judged."
            ));
        }
    }
    if usability.battery.is_some() {
        table.notes.push(
            "Requests a charge: of the same prompt and output, without loading and without idling \
             between them, at the configuration's boundary."
                .to_owned(),
        );
    }
    Some(table)
}

fn heading((threshold, scaled): (&Threshold, &Scaled)) -> Column {
    let (sign, bound) = match threshold.bound {
        Bound::AtLeast(bound) => ("≥", bound),
        Bound::AtMost(bound) => ("≤", bound),
    };
    let bound = format!("{sign} {} {}", scaled.number(bound, None), scaled.unit);
    Column {
        heading: threshold.name.clone(),
        unit: bound.trim_end().to_owned(),
        meaning: figure::named(threshold.figure).meaning.to_owned(),
    }
}

fn judged_cell(scaled: &Scaled, outcome: &Outcome, verdict: Verdict) -> Cell {
    match outcome {
        Ok(pooled) => Cell {
            text: format!("{}: {}", verdict.word(), scaled.show(pooled)),
            value: Some(pooled.value.mean),
            title: scaled.behind(pooled),
            ..Cell::default()
        },
        Err(reason) => Cell {
            text: format!("unknown: {}", missing(*reason)),
            missing: true,
            title: reason.map_or(String::new(), |reason| sentence(reason).to_owned()),
            ..Cell::default()
        },
    }
}

fn a_charge(wh: f64, configuration: &Configuration) -> Cell {
    let pooled = match configuration.named("j_per_response") {
        Ok(pooled) => pooled,
        Err(reason) => return Cell::missing(*reason),
    };
    let requests = wh * JOULES_A_WH / pooled.value.mean;
    let u95 = pooled.value.u95;
    let u95 = u95.map(|u95| requests * u95 / pooled.value.mean);
    let shown = crate::lab::figure::Figure::because(Some(requests), u95, None);
    Cell {
        text: shown.show_plain("").trim_end().to_owned(),
        value: Some(requests),
        ..Cell::default()
    }
}

/// `pass`, or which thresholds stand in the way.
fn in_all(thresholds: &[Threshold], verdicts: &[Verdict]) -> String {
    if verdicts.iter().all(|verdict| *verdict == Verdict::Pass) {
        return "pass".to_owned();
    }
    let of = |word: &str| {
        let judged = thresholds.iter().zip(verdicts);
        let named = judged.filter(|(_, verdict)| verdict.word() == word);
        let names: Vec<&str> = named
            .map(|(threshold, _)| threshold.name.as_str())
            .collect();
        (!names.is_empty()).then(|| format!("{word}: {}", names.join(", ")))
    };
    let parts: Vec<String> = ["fail", "not told", "unknown"]
        .into_iter()
        .filter_map(of)
        .collect();
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::figure::OfRun;
    use super::super::study::Pooled;
    use super::*;

    fn outcome(mean: f64, u95: Option<f64>) -> Outcome {
        Ok(Pooled {
            value: OfRun {
                u95,
                ..OfRun::plain(mean)
            },
            runs: 1,
            without: 0,
            reason: None,
        })
    }

    #[test]
    fn a_bound_within_the_interval_tells_nothing() {
        let fast = Bound::AtLeast(5.0);
        assert_eq!(fast.judge(&outcome(5.2, Some(0.1))), Verdict::Pass);
        assert_eq!(fast.judge(&outcome(5.2, Some(0.3))), Verdict::NotTold);
        assert_eq!(fast.judge(&outcome(4.8, Some(0.3))), Verdict::NotTold);
        assert_eq!(fast.judge(&outcome(4.8, Some(0.1))), Verdict::Fail);
        assert_eq!(fast.judge(&outcome(5.0, None)), Verdict::Pass);
        let soon = Bound::AtMost(2.0);
        assert_eq!(soon.judge(&outcome(1.8, Some(0.1))), Verdict::Pass);
        assert_eq!(soon.judge(&outcome(2.05, Some(0.1))), Verdict::NotTold);
        assert_eq!(soon.judge(&outcome(2.2, Some(0.1))), Verdict::Fail);
        let absent = Err(Some(Reason::NotDefined));
        let unknown = Verdict::Unknown(Some(Reason::NotDefined));
        assert_eq!(soon.judge(&absent), unknown);
    }
}
