//! Tables of values, for programs: numbers in full, units in the names, a reason beside what is
//! missing.

use super::configuration::Value;
use super::figure::{self, OfRun};
use super::study::{Outcome, Standing, Study};
use super::tables::mark_name;
use crate::lab::figure::reason_name;
use crate::record::Reason;
use crate::record::result::LeftOut;
use std::fmt::Write;

/// One row a configuration.
pub fn configurations(study: &Study) -> String {
    let mut out = String::new();
    let mut heading: Vec<String> = vec!["configuration".to_owned()];
    let dimensions = study.configurations.first().map(|first| first.key.values());
    heading.extend(
        dimensions
            .into_iter()
            .flatten()
            .map(|(dimension, _)| dimension.name()),
    );
    heading.extend(["runs", "left_out_runs", "standing"].map(str::to_owned));
    for figure in figure::all() {
        let of = ["", "_u95", "_median", "_sd", "_n", "_reason"];
        heading.extend(of.map(|part| format!("{}{part}", figure.name)));
    }
    line(&mut out, &heading);
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
        line(&mut out, &cells);
    }
    out
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
    let mut out = String::new();
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
    line(&mut out, &heading);
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
            line(&mut out, &cells);
        }
    }
    out
}

fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn reason(reason: Option<Reason>) -> String {
    reason.map_or(String::new(), reason_name)
}

fn line(out: &mut String, cells: &[String]) {
    for (at, cell) in cells.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let written = match cell.contains([',', '"', '\n', '\r']) {
            true => write!(out, "{comma}\"{}\"", cell.replace('"', "\"\"")),
            false => write!(out, "{comma}{cell}"),
        };
        written.expect("a String takes everything");
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_in_its_cell() {
        let mut out = String::new();
        line(
            &mut out,
            &["a,b".to_owned(), "c \"d\"\n".to_owned(), String::new()],
        );
        assert_eq!(out, "\"a,b\",\"c \"\"d\"\"\n\",\n");
    }
}
