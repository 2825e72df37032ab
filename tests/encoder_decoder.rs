//! Encoder-decoder models (T5): they generate under measurement, write what another
//! implementation writes, and what can't be done with them is said. Through the real daemon.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

mod support;

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::daemon::STEADY;
use support::rig::{Rig, job};
use support::tiny_gguf::Damage;
use support::tiny_t5::{self, EMBEDDING, TinyT5};

const T5: &str = "tiny-t5.gguf";
const FIRST: &str = "tiny-first-t5.gguf";

/// Ten tokens, and the end that the tokenizer puts behind every text.
const PROMPT: &str = "translate the sky to a blue house.";

/// Tokens that the reference was asked for, at most.
const MOST: usize = 48;

/// The end of a sequence.
const END: i32 = 1;

/// A text and what the reference makes of it: tests/encoder_decoder/expected.json.
#[derive(Debug, PartialEq, Deserialize)]
struct Expected {
    model: String,
    text: String,
    /// Ids of tokens.
    prompt: Vec<i32>,
    output: Vec<i32>,
    /// Its text.
    written: String,
    /// By how much the likeliest token was ahead when that was least.
    margin: f64,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encoder_decoder")
}

fn expected() -> Vec<Expected> {
    let text = std::fs::read_to_string(folder().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Those that the reference has computed.
fn write_models(folder: &Path) {
    let first = TinyT5 {
        first: true,
        ..TinyT5::default()
    };
    TinyT5::default().write(&folder.join(T5)).unwrap();
    first.write(&folder.join(FIRST)).unwrap();
}

fn t5_job(id: &str, changes: Value) -> Value {
    let mut job = job(id, json!({"model": T5, "prompt": PROMPT}));
    let Value::Object(changes) = changes else {
        panic!("changes are an object");
    };
    job.as_object_mut().unwrap().extend(changes);
    job
}

#[test]
fn a_job_is_measured_like_any_other() {
    const PREDICTED: u32 = 400;
    let mut rig = Rig::start_with(STEADY, |daemon| write_models(&daemon.models()));
    let changes = json!({"n_predict": PREDICTED, "repetitions": 2, "warmup": 1});
    let result = rig.run(&t5_job("measured", changes));
    assert_eq!(result["state"], "succeeded", "{result}");
    assert_eq!(result["model"]["arch"], "t5");
    // Its encoder reads the prompt at once.
    assert_eq!(result["engine"]["n_ubatch"], result["engine"]["n_batch"]);

    let reps = result["reps"].as_array().unwrap();
    assert_eq!(reps.len(), 2);
    for rep in reps {
        assert_eq!(rep["output_tokens"], PREDICTED);
        assert_eq!(rep["stop_reason"], "length");
        assert_eq!(rep["output_sha256"], reps[0]["output_sha256"]);
        // What the encoder read; the token that the decoder began with is not among them.
        assert_eq!(rep["prefill"]["tokens"], 11, "{rep}");
        let decode = &rep["decode"];
        assert_eq!(decode["tokens"], PREDICTED - 1);
        let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{rep}"));
        if decode["energy_j"].is_null() {
            // A machine that is too busy has no time for its sensor.
            assert_eq!(decode["reasons"]["energy_j"], "coverage", "{rep}");
        } else {
            let energy = number(&decode["energy_j"]);
            // The sensor sees a steady 5 W.
            let power = energy / number(&decode["duration_s"]);
            assert!((power / 5.0 - 1.0).abs() < 0.02, "{power} W");
            assert!(number(&decode["energy_j_u95"]) > 0.0);
            let per_token = number(&rep["j_per_output_token"]);
            let tokens = f64::from(PREDICTED - 1);
            assert!((per_token * tokens / energy - 1.0).abs() < 1e-6, "{rep}");
            assert!(number(&rep["j_per_output_token_u95"]) > 0.0);
        }
        assert!(number(&rep["ttft_s"]) > 0.0);
        let known = result["board"]["memory_bandwidth_gb_s"].is_number();
        assert_eq!(rep["mbu"].is_number(), known);
        assert!(known || rep["reasons"]["mbu"] == "not-supported");
    }
    let model = &result["model"];
    assert_eq!(model["encoder_token_bytes"], EMBEDDING * 4);
    // Two blocks of the decoder, four heads with 32 elements of K and of V, 16 bits each.
    assert_eq!(model["kv_token_bytes"], 2 * 4 * (32 + 32) * 2);
    // llama.cpp gives the cache as many blocks as the encoder has.
    let blocks = u64::from(TinyT5::default().blocks);
    let cache = blocks * 4 * (32 + 32) * 2 * 2_048;
    assert_eq!(result["memory"]["kv_bytes"], cache);

    let records = rig.all_records("measured", "tokens");
    let tokens = records.iter().map(|record| {
        let tokens = record["tokens"].as_array().unwrap();
        tokens.len()
    });
    assert_eq!(tokens.sum::<usize>(), 2 * PREDICTED as usize);
    assert_eq!(records[0]["tokens"][0]["reason"], "in-prefill");
}

#[test]
fn the_tokens_are_those_of_another_implementation() {
    let mut rig = Rig::start_with(STEADY, |daemon| write_models(&daemon.models()));
    for (index, expected) in expected().iter().enumerate() {
        // Whatever rounds differently must not decide.
        assert!(expected.margin > 1e-3, "{expected:?}");
        let changes = json!({
            "model": expected.model, "prompt": expected.text, "n_predict": MOST,
            "ignore_eos": false, "repetitions": 2, "publish": {"text": true},
            "params": {"threads": 1, "flash_attn": "off", "kv_type": "f32"},
            "idle": {"before_s": 0, "after_s": 0},
        });
        let result = rig.run(&t5_job(&format!("like-{index}"), changes));
        assert_eq!(result["state"], "succeeded", "{result}");
        for rep in result["reps"].as_array().unwrap() {
            assert_eq!(
                rep["prompt_sha256"],
                sha256(&expected.prompt),
                "{expected:?}"
            );
            assert_eq!(
                rep["output_sha256"],
                sha256(&expected.output),
                "{expected:?}"
            );
            assert_eq!(rep["text"], expected.written);
            let ended = expected.output.last() == Some(&END);
            assert_eq!(rep["stop_reason"], if ended { "eog" } else { "length" });
        }
    }
}

/// Takes packages of 240 MB: `make encoder-decoder-reference`, which writes expected.json anew
/// with REFERENCE=write.
#[test]
#[ignore = "installs CTranslate2 and SentencePiece"]
fn the_reference_still_says_so() {
    let models = tempfile::tempdir().unwrap();
    write_models(models.path());
    let python = python();
    let found: Vec<Value> = expected()
        .iter()
        .map(|expected| {
            let output = Command::new(&python)
                .arg(folder().join("reference.py"))
                .arg(models.path().join(&expected.model))
                .args([MOST.to_string(), expected.text.clone()])
                .stderr(Stdio::inherit())
                .output()
                .unwrap();
            let mut found: Value = serde_json::from_slice(&output.stdout).unwrap();
            found["model"] = json!(expected.model);
            found["text"] = json!(expected.text);
            found
        })
        .collect();
    if std::env::var_os("REFERENCE").is_some_and(|value| value == "write") {
        let lines: Vec<String> = found.iter().map(Value::to_string).collect();
        let text = format!("[\n{}\n]\n", lines.join(",\n"));
        std::fs::write(folder().join("expected.json"), text).unwrap();
    }
    for (found, expected) in found.into_iter().zip(expected()) {
        let found: Expected = serde_json::from_value(found).unwrap();
        assert_eq!(found.prompt, expected.prompt, "{}", expected.text);
        assert_eq!(found.output, expected.output, "{}", expected.text);
        assert_eq!(found.written, expected.written);
        println!("{}: ahead by {:.4}", expected.text, found.margin);
    }
}

#[test]
fn what_cannot_be_done_is_said_and_the_board_goes_on() {
    let mut rig = Rig::start_with(STEADY, |daemon| {
        let models = daemon.models();
        write_models(&models);
        let other = |name: &str, model: TinyT5| model.write(&models.join(name)).unwrap();
        let damaged = |damage| TinyT5 {
            damage,
            ..TinyT5::default()
        };
        other("cut.gguf", damaged(Damage::Truncated(600_000)));
        other("deep.gguf", damaged(Damage::BlockCount(1_000)));
        other("nan.gguf", damaged(Damage::NanWeights));
        let boundless = TinyT5 {
            declared_decoder_blocks: 1_000,
            ..TinyT5::default()
        };
        other("boundless.gguf", boundless);
        let deeper = TinyT5 {
            blocks: 1,
            ..TinyT5::default()
        };
        other("deeper.gguf", deeper);
        let beginless = TinyT5 {
            start_token: None,
            ..TinyT5::default()
        };
        other("beginless.gguf", beginless);
        let encoder = tiny_t5::text_encoder_bytes();
        std::fs::write(models.join("encoder.gguf"), encoder).unwrap();
        std::fs::write(models.join("bert.gguf"), tiny_t5::bert_bytes()).unwrap();
    });
    let talk = json!([{"role": "user", "content": "why?"}]);
    let bench = json!({"id": "bench", "kind": "bench", "model": T5, "n_prompt": 16, "n_gen": 4,
        "repetitions": 1, "idle": {"before_s": 0.2, "after_s": 0.2}});
    let of = |id: &str, changes: Value| t5_job(id, changes);
    for (job, said) in [
        (bench, "can only generate"),
        (
            of("talk", json!({"prompt": null, "messages": talk})),
            "no chat template; send a prompt",
        ),
        (
            of("batch", json!({"params": {"threads": 1, "n_batch": 8}})),
            "its 11 tokens don't fit into n_batch 8",
        ),
        (
            of(
                "cache",
                json!({"params": {"threads": 1, "kv_type": "q8_0"}}),
            ),
            "use f16, bf16 or f32",
        ),
        (of("cut", json!({"model": "cut.gguf"})), "cut short"),
        (
            of("deep", json!({"model": "deep.gguf"})),
            "declares 1000 blocks and has the tensors of 3",
        ),
        (
            of("boundless", json!({"model": "boundless.gguf"})),
            "declares 1000 blocks and has the tensors of 2",
        ),
        (
            of("deeper", json!({"model": "deeper.gguf"})),
            "no decoder that is deeper than its encoder",
        ),
        (
            of("nan", json!({"model": "nan.gguf"})),
            "weights are damaged",
        ),
        (
            of("beginless", json!({"model": "beginless.gguf"})),
            "which token its decoder begins with",
        ),
        (
            of("encoder", json!({"model": "encoder.gguf"})),
            "it only encodes",
        ),
        (of("bert", json!({"model": "bert.gguf"})), "it only encodes"),
    ] {
        let result = rig.run(&job);
        assert_eq!(result["state"], "failed", "{result}");
        let reason = result["reason"].as_str().unwrap();
        assert!(reason.contains(said), "{said}: {reason}");
    }
    assert_eq!(rig.run(&of("sound", json!({})))["state"], "succeeded");
    assert!(rig.daemon.is_running());
}

/// Over the ids as 32-bit little endian, as in a result.
fn sha256(tokens: &[i32]) -> String {
    let mut hash = Sha256::new();
    for token in tokens {
        hash.update(token.to_le_bytes());
    }
    let digest = hash.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A Python that has what tests/encoder_decoder/requirements.txt lists.
fn python() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test-peers");
    let output = Command::new(script)
        .arg("encoder_decoder")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "scripts/test-peers failed");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
