//! `joulectl models quantize` and `verify`.

use super::support::daemon::eventually;
use super::support::tiny_gguf::{self, Damage};
use super::support::tool::joulectl;
use super::{catalogue, files, provenance, refusal, sha256, succeeded, text};
use jouled::runtime::gguf::Header;
use jouled::runtime::protocol::{Message, Request, Work};
use jouled::runtime::quantize::Order;
use jouled::runtime::supervisor::{Worker, WorkerLimits};
use jouled::workload::Params;
use serde_json::Value;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Far above what any of it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn folder(content: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("tiny.F32.gguf");
    std::fs::write(&model, content).unwrap();
    (dir, model)
}

fn sound() -> (TempDir, PathBuf) {
    folder(&tiny_gguf::bytes(Damage::None))
}

/// Tokens that the worker makes of a prompt with this model.
pub fn generate(model: &Path, n_predict: u32) -> u32 {
    let command = vec![env!("CARGO_BIN_EXE_jouled-worker").to_owned()];
    let mut worker = Worker::spawn(&command, &WorkerLimits::default()).unwrap();
    let params = Params {
        threads: Some(1),
        n_ctx: 128,
        ..Params::default()
    };
    worker.send(&Request::Load {
        path: text(model).to_owned(),
        n_outputs: 1,
        params,
    });
    worker.send(&Request::Run {
        work: Work::Generate {
            prompt: Some("the rain in spain".to_owned()),
            messages: None,
            n_predict,
            ignore_eos: true,
        },
        warmup: 0,
        repetitions: 1,
        text: false,
    });
    loop {
        match worker.recv(PATIENCE).unwrap().expect("it says something") {
            Message::Rep(rep) => return rep.output_tokens,
            Message::Error { message, .. } => panic!("{message}"),
            _ => {}
        }
    }
}

#[test]
fn a_study_has_its_quantisations_of_one_file() {
    let (dir, model) = sound();
    let out = dir.path().join("models");
    let printed = succeeded(&joulectl(&[
        "models",
        "quantize",
        text(&model),
        "--to",
        "q4_0,Q8_0,Q4_K",
        "--out",
        text(&out),
        "--url-base",
        "https://models.lab/study/",
    ]));
    let names = ["tiny.Q4_0.gguf", "tiny.Q4_K_M.gguf", "tiny.Q8_0.gguf"];
    let beside: Vec<String> = names
        .iter()
        .flat_map(|name| [name.to_string(), format!("{name}.json")])
        .collect();
    assert_eq!(files(&out), beside);
    let entries = catalogue(&printed);
    assert_eq!(entries.len(), 3);
    for name in names {
        let made = out.join(name);
        let header = Header::open(&made).unwrap();
        assert_eq!(format!("tiny.{}.gguf", header.quant), name);
        let known = provenance(&made);
        assert_eq!(known["quant"], header.quant);
        let origin = &known["origin"];
        assert_eq!(origin["kind"], "quantized");
        assert_eq!(origin["from"]["name"], "tiny.F32.gguf");
        assert_eq!(
            origin["from"]["sha256"],
            sha256(&std::fs::read(&model).unwrap())
        );
        assert!(
            origin["engine"]
                .as_str()
                .unwrap()
                .contains("llama-cpp-sys-2")
        );
        // Rows of 64 are no whole blocks of 256, which Q4_0 has for the output alone.
        let fallbacks = origin["fallback_tensors"].as_u64().unwrap();
        let expected = match name {
            "tiny.Q8_0.gguf" => 0..=0,
            "tiny.Q4_0.gguf" => 1..=1,
            _ => 10..=21,
        };
        assert!(expected.contains(&fallbacks), "{name}: {fallbacks}");
        let entry = entries
            .iter()
            .find(|entry| entry["name"].as_str() == Some(name));
        let entry = entry.unwrap();
        assert_eq!(entry["sha256"].as_str(), known["sha256"].as_str());
        assert_eq!(
            entry["url"].as_str().unwrap(),
            format!("https://models.lab/study/{name}")
        );
        assert_eq!(generate(&made, 4), 4);
    }
}

