//! Tables of values, for programs: numbers in full, units in the names, a reason beside what is
//! missing.

use super::assumptions::{Assumptions, Usability};
use super::configuration::Value;
use super::economy::{self, Costs, Known, Missing};
use super::figure::{self, OfRun};
use super::study::{Configuration, Outcome, Standing, Study};
use super::tables::mark_name;
use super::usability::{Threshold, overall, thresholds, verdicts};
use crate::lab::figure::reason_name;
use crate::record::Reason;
use crate::record::result::LeftOut;

/// One row a configuration: its figures, and what it costs and is good for where prices and
/// thresholds are stated.
pub fn configurations(study: &Study, assumptions: &Assumptions) -> String {
    let mut table = Csv::default();
    let mut heading: Vec<String> = vec!["configuration".to_owned()];
    let dimensions = study.configurations.first().map(|first| first.key.values());
    heading.extend(
        dimensions
            .into_iter()
            .flatten()
            .map(|(dimension, _)| dimension.name().to_owned()),
    );
    heading.extend(["runs", "left_out_runs", "standing"].map(str::to_owned));
    for figure in figure::all() {
        let of = ["", "_u95", "_median", "_sd", "_n", "_reason"];
        heading.extend(of.map(|part| format!("{}{part}", figure.name)));
    }
    let guidance = Guidance::new(study, assumptions);
    heading.extend(guidance.heading());
    table.line(heading);
    for configuration in &study.configurations {
        let mut cells = vec![configuration.number.to_string()];
        cells.extend(configuration.key.values().map(|(_, value)| match value {
            Value::Unknown => String::new(),
            known => known.to_string(),
        }));
        let counted = match configuration.standing {
            Standing::Counted => configuration.counted.len(),
            Standing::OnlyMarked => 0,
        };
        cells.push(counted.to_string());
        cells.push(configuration.left_out.len().to_string());
        cells.push(match configuration.standing {
            Standing::Counted => "counted".to_owned(),
            Standing::OnlyMarked => "only-marked".to_owned(),
        });
        for figure in figure::all() {
            cells.extend(pooled(configuration.figure(figure)));
        }
        cells.extend(guidance.cells(configuration));
        table.line(cells);
    }
    table.text()
}

/// Costs and verdicts of every configuration; no column of what nobody stated.
struct Guidance<'a> {
    study: &'a Study,
    currency: Option<&'a str>,
    costs: Vec<(&'a Configuration, Costs)>,
    thresholds: Vec<Threshold>,
}

impl<'a> Guidance<'a> {
    fn new(study: &'a Study, assumptions: &'a Assumptions) -> Self {
        let cost = assumptions.cost.as_ref();
        let usability: Option<&Usability> = assumptions.usability.as_ref();
        Self {
            study,
            currency: cost.map(|cost| cost.currency.as_str()),
            costs: cost.map_or_else(Vec::new, |cost| economy::all(cost, study)),
            thresholds: usability.map(thresholds).unwrap_or_default(),
        }
    }

    fn heading(&self) -> Vec<String> {
        let mut heading = Vec::new();
        if self.currency.is_some() {
            heading.extend(["cost_currency", "cost_tokens_of"].map(str::to_owned));
            for part in ["energy", "between_uses", "hardware", "total"] {
                let of = ["", "_u95", "_reason"];
                heading.extend(of.map(|of| format!("cost_{part}_per_mtok{of}")));
            }
        }
        if !self.thresholds.is_empty() {
            heading.push("usable".to_owned());
            let each = self.thresholds.iter();
            heading.extend(each.map(|one| format!("usable_{}", column_name(&one.name))));
        }
        heading
    }

