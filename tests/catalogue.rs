//! Models of the administrator's catalogue, fetched by a real daemon from servers of every
//! manner.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use jouled::workload::job::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;
use support::authority::Authority;
use support::daemon::{STEADY, eventually};
use support::rig::{Rig, topic};
use support::tiny_gguf::{self, Damage};
use support::web::{Manner, Web};

fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// What is no model of llama.cpp is fetched like one that is.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n * 31 % 251) as u8).collect()
}

fn entry(name: &str, url: &str, content: &[u8]) -> String {
    let sha256 = sha256(content);
    let http = url.starts_with("http://");
    format!(
        "[[catalogue]]\nname = \"{name}\"\nurl = \"{url}\"\nsha256 = \"{sha256}\"\n\
         allow_http = {http}\n"
    )
}

fn rig(catalogue: &str) -> Rig {
    Rig::start_with(STEADY, |daemon| daemon.configure("10.toml", catalogue))
}

fn fetch(rig: &mut Rig, name: &str) -> Value {
    rig.ask("models", &json!({"fetch": name}))
}

/// The first state of the model for which `fits`.
fn wait(rig: &mut Rig, name: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let states = topic(&format!("models/{name}/state"));
    let seen = rig.lab.wait(&format!("{name} {what}"), |seen| {
        seen.topic == states && fits(&seen.json())
    });
    seen.json()
}

fn reaches(rig: &mut Rig, name: &str, state: &str) -> Value {
    wait(rig, name, state, |seen| seen["state"] == state)
}

/// The entry as `cmd/models` has it.
fn listed(rig: &mut Rig, name: &str) -> Value {
    let answer = rig.ask("models", &json!({}));
    assert_eq!(answer["ok"], true, "{answer}");
    let entries = answer["catalogue"].as_array().unwrap().clone();
    let entry = entries.into_iter().find(|entry| entry["name"] == name);
    entry.unwrap_or_else(|| panic!("{name} is not in {answer}"))
}

/// Files of the model directory, hidden ones too.
fn files(rig: &Rig) -> Vec<String> {
    let entries = std::fs::read_dir(rig.daemon.models()).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let mut files: Vec<String> = entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect();
    files.sort();
    files
}

/// Waits for an `info` that lists the model with this hash.
fn wait_info(rig: &mut Rig, name: &str, sha256: &str) {
    let info = topic("info");
    rig.lab.wait(&format!("info with {name}"), |seen| {
        let lists = |models: &Vec<Value>| {
            let mut models = models.iter();
            models.any(|model| model["name"] == name && model["sha256"] == sha256)
        };
        seen.topic == info && seen.json()["models"].as_array().is_some_and(lists)
    });
}

#[test]
#[cfg(feature = "llama")]
fn a_model_is_fetched_over_tls_and_a_job_runs_with_it() {
    use support::rig::job;
    const NAME: &str = "new.gguf";
    let authority = Authority::new();
    let web = Web::https(&authority);
    let model = tiny_gguf::bytes(Damage::None);
    web.put("moved", &model, Manner::Well);
    web.put("m", &[], Manner::Redirect(web.url("moved")));
    let ca = format!("[fetch]\nca_file = {:?}\n", authority.ca());
    let size = format!("size_bytes = {}\n", model.len());
    let mut rig = rig(&(entry(NAME, &web.url("m"), &model) + &size + &ca));
    assert_eq!(listed(&mut rig, NAME)["state"], "absent");
    let wanted = |id, sha256: &str| job(id, json!({"model": NAME, "model_sha256": sha256}));
    let early = rig.ask("submit", &wanted("early", &sha256(&model)));
    assert_eq!(early["error"]["code"], "unknown-model", "{early}");
    let message = early["error"]["message"].as_str().unwrap();
    assert!(message.contains("cmd/models"), "{message}");

    let answer = fetch(&mut rig, NAME);
    assert_eq!(
        (&answer["ok"], &answer["state"]),
        (&json!(true), &json!("queued"))
    );
    let ready = reaches(&mut rig, NAME, "ready");
    assert_eq!(ready["bytes"], model.len());
    assert_eq!(ready["sha256"], sha256(&model));
    assert_eq!(files(&rig), [NAME, "tiny.gguf"]);
    wait_info(&mut rig, NAME, &sha256(&model));
    assert_eq!(listed(&mut rig, NAME)["state"], "ready");

    let other = rig.ask("submit", &wanted("other", &"ab".repeat(32)));
    assert_eq!(other["error"]["code"], "wrong-model", "{other}");
    assert_eq!(other["error"]["field"], "model_sha256");
    let result = rig.run(&wanted("pinned", &sha256(&model).to_uppercase()));
    assert_eq!(result["state"], "succeeded", "{result}");
    assert_eq!(result["model"]["sha256"], sha256(&model));

    // What is there is not fetched again.
    let asked = web.asked().len();
    assert_eq!(fetch(&mut rig, NAME)["ok"], true);
    let rev = ready["rev"].as_u64().unwrap();
    wait(&mut rig, NAME, "ready again", |seen| {
        seen["state"] == "ready" && seen["rev"].as_u64().unwrap() > rev
    });
    assert_eq!(web.asked().len(), asked);
}

