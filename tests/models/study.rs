//! `scripts/make-study-models`: models of random weights that llama.cpp takes for real ones.

use super::quantize::generate;
use super::support::tool::{joulectl, output};
use super::{files, provenance, refusal, succeeded, text};
use jouled::runtime::gguf::Header;
use std::path::Path;
use std::process::{Command, Output};

fn run(joulectl: &Path, arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("scripts/make-study-models"));
    output(command.args(arguments).env("JOULECTL", joulectl))
}

fn script(arguments: &[&str]) -> String {
    let joulectl = Path::new(env!("CARGO_BIN_EXE_joulectl"));
    succeeded(&run(joulectl, arguments))
}

#[test]
fn small_ones_of_both_shapes_are_quantised_and_speak() {
    let dir = tempfile::tempdir().unwrap();
    let printed = script(&["--tiny", "--to", "Q4_0", "--out", text(dir.path())]);
    let made: Vec<&Path> = printed.lines().map(Path::new).collect();
    assert_eq!(made.len(), 2, "{printed}");
    for (model, arch) in made.iter().zip(["qwen2", "llama"]) {
        let header = Header::open(model).unwrap();
        assert_eq!(
            (header.architecture.as_str(), header.quant.as_str()),
            (arch, "Q4_0")
        );
        assert!(header.has_chat_template);
        let name = model.file_name().unwrap().to_str().unwrap();
        assert!(name.contains("random-weights"), "{name}");
        let known = provenance(model);
        let from = &known["origin"]["from"];
        assert_eq!(from["origin"]["kind"], "random-weights", "{known}");
        assert_eq!(generate(model, 8), 8);
    }
    // Its rows are whole blocks of 256, so that the type is really meant.
    let matrix = ["--to", "IQ2_XXS", "--allow-requantize", "--dry-run"];
    let quantize = ["models", "quantize", text(made[0])];
    let (_, said) = refusal(&joulectl(&[&quantize[..], &matrix].concat()));
    assert!(said.contains("importance matrix"), "{said}");
    // The large ones in between are gone; what is there is not made again.
    assert_eq!(files(dir.path()).len(), 4);
    assert_eq!(
        script(&["--tiny", "--to", "Q4_0", "--out", text(dir.path())]),
        printed
    );
}

#[test]
fn the_floats_of_an_earlier_run_stay_and_those_of_this_one_go() {
    let dir = tempfile::tempdir().unwrap();
    let tiny = ["--tiny", "--out", text(dir.path()), "qwen2-0.5b"];
    let script = |more: &[&str]| script(&[&tiny[..], more].concat());
    let floats = dir.path().join("tiny-Qwen2-0.5B-random-weights.F16.gguf");
    let made = |kind: &str| {
        dir.path()
            .join(format!("tiny-Qwen2-0.5B-random-weights.{kind}.gguf"))
    };
    script(&["--to", "Q4_0", "--keep-f16"]);
    let kept = provenance(&floats);
    script(&["--to", "Q4_0,Q8_0"]);
    assert_eq!(provenance(&floats), kept);
    assert_eq!(files(dir.path()).len(), 6);

    // They are no result: asked for as one they would be named and not there.
    let (code, said) = refusal(&run(
        Path::new(env!("CARGO_BIN_EXE_joulectl")),
        &[&tiny[..], &["--to", "Q8_0,f16"]].concat(),
    ));
    assert_eq!(code, 2);
    assert!(said.contains("--keep-f16"), "{said}");
    assert!(floats.exists());

    // A run that fails leaves none of its own behind, which the next would take for kept.
    for kind in ["F16", "Q8_0"] {
        std::fs::remove_file(made(kind)).unwrap();
    }
    refusal(&run(
        Path::new("/bin/false"),
        &[&tiny[..], &["--to", "Q8_0"]].concat(),
    ));
    assert!(!floats.exists());
    assert!(made("Q4_0").exists());
}
