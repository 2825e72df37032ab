//! `joulectl models get`, from servers that speak as web servers and Hugging Face do.

use super::support::authority::Authority;
use super::support::daemon::eventually;
use super::support::tiny_gguf::{self, Damage};
use super::support::tool::{joulectl, joulectl_with};
use super::support::web::{Manner, Web};
use super::{catalogue, files, provenance, refusal, sha256, succeeded, text};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A server with TLS, and a folder to fetch into.
struct Lab {
    authority: Authority,
    web: Web,
    dir: TempDir,
    model: Vec<u8>,
}

impl Lab {
    fn new() -> Self {
        let authority = Authority::new();
        Self {
            web: Web::https(&authority),
            authority,
            dir: tempfile::tempdir().unwrap(),
            model: tiny_gguf::bytes(Damage::None),
        }
    }

    fn out(&self) -> &Path {
        self.dir.path()
    }

    fn get(&self, source: &str, more: &[&str]) -> Output {
        self.get_with(&[], source, more)
    }

    fn get_with(&self, variables: &[(&str, &str)], source: &str, more: &[&str]) -> Output {
        let ca = self.authority.ca();
        let always = [
            "models",
            "get",
            source,
            "--out",
            text(self.out()),
            "--ca-file",
            text(&ca),
        ];
        // Whoever runs the tests may have a token.
        let home = text(self.out()).to_owned() + "/home";
        let none = [("HF_TOKEN", ""), ("HF_TOKEN_PATH", ""), ("HF_HOME", &home)];
        joulectl_with(&[&none, variables].concat(), &[&always, more].concat())
    }

    fn put(&self, file: &str, manner: Manner) -> String {
        self.web.put(file, &self.model, manner);
        self.web.url(file)
    }