#[test]
fn a_client_can_name_a_model_of_the_catalogue_and_nothing_else() {
    let web = Web::http();
    let model = content(100);
    web.put("m", &model, Manner::Well);
    let mut rig = rig(&entry("m.gguf", &web.url("m"), &model));
    let refused = |rig: &mut Rig, payload: Value, code: &str| {
        let answer = rig.ask("models", &payload);
        assert_eq!(answer["error"]["code"], code, "{payload}: {answer}");
    };
    refused(&mut rig, json!({"fetch": "other.gguf"}), "unknown-model");
    refused(&mut rig, json!({"fetch": "../m.gguf"}), "invalid-command");
    refused(&mut rig, json!({"fetch": web.url("m")}), "invalid-command");
    let with_url = json!({"fetch": "m.gguf", "url": web.url("x")});
    refused(&mut rig, with_url, "invalid-command");
    assert!(web.asked().is_empty());
    assert_eq!(files(&rig), ["tiny.gguf"]);
}

/// Each of them fails with its reason, and leaves nothing that a job could name.
#[test]
fn what_is_not_the_model_never_becomes_one() {
    let authority = Authority::new();
    let web = Web::https(&authority);
    let plain = Web::http();
    let model = content(200_000);
    plain.put("m", &model, Manner::Well);
    let to_http = plain.url("m");
    let cases = [
        ("tampered", Manner::Tampered, "has the SHA-256"),
        ("endless", Manner::Endless, "sends more than 200000 bytes"),
        ("short", Manner::Announcing(199_999), "has 199999 bytes"),
        (
            "long",
            Manner::Announcing(1 << 40),
            "has 1099511627776 bytes",
        ),
        ("absent", Manner::Status(404), "answers 404"),
        ("plain", Manner::Redirect(to_http), "address without TLS"),
        (
            "round",
            Manner::Redirect(web.url("round")),
            "again and again",
        ),
    ];
    let mut config = format!("[fetch]\ntimeout_s = 1\nca_file = {:?}\n", authority.ca());
    for (name, manner, _) in &cases {
        web.put(name, &model, manner.clone());
        let entry = entry(&format!("{name}.gguf"), &web.url(name), &model);
        config = format!("{entry}size_bytes = {}\n{config}", model.len());
    }
    // A server that shows a certificate of nobody's.
    let stranger = Web::https(&Authority::new());
    config = entry("stranger.gguf", &stranger.url("m"), &model) + &config;
    let mut rig = rig(&config);
    let stranger = ("stranger", Manner::Well, "certificate");
    for (name, _, reason) in cases.into_iter().chain([stranger]) {
        let name = format!("{name}.gguf");
        assert_eq!(fetch(&mut rig, &name)["ok"], true);
        let failed = reaches(&mut rig, &name, "failed");
        let told = failed["reason"].as_str().unwrap();
        assert!(told.contains(reason), "{name}: {told}");
        assert!(!told.contains("://") && !told.contains('/'), "{told}");
        let listed = listed(&mut rig, &name);
        assert_eq!(
            (&listed["state"], &listed["reason"]),
            (&json!("failed"), &json!(told))
        );
    }
    assert!(plain.asked().is_empty(), "a redirect to http was followed");
    // Nor is anything left of them.
    assert_eq!(files(&rig), ["tiny.gguf"]);
}