#[test]
fn the_same_file_comes_out_however_many_threads_work() {
    let (dir, model) = sound();
    let make = |threads: &str| {
        let out = dir.path().join(threads);
        let printed = succeeded(&joulectl(&[
            "models",
            "quantize",
            text(&model),
            "--to",
            "Q4_0",
            "--out",
            text(&out),
            "--threads",
            threads,
            "--json",
        ]));
        let made: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(made["path"], text(&out.join("tiny.Q4_0.gguf")));
        made["provenance"]["sha256"].clone()
    };
    assert_eq!(make("1"), make("3"));
}

#[test]
fn nothing_is_overwritten_and_a_dry_run_writes_nothing() {
    let (dir, model) = sound();
    let quantize = |more: &[&str]| {
        let all = [&["models", "quantize", text(&model), "--to", "Q8_0"], more].concat();
        joulectl(&all)
    };
    let absent = dir.path().join("absent");
    let dry = quantize(&["--dry-run", "--out", text(&absent)]);
    succeeded(&dry);
    let said = String::from_utf8_lossy(&dry.stderr);
    assert!(
        said.contains("tiny.Q8_0.gguf") && said.contains("kB"),
        "{said}"
    );
    assert_eq!(files(dir.path()), ["tiny.F32.gguf"]);

    std::fs::write(dir.path().join("tiny.Q8_0.gguf"), "mine").unwrap();
    let (code, said) = refusal(&quantize(&[]));
    assert_eq!(code, 1);
    assert!(said.contains("not overwritten"), "{said}");
    assert_eq!(
        std::fs::read(dir.path().join("tiny.Q8_0.gguf")).unwrap(),
        b"mine"
    );
    // Nor is a file of another kind that lies where the provenance would.
    std::fs::remove_file(dir.path().join("tiny.Q8_0.gguf")).unwrap();
    std::fs::write(dir.path().join("tiny.Q8_0.gguf.json"), "{\"mine\":1}").unwrap();
    let (_, said) = refusal(&quantize(&[]));
    assert!(said.contains("tiny.Q8_0.gguf.json"), "{said}");
    assert_eq!(files(dir.path()), ["tiny.F32.gguf", "tiny.Q8_0.gguf.json"]);
}

#[test]
fn what_is_quantised_already_is_taken_on_demand_alone() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("tiny-Q4_0.gguf");
    std::fs::write(&model, tiny_gguf::quantised_bytes()).unwrap();
    let arguments = ["models", "quantize", text(&model), "--to", "Q8_0"];
    let (code, said) = refusal(&joulectl(&arguments));
    assert_eq!(code, 1);
    assert!(
        said.contains("quantised already") && said.contains("--allow-requantize"),
        "{said}"
    );
    succeeded(&joulectl(
        &[&arguments[..], &["--allow-requantize"]].concat(),
    ));
    let known = provenance(&dir.path().join("tiny-Q8_0.gguf"));
    assert_eq!(known["origin"]["requantized"], true);
}

#[test]
fn where_the_source_came_from_is_told_on() {
    let (dir, model) = sound();
    succeeded(&joulectl(&[
        "models",
        "quantize",
        text(&model),
        "--to",
        "F16",
    ]));
    let half = dir.path().join("tiny.F16.gguf");
    succeeded(&joulectl(&[
        "models",
        "quantize",
        text(&half),
        "--to",
        "Q4_0",
    ]));
    let known = provenance(&dir.path().join("tiny.Q4_0.gguf"));
    let before = &known["origin"]["from"]["origin"];
    assert_eq!(before["from"]["name"], "tiny.F32.gguf", "{known}");
}

