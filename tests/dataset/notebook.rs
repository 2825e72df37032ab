//! The notebook, on records of a real daemon with a simulated sensor: its numbers are those
//! of `joulectl report`.

use super::support::rig::{Rig, job, of_job};
use super::support::tool::joulectl;
use super::{Message, in_repository, python, write};
use jouled::lab::dataset::Format;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

/// Draws more while it computes, so that there is an energy above idle.
const SENSOR: &str = "[[sensor]]\nname = \"input\"\nkind = \"simulated\"\n\
     boundary = \"board-input\"\nwaveform = \"cpu:0.4,1.2\"\nbus_v = 5.0\nshunt_ohm = 0.01\n\
     max_current_a = 2.0\n";

#[test]
fn the_notebook_shows_the_figures_of_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("lab");
    write(&root, Format::Parquet, "one", &measured());
    let found = execute(&root);
    let printed = found["printed"].to_string();
    assert!(printed.contains("SIMULATED"), "{printed}");
    let table = found["table"].as_array().unwrap();
    assert_eq!(table.len(), 2, "what doesn't count is left out: {table:#?}");
    let report = report(&root);
    for row in table {
        let n_ctx = row["n_ctx"].to_string();
        let of_report = report.iter().find(|of_report| of_report["n_ctx"] == n_ctx);
        let of_report = of_report.unwrap_or_else(|| panic!("no n_ctx {n_ctx}: {report:#?}"));
        assert_eq!(row["simulated"], true);
        for name in [
            "prefill_tok_s",
            "decode_tok_s",
            "ttft_s",
            "j_per_prompt_token",
            "j_per_prompt_token_u95",
            "j_per_output_token",
            "j_per_output_token_u95",
            "j_per_output_token_net",
            "j_per_output_token_net_u95",
        ] {
            same(&row[name], &of_report[name], name);
        }
    }
}

/// The rows of `joulectl report`'s table of configurations.
fn report(root: &Path) -> Vec<HashMap<String, String>> {
    let output = joulectl(&[
        "report",
        root.to_str().unwrap(),
        "--format",
        "csv",
        "--out",
        "-",
    ]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let mut rows = csv::Reader::from_reader(output.stdout.as_slice());
    rows.deserialize().map(Result::unwrap).collect()
}

/// The records of three jobs, of which two are of one configuration, and of one that does not
/// count. Whether this machine is busy now decides nothing here.
fn measured() -> Vec<Message> {
    let mut rig = Rig::start(SENSOR);
    let mut messages = Vec::new();
    for (id, n_ctx, left_out) in [
        ("one", 512, json!([])),
        ("two", 1024, json!([])),
        ("three", 512, json!([])),
        ("busy", 768, json!(["contended"])),
    ] {
        let n_predict = n_ctx / 2;
        let changes = json!({"n_predict": n_predict, "repetitions": 3,
            "params": {"threads": 1, "n_ctx": n_ctx}});
        let mut result = rig.run(&job(id, changes));
        result["left_out"] = left_out;
        let tokens = rig.all_records(id, "tokens");
        let records = tokens.iter().map(|record| ("tokens", record));
        for (kind, record) in records.chain([("result", &result)]) {
            messages.push(Message {
                topic: of_job(id, kind),
                payload: record.to_string().into_bytes(),
            });
        }
    }
    messages
}

/// Runs the notebook; where `NOTEBOOK_OUT` says so, the executed one is kept there.
fn execute(root: &Path) -> Value {
    let mut command = python();
    command
        .arg(in_repository("tests/dataset/notebook.py"))
        .arg(in_repository("notebooks/energy-per-token.ipynb"))
        .arg(root)
        .args(std::env::var_os("NOTEBOOK_OUT"));
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn same(found: &Value, expected: &str, name: &str) {
    match (found.as_f64(), expected.parse::<f64>().ok()) {
        (None, None) => {}
        (Some(found), Some(expected)) => {
            let off = (found - expected).abs();
            // Student's t has four digits in joulectl and all of them in scipy.
            let digits = if name.ends_with("_u95") { 1e-4 } else { 1e-9 };
            let close = digits * expected.abs();
            assert!(off <= close, "{name}: {found}, not {expected}");
        }
        other => panic!("{name}: {other:?}"),
    }
}