#[test]
fn a_server_that_hangs_or_trickles_is_given_up() {
    let web = Web::http();
    let model = content(200_000);
    web.put("slow", &model, Manner::Trickling);
    web.put("silent", &model, Manner::HeldAfter(0));
    let config = entry("slow.gguf", &web.url("slow"), &model)
        + &entry("silent.gguf", &web.url("silent"), &model)
        + "[fetch]\ntimeout_s = 1\n";
    let mut rig = rig(&config);
    for name in ["slow.gguf", "silent.gguf"] {
        assert_eq!(fetch(&mut rig, name)["ok"], true);
    }
    let reason = |rig: &mut Rig, name| reaches(rig, name, "failed")["reason"].to_string();
    let slow = reason(&mut rig, "slow.gguf");
    assert!(slow.contains("less than 1 KiB a second"), "{slow}");
    let silent = reason(&mut rig, "silent.gguf");
    assert!(silent.contains("silent for 1 s"), "{silent}");
    assert_eq!(web.asked().len(), 10, "five tries each");
}

#[test]
fn a_fetch_goes_on_where_it_ended_after_lost_connections() {
    let web = Web::http();
    let model = content(350_000);
    web.put("m", &model, Manner::CutAfter(100_000));
    let config = entry("m.gguf", &web.url("m"), &model) + "[fetch]\ntimeout_s = 1\n";
    let mut rig = rig(&config);
    fetch(&mut rig, "m.gguf");
    reaches(&mut rig, "m.gguf", "ready");
    assert_eq!(web.asked(), [0, 100_000, 200_000, 300_000]);
    let there = std::fs::read(rig.daemon.models().join("m.gguf")).unwrap();
    assert!(there == model);
}

#[test]
fn a_fetch_goes_on_where_it_ended_after_a_crash() {
    let web = Web::http();
    let model = content(300_000);
    web.put("m", &model, Manner::HeldAfter(200_000));
    web.put("next", &model, Manner::WithoutRanges);
    let config =
        entry("m.gguf", &web.url("m"), &model) + &entry("next.gguf", &web.url("next"), &model);
    let mut rig = rig(&config);
    fetch(&mut rig, "m.gguf");
    // One after the other: this one waits.
    assert_eq!(fetch(&mut rig, "next.gguf")["state"], "queued");
    let part = rig.daemon.models().join(".m.gguf.part");
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    assert!(eventually(|| length(&part) > 100_000));
    rig.daemon.kill();
    let had = length(&part);
    web.let_go();
    rig.listen_anew();
    rig.daemon.spawn();
    let ready = reaches(&mut rig, "m.gguf", "ready");
    reaches(&mut rig, "next.gguf", "ready");
    assert_eq!(web.asked(), [0, had as usize, 0]);
    // Revisions rise over the crash.
    assert!(ready["rev"].as_u64().unwrap() > 1_000_000, "{ready}");
    assert_eq!(files(&rig), ["m.gguf", "next.gguf", "tiny.gguf"]);
}

/// A file that changes on the server between two pieces is fetched anew, once.
#[test]
fn pieces_that_do_not_fit_together_are_no_model() {
    let web = Web::http();
    let model = content(300_000);
    web.put("m", &model, Manner::Well);
    let mut rig = Rig::start_with(STEADY, |daemon| {
        daemon.configure("10.toml", &entry("m.gguf", &web.url("m"), &model));
        std::fs::write(daemon.models().join(".m.gguf.part"), vec![9; 100_000]).unwrap();
        // Of a model that the catalogue had once.
        std::fs::write(daemon.models().join(".gone.gguf.part"), "x").unwrap();
    });
    // Nobody has to ask again.
    reaches(&mut rig, "m.gguf", "ready");
    assert_eq!(web.asked(), [100_000, 0]);
    assert_eq!(files(&rig), ["m.gguf", "tiny.gguf"]);
}