#[test]
fn damaged_and_hostile_files_are_refused_by_name_and_leave_nothing() {
    let truncated = tiny_gguf::bytes(Damage::Truncated(20_000));
    let unknown = {
        let mut content = tiny_gguf::bytes(Damage::None);
        let place = content
            .windows(5)
            .position(|word| word == b"llama")
            .unwrap();
        content[place..place + 5].copy_from_slice(b"lamas");
        content
    };
    for (content, part) in [
        (truncated, "cut short"),
        (tiny_gguf::bytes(Damage::BlockCount(1000)), "blocks"),
        (tiny_gguf::bytes(Damage::OffsetPastEnd), "cut short"),
        (tiny_gguf::bytes(Damage::NanWeights), "invalid data"),
        (b"<html>not found</html>".to_vec(), "is not a GGUF file"),
        (unknown, "tiny.F32.gguf"),
    ] {
        let (dir, model) = folder(&content);
        let output = joulectl(&["models", "quantize", text(&model), "--to", "Q4_0"]);
        let (code, said) = refusal(&output);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(part), "{part}: {said}");
        assert_eq!(files(dir.path()), ["tiny.F32.gguf"], "{part}");
    }
    let (code, said) = refusal(&joulectl(&[
        "models",
        "quantize",
        "absent.gguf",
        "--to",
        "Q4_0",
    ]));
    assert_eq!(code, 2, "{said}");
}

