//! The report as one HTML file that loads nothing: styles and script stand in it, and the
//! content security policy names them by their hashes and forbids everything else.

use super::assumptions::Assumptions;
use super::content::Report;
use super::csv;
use super::method::{METHOD, definitions};
use super::study::Study;
use crate::lab::{LabError, plot};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Serde;
use minijinja::{Environment, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Result records are put into the page up to so many bytes; beyond it they stay where they are.
const MOST_RECORDS: usize = 1024 * 1024;

/// A file that the page holds.
#[derive(Debug, Serialize)]
struct Download {
    name: &'static str,
    media: &'static str,
    /// In base64.
    content: String,
}

pub fn render(
    study: &Study,
    assumptions: &Assumptions,
    report: &Report,
) -> Result<String, LabError> {
    let style = format!("{}{}", plot::STYLE, include_str!("report.css"));
    let script = include_str!("sort.js");
    let (downloads, records_note) = downloads(study, assumptions);
    let mut environment = Environment::new();
    let templates = [
        ("report.html", include_str!("report.html")),
        ("svg.html", plot::SVG),
    ];
    for (name, text) in templates {
        environment
            .add_template(name, text)
            .expect("the template is right");
    }
    let page = environment
        .get_template("report.html")
        .expect("it was just added")
        .render(context! {
            report => Serde(report),
            method => Serde(METHOD),
            definitions => Serde(definitions()),
            downloads => Serde(&downloads),
            records_note,
            style_hash => hash(&style),
            script_hash => hash(script),
            style,
            script,
        });
    page.map_err(|error| LabError::Failed(format!("the report could not be made: {error:#}")))
}

/// As a content security policy names what it allows.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

fn downloads(study: &Study, assumptions: &Assumptions) -> (Vec<Download>, String) {
    let file = |name, media, content: &str| Download {
        name,
        media,
        content: STANDARD.encode(content),
    };
    let mut all = vec![
        file(
            "configurations.csv",
            "text/csv;charset=utf-8",
            &csv::configurations(study, assumptions),
        ),
        file("runs.csv", "text/csv;charset=utf-8", &csv::runs(study)),
    ];
    let mut records = String::new();
    for run in &study.runs {
        if records.len() > MOST_RECORDS {
            let note = "Their result records are too many for this page and stay there.";
            return (all, note.to_owned());
        }
        records += &String::from_utf8_lossy(&run.to_json());
        records.push('\n');
    }
    all.push(file(
        "results.jsonl",
        "application/jsonl;charset=utf-8",
        &records,
    ));
    (all, String::new())
}
