//! A report of invented runs: two boards, three quants, what is missing and what is marked.

use super::assumptions::Assumptions;
use super::content::{Report, traced};
use super::source::Source;
use super::study::{Marked, Study};
use super::{csv, markdown, page};
use crate::lab::testing::{self, studied};
use crate::record::Stamped;
use crate::record::result::JobResult;
use std::path::PathBuf;

fn report(runs: &[Stamped<JobResult>]) -> (Study, Report) {
    let dir = tempfile::tempdir().unwrap();
    for (at, run) in runs.iter().enumerate() {
        std::fs::write(dir.path().join(format!("run-{at}.json")), run.to_json()).unwrap();
    }
    let source = Source::open(&[dir.path().to_owned()]).unwrap();
    let study = Study::new(source.results().unwrap(), Marked::LeftOut);
    let details = source.details(&traced(&study)).unwrap();
    let mut links = source.links(dir.path());
    links.roots = vec![("results".to_owned(), "./results".to_owned())];
    let assumptions = Assumptions::default();
    let report = Report::new(&study, &assumptions, None, &details, &links);
    (study, report)
}

#[test]
fn the_report_in_markdown() {
    let (_, report) = report(&studied());
    insta::assert_snapshot!(markdown::render(&report));
}

#[test]
fn the_configurations_as_csv() {
    let (study, _) = report(&studied());
    let table = csv::configurations(&study, &Assumptions::default());
    let columns = |line: &str| line.matches(',').count();
    let width = columns(table.lines().next().unwrap());
    assert!(table.lines().all(|line| columns(line) == width));
    let heading: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    let wanted = [
        "configuration",
        "quant",
        "threads",
        "board",
        "runs",
        "left_out_runs",
        "standing",
        "decode_tok_s",
        "j_per_output_token",
        "j_per_output_token_u95",
        "j_per_output_token_n",
        "j_per_prompt_token",
        "j_per_prompt_token_n",
        "j_per_prompt_token_reason",
    ];
    let places = wanted.map(|name| heading.iter().position(|column| *column == name).unwrap());
    let chosen = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        places.map(|at| cells[at]).join(",")
    };
    let chosen: Vec<String> = table.lines().map(chosen).collect();
    insta::assert_snapshot!(chosen.join("\n"));
}

/// What is stated is in the table for programs too, and what is not has no column.
#[test]
fn the_csv_has_costs_and_verdicts() {
    let stated = r#"
[cost]
currency = "EUR"
electricity = { price_per_kwh = 0.36, source = "invented", date = "2026-11-22" }
[usability]
reading = { tokens_per_s = 5, source = "invented", date = "2026-11-22" }
acc = { data = "questions.jsonl", at_least = 0.5, source = "invented", date = "2026-11-22" }
"#;
    let assumptions = Assumptions::parse(stated).unwrap();
    let (study, _) = report(&studied());
    let table = csv::configurations(&study, &assumptions);
    let mut rows = ::csv::Reader::from_reader(table.as_bytes());
    let heading = rows.headers().unwrap().clone();
    let first = rows.records().next().unwrap().unwrap();
    let cell = |name: &str| &first[heading.iter().position(|at| at == name).unwrap()];
    let joules: f64 = cell("j_per_output_token_all_in").parse().unwrap();
    let energy: f64 = cell("cost_energy_per_mtok").parse().unwrap();
    assert!((energy - joules / 3.6 * 0.36).abs() < 1e-12, "{energy}");
    assert_eq!(cell("cost_total_per_mtok"), cell("cost_energy_per_mtok"));
    assert_eq!(cell("cost_hardware_per_mtok"), "");
    assert_eq!(
        cell("cost_hardware_per_mtok_reason"),
        "not-stated: cost.hardware"
    );
    assert_eq!(
        (cell("cost_currency"), cell("cost_tokens_of")),
        ("EUR", "requests")
    );
    assert_eq!(cell("usable_reading_speed"), "pass");
    assert_eq!(cell("usable_acc_on_questions_jsonl"), "unknown");
    assert_eq!(cell("usable"), "unknown");
}

#[test]
fn the_page_loads_nothing_and_says_what_is_simulated() {
    let (study, report) = report(&studied());
    let page = page::render(&study, &Assumptions::default(), &report).unwrap();
    for loading in ["src=", "href=\"http", "@import", "url(", "style=\""] {
        assert!(!page.contains(loading), "{loading}");
    }
    assert!(page.contains("SIMULATED: "));
    assert!(page.contains("– below-noise"));
    assert!(page.contains("Pareto front"));
    assert!(page.contains("default-src 'none'"));
    if let Some(path) = std::env::var_os("JOULED_TEST_PAGE") {
        std::fs::write(PathBuf::from(path), page).unwrap();
    }
}

#[test]
fn text_of_records_stays_text() {
    let evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>|*`";
    let mut runs = studied();
    for run in &mut runs {
        run.body.warnings = vec![evil.to_owned()];
        run.body.model.as_mut().unwrap().name = evil.to_owned();
        run.body.rails[0].name = evil.to_owned();
        run.body.primary_rail = Some(evil.to_owned());
        run.body.board.model = Some(evil.to_owned());
    }
    let (study, report) = report(&runs);
    let page = page::render(&study, &Assumptions::default(), &report).unwrap();
    assert!(!page.contains("<script>alert") && !page.contains("<img"));
    let text = markdown::render(&report);
    assert!(!text.replace("\\<", "").contains("<img"), "{text}");
}

/// Numbers of one result stay those of `joulectl submit`'s table.
#[test]
fn one_result_is_a_report_too() {
    let (study, report) = report(&[testing::result()]);
    assert_eq!(study.configurations.len(), 1);
    assert!(report.findings.is_none());
    assert_eq!(report.headline[0].1, "47.25 ± 0.70 mJ");
    assert!(report.banners[1].starts_with("LEFT OUT: 1 run was contended"));
    assert!(
        page::render(&study, &Assumptions::default(), &report)
            .unwrap()
            .contains("47.25 ± 0.70")
    );
}
