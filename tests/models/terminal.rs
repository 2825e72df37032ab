//! What a terminal gets to see of text that models bring with them.

use super::support::terminal::Terminal;
use super::support::tiny_gguf::{self, Damage};
use super::support::tool::joulectl;
use super::support::web::{Manner, Web};
use super::{succeeded, text};
use std::process::{Command, Output};

/// `word` wherever it stands in a model becomes `other`, which is as long.
fn with(word: &[u8], other: &[u8], damage: Damage) -> Vec<u8> {
    let mut model = tiny_gguf::bytes(damage);
    let mut place = 0;
    while let Some(next) = model[place..].windows(word.len()).position(|at| at == word) {
        place += next;
        model[place..place + word.len()].copy_from_slice(other);
    }
    model
}

/// The architecture stands in what was got, the name of a tensor in what is wrong with it.
#[test]
fn what_a_file_says_of_itself_is_shown_and_not_obeyed() {
    let web = Web::http();
    let dir = tempfile::tempdir().unwrap();
    let said = |model: &[u8]| {
        web.put("m.gguf", model, Manner::Well);
        let url = web.url("m.gguf");
        let get = ["models", "get", &url, "--allow-http", "--name", "m.gguf"];
        let out = dir
            .path()
            .join(jouled::workload::job::hex(&model[model.len() - 8..]));
        let output: Output = joulectl(&[&get[..], &["--out", text(&out)]].concat());
        succeeded(&output);
        String::from_utf8(output.stderr).unwrap()
    };
    let architecture = said(&with(b"llama", b"a\x1b[2J", Damage::None));
    assert!(architecture.contains(r"a\u001b[2J F32"), "{architecture:?}");
    let mut cut = with(b"ffn_down", b"\x1b[2Jdown", Damage::None);
    cut.truncate(cut.len() - 64);
    let tensor = said(&cut);
    assert!(tensor.contains(r"\u001b[2Jdown"), "{tensor:?}");
    assert!(!(architecture + &tensor).contains('\u{1b}'));
}

#[test]
fn a_name_in_a_bar_is_shown_and_not_obeyed() {
    let dir = tempfile::tempdir().unwrap();
    // Reading it waits for a writer, so that the bar stays.
    let model = dir.path().join("a\u{1b}[2Jb.gguf");
    assert!(
        Command::new("mkfifo")
            .arg(&model)
            .status()
            .unwrap()
            .success()
    );
    let notes = tempfile::tempdir().unwrap();
    let joulectl = env!("CARGO_BIN_EXE_joulectl");
    let command = format!("{joulectl} models verify {}/*.gguf", text(dir.path()));
    let terminal = Terminal::start(notes.path(), 24, 200, &command);
    terminal.wait("the bar", |screen| screen.contains(r"a\u001b[2Jb.gguf"));
}
