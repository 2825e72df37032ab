use super::*;
use crate::lab::testing;
use crate::measure::testing::{Play, context, job, late_rail, on_the_wire, real_rail};
use crate::measure::{Ending, TokenBatches, records};
use crate::record::Reason;
use crate::runtime::protocol::StopReason;
use crate::sensor::RailSpec;
use crate::workload::Limits;

/// A result as a board makes it: `reps` repetitions of 24 tokens.
fn measured(spec: RailSpec, reps: u32) -> Stamped<JobResult> {
    let mut play = Play::begin();
    for rep in 1..=reps {
        play.generate(rep, 24, StopReason::Length);
    }
    play.worked();
    play.idle_after();
    let play = play.end(Ending::Succeeded);
    let job = job(|job| {
        job["n_predict"] = json!(24);
        job["repetitions"] = json!(reps);
    });
    let rails = [play.recorded(spec)];
    let made = records(
        &context(job),
        &play.observed,
        &rails,
        TokenBatches::default(),
    );
    serde_json::from_value(on_the_wire(made.result)).unwrap()
}

fn shown(record: &Stamped<JobResult>, figures: &[&str], width: usize) -> String {
    let options = Options {
        result: PathBuf::from("-"),
        figures: figures.iter().map(|figure| (*figure).to_owned()).collect(),
        list: false,
        json: false,
    };
    let mut shown = text::heading(&record.stamp, &record.body, width);
    for figure in self::figures(&options, &record.body).unwrap() {
        shown.push('\n');
        shown.push_str(&text::render(&figure, &record.body, width));
    }
    console::strip_ansi_codes(&shown).into_owned()
}

#[test]
fn the_headline_at_80_columns() {
    insta::assert_snapshot!(shown(&measured(real_rail("input"), 3), &[], 80));
}

#[test]
fn several_figures_at_120_columns() {
    let record = measured(real_rail("input"), 2);
    let figures = [
        "reps.2.decode.energy_j",
        "reps.1.j_per_prompt_token_net",
        "total.input",
        "idle.before",
        "load",
        "ttft_s",
        "reps.1.edp",
        "reps.1.mbu",
    ];
    insta::assert_snapshot!(shown(&record, &figures, 120));
}

#[test]
fn one_repetition_is_explained_by_itself() {
    let record = measured(real_rail("input"), 1);
    let text = shown(&record, &[], 80);
    assert!(text.contains("reps.1.j_per_output_token"), "{text}");
    let summary = shown(&record, &["j_per_output_token"], 120);
    assert!(
        summary.contains("one repetition has no spread"),
        "{summary}"
    );
    assert!(summary.contains("reps.1.j_per_output_token"), "{summary}");
}

/// Whatever a record holds, the parts make its u95.
#[test]
fn every_budget_agrees_with_its_record() {
    let mut coarse = real_rail("input");
    coarse.limits.refresh = crate::units::Span::from_millis(40);
    coarse.limits.blind_share = 0.11;
    coarse.limits.voltage_step = crate::units::Volts(0.004);
    for spec in [real_rail("input"), coarse, late_rail("input")] {
        let result = measured(spec, 3).body;
        let mut with_budget = 0;
        for path in lookup::list(&result) {
            let explained = explain(&result, &path).unwrap();
            assert_ne!(explained.agrees, Some(false), "{path}");
            with_budget += usize::from(explained.agrees == Some(true));
            let shares: f64 = explained.lines.iter().map(|line| line.share).sum();
            if explained.u.is_some_and(|u| u > 0.0) {
                assert!((shares - 1.0).abs() < 1e-9, "{path}");
            }
            assert!(
                explained
                    .lines
                    .iter()
                    .all(|line| line.kind != budget::Kind::Unknown),
                "{explained:?}"
            );
        }
        assert!(with_budget > 30, "{with_budget}");
    }
}

/// Its scatter is that of each step, its error the same in each repetition.
#[test]
fn a_corrected_delay_is_explained_by_itself() {
    let record = measured(late_rail("input"), 3);
    let figures = ["reps.1.decode.energy_j", "j_per_output_token"];
    let text = shown(&record, &figures, 120);
    assert!(text.contains("delay scatters by 1 ms"), "{text}");
    assert!(text.contains("delay of 20.0 ± 2.0 ms"), "{text}");
    assert!(!text.contains(" old"), "{text}");
    let summary = record.body.summary.expect("three repetitions");
    let statistic = summary.j_per_output_token.expect("measured");
    assert!(statistic.u_sys.is_some_and(|u| u > 0.0), "{statistic:?}");
}

#[test]
fn a_record_that_was_changed_is_told() {
    let mut record = measured(real_rail("input"), 1);
    let figures = &mut record.body.reps[0].figures;
    figures.j_per_output_token_u95 = figures.j_per_output_token_u95.map(|u95| 0.5 * u95);
    let text = shown(&record, &[], 80);
    assert!(text.contains("IS NOT the record's own u95"), "{text}");
}

#[test]
fn counts_that_can_not_be_do_not_panic() {
    let mut record = measured(real_rail("input"), 3);
    let summary = record.body.summary.as_mut().unwrap();
    summary.j_per_output_token.as_mut().unwrap().n = 0;
    let rep = &mut record.body.reps[0];
    rep.figures.j_per_token_all = Some(0.1);
    rep.figures.j_per_token_all_u95 = Some(0.01);
    rep.output_tokens = u32::MAX;
    let text = shown(
        &record,
        &["j_per_output_token", "reps.1.j_per_token_all"],
        80,
    );
    assert!(text.contains("÷ 4294967295"), "{text}");
}

#[test]
fn what_has_no_budget_says_why() {
    let text = shown(&testing::result(), &["reps.1.j_per_output_token"], 80);
    assert!(text.contains("SIMULATED"), "{text}");
    assert!(text.contains("holds no budget"), "{text}");

    let many = measured(real_rail("input"), Limits::default().repetitions);
    assert_eq!(many.body.reasons.get("budget"), Some(&Reason::TooLarge));
    let text = shown(&many, &["reps.1.decode.energy_j", "j_per_output_token"], 80);
    assert!(text.contains("too-large"), "{text}");
    // The summary keeps its own parts.
    assert!(text.contains("shared by all"), "{text}");
    assert!(!text.contains("IS NOT"), "{text}");
}

#[test]
fn a_missing_figure_says_what_to_do() {
    let figures = ["j_per_prompt_token", "reps.1.j_per_prompt_token_net"];
    let text = shown(&testing::result(), &figures, 80);
    assert!(text.contains("– too-coarse"), "{text}");
    assert!(text.contains("make it longer"), "{text}");
    assert!(text.contains("smaller than its noise"), "{text}");
}

#[test]
fn an_unknown_figure_names_the_nearest() {
    let result = testing::result().body;
    let error = unknown(&result, "reps.1.decode.enery_j").to_string();
    assert!(error.contains("reps.1.decode.energy_j"), "{error}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let record = measured(real_rail("input"), 2);
    let figures: Vec<String> = lookup::list(&record.body)
        .iter()
        .map(ToString::to_string)
        .collect();
    let figures: Vec<&str> = figures.iter().map(String::as_str).collect();
    for width in [60, 76, 80, 99, 120, 200] {
        for line in shown(&record, &figures, width).lines() {
            let columns = console::measure_text_width(line);
            assert!(columns <= width.min(120), "{columns} of {width}: {line}");
        }
    }
}
