//! What a `perplexity` or a `choice` found, and what finding it took.

use super::{Row, Section, Value, row};
use crate::lab::figure::{Figure, count, seconds};
use crate::lab::reason;
use crate::record::Reason;
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
        Figure::Missing(Some(Reason::TooFew)) => "no answer was right",
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

#[cfg(test)]
mod tests {
    use super::super::Sheet;
    use super::*;
    use crate::lab::{table, testing};
    use serde_json::{Value as Json, json};

    fn evaluation() -> Json {
        json!({"data": "arc.jsonl", "data_sha256": "12", "data_bytes": 4096, "repetitions": 2,
            "tokens_evaluated": 5632, "duration_s": 13.25, "energy_j": 86.1, "energy_j_u95": 1.4,
            "energy_net_j": 46.3, "energy_net_j_u95": 1.1, "power_w": 6.498, "power_w_u95": 0.11,
            "reasons": {}})
    }

    fn shown(kind: Kind, change: impl FnOnce(&mut JobResult)) -> String {
        let mut record = testing::result();
        record.body.kind = kind;
        change(&mut record.body);
        let text = table::render(&Sheet::new(&record.stamp, &record.body), 100);
        let text = console::strip_ansi_codes(&text).into_owned();
        // What is the same for every kind is shown elsewhere.
        let quality = text.split("\n\n").take(3);
        quality.collect::<Vec<_>>().join("\n\n")
    }

    fn with<T: serde::de::DeserializeOwned>(fields: Json) -> Option<T> {
        let mut block = evaluation();
        let (Json::Object(block_fields), Json::Object(fields)) = (&mut block, fields) else {
            unreachable!("both are objects")
        };
        block_fields.extend(fields);
        Some(serde_json::from_value(block).expect("a block"))
    }

    #[test]
    fn a_perplexity() {
        let text = shown(Kind::Perplexity, |result| {
            result.perplexity = with(json!({"n_ctx": 512, "chunks": 11, "tokens_scored": 2805,
                "perplexity": 14.2071, "perplexity_se": 0.3127, "nll_mean": 2.6537,
                "nll_mean_se": 0.022, "j_per_token_scored": 0.0307,
                "j_per_token_scored_u95": 0.0005, "j_per_token_scored_net": 0.0165,
                "j_per_token_scored_net_u95": 0.0004}));
        });
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_choice_without_a_right_answer() {
        let text = shown(Kind::Choice, |result| {
            result.choice = with(
                json!({"items": 200, "correct": 0, "acc": 0.0, "acc_se": 0.0,
                "correct_norm": 61, "acc_norm": 0.305, "acc_norm_se": 0.0326,
                "correct_bytes": 61, "acc_bytes": 0.305, "acc_bytes_se": 0.0326,
                "j_per_item": 0.4305, "j_per_item_u95": 0.007, "j_per_item_net": 0.2315,
                "j_per_item_net_u95": 0.0055, "j_per_correct": null,
                "reasons": {"j_per_correct": "too-few", "j_per_correct_net": "too-few"}}),
            );
        });
        insta::assert_snapshot!(text);
    }

    #[test]
    fn nothing_scored_says_why() {
        let text = shown(Kind::Choice, |result| {
            let reasons = &mut result.reasons;
            reasons.insert("choice".to_owned(), Reason::NotReached);
        });
        assert!(text.contains("Right answers"), "{text}");
        assert!(text.contains("– not-reached"), "{text}");
        assert!(!text.contains("Per output token"), "{text}");
    }
}
