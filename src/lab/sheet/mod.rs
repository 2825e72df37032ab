//! The result of a job as people read it, independent of the medium: the terminal's table
//! and the HTML page show the same sheet.

mod context;
mod quality;
mod rails;

use super::figure::{Figure, median, seconds};
use super::reason;
use crate::record::result::{Distribution, JobResult, LeftOut, PhaseFigures, Rep, Statistic};
use crate::record::{Reason, Stamp};
use crate::workload::{Kind, Phase};
use serde::Serialize;

/// One result, ready to be laid out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sheet {
    pub title: String,
    pub device: String,
    pub time: String,
    pub state: String,
    /// Rails of this result whose power is not that of any machine.
    pub simulated: Vec<String>,
    /// Why summaries over several runs leave this one out.
    pub left_out: Option<String>,
    /// The figures that most people come for.
    pub headline: Vec<Row>,
    pub sections: Vec<Section>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    pub heading: String,
    /// Headings of the value columns; as many as each row has values.
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub label: String,
    pub values: Vec<Value>,
    pub note: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Value {
    pub text: String,
    pub missing: bool,
}

impl Value {
    fn of(figure: Figure, unit: &str) -> Self {
        Self {
            text: figure.show(unit),
            missing: figure.is_missing(),
        }
    }

    fn plain(figure: Figure, unit: &str) -> Self {
        Self {
            text: figure.show_plain(unit),
            missing: figure.is_missing(),
        }
    }

    fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            missing: false,
        }
    }
}

fn row(label: &str, values: Vec<Value>, note: impl Into<String>) -> Row {
    Row {
        label: label.to_owned(),
        values,
        note: note.into(),
    }
}

impl Sheet {
    pub fn new(stamp: &Stamp, result: &JobResult) -> Self {
        let model = result.model.as_ref().map(|model| model.name.as_str());
        let mut sections = Vec::new();
        let scores = matches!(result.kind, Kind::Perplexity | Kind::Choice);
        sections.extend(quality::sections(result));
        if !result.reps.is_empty() && !scores {
            sections.push(speed(result));
            sections.push(energy(result));
        }
        sections.extend(rails::rails(result));
        sections.push(context::surroundings(result));
        sections.push(context::provenance(result));
        let headline = headline(&sections);
        let state = match &result.reason {
            Some(reason) => format!("{}: {reason}", result.state.as_str()),
            None => result.state.as_str().to_owned(),
        };
        Self {
            title: model.unwrap_or("no model").to_owned(),
            device: stamp.device.clone(),
            time: stamp.time.clone(),
            state,
            simulated: result
                .rails
                .iter()
                .filter(|rail| rail.simulated)
                .map(|rail| rail.name.clone())
                .collect(),
            left_out: left_out(&result.left_out),
            headline,
            sections,
            warnings: warnings(stamp, result),
        }
    }
}

/// The sentence that nobody may overlook, where a run is marked.
fn left_out(marks: &[LeftOut]) -> Option<String> {
    let because = |mark: &LeftOut| match mark {
        LeftOut::NotSucceeded => "it did not succeed",
        LeftOut::Contended => "other programs used the CPU meanwhile (contended)",
        LeftOut::Throttled => "the board was throttled",
        LeftOut::SettingChanged => "its governor, cap or power mode changed meanwhile",
    };
    let all: Vec<&str> = marks.iter().map(because).collect();
    (!all.is_empty()).then(|| {
        format!(
            "MARKED: summaries over several runs leave this one out: {}.",
            all.join("; ")
        )
    })
}

/// Rows of the speed and energy sections once more, under names that stand alone.
fn headline(sections: &[Section]) -> Vec<Row> {
    let names = [
        ("Perplexity", "perplexity"),
        ("Right answers", "right answers"),
        ("Per scored token", "energy per scored token"),
        ("Per right answer", "energy per right answer"),
        ("Per output token", "energy per output token"),
        ("Decode", "decode"),
        ("Prefill", "prefill"),
        ("Time to first token", "time to first token"),
    ];
    let find = |label: &str| {
        let mut rows = sections.iter().flat_map(|section| &section.rows);
        rows.find(|row| row.label == label)
    };
    names
        .iter()
        .filter_map(|(label, name)| {
            let found = find(label)?;
            Some(row(name, vec![found.values[0].clone()], found.note.clone()))
        })
        .collect()
}

