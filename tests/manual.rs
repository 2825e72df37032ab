//! Manual pages and shell completions are files of the repository, so that packages and cross
//! builds need not run what they have built. Here they are made from the command lines and from
//! docs/configuration.md, and compared; `make manual` writes them.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "manual/completion.rs"]
mod completion;
#[path = "manual/keys.rs"]
mod keys;
#[path = "manual/markdown.rs"]
mod markdown;
#[path = "manual/page.rs"]
mod page;
#[path = "manual/roff.rs"]
mod roff;
#[path = "support/mod.rs"]
mod support;

use clap::CommandFactory;
use jouled::cli;
use std::path::{Path, PathBuf};
use std::process::Command;

const SHELLS: [clap_complete::Shell; 3] = [
    clap_complete::Shell::Bash,
    clap_complete::Shell::Zsh,
    clap_complete::Shell::Fish,
];

/// The pages, by their names in `man/`.
fn pages() -> Vec<(String, String)> {
    let daemon = page::of_command(
        page::Kind {
            section: "8",
            shared: None,
        },
        cli::jouled::Cli::command(),
        include_str!("../man/parts/jouled.man"),
    );
    let lab = page::of_command(
        page::Kind {
            section: "1",
            shared: Some("Connection"),
        },
        cli::joulectl::Cli::command(),
        include_str!("../man/parts/joulectl.man"),
    );
    let configuration = page::of_document(
        "jouled.toml",
        "configuration of jouled",
        include_str!("../docs/configuration.md"),
        include_str!("../man/parts/jouled.toml.man"),
    );
    vec![
        ("jouled.8".to_owned(), daemon),
        ("joulectl.1".to_owned(), lab),
        ("jouled.toml.5".to_owned(), configuration),
    ]
}

fn in_repository(folder: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(name)
}

/// Compares, or with `MANUAL=write` writes.
fn kept(folder: &str, name: &str, content: &str) {
    let path = in_repository(folder, name);
    if std::env::var_os("MANUAL").is_some_and(|value| value == "write") {
        std::fs::write(&path, content).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == content,
        "{folder}/{name} is not what the command line and the documents say: run `make manual`"
    );
}

#[test]
fn the_pages_say_what_the_commands_accept() {
    for (name, content) in pages() {
        kept("man", &name, &content);
    }
}

#[test]
fn the_completions_know_what_the_commands_accept() {
    for (tool, command) in [
        ("jouled", cli::jouled::Cli::command()),
        ("joulectl", cli::joulectl::Cli::command()),
    ] {
        for shell in SHELLS {
            let (name, script) = completion::of(shell, tool, &command);
            kept("completions", &name, &script);
        }
    }
}

#[test]
fn every_key_of_the_configuration_is_in_its_page() {
    let document = include_str!("../docs/configuration.md");
    let keys = keys::accepted();
    assert!(
        keys.iter().any(|key| key == "sensor.calibration.offset_uv"),
        "{keys:?}"
    );
    let missing: Vec<&String> = keys
        .iter()
        .filter(|key| !keys::is_described(document, key))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/configuration.md says nothing about {missing:?}"
    );
}

/// A formatter's own complaints, and lines that an 80-column terminal would break.
#[test]
fn the_pages_are_set_without_a_warning() {
    if Command::new("groff").arg("--version").output().is_err() {
        support::skip("groff is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in pages() {
        let page = folder.path().join(&name);
        std::fs::write(&page, content).unwrap();
        let set = Command::new("groff")
            .args(["-man", "-ww", "-Tutf8", "-rLL=80n", "-P-cbou"])
            .arg(page)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&set.stderr), "", "{name}");
        let text = String::from_utf8_lossy(&set.stdout).into_owned();
        let long: Vec<&str> = text
            .lines()
            // A checksum can't be broken.
            .filter(|line| line.chars().count() > 80 && !line.contains("sha256 = "))
            .collect();
        assert!(long.is_empty(), "{name}: wider than 80 columns: {long:#?}");
    }
}

/// As `make install` and packages put them.
#[test]
fn pages_and_completions_are_installed_where_shells_and_man_look() {
    let root = tempfile::tempdir().unwrap();
    let done = Command::new(in_repository("scripts", "install-documents"))
        .arg(root.path())
        .arg("/usr")
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    for file in [
        "man/man1/joulectl.1",
        "man/man5/jouled.toml.5",
        "man/man8/jouled.8",
        "bash-completion/completions/jouled",
        "bash-completion/completions/joulectl",
        "zsh/vendor-completions/_jouled",
        "zsh/vendor-completions/_joulectl",
        "fish/vendor_completions.d/jouled.fish",
        "fish/vendor_completions.d/joulectl.fish",
    ] {
        let path = root.path().join("usr/share").join(file);
        assert!(path.is_file(), "{file}");
    }
}

/// What a real bash offers after `words`.
fn offered(tool: &str, words: &[&str]) -> Vec<String> {
    let command = match tool {
        "jouled" => cli::jouled::Cli::command(),
        _ => cli::joulectl::Cli::command(),
    };
    let (_, script) = completion::of(clap_complete::Shell::Bash, tool, &command);
    let output = Command::new("bash")
        .args(["--norc", "-c"])
        .arg(
            r#"eval "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
            "_$1" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            printf '%s\n' "${COMPREPLY[@]}""#,
        )
        .arg("bash")
        .arg(script)
        .arg(tool)
        .args(words)
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    assert_eq!(offered("jouled", &["pr"]), ["probe"]);
    assert_eq!(offered("jouled", &["probe", "--fo"]), ["--follow"]);
    assert_eq!(offered("jouled", &["calibrate", "of"]), ["offset"]);
    assert_eq!(offered("joulectl", &["sub"]), ["submit"]);
    assert_eq!(
        offered("joulectl", &["submit", "--idle-b"]),
        ["--idle-before"]
    );
    assert_eq!(offered("joulectl", &["queue", "dr"]), ["drain"]);
    let hidden = offered("jouled", &["con"]);
    assert!(hidden.iter().all(|word| word.is_empty()), "{hidden:?}");
}
