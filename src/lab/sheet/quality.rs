//! What a `perplexity` or a `choice` found, and what finding it took.

use super::{Row, Section, Value, row};
use crate::lab::figure::{Figure, count, seconds};
use crate::lab::reason;
use crate::record::result::{Choice, Evaluation, JobResult, Perplexity, Reasons};
use crate::workload::Kind;

/// Empty for other kinds.
pub fn sections(result: &JobResult) -> Vec<Section> {
    match (result.kind, &result.perplexity, &result.choice) {
        (Kind::Perplexity, Some(found), _) => vec![text(found), cost_of_text(found)],
        (Kind::Choice, _, Some(found)) => vec![answers(found), cost_of_answers(found)],
        (Kind::Perplexity, None, _) => vec![nothing(result, "Perplexity", "perplexity")],
        (Kind::Choice, _, None) => vec![nothing(result, "Right answers", "choice")],
        _ => Vec::new(),
    }
}

fn quality(rows: Vec<Row>) -> Section {
    Section {
        heading: "Quality".to_owned(),
        columns: vec!["± standard error".to_owned()],
        rows,
    }
}

fn nothing(result: &JobResult, label: &str, block: &str) -> Section {
    let why = result.reasons.get(block).copied();
    let note = why.map_or("", reason::sentence);
    quality(vec![row(
        label,
        vec![Value::of(Figure::Missing(why), "")],
        note,
    )])
}

fn text(found: &Perplexity) -> Section {
    let figure = |value, se, name: &str| Figure::new(value, se, &found.reasons, name);
    let of = format!(
        "{}: {} of {} tokens, {} scored",
        found.data,
        plural(found.chunks, "chunk"),
        found.n_ctx,
        count(found.tokens_scored)
    );
    let perplexity = figure(found.perplexity, found.perplexity_se, "perplexity");
    let nll = figure(found.nll_mean, found.nll_mean_se, "nll_mean");
    quality(vec![
        row("Perplexity", vec![Value::of(perplexity, "")], of),
        row(
            "Cross-entropy",
            vec![Value::plain(nll, "nats")],
            "of a scored token: the perplexity's logarithm",
        ),
    ])
}

fn answers(found: &Choice) -> Section {
    let percent = |value: Option<f64>, se: Option<f64>, name: &str| {
        let hundred = |share: f64| 100.0 * share;
        let figure = Figure::new(value.map(hundred), se.map(hundred), &found.reasons, name);
        vec![Value::plain(figure, "%")]
    };
    let of = |correct: u32| format!("{} of {}", correct, plural(found.items, "item"));
    quality(vec![
        row(
            "Right answers",
            percent(found.acc, found.acc_se, "acc"),
            format!("{}: {}", found.data, of(found.correct)),
        ),
        row(
            "… per character",
            percent(found.acc_norm, found.acc_norm_se, "acc_norm"),
            format!(
                "{}, choices' lengths evened out (acc_norm)",
                of(found.correct_norm)
            ),
        ),
    ])
}

fn cost_of_text(found: &Perplexity) -> Section {
    cost(
        &found.evaluation,
        &found.reasons,
        vec![pair(
            "Per scored token",
            (found.j_per_token_scored, found.j_per_token_scored_u95),
            (
                found.j_per_token_scored_net,
                found.j_per_token_scored_net_u95,
            ),
            &found.reasons,
            "j_per_token_scored",
            "context and scoring included",
        )],
    )
}

fn cost_of_answers(found: &Choice) -> Section {
    cost(
        &found.evaluation,
        &found.reasons,
        vec![
            pair(
                "Per item",
                (found.j_per_item, found.j_per_item_u95),
                (found.j_per_item_net, found.j_per_item_net_u95),
                &found.reasons,
                "j_per_item",
                "all its choices",
            ),
            pair(
                "Per right answer",
                (found.j_per_correct, found.j_per_correct_u95),
                (found.j_per_correct_net, found.j_per_correct_net_u95),
                &found.reasons,
                "j_per_correct",
                "all items ÷ those that were right",
            ),
        ],
    )
}

fn cost(evaluation: &Evaluation, reasons: &Reasons, mut rows: Vec<Row>) -> Section {
    let took = match (evaluation.duration_s, evaluation.power_w) {
        (Some(s), Some(watts)) => format!(" in {} at {watts:.2} W", seconds(s)),
        (Some(s), None) => format!(" in {}", seconds(s)),
        (None, _) => String::new(),
    };
    rows.push(pair(
        "The evaluation",
        (evaluation.energy_j, evaluation.energy_j_u95),
        (evaluation.energy_net_j, evaluation.energy_net_j_u95),
        reasons,
        "energy_j",
        &format!("{} tokens{took}", count(evaluation.tokens_evaluated)),
    ));
    Section {
        heading: match evaluation.repetitions {
            1 => "Energy".to_owned(),
            n => format!("Energy, mean of {n}"),
        },
        columns: vec!["gross ± u95".to_owned(), "net of idle ± u95".to_owned()],
        rows,
    }
}

type Uncertain = (Option<f64>, Option<f64>);

fn pair(
    label: &str,
    gross: Uncertain,
    net: Uncertain,
    reasons: &Reasons,
    name: &str,
    note: &str,
) -> Row {
    let net_name = match name {
        "energy_j" => "energy_net_j".to_owned(),
        name => format!("{name}_net"),
    };
    let gross = Figure::new(gross.0, gross.1, reasons, name);
    let net = Figure::new(net.0, net.1, reasons, &net_name);
    // What to do about a missing figure is worth more than what it is made of.
    let note = match gross {
        Figure::Missing(Some(why)) => reason::sentence(why),
        _ => note,
    };
    let joules = |figure| Value::of(figure, "J");
    row(label, vec![joules(gross), joules(net)], note)
}

fn plural(n: u32, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
