//! `joulectl report`: what it writes from result records and from a dataset, and how it looks in
//! a browser.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "lab")]

#[path = "common/canned.rs"]
mod canned;
#[path = "report/colours.rs"]
mod colours;
#[path = "common/studied.rs"]
mod studied;
mod support;

use jouled::lab::dataset::{Format, Record, Rows};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::tool::joulectl;

/// Results in files of their own, as `joulectl submit --out` leaves them.
fn results(dir: &Path) -> PathBuf {
    let folder = dir.join("results");
    std::fs::create_dir(&folder).unwrap();
    let one = canned::result("pi5-01", "smol-1");
    for (at, run) in studied::studied(&one).iter().enumerate() {
        std::fs::write(folder.join(format!("{at}.json")), run.to_json()).unwrap();
    }
    folder
}

/// The same results as `joulectl collect` keeps them, and one with its tokens and its trace.
fn dataset(dir: &Path) -> PathBuf {
    let (device, id) = ("pi5-01", "smol-1");
    let mut one = canned::result(device, id);
    let all = studied::studied(&one);
    one.body.left_out.clear();
    let mut rows = Rows::default();
    let mut keep = |device: &str, id: &str, kind: &str, payload: &[u8]| {
        let topic = format!("jouled/{device}/jobs/{id}/{kind}");
        rows.add(&Record::parse("jouled", &topic, payload).unwrap().unwrap());
    };
    for run in all.iter().chain([&one]) {
        keep(&run.stamp.device, &run.body.id, "result", &run.to_json());
    }
    for tokens in canned::tokens(device, id) {
        keep(device, id, "tokens", &tokens.to_json());
    }
    for chunk in canned::trace(device, id) {
        keep(device, id, "trace", &chunk.to_json());
    }
    let root = dir.join("dataset");
    rows.write(&root, Format::Parquet, &"a".parse().unwrap())
        .unwrap();
    root
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_folder_of_results_becomes_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let folder = results(dir.path());
    let out = dir.path().join("study.html");
    let done = joulectl(&["report", text(&folder), "--out", text(&out)]);
    assert!(done.status.success(), "{done:?}");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        said.contains("24 runs in 12 configurations, 4 marked"),
        "{said}"
    );
    let page = std::fs::read_to_string(&out).unwrap();
    assert!(page.contains("12 of 24 runs have power from a simulated sensor"));
    assert!(
        page.contains("href=\".&#x2f;results"),
        "the way to the records"
    );
    // What a reader may take along.
    for download in ["configurations.csv", "runs.csv", "results.jsonl"] {
        assert!(
            page.contains(&format!("download=\"{download}\"")),
            "{download}"
        );
    }
}

#[test]
fn a_dataset_brings_power_over_time_and_the_energy_of_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let root = dataset(dir.path());
    let out = dir.path().join("study.html");
    let done = joulectl(&["report", text(&root), "--out", text(&out)]);
    assert!(done.status.success(), "{done:?}");
    let page = std::fs::read_to_string(&out).unwrap();
    for picture in [
        "Power over the whole attempt, rail input",
        "Power over repetition",
        "Energy of each token of repetition",
    ] {
        assert!(page.contains(picture), "{picture}");
    }
    assert!(page.contains("25 runs with 75 repetitions in 12 configurations"));
}

#[test]
fn the_name_of_the_file_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let folder = results(dir.path());
    let markdown = dir.path().join("study.md");
    let done = joulectl(&[
        "report",
        text(&folder),
        "--out",
        text(&markdown),
        "--title",
        "Figure 3",
    ]);
    assert!(done.status.success(), "{done:?}");
    assert!(
        std::fs::read_to_string(&markdown)
            .unwrap()
            .starts_with("# Figure 3\n")
    );
    let csv = stdout(&joulectl(&["report", text(&folder), "--format", "csv"]));
    assert_eq!(csv.lines().count(), 13);
    let html = stdout(&joulectl(&["report", text(&folder), "--out", "-"]));
    assert!(html.starts_with("<!doctype html>"), "{}", &html[..80]);
}

/// Invented prices and bounds, and a value of somebody else.
const STATED: &str = r#"
[cost]
currency = "EUR"
electricity = { price_per_kwh = 0.30, source = "invented", date = "2026-11-01" }
life = { years = 4, source = "invented", date = "2026-11-01" }
utilisation = { share = 0.2, between_uses = "idle", source = "invented", date = "2026-11-01" }

[[cost.hardware]]
price = 90
source = "invented"
date = "2026-11-01"

[[cost.hardware]]
price = 300
boards = ["orin-03"]
source = "invented"
date = "2026-11-01"

[[cost.api]]
name = "some service"
input_per_million = 0.10
output_per_million = 0.40
source = "invented"
date = "2026-11-01"

[usability]
reading = { words_per_minute = 9000, tokens_per_word = 1.4, source = "invented", date = "2026-11-01" }
ttft = { at_most_s = 0.03, source = "invented", date = "2026-11-01" }
load_warm = { at_most_s = 5, source = "invented", date = "2026-11-01" }
battery = { wh = 50, source = "invented", date = "2026-11-01" }

