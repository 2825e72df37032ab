use super::super::assumptions::Assumptions;
use super::super::study::{Marked, Study};
use super::*;
use crate::lab::testing;
use crate::record::Stamped;
use crate::record::result::{JobResult, Statistic};

const STATED: &str = r#"
[cost]
currency = "EUR"
electricity = { price_per_kwh = 0.36, source = "invented", date = "2026-11-22" }
supply = { efficiency = 0.9, source = "invented", date = "2026-11-22" }
hardware = [{ price = 100, source = "invented", date = "2026-11-22" }]
life = { years = 4, source = "invented", date = "2026-11-22" }
utilisation = { share = 0.25, between_uses = "idle", source = "invented", date = "2026-11-22" }

[[cost.api]]
name = "somebody"
input_per_million = 0.1
output_per_million = 0.4
source = "invented"
date = "2026-11-22"
"#;

fn stated(text: &str) -> Cost {
    Assumptions::parse(text).unwrap().cost.unwrap()
}

/// 0.9 J of a whole request's output token at 10 tok/s, 4 W of idle power, 20 tokens of prompt for
/// 10 of output.
fn run() -> Stamped<JobResult> {
    let mut run = testing::result();
    run.body.left_out.clear();
    for rep in &mut run.body.reps {
        rep.output_tokens = 10;
        rep.figures.j_per_output_token_all_in = Some(0.9);
        rep.figures.j_per_output_token_all_in_u95 = Some(0.045);
        let (prefill, decode) = (rep.prefill.as_mut().unwrap(), rep.decode.as_mut().unwrap());
        prefill.tokens = 20;
        (prefill.duration_s, decode.duration_s) = (0.1, 0.9);
    }
    let summary = run.body.summary.as_mut().unwrap();
    summary.j_per_output_token_all_in = Some(Statistic {
        n: 3,
        median: 0.9,
        mean: 0.9,
        sd: Some(0.0),
        iqr: None,
        u95: Some(0.045),
        u_sys: Some(0.0225),
    });
    let before = run.body.idle.before.as_mut().unwrap();
    (before.power_w, before.power_w_u95) = (Some(4.0), Some(0.04));
    run
}

fn study(run: Stamped<JobResult>) -> Study {
    Study::new(vec![run], Marked::LeftOut)
}

fn close(known: Known, value: f64, u95: f64) {
    let found = known.unwrap();
    assert!((found.value - value).abs() < 1e-9 * value, "{found:?}");
    assert!((found.u95.unwrap() - u95).abs() < 1e-9 * value, "{found:?}");
}

/// By hand. Energy: 0.9 MJ ÷ 3.6 × 0.36 ÷ 0.9 = 0.1 EUR, of which 5 % are uncertain. Hardware: 4
/// years of 31 557 600 s at a quarter and 10 tok/s are 315.576 million tokens for 100 EUR. Between
/// uses: 3 s of 4 W to each second of 10 tokens are 1.2 J a token, four thirds of 0.1 EUR, 1 %
/// uncertain.
#[test]
fn a_million_tokens_by_hand() {
    let study = study(run());
    let found = costs(&stated(STATED), &study.configurations[0], "generic");
    assert_eq!(found.basis, Basis::Request);
    close(found.energy, 0.1, 0.005);
    close(found.hardware, 100.0 / 315.576, 0.0);
    close(found.between_uses, 0.4 / 3.0, 0.004 / 3.0);
    let total = 0.1 + 100.0 / 315.576 + 0.4 / 3.0;
    close(found.total, total, 0.005 + 0.004 / 3.0);
}

/// 0.4 for the output and, with two prompt tokens each, 0.2 for the input.
#[test]
fn an_api_is_paid_for_prompts_too() {
    let cost = stated(STATED);
    let study = study(run());
    let configuration = &study.configurations[0];
    let charged = charge(&cost.api[0], configuration, Basis::Request).unwrap();
    assert!((charged - 0.6).abs() < 1e-12, "{charged}");
    assert_eq!(
        charge(&cost.api[0], configuration, Basis::Decode),
        Some(0.4)
    );
    let tables = tables(&cost, &study);
    let share: Vec<&str> = tables[1].rows[0]
        .iter()
        .map(|cell| cell.text.as_str())
        .collect();
    assert_eq!(share[1], "0.917 ± 0.011");
}

#[test]
fn what_nobody_states_enters_no_sum_and_is_named() {
    let study = study(run());
    let only = "[cost]\ncurrency = \"EUR\"\nelectricity = { price_per_kwh = 0.36, source = \"x\", \
                date = \"2026-11-22\" }\n";
    let cost = stated(only);
    let found = costs(&cost, &study.configurations[0], "generic");
    assert_eq!(found.hardware, Err(Missing::NotStated("cost.hardware")));
    // Without the supply's losses.
    close(found.total, 0.09, 0.0045);
    let table = &tables(&cost, &study)[0];
    assert!(
        table
            .columns
            .iter()
            .all(|column| column.heading != "hardware")
    );
    assert!(
        table
            .notes
            .iter()
            .any(|note| note.contains("cost.hardware is not stated"))
    );
    assert!(
        table
            .notes
            .iter()
            .any(|note| note.contains("cost.supply is not stated"))
    );
    let nothing = costs(
        &stated("[cost]\ncurrency = \"EUR\"\n"),
        &study.configurations[0],
        "",
    );
    assert_eq!(nothing.total, Err(Missing::NotStated("cost.electricity")));
}

#[test]
fn what_was_not_measured_leaves_no_sum() {
    let mut run = run();
    run.body.idle.before = None;
    let study = study(run);
    let found = costs(&stated(STATED), &study.configurations[0], "generic");
    assert!(found.energy.is_ok());
    assert!(matches!(found.total, Err(Missing::NotMeasured(_))));
}

#[test]
fn use_makes_hardware_cheap() {
    let cost = stated(STATED);
    let study = study(run());
    let found = tables(&cost, &study);
    let table = found
        .iter()
        .find(|table| table.id == "sensitivity")
        .unwrap();
    let totals: Vec<f64> = table.rows.iter().filter_map(|row| row[3].value).collect();
    assert_eq!(totals.len(), 6);
    assert!(
        totals.windows(2).all(|pair| pair[0] > pair[1]),
        "{totals:?}"
    );
    assert_eq!(table.rows[3][1].text, "25 % (stated)");
    // In use all the time there is nothing between: what energy leaves open is known.
    assert!(table.rows[5][3].text.contains('±'), "{:?}", table.rows[5]);
}
