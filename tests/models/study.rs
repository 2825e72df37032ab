//! `scripts/make-study-models`: models of random weights that llama.cpp takes for real ones.

use super::quantize::generate;
use super::support::tool::{joulectl, output};
use super::{files, provenance, refusal, succeeded, text};
use jouled::runtime::gguf::Header;
use std::path::Path;
use std::process::Command;

fn script(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("scripts/make-study-models"));
    command
        .args(arguments)
        .env("JOULECTL", env!("CARGO_BIN_EXE_joulectl"));
    succeeded(&output(&mut command))
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
