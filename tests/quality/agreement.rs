//! On a real model: llama-perplexity's own figure, and lm-evaluation-harness's own choices.
//! `make quality-test` builds and installs both and shows the figures side by side.

use super::support::rig::{Rig, of_job, topic};
use super::support::smollm2;
use super::support::tool::joulectl;
use super::{in_repository, items, job, put, reference, rig};
use jouled::lab::model;
use serde_json::{Value, json};
use std::process::Command;

/// Fields of a job with the model as it is.
fn as_it_is() -> Value {
    json!({"model": model::DEFAULT.name,
        "params": {"threads": 2, "n_ctx": 512, "n_batch": 512}})
}

/// Fields of a job whose sums are 32-bit floats throughout, as the reference's: kernels for 4-bit
/// weights round what they multiply them with to 8 bits, which decides between choices that are
/// near to each other.
fn in_full() -> Value {
    json!({"model": IN_FULL,
        "params": {"threads": 2, "n_ctx": 512, "n_batch": 512, "kv_type": "f32",
            "flash_attn": "off"}})
}

const IN_FULL: &str = "SmolLM2-135M-Instruct.F32.gguf";

/// The model's weights, which are of 4 bits, as 32-bit floats: a board's own model.
fn write_in_full(rig: &Rig) {
    let directory = rig.daemon.models();
    let output = joulectl(&[
        "models",
        "quantize",
        smollm2::file().to_str().unwrap(),
        "--to",
        "F32",
        "--allow-requantize",
        "--out",
        directory.to_str().unwrap(),
        "--worker",
        env!("CARGO_BIN_EXE_jouled-worker"),
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn rig_with_the_model() -> Rig {
    let rig = rig();
    let place = rig.daemon.models().join(model::DEFAULT.name);
    std::fs::copy(smollm2::file(), place).unwrap();
    rig
}

fn run(rig: &mut Rig, id: &str, kind: &str, data: &str, mut changes: Value) -> Value {
    // Signs of life leave meanwhile.
    changes["publish"] = json!({"tokens": "live"});
    rig.submit(&job(id, kind, data, changes));
    let result = result(rig, id);
    assert_eq!(result["state"], "succeeded", "{result}");
    result
}

/// A real model on a busy machine takes longer than anything else that a rig waits for.
fn result(rig: &mut Rig, id: &str) -> Value {
    let health = topic("health");
    let done = of_job(id, "result");
    let mut last = jouled::clock::now();
    for _ in 0..360 {
        let seen = rig.lab.wait("a sign of life", |seen| {
            seen.topic == done || (seen.topic == health && seen.at > last)
        });
        if seen.topic == done {
            return seen.json();
        }
        last = seen.at;
    }
    panic!("{id} takes more than an hour");
}

/// What stands between two words of a program's output.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text
        .split_once(before)
        .unwrap_or_else(|| panic!("{text}"))
        .1;
    rest.split_once(after).unwrap().0.trim()
}

#[test]
#[ignore = "builds llama-perplexity: make quality-test"]
fn a_perplexity_is_llama_perplexitys() {
    let made = Command::new(in_repository("scripts/reference-llama-bench"))
        .arg("llama-perplexity")
        .status()
        .unwrap();
    assert!(made.success());
    let program = model::directory().unwrap().with_file_name("reference");
    let program = program.join("llama-perplexity");
    let text = in_repository("docs/worker-protocol.md");
    let mut rig = rig_with_the_model();
    put(&rig, "text.md", std::fs::read(&text).unwrap());
    let result = run(&mut rig, "ppl", "perplexity", "text.md", as_it_is());
    let found = &result["perplexity"];

    let output = Command::new(program)
        .arg("-m")
        .arg(smollm2::file())
        .arg("-f")
        .arg(&text)
        .args(["-c", "512", "-b", "512", "-t", "2"])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{said}");
    let theirs: f64 = between(&said, "PPL = ", "+/-").parse().unwrap();
    let their_error: f64 = between(&said, "+/- ", "\n").parse().unwrap();
    let ours = found["perplexity"].as_f64().unwrap();
    let our_error = found["perplexity_se"].as_f64().unwrap();
    let apart = ours / theirs - 1.0;
    println!(
        "SmolLM2-135M-Instruct Q4_1, {}, {} chunks of 512, {} tokens scored\n\
         llama-perplexity  PPL = {theirs:.4} +/- {their_error:.5}\n\
         jouled            PPL = {ours:.4} +/- {our_error:.5}   ({:+.4} %)\n\
         jouled            {} J a scored token (simulated sensor)",
        text.file_name().unwrap().display(),
        found["chunks"],
        found["tokens_scored"],
        100.0 * apart,
        found["j_per_token_scored"],
    );
    assert!(apart.abs() < 0.005, "{apart}");
    assert!((our_error / their_error - 1.0).abs() < 0.01);
}

#[test]
#[ignore = "installs lm-evaluation-harness: make quality-test"]
fn choices_are_lm_evaluation_harnesss() {
    let mut rig = rig_with_the_model();
    let path = put(&rig, "items.jsonl", items());
    write_in_full(&rig);
    let result = run(&mut rig, "choice", "choice", "items.jsonl", in_full());
    let found = &result["choice"];
    let quantised = run(&mut rig, "quantised", "choice", "items.jsonl", as_it_is());
    let model = smollm2::file();
    let arguments = [model.to_str().unwrap(), path.to_str().unwrap()];
    let harness = &reference("harness", "tests/harness/choices.py", &arguments)[0];

    let gold: Vec<u64> = items()
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["gold"]
                .as_u64()
                .unwrap()
        })
        .collect();
    let picked = |name: &str| found[name].as_array().unwrap().clone();
    let right = |name: &str| -> Vec<bool> {
        let picked = picked(name);
        picked
            .iter()
            .zip(&gold)
            .map(|(pick, gold)| pick.as_u64() == Some(*gold))
            .collect()
    };
    let likelihoods = harness["ln_p"].as_array().unwrap();
    // How close the second choice came where it was closest.
    let margins = likelihoods.iter().map(|item| {
        let mut ln_p: Vec<f64> = item
            .as_array()
            .unwrap()
            .iter()
            .map(|l| l.as_f64().unwrap())
            .collect();
        ln_p.sort_by(|a, b| b.total_cmp(a));
        ln_p[0] - ln_p[1]
    });
    let closest = margins.fold(f64::INFINITY, f64::min);
    let likeliest: Vec<Value> = likelihoods
        .iter()
        .map(|item| {
            let ln_p = item.as_array().unwrap().iter().map(|l| l.as_f64().unwrap());
            let best = ln_p
                .enumerate()
                .reduce(|a, b| if b.1 > a.1 { b } else { a });
            json!(best.unwrap().0)
        })
        .collect();
    println!(
        "{} items; the closest two choices are {closest:.3} nats apart",
        gold.len()
    );
    for name in ["acc", "acc_norm", "acc_bytes"] {
        println!(
            "{name:<10} harness {}   jouled {}",
            harness[name], found[name]
        );
    }
    println!(
        "acc stderr harness {}   jouled {}",
        harness["acc_stderr"], found["acc_se"]
    );
    let same = quantised["choice"]["picked"].as_array().unwrap().iter();
    let same = same.zip(&likeliest).filter(|(ours, theirs)| ours == theirs);
    println!(
        "with kernels for 4-bit weights {} of {} choices are the same",
        same.count(),
        likeliest.len()
    );
    assert_eq!(picked("picked"), likeliest);
    assert_eq!(json!(right("picked")), harness["right"]);
    assert_eq!(json!(right("picked_norm")), harness["right_norm"]);
    for (theirs, ours) in [
        ("acc", "acc"),
        ("acc_stderr", "acc_se"),
        ("acc_norm", "acc_norm"),
        ("acc_norm_stderr", "acc_norm_se"),
        ("acc_bytes", "acc_bytes"),
    ] {
        super::near(&found[ours], &harness[theirs], 1e-9);
    }
}