    /// As many as `heading` has; empty where a configuration makes no tokens.
    fn cells(&self, configuration: &Configuration) -> Vec<String> {
        let mut cells = Vec::new();
        if let Some(currency) = self.currency {
            let found = self
                .costs
                .iter()
                .find(|(of, _)| of.number == configuration.number);
            match found {
                None => cells.extend(std::iter::repeat_n(String::new(), 2 + 4 * 3)),
                Some((_, costs)) => {
                    cells.extend([currency, costs.basis.name()].map(str::to_owned));
                    let parts = [
                        costs.energy,
                        costs.between_uses,
                        costs.hardware,
                        costs.total,
                    ];
                    cells.extend(parts.into_iter().flat_map(money));
                }
            }
        }
        if !self.thresholds.is_empty() {
            match configuration.makes_tokens() {
                false => cells.extend(std::iter::repeat_n(
                    String::new(),
                    1 + self.thresholds.len(),
                )),
                true => {
                    let found = verdicts(&self.thresholds, self.study, configuration);
                    cells.push(overall(&found).word().replace(' ', "-"));
                    let each = found.iter();
                    cells.extend(each.map(|verdict| verdict.word().replace(' ', "-")));
                }
            }
        }
        cells
    }
}

/// `acc on items.jsonl` as a column: `acc_on_items_jsonl`.
fn column_name(name: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '_',
    };
    name.chars().map(plain).collect()
}

fn money(known: Known) -> [String; 3] {
    match known {
        Ok(amount) => [amount.value.to_string(), number(amount.u95), String::new()],
        Err(Missing::NotStated(key)) => {
            [String::new(), String::new(), format!("not-stated: {key}")]
        }
        Err(Missing::NotMeasured(why)) => [String::new(), String::new(), reason(why)],
    }
}

fn pooled(outcome: &Outcome) -> [String; 6] {
    match outcome {
        Ok(pooled) => {
            let OfRun {
                n,
                mean,
                median,
                sd,
                u95,
                ..
            } = pooled.value;
            [
                mean.to_string(),
                number(u95),
                median.to_string(),
                number(sd),
                n.to_string(),
                reason(pooled.reason),
            ]
        }
        Err(why) => {
            let nothing = String::new;
            [
                nothing(),
                nothing(),
                nothing(),
                nothing(),
                "0".to_owned(),
                reason(*why),
            ]
        }
    }
}

/// One row a run.
pub fn runs(study: &Study) -> String {
    let mut table = Csv::default();
    let mut heading: Vec<String> = [
        "configuration",
        "device",
        "id",
        "attempt",
        "time",
        "state",
        "left_out",
    ]
    .map(str::to_owned)
    .to_vec();
    for figure in figure::all() {
        heading.extend(["", "_u95", "_reason"].map(|part| format!("{}{part}", figure.name)));
    }
    heading.push("simulated".to_owned());
    heading.push("warnings".to_owned());
    table.line(heading);
    for configuration in &study.configurations {
        let mut members: Vec<usize> = configuration.counted.clone();
        members.extend(configuration.left_out.iter().map(|(at, _)| *at));
        members.sort_unstable();
        members.dedup();
        for at in members {
            let record = &study.runs[at];
            let result = &record.body;
            let marks = |mark: &LeftOut| mark_name(*mark).replace(' ', "-");
            let marks: Vec<String> = result.left_out.iter().map(marks).collect();
            let mut cells = vec![
                configuration.number.to_string(),
                record.stamp.device.clone(),
                result.id.clone(),
                result.attempt.to_string(),
                record.stamp.time.clone(),
                result.state.as_str().to_owned(),
                marks.join(" "),
            ];
            for figure in figure::all() {
                cells.extend(match figure.of(result) {
                    Ok(value) => [value.mean.to_string(), number(value.u95), String::new()],
                    Err(why) => [String::new(), String::new(), reason(why)],
                });
            }
            cells.push(configuration.is_simulated().to_string());
            cells.push(result.warnings.join("; "));
            table.line(cells);
        }
    }
    table.text()
}

fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn reason(reason: Option<Reason>) -> String {
    reason.map_or(String::new(), reason_name)
}

/// Lines of equally many cells.
struct Csv(csv::Writer<Vec<u8>>);

impl Default for Csv {
    fn default() -> Self {
        Self(csv::Writer::from_writer(Vec::new()))
    }
}

impl Csv {
    fn line(&mut self, cells: Vec<String>) {
        self.0
            .write_record(cells)
            .expect("memory takes everything, and lines are equally long");
    }

    fn text(self) -> String {
        let bytes = self.0.into_inner().expect("memory takes everything");
        String::from_utf8(bytes).expect("cells are text")
    }
}