[[reference]]
figure = "j_per_output_token"
model = "Some model 135M"
quant = "Q4_1"
device = "Some board"
value = 71
unit = "mJ"
boundary = "board-input"
source = "an invented paper, table 1"
basis = "read"

[[reference]]
figure = "decode_tok_s"
model = "Some model 135M"
device = "Some large board"
value = 9000
unit = "tok/s"
source = "somebody's account of an invented paper"
basis = "second-hand"
"#;

#[test]
fn what_is_stated_becomes_guidance() {
    let dir = tempfile::tempdir().unwrap();
    let folder = results(dir.path());
    let stated = dir.path().join("stated.toml");
    std::fs::write(&stated, STATED).unwrap();
    let report = |format: &str| {
        let words = ["report", text(&folder), "--assumptions", text(&stated)];
        let more = ["--format", format, "--out", "-"];
        stdout(&joulectl(&[&words[..], &more].concat()))
    };
    let markdown = report("md");
    for heading in [
        "Recommended configuration",
        "Usability",
        "Cost of a million output tokens",
        "Beside what APIs charge for the same tokens",
        "What the cheapest costs if it is used more or less",
        "Assumptions",
        "Values of others",
    ] {
        assert!(markdown.contains(&format!("## {heading}\n")), "{heading}");
    }
    assert!(markdown.contains("NOT TOLD APART") || markdown.contains("times as much"));
    let page = report("html");
    assert!(page.contains("id=\"guidance\""));
    assert!(page.contains("value of others, not measured here"));
    assert!(page.contains("→ beyond"), "a far value is written");
    let without = stdout(&joulectl(&["report", text(&folder), "--format", "md"]));
    assert!(without.contains("No prices and no thresholds are stated"));
    assert!(!without.contains("## Cost"));
}

#[test]
fn a_wrong_assumption_is_named_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let folder = results(dir.path());
    let stated = dir.path().join("stated.toml");
    std::fs::write(&stated, STATED.replace("price_per_kwh", "price_per_kw")).unwrap();
    let done = joulectl(&[
        "report",
        text(&folder),
        "--assumptions",
        text(&stated),
        "--out",
        "-",
    ]);
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("stated.toml, line 4"), "{said}");
    assert!(said.contains("`price_per_kwh`"), "{said}");
}

#[test]
fn marked_runs_count_when_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let folder = results(dir.path());
    let csv = |more: &[&str]| {
        let words = ["report", text(&folder), "--format", "csv"];
        stdout(&joulectl(&[&words[..], more].concat()))
    };
    assert_eq!(csv(&[]).matches(",only-marked,").count(), 1);
    assert_eq!(
        csv(&["--include-marked"]).matches(",only-marked,").count(),
        0
    );
}

#[test]
fn the_same_result_twice_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let one = canned::result("pi5-01", "smol-1");
    let path = |name: &str| dir.path().join(name);
    for name in ["a.json", "b.json"] {
        std::fs::write(path(name), one.to_json()).unwrap();
    }
    let words = [
        "report",
        text(&path("a.json")),
        text(&path("b.json")),
        "--format",
        "md",
    ]
    .map(str::to_owned);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert!(stdout(&joulectl(&words)).contains("1 run with 3 repetitions"));
}

#[test]
fn what_is_no_data_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let note = dir.path().join("note.json");
    std::fs::write(&note, "{\"v\":1}").unwrap();
    for path in [&empty, &note, &dir.path().join("absent")] {
        let done = joulectl(&["report", text(path), "--out", "-"]);
        assert_eq!(done.status.code(), Some(2), "{done:?}");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(said.contains(text(path)), "{said}");
    }
}

#[test]
fn a_report_that_can_t_be_written_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let folder = results(dir.path());
    let done = joulectl(&["report", text(&folder), "--out", "/nonexistent/report.html"]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("/nonexistent/report.html"));
}

/// `make report-test`: the demo's page, a report of the demo, and one of many configurations.
#[cfg(feature = "llama")]
#[test]
#[ignore = "make report-test: needs Chromium, and a minute of measuring"]
fn a_browser_finds_the_reports_self_contained_and_accessible() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    // It has time limits of its own, and ends what it has started.
    let demo = Command::new(env!("CARGO_BIN_EXE_joulectl"))
        .args(["demo", "--out", text(&path("demo-page.html"))])
        .status();
    assert!(demo.unwrap().success());
    let record = path("demo-page.json");
    let study = dataset(dir.path());
    let stated = path("stated.toml");
    std::fs::write(&stated, STATED).unwrap();
    for (from, to) in [(&record, "demo-report.html"), (&study, "report.html")] {
        let words = ["report", text(from), "--assumptions", text(&stated)];
        let done = joulectl(&[&words[..], &["--out", text(&path(to))]].concat());
        assert!(done.status.success(), "{done:?}");
    }
    let mut node = Command::new("node");
    node.arg("tests/browser/look.cjs");
    if let Some(pictures) = std::env::var_os("SCREENSHOTS").filter(|dir| !dir.is_empty()) {
        node.arg("--pictures").arg(pictures);
    }
    for page in ["demo-page.html", "demo-report.html", "report.html"] {
        node.arg(path(page));
    }
    assert!(node.status().unwrap().success());
}
