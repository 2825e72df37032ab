//! What a study says of jobs that an earlier run of the command had sent.

use super::*;
use support::lab::Seen;

/// Jobs of the book by how they stand.
fn standing(book: &Value) -> BTreeMap<String, usize> {
    let mut standing = BTreeMap::new();
    for item in items(book) {
        *standing
            .entry(item["state"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    standing
}

#[test]
fn what_a_signature_is_refused_for_gives_no_job_up() {
    let dir = tempfile::tempdir().unwrap();
    let keygen = |name: &str| {
        let file = dir.path().join(name).to_str().unwrap().to_owned();
        let made = joulectl(&["keygen", &file]);
        assert!(made.status.success(), "{made:?}");
        (file, String::from_utf8(made.stdout).unwrap())
    };
    let (key, config) = keygen("lab.pem");
    let (stranger, _) = keygen("stranger.pem");
    let boards = Boards::start_with(&["one"], &config);
    let manifest = boards.manifest(&study(3, ""));
    let mut sweep = boards.sweep(&manifest, &["--sign-key", &key]);
    sweep.wait_for("sent");
    sweep.kill();
    for (signing, code) in [
        (vec![], "unsigned"),
        (vec!["--sign-key", stranger.as_str()], "bad-signature"),
    ] {
        let mut refused = boards.sweep(&manifest, &signing);
        let status = refused.end();
        let said = refused.last_words();
        assert_eq!(status.code(), Some(2), "{said}");
        assert!(
            said.contains(code) && said.contains("No job is given up"),
            "{said}"
        );
        let standing = standing(&boards.book());
        assert!(!standing.contains_key("refused"), "{standing:?}");
    }
    let summary = boards.ends(&manifest, &["--sign-key", &key], 0);
    assert_eq!(summary["failures"], json!([]));
    let dataset = boards.are_collected();
    assert_eq!(count(&dataset, "result"), 3, "each point once");
}

#[test]
fn a_job_that_ran_is_not_refused_for_what_changed_since() {
    let mut boards = Boards::start(&["one"]);
    let text = study(1, "").replace("repetitions = 1", "repetitions = 2");
    let manifest = boards.manifest(&text);
    let mut sweep = boards.sweep(&manifest, &[]);
    sweep.wait_for("sent");
    sweep.kill();
    boards.lab.wait("the end of the job", |seen| {
        seen.topic.ends_with("/state") && seen.json()["state"] == "succeeded"
    });
    let board = &mut boards.boards[0].1;
    board.kill();
    board.configure("20.toml", "[limits]\nrepetitions = 1\n");
    board.spawn();
    boards.lab.wait("the lower limit", |seen| {
        seen.topic == "jouled/one/info" && seen.json()["limits"]["repetitions"] == 1
    });
    let summary = boards.ends(&manifest, &[], 0);
    assert_eq!(summary["points"][0]["succeeded"], 1, "{summary}");
    assert_eq!(items(&boards.book()).len(), 1);
    let dataset = boards.are_collected();
    assert_eq!(count(&dataset, "result"), 1);
}

#[test]
fn a_study_that_is_done_needs_its_models_no_more() {
    let mut boards = Boards::start(&["one"]);
    let manifest = boards.manifest(&study(1, ""));
    boards.ends(&manifest, &[], 0);
    let info = |seen: &Seen| (seen.topic == "jouled/one/info").then(|| seen.json());
    let had = boards.lab.wait("the board with its model", |seen| {
        info(seen).is_some_and(|info| info["models"] != json!([]))
    });
    let had = had.json()["mono_ns"].as_u64();
    std::fs::remove_file(boards.boards[0].1.models().join(MODEL)).unwrap();
    boards.lab.wait("the board without its model", |seen| {
        let info = info(seen).filter(|info| info["mono_ns"].as_u64() > had);
        info.is_some_and(|info| info["models"] == json!([]))
    });
    let mut again = boards.sweep(&manifest, &[]);
    again.wait_for("summary");
    assert_eq!(again.end().code(), Some(0), "{}", again.last_words());
    let warnings = again.seen.iter().filter(|told| told["event"] == "warning");
    assert_eq!(warnings.count(), 0, "{:?}", again.seen);
}

#[test]
fn how_long_a_job_took_is_not_known_when_an_earlier_run_sent_it() {
    let boards = Boards::start(&["one"]);
    // Longer than the command takes to begin again.
    let manifest = boards.manifest(&study(2, "").replace("before_s = 0.1", "before_s = 3"));
    let mut sweep = boards.sweep(&manifest, &[]);
    sweep.wait_for("sent");
    sweep.wait_for("ended");
    let sent = sweep.seen.iter().filter(|told| told["event"] == "sent");
    if sent.count() < 2 {
        sweep.wait_for("sent");
    }
    sweep.kill();
    boards.ends(&manifest, &[], 0);
    let book = boards.book();
    let took = |at: usize| items(&book)[at]["took_s"].as_f64();
    assert!(took(0).is_some(), "{book}");
    assert_eq!(took(1), None, "{book}");
}