/// A program that does as `jouled-worker` would, up to a point.
fn stand_in(dir: &Path, script: &str) -> PathBuf {
    let program = dir.join("worker");
    let engine = "echo '{\"type\":\"engine\",\"revision\":\"b1\"}'; read order";
    std::fs::write(&program, format!("#!/bin/sh\n{engine}\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    program
}

const DONE: &str = r#"{"type":"done","tensor_bytes":5,"fallback_tensors":0,"needs_matrix":false}"#;

#[test]
fn a_quantiser_that_aborts_is_an_error_and_no_file() {
    let (dir, model) = sound();
    // The trial goes well.
    let script = format!(
        "case \"$order\" in *'\"output\":null'*) echo '{DONE}';; \
         *) echo 'GGML_ASSERT(ok) failed' >&2; kill -ABRT $$;; esac"
    );
    let worker = stand_in(dir.path(), &script);
    let (_, said) = refusal(&joulectl(&[
        "models",
        "quantize",
        text(&model),
        "--to",
        "Q4_0",
        "--worker",
        text(&worker),
    ]));
    assert!(
        said.contains("SIGABRT") && said.contains("GGML_ASSERT(ok)"),
        "{said}"
    );
    assert_eq!(files(dir.path()), ["tiny.F32.gguf", "worker"]);
}

#[test]
fn more_than_the_disk_holds_is_not_begun() {
    let (dir, model) = sound();
    let far = DONE.replace(":5,", ":4611686018427387904,");
    let worker = stand_in(dir.path(), &format!("echo '{far}'"));
    let (_, said) = refusal(&joulectl(&[
        "models",
        "quantize",
        text(&model),
        "--to",
        "Q4_0",
        "--worker",
        text(&worker),
    ]));
    assert!(said.contains("free some"), "{said}");
}

#[test]
fn a_size_that_nobody_tells_is_not_none() {
    let (dir, model) = sound();
    let untold = DONE.replace("\"tensor_bytes\":5,", "");
    let worker = stand_in(dir.path(), &format!("echo '{untold}'"));
    let (code, said) = refusal(&joulectl(&[
        "models",
        "quantize",
        text(&model),
        "--to",
        "Q4_0",
        "--worker",
        text(&worker),
    ]));
    assert_eq!(code, 1);
    assert!(said.contains("how large tiny.Q4_0.gguf gets"), "{said}");
    assert_eq!(files(dir.path()), ["tiny.F32.gguf", "worker"]);
}

#[test]
fn the_quantiser_ends_with_who_wants_its_work() {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_jouled-worker"))
        .arg("quantize")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = worker.stdin.take().unwrap();
    input.write_all(b"{\"input\":5}\n").unwrap();
    drop(input);
    let output = worker.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let last = said.lines().last().unwrap();
    assert!(
        last.contains("\"failed\"") && last.contains("no order"),
        "{said}"
    );
}

#[test]
fn the_quantiser_has_given_up_its_rights_before_it_opens_a_file() {
    let dir = tempfile::tempdir().unwrap();
    // Opening it waits for a writer, who never comes.
    let input = dir.path().join("m.gguf");
    let made = Command::new("mkfifo").arg(&input).status().unwrap();
    assert!(made.success());
    let mut worker = Command::new(env!("CARGO_BIN_EXE_jouled-worker"))
        .arg("quantize")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let order = Order {
        input: text(&input).to_owned(),
        output: None,
        file_type: 2,
        threads: 1,
        allow_requantize: false,
    };
    let order = serde_json::to_string(&order).unwrap() + "\n";
    let mut orders = worker.stdin.take().unwrap();
    orders.write_all(order.as_bytes()).unwrap();
    let status = format!("/proc/{}/status", worker.id());
    let field = |name: &str| {
        let status = std::fs::read_to_string(&status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().to_owned()
    };
    let gave_up = eventually(|| {
        field("NoNewPrivs:") == "1" && u64::from_str_radix(&field("CapEff:"), 16) == Ok(0)
    });
    // It ends with its input, whatever it waits for.
    drop(orders);
    assert!(!worker.wait().unwrap().success());
    assert!(gave_up);
}

#[test]
fn files_are_verified_against_what_is_known_of_them() {
    let (dir, model) = sound();
    let printed = succeeded(&joulectl(&[
        "models",
        "quantize",
        text(&model),
        "--to",
        "Q8_0",
        "--url-base",
        "https://models.lab",
    ]));
    let made = dir.path().join("tiny.Q8_0.gguf");
    let catalogue = dir.path().join("lab.toml");
    std::fs::write(&catalogue, printed).unwrap();
    let verify = |more: &[&str]| joulectl(&[&["models", "verify", text(&made)], more].concat());
    assert!(succeeded(&verify(&[])).contains("right"));
    assert!(succeeded(&verify(&["--catalogue", text(&catalogue)])).contains("right"));
    let (code, said) = refusal(&joulectl(&["models", "verify", text(&made), text(&model)]));
    assert_eq!(code, 1);
    assert!(said.contains("1 of 2"), "{said}");
    let mut content = std::fs::read(&made).unwrap();
    *content.last_mut().unwrap() ^= 1;
    std::fs::write(&made, content).unwrap();
    let output = verify(&["--json"]);
    refusal(&output);
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["verdict"], "wrong");
}

/// `verify *.gguf` tells of all of them, whatever is wrong with one.
#[test]
fn one_that_cannot_be_judged_keeps_no_other_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let hash = sha256(b"abc");
    let beside = serde_json::json!({"v": 1, "name": "m", "sha256": hash, "size_bytes": 3,
        "time": "", "by": "", "origin": null});
    for name in ["a.gguf", "b.gguf", "d.gguf"] {
        std::fs::write(path(name), "abc").unwrap();
        std::fs::write(path(&format!("{name}.json")), beside.to_string()).unwrap();
    }
    std::fs::write(path("a.gguf.json"), "{\"v\": 1, ").unwrap();
    // No file at all.
    std::fs::create_dir(path("c.gguf")).unwrap();
    let files = ["a.gguf", "b.gguf", "c.gguf", "d.gguf"].map(path);
    let verify = |more: &[&str]| {
        let files: Vec<&str> = files.iter().map(|file| text(file)).collect();
        joulectl(&[&["models", "verify"], &files[..], more].concat())
    };
    let output = verify(&["--json"]);
    let (code, said) = refusal(&output);
    assert_eq!(code, 1);
    assert!(said.contains("2 of 4"), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let verdicts: Vec<&str> = lines
        .iter()
        .map(|line| line["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["unreadable", "right", "unreadable", "right"]);
    assert_eq!(lines[0]["sha256"], hash);
    let why = lines[0]["reason"].as_str().unwrap();
    assert!(why.contains("a.gguf.json"), "{why}");
    assert_eq!(
        (&lines[2]["sha256"], &lines[1]["reason"]),
        (&Value::Null, &Value::Null)
    );
    let table = String::from_utf8(verify(&[]).stdout).unwrap();
    assert!(
        table.contains("UNREADABLE: ") && table.lines().count() == 5,
        "{table}"
    );
}