/// As a typo in the catalogue would be: every connection makes a piece, so that the whole could
/// always be of two files.
#[test]
fn a_hash_that_nothing_has_is_given_up() {
    let web = Web::http();
    let model = content(250_000);
    web.put("m", &model, Manner::CutAfter(100_000));
    let other = entry("m.gguf", &web.url("m"), b"another file");
    let mut rig = rig(&(other + "[fetch]\ntimeout_s = 1\n"));
    fetch(&mut rig, "m.gguf");
    let failed = reaches(&mut rig, "m.gguf", "failed");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains(&sha256(&model)), "{reason}");
    let once = [0, 100_000, 200_000];
    assert_eq!(web.asked(), [once, once].concat());
    assert_eq!(files(&rig), ["tiny.gguf"]);
}

#[test]
#[cfg(feature = "llama")]
fn nothing_is_fetched_while_a_job_runs() {
    use support::rig::job;
    let web = Web::http();
    let model = content(300_000);
    web.put("m", &model, Manner::HeldAfter(200_000));
    let mut rig = rig(&entry("m.gguf", &web.url("m"), &model));
    fetch(&mut rig, "m.gguf");
    let part = rig.daemon.models().join(".m.gguf.part");
    let length = || std::fs::metadata(&part).map_or(0, |file| file.len());
    assert!(eventually(|| length() > 100_000));
    rig.submit(&job(
        "quiet",
        json!({"idle": {"before_s": 1, "after_s": 1}}),
    ));
    let paused = reaches(&mut rig, "m.gguf", "paused");
    assert_eq!(paused["reason"], "a job runs");
    let had = length();
    web.let_go();
    let result = rig.result("quiet");
    reaches(&mut rig, "m.gguf", "ready");
    assert_eq!(web.asked(), [0, had as usize]);
    // Once it has measured, the attempt's own records take longer than the next state.
    let idle = result["timeline"]["input"].as_array().unwrap().last();
    let measured =
        result["t0_mono_ns"].as_u64().unwrap() + idle.unwrap()["t1_ns"].as_u64().unwrap();
    let states = topic("models/m.gguf/state");
    let of_model = rig.lab.seen.iter().filter(|seen| seen.topic == states);
    let after = of_model.skip_while(|seen| seen.json()["state"] != "paused");
    for news in after.skip(1) {
        assert!(news.at.0 > measured, "while a job runs: {}", news.text);
    }
}

#[test]
fn a_file_that_is_copied_in_or_replaced_is_noticed() {
    let web = Web::http();
    let (model, old) = (tiny_gguf::bytes(Damage::None), content(5_000));
    web.put("m", &model, Manner::Well);
    let mut rig = rig(&entry("m.gguf", &web.url("m"), &model));
    let path = rig.daemon.models().join("m.gguf");
    std::fs::write(&path, &old).unwrap();
    assert_eq!(listed(&mut rig, "m.gguf")["state"], "unverified");
    // Its hash is made in the background.
    assert!(eventually(
        || listed(&mut rig, "m.gguf")["state"] == "differs"
    ));
    // What the catalogue says counts.
    fetch(&mut rig, "m.gguf");
    reaches(&mut rig, "m.gguf", "ready");
    wait_info(&mut rig, "m.gguf", &sha256(&model));
    assert!(std::fs::read(&path).unwrap() == model);
    // One that goes is listed no more.
    std::fs::remove_file(&path).unwrap();
    let info = topic("info");
    let seen = rig.lab.seen.len();
    rig.look_on("info without it", |rig| {
        rig.lab.seen[seen..].iter().any(|seen| {
            seen.topic == info && !seen.json()["models"].to_string().contains("\"m.gguf\"")
        })
    });
    assert_eq!(listed(&mut rig, "m.gguf")["state"], "absent");
}
