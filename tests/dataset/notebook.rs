//! The notebook, on records of a real daemon with a simulated sensor: its numbers are those of
//! the records.

use super::support::rig::{Rig, job, of_job};
use super::{Message, in_repository, python, write};
use jouled::lab::dataset::{Dataset, Format};
use jouled::record::result::Statistic;
use serde_json::{Value, json};
use std::path::Path;

/// Draws more while it computes, so that there is an energy above idle.
const SENSOR: &str = "[[sensor]]\nname = \"input\"\nkind = \"simulated\"\n\
     boundary = \"board-input\"\nwaveform = \"cpu:0.4,1.2\"\nbus_v = 5.0\nshunt_ohm = 0.01\n\
     max_current_a = 2.0\n";

#[test]
fn the_notebook_shows_the_records_figures() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("lab");
    write(&root, Format::Parquet, "one", &measured());
    let found = execute(&root);
    let printed = found["printed"].to_string();
    assert!(printed.contains("SIMULATED"), "{printed}");
    let table = found["table"].as_array().unwrap();
    let results = Dataset::open(&[root]).unwrap().results().unwrap();
    let counted: Vec<_> = results
        .iter()
        .filter(|r| r.body.left_out.is_empty())
        .collect();
    assert_eq!((table.len(), counted.len()), (2, 2), "{table:#?}");
    for result in counted {
        let engine = result.body.engine.as_ref().unwrap();
        let row = table
            .iter()
            .find(|row| row["n_ctx"] == result.body.params.n_ctx);
        let row = row.unwrap_or_else(|| panic!("no row of {}: {table:#?}", result.body.id));
        assert_eq!(row["threads"], engine.threads);
        assert_eq!(row["simulated"], true);
        let summary = result.body.summary.as_ref().unwrap();
        for (name, statistic, has_u95) in [
            ("prefill_tok_s", &summary.prefill_tok_s, false),
            ("decode_tok_s", &summary.decode_tok_s, false),
            ("ttft_s", &summary.ttft_s, false),
            ("j_per_prompt_token", &summary.j_per_prompt_token, true),
            ("j_per_output_token", &summary.j_per_output_token, true),
            (
                "j_per_output_token_net",
                &summary.j_per_output_token_net,
                true,
            ),
        ] {
            same(&row[name], statistic.as_ref().map(|s| s.mean), name);
            if has_u95 {
                let u95 = |s: &Statistic| s.u95;
                same(
                    &row[format!("{name}_u95")],
                    statistic.as_ref().and_then(u95),
                    name,
                );
            }
        }
    }
}

/// Two jobs' records, and one of a run that does not count. Whether this machine is busy now
/// decides nothing here.
fn measured() -> Vec<Message> {
    let mut rig = Rig::start(SENSOR);
    let mut messages = Vec::new();
    for (n_ctx, left_out) in [
        (512, json!([])),
        (1024, json!([])),
        (768, json!(["contended"])),
    ] {
        let id = format!("ctx-{n_ctx}");
        let n_predict = n_ctx / 2;
        let changes = json!({"n_predict": n_predict, "repetitions": 3,
            "params": {"threads": 1, "n_ctx": n_ctx}});
        let mut result = rig.run(&job(&id, changes));
        result["left_out"] = left_out;
        let tokens = rig.all_records(&id, "tokens");
        let records = tokens.iter().map(|record| ("tokens", record));
        for (kind, record) in records.chain([("result", &result)]) {
            messages.push(Message {
                topic: of_job(&id, kind),
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

fn same(found: &Value, expected: Option<f64>, name: &str) {
    match (found.as_f64(), expected) {
        (None, None) => {}
        (Some(found), Some(expected)) => {
            let off = (found - expected).abs();
            assert!(
                off <= 1e-9 * expected.abs().max(1e-3),
                "{name}: {found}, not {expected}"
            );
        }
        other => panic!("{name}: {other:?}"),
    }
}