fn speed(result: &JobResult) -> Section {
    let summary = result.summary.as_ref();
    let first = &result.reps[0];
    let per_phase = |phase: Option<&PhaseFigures>| match phase {
        Some(phase) => {
            let time = format!("{} tokens in {}", phase.tokens, seconds(phase.duration_s));
            let ipc = phase.counters.hardware.as_ref().and_then(|seen| seen.ipc);
            ipc.map_or(time.clone(), |ipc| {
                format!("{time}, {ipc:.2} instructions a cycle")
            })
        }
        None => String::new(),
    };
    let rate = |statistic: Option<&Statistic>, of: fn(&Rep) -> Option<&PhaseFigures>| {
        let measured = || result.reps.iter().filter_map(of).map(|phase| phase.tok_s);
        let value = statistic
            .map(|statistic| statistic.median)
            .or_else(|| median(measured().collect()));
        Value::plain(
            Figure::because(value, None, Some(Reason::NotDefined)),
            "tok/s",
        )
    };
    let over_reps = |of: fn(&Rep) -> Option<f64>, field: &str| {
        let value = median(result.reps.iter().filter_map(of).collect());
        Value::of(Figure::new(value, None, &first.reasons, field), "s")
    };
    Section {
        heading: "Speed".to_owned(),
        columns: vec![repetitions(result)],
        rows: vec![
            row(
                "Prefill",
                vec![rate(
                    summary.and_then(|s| s.prefill_tok_s.as_ref()),
                    |rep| rep.prefill.as_ref(),
                )],
                per_phase(first.prefill.as_ref()),
            ),
            row(
                "Decode",
                vec![rate(summary.and_then(|s| s.decode_tok_s.as_ref()), |rep| {
                    rep.decode.as_ref()
                })],
                per_phase(first.decode.as_ref()),
            ),
            row(
                "Time to first token",
                vec![over_reps(|rep| rep.ttft_s, "ttft_s")],
                "request received → first token known",
            ),
            row(
                "Time per output token",
                vec![over_reps(|rep| rep.figures.tpot_s, "tpot_s")],
                token_times(&result.reps),
            ),
        ],
    }
}

/// How single tokens lie around the mean: medians over the repetitions.
fn token_times(reps: &[Rep]) -> String {
    let over = |of: fn(&Distribution) -> f64| {
        let known = reps
            .iter()
            .filter_map(|rep| rep.tpot_distribution_s.as_ref());
        median(known.map(of).collect())
    };
    match over(|times| times.median).zip(over(|times| times.p99)) {
        Some((p50, p99)) => format!(
            "1 ÷ decode rate; single tokens: p50 {}, p99 {}",
            seconds(p50),
            seconds(p99)
        ),
        None => "1 ÷ decode rate".to_owned(),
    }
}

fn repetitions(result: &JobResult) -> String {
    match result.reps.len() {
        1 => "one repetition".to_owned(),
        n => format!("median of {n}"),
    }
}

/// A field of [`crate::record::result::Figures`] with its uncertainty.
type Field = fn(&Rep) -> (Option<f64>, Option<f64>);