    fn is_here(&self, name: &str) -> Value {
        assert_eq!(files(self.out()), [name.to_owned(), format!("{name}.json")]);
        let path = self.out().join(name);
        assert_eq!(std::fs::read(&path).unwrap(), self.model);
        provenance(&path)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_file_of_a_web_server_comes_with_its_hash_and_origin() {
    let lab = Lab::new();
    let url = lab.put("models/m.gguf", Manner::Well);
    let hash = sha256(&lab.model);
    let first = lab.get(&url, &["--sha256", &hash.to_uppercase()]);
    let printed = succeeded(&first);
    assert!(!said(&first).contains("NOBODY"), "{}", said(&first));
    let known = lab.is_here("m.gguf");
    assert_eq!(
        (known["arch"].as_str(), known["quant"].as_str()),
        (Some("llama"), Some("F32"))
    );
    assert_eq!(known["origin"]["url"], url);
    let entry = &catalogue(&printed)[0];
    assert_eq!(
        (entry["url"].as_str(), entry["sha256"].as_str()),
        (Some(url.as_str()), Some(hash.as_str()))
    );
    // It is there, so that no byte comes again.
    let again = lab.get(&url, &["--sha256", &hash, "--json"]);
    let line: Value = serde_json::from_str(&succeeded(&again)).unwrap();
    assert_eq!(line["was_there"], true);
    assert_eq!(lab.web.asked(), [0]);
}

#[test]
fn without_a_hash_it_says_loudly_that_nobody_vouches() {
    let lab = Lab::new();
    let url = lab.put("m.gguf", Manner::Well) + "?signature=s3cret";
    lab.put("m.gguf?signature=s3cret", Manner::Well);
    let output = lab.get(&url, &[]);
    let printed = succeeded(&output);
    assert!(
        said(&output).contains("NOBODY VOUCHES"),
        "{}",
        said(&output)
    );
    let known = lab.is_here("m.gguf").to_string();
    assert!(!(known + &printed + &said(&output)).contains("s3cret"));
    assert_eq!(catalogue(&printed)[0]["url"].as_str(), Some(""));
    succeeded(&lab.get(&url, &[]));
    assert_eq!(lab.web.asked().len(), 1);
}

#[test]
fn what_is_not_the_model_is_not_kept() {
    let lab = Lab::new();
    let right = sha256(&lab.model);
    let tampered = lab.put("t.gguf", Manner::Tampered);
    let (code, why) = refusal(&lab.get(&tampered, &["--sha256", &right]));
    assert_eq!(code, 1);
    assert!(
        why.contains("instead of") && why.contains("not kept"),
        "{why}"
    );
    lab.web
        .put("page.gguf", b"<html>sign in</html>", Manner::Well);
    let (_, why) = refusal(&lab.get(&lab.web.url("page.gguf"), &[]));
    assert!(
        why.contains("not a GGUF file") && why.contains("address of the file"),
        "{why}"
    );
    let (_, why) = refusal(&lab.get(&lab.put("s.gguf", Manner::Status(403)), &[]));
    assert!(why.contains("answers 403"), "{why}");
    let plain = Web::http();
    plain.put("p.gguf", &lab.model, Manner::Well);
    let away = lab.put("r.gguf", Manner::Redirect(plain.url("p.gguf")));
    let (_, why) = refusal(&lab.get(&away, &["--sha256", &right]));
    assert!(why.contains("without TLS"), "{why}");
    assert!(files(lab.out()).is_empty(), "{:?}", files(lab.out()));
    // Nor does it replace what is there.
    std::fs::write(lab.out().join("m.gguf"), "mine").unwrap();
    let url = lab.put("m.gguf", Manner::Well);
    for more in [&[][..], &["--sha256", &right]] {
        let (_, why) = refusal(&lab.get(&url, more));
        assert!(why.contains("is there already"), "{why}");
    }
    assert_eq!(std::fs::read(lab.out().join("m.gguf")).unwrap(), b"mine");
}

#[test]
fn open_lines_and_foreign_authorities_are_refused() {
    let lab = Lab::new();
    let plain = Web::http();
    plain.put("m.gguf", &lab.model, Manner::Well);
    let (code, why) = refusal(&lab.get(&plain.url("m.gguf"), &[]));
    assert_eq!(code, 2);
    assert!(why.contains("--allow-http"), "{why}");
    succeeded(&lab.get(
        &plain.url("m.gguf"),
        &["--allow-http", "--name", "plain.gguf"],
    ));

    let other = Authority::new();
    let url = lab.put("m.gguf", Manner::Well);
    let dir = tempfile::tempdir().unwrap();
    let output = joulectl(&[
        "models",
        "get",
        &url,
        "--out",
        text(dir.path()),
        "--ca-file",
        text(&other.ca()),
    ]);
    let (_, why) = refusal(&output);
    assert!(
        why.contains("certificate") && why.contains("--ca-file"),
        "{why}"
    );
    let (code, why) = refusal(&lab.get("https://127.0.0.1:1/m.gguf", &[]));
    assert_eq!(code, 3, "{why}");
}

#[test]
fn what_was_cut_short_goes_on_where_it_ended() {
    let lab = Lab::new();
    let half = lab.model.len() / 2 + 1;
    let url = lab.put("m.gguf", Manner::CutAfter(half));
    let output = lab.get(&url, &["--sha256", &sha256(&lab.model)]);
    succeeded(&output);
    assert!(said(&output).contains("tried again"), "{}", said(&output));
    assert_eq!(lab.web.asked(), [0, half]);
    lab.is_here("m.gguf");
}

#[test]
fn a_hash_that_nothing_has_is_given_up() {
    let lab = Lab::new();
    let half = lab.model.len() / 2 + 1;
    let url = lab.put("m.gguf", Manner::CutAfter(half));
    let (code, why) = refusal(&lab.get(&url, &["--sha256", &"ab".repeat(32)]));
    assert_eq!(code, 1);
    assert!(why.contains(&sha256(&lab.model)), "{why}");
    assert_eq!(lab.web.asked(), [0, half, 0, half]);
    assert!(files(lab.out()).is_empty());
}

#[test]
fn what_nobody_knows_the_beginning_of_begins_anew() {
    let lab = Lab::new();
    let url = lab.put("m.gguf", Manner::Well);
    std::fs::write(lab.out().join(".m.gguf.part"), "of another file").unwrap();
    succeeded(&lab.get(&url, &[]));
    assert_eq!(lab.web.asked(), [0]);
    lab.is_here("m.gguf");
}

/// Ends joulectl in the middle of a fetch, and returns its exit code.
fn ended_halfway(lab: &Lab, url: &str, bytes: usize, signal: Signal) -> Option<i32> {
    let mut joulectl = Command::new(env!("CARGO_BIN_EXE_joulectl"))
        .args(["models", "get", url, "--out", text(lab.out())])
        .args(["--ca-file", text(&lab.authority.ca())])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let part = lab.out().join(".m.gguf.part");
    let has_begun = || part.metadata().is_ok_and(|part| part.len() >= bytes as u64);
    assert!(eventually(has_begun), "the first bytes have not come");
    kill_process(Pid::from_child(&joulectl), signal).unwrap();
    joulectl.wait().unwrap().code()
}

#[test]
fn after_an_interruption_the_server_tells_whether_the_rest_is_of_the_same_file() {
    for (signal, code, changes) in [(Signal::INT, Some(130), false), (Signal::KILL, None, true)] {
        let mut lab = Lab::new();
        let third = lab.model.len() / 3;
        let url = lab.put("m.gguf", Manner::HeldAfter(third));
        assert_eq!(ended_halfway(&lab, &url, third, signal), code);
        if changes {
            *lab.model.last_mut().unwrap() ^= 1;
        }
        lab.put("m.gguf", Manner::Well);
        succeeded(&lab.get(&url, &[]));
        let last = lab.web.requests().last().unwrap().clone();
        assert!(last.first == third && last.if_range.is_some(), "{last:?}");
        lab.is_here("m.gguf");
    }
}

/// A hub with a repository `lab/tiny`, whose large files lie with another server.
struct Hub {
    lab: Lab,
    storage: Web,
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

impl Hub {
    fn new(stated: &str) -> Self {
        let lab = Lab::new();
        let storage = Web::https(&lab.authority);
        storage.put("blob/1", &lab.model, Manner::Well);
        let fields = vec![
            ("Location", storage.url("blob/1")),
            ("X-Repo-Commit", COMMIT.to_owned()),
            ("X-Linked-Etag", format!("\"{stated}\"")),
            ("X-Linked-Size", lab.model.len().to_string()),
        ];
        for revision in ["main", COMMIT] {
            let path = format!("lab/tiny/resolve/{revision}/m.gguf");
            lab.put(&path, Manner::Answer("302 Found", fields.clone()));
        }
        Self { lab, storage }
    }

    fn endpoint(&self) -> String {
        self.lab.web.url("")
    }

    fn get(&self, source: &str, more: &[&str]) -> Output {
        let endpoint = self.endpoint();
        let variables = [
            ("HF_ENDPOINT", endpoint.as_str()),
            ("HF_TOKEN", "hf_s3cret"),
        ];
        self.lab.get_with(&variables, source, more)
    }
}

#[test]
fn a_file_of_a_hub_is_what_the_hub_says_it_is() {
    let model = tiny_gguf::bytes(Damage::None);
    let hub = Hub::new(&sha256(&model));
    let output = hub.get("hf:lab/tiny/m.gguf", &[]);
    let printed = succeeded(&output);
    assert!(
        said(&output).contains("as 127.0.0.1 states"),
        "{}",
        said(&output)
    );
    let known = hub.lab.is_here("m.gguf");
    assert_eq!(known["origin"]["commit"], COMMIT);
    // Where HF_ENDPOINT leads it is not Hugging Face's word.
    assert_eq!(known["origin"]["vouched_by"], "127.0.0.1");
    assert_eq!(known["origin"]["repository"], "lab/tiny");
    let url = catalogue(&printed)[0]["url"].as_str().unwrap().to_owned();
    assert!(
        url.contains(&format!("/lab/tiny/resolve/{COMMIT}/m.gguf")),
        "{url}"
    );
    // The token is for the hub, and for nobody else to see.
    let asked = hub.lab.web.requests();
    assert_eq!(asked[0].method, "HEAD");
    let shown = |request: &super::support::web::Request| {
        request.authorization.as_deref() == Some("Bearer hf_s3cret")
    };
    assert!(asked.iter().all(shown), "{asked:?}");
    let stored = hub.storage.requests();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].authorization, None);
    assert!(!(printed + &said(&output) + &known.to_string()).contains("s3cret"));
}

#[test]
fn another_file_than_the_hub_states_is_not_kept() {
    let hub = Hub::new(&"ab".repeat(32));
    let (code, why) = refusal(&hub.get("hf:lab/tiny/m.gguf", &[]));
    assert_eq!(code, 1);
    assert!(why.contains("instead of abab"), "{why}");
    assert!(files(hub.lab.out()).is_empty());
    let own = "cd".repeat(32);
    let (_, why) = refusal(&hub.get("hf:lab/tiny/m.gguf", &["--sha256", &own]));
    assert!(why.contains("--sha256 says"), "{why}");
}

#[test]
fn what_the_hub_refuses_and_what_has_moved() {
    let model = tiny_gguf::bytes(Damage::None);
    let hub = Hub::new(&sha256(&model));
    let gated = vec![("X-Error-Code", "GatedRepo".to_owned())];
    hub.lab.put(
        "meta/big/resolve/main/m.gguf",
        Manner::Answer("403 Forbidden", gated),
    );
    let (_, why) = refusal(&hub.get("hf:meta/big/m.gguf", &[]));
    assert!(
        why.contains("accept its terms") && !why.contains("s3cret"),
        "{why}"
    );
    let (_, why) = refusal(&hub.get("hf:lab/tiny/absent.gguf", &[]));
    assert!(why.contains("absent.gguf"), "{why}");
    // A repository under its old name.
    let to = vec![("Location", "/lab/tiny/resolve/main/m.gguf".to_owned())];
    let old = "old/name/resolve/main/m.gguf";
    hub.lab
        .put(old, Manner::Answer("307 Temporary Redirect", to));
    succeeded(&hub.get("hf:old/name/m.gguf@main", &[]));
    hub.lab.is_here("m.gguf");
}

#[test]
fn a_token_from_its_file_goes_over_no_open_line() {
    let lab = Lab::new();
    let plain = Web::http();
    let fields = vec![("ETag", format!("\"{}\"", sha256(&lab.model)))];
    let manner = Manner::Answer("200 OK", fields);
    plain.put("lab/tiny/resolve/main/m.gguf", &lab.model, manner);
    let token = lab.out().join("token");
    std::fs::write(&token, "hf_s3cret").unwrap();
    let out = lab.out().join("out");
    let endpoint = plain.url("");
    let output = joulectl_with(
        &[("HF_ENDPOINT", &endpoint)],
        &[
            "models",
            "get",
            "hf:lab/tiny/m.gguf",
            "--allow-http",
            "--token-file",
            text(&token),
            "--out",
            text(&out),
            "--ca-file",
            text(&lab.authority.ca()),
        ],
    );
    succeeded(&output);
    assert!(
        plain
            .requests()
            .iter()
            .all(|request| request.authorization.is_none())
    );
    assert_eq!(files(&out), ["m.gguf", "m.gguf.json"]);
}
