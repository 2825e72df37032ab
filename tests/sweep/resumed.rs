//! What a study says of jobs that an earlier run of the command had sent.

use super::*;

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