fn energy(result: &JobResult) -> Section {
    let summary = result.summary.as_ref();
    // Where there is a statistic, ± is its uncertainty over the repetitions and belongs to
    // the mean; else the middle repetition is shown with its own.
    let figure = |statistic: Option<&Statistic>, field: Field, name: &str| match statistic {
        Some(Statistic {
            mean,
            u95: Some(u95),
            ..
        }) => Figure::because(Some(*mean), Some(*u95), None),
        _ => middle(&result.reps, field, name),
    };
    let pair = |label: &str, gross: Figure, net: Figure, note: &str| {
        // What to do about a missing figure is worth more than what it is made of.
        let note = match gross {
            Figure::Missing(Some(why)) => reason::sentence(why),
            _ => note,
        };
        let joules = |figure| Value::of(figure, "J");
        row(label, vec![joules(gross), joules(net)], note)
    };
    Section {
        heading: "Energy".to_owned(),
        columns: vec!["gross ± u95".to_owned(), "net of idle ± u95".to_owned()],
        rows: vec![
            pair(
                "Per output token",
                figure(
                    summary.and_then(|s| s.j_per_output_token.as_ref()),
                    |rep| {
                        let f = &rep.figures;
                        (f.j_per_output_token, f.j_per_output_token_u95)
                    },
                    "j_per_output_token",
                ),
                figure(
                    summary.and_then(|s| s.j_per_output_token_net.as_ref()),
                    |rep| {
                        let f = &rep.figures;
                        (f.j_per_output_token_net, f.j_per_output_token_net_u95)
                    },
                    "j_per_output_token_net",
                ),
                "decode",
            ),
            pair(
                "Per prompt token",
                figure(
                    summary.and_then(|s| s.j_per_prompt_token.as_ref()),
                    |rep| {
                        let f = &rep.figures;
                        (f.j_per_prompt_token, f.j_per_prompt_token_u95)
                    },
                    "j_per_prompt_token",
                ),
                figure(
                    None,
                    |rep| {
                        let f = &rep.figures;
                        (f.j_per_prompt_token_net, f.j_per_prompt_token_net_u95)
                    },
                    "j_per_prompt_token_net",
                ),
                "prefill",
            ),
            pair(
                "Per output, all in",
                figure(
                    summary.and_then(|s| s.j_per_output_token_all_in.as_ref()),
                    |rep| {
                        let f = &rep.figures;
                        (f.j_per_output_token_all_in, f.j_per_output_token_all_in_u95)
                    },
                    "j_per_output_token_all_in",
                ),
                figure(
                    None,
                    |rep| {
                        let f = &rep.figures;
                        (
                            f.j_per_output_token_all_in_net,
                            f.j_per_output_token_all_in_net_u95,
                        )
                    },
                    "j_per_output_token_all_in_net",
                ),
                "prefill + decode",
            ),
        ],
    }
}

/// The figure of the repetition that stands in the middle when they are sorted by it.
fn middle(reps: &[Rep], field: Field, name: &str) -> Figure {
    let mut known: Vec<(f64, Option<f64>)> = reps
        .iter()
        .filter_map(|rep| {
            let (value, u95) = field(rep);
            Some((value?, u95))
        })
        .collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    match known.get(known.len().saturating_sub(1) / 2) {
        Some(&(value, u95)) => Figure::because(Some(value), u95, None),
        None => Figure::Missing(reps[0].reasons.get(name).copied()),
    }
}

fn warnings(stamp: &Stamp, result: &JobResult) -> Vec<String> {
    let mut warnings = result.warnings.clone();
    let unresolved = |rep: &Rep| rep.decode.is_some() && !rep.resolved;
    if result.reps.iter().any(unresolved) {
        warnings.push(
            "single tokens are shorter than 10 windows of the sensor: trust the phases' \
             energies, not the tokens'"
                .to_owned(),
        );
    }
    if !stamp.clock_sync {
        warnings.push("the wall clock was not known to be synchronised (labels only)".to_owned());
    }
    warnings
}

/// The name of a phase in running text.
pub fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Load => "load",
        Phase::IdleBefore => "idle before",
        Phase::Warmup => "warm-up",
        Phase::Prepare => "prepare",
        Phase::Depth => "depth",
        Phase::Prefill => "prefill",
        Phase::Decode => "decode",
        Phase::IdleAfter => "idle after",
        Phase::Other => "other",
    }
}
