//! A board that takes signed jobs only, on a broker that anyone may write to.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "llama", feature = "lab"))]

mod support;

use jouled::clock::unix_seconds;
use jouled::workload::signature::SigningKey;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::daemon::{DEVICE, STEADY};
use support::rig::{MODEL, Rig, job};
use support::tool::joulectl;

/// A key of `joulectl keygen`, and the configuration that it printed.
fn keygen(dir: &Path) -> (PathBuf, String) {
    let file = dir.join("lab.pem");
    let made = joulectl(&["keygen", file.to_str().unwrap()]);
    assert!(made.status.success(), "{made:?}");
    (file, String::from_utf8(made.stdout).unwrap())
}

fn signing_key(file: &Path) -> SigningKey {
    let der = PrivatePkcs8KeyDer::from_pem_file(file).unwrap();
    SigningKey::from_pkcs8(der.secret_pkcs8_der()).unwrap()
}

fn sign(job: &Value, key: &SigningKey, device: &str, not_after: i64) -> Value {
    let mut job = job.clone();
    job["signature"] = json!("");
    job["signature"] = json!(key.sign(job.to_string().as_bytes(), device, not_after));
    job
}

#[test]
fn only_signed_jobs_run_and_a_replayed_one_runs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (file, config) = keygen(dir.path());
    let mut rig = Rig::start(&format!("{STEADY}{config}"));
    let key = signing_key(&file);
    let soon = unix_seconds() + 600;
    let code = |answer: &Value| answer["error"]["code"].as_str().map(str::to_owned);

    let plain = job("a", json!({}));
    assert_eq!(
        code(&rig.ask("submit", &plain)).as_deref(),
        Some("unsigned")
    );

    let signed = sign(&plain, &key, DEVICE, soon);
    let mut changed = signed.clone();
    changed["n_predict"] = json!(99);
    let stranger_dir = tempfile::tempdir().unwrap();
    let stranger = signing_key(&keygen(stranger_dir.path()).0);
    for forged in [
        changed,
        sign(&plain, &key, "other-board", soon),
        sign(&plain, &stranger, DEVICE, soon),
        sign(&plain, &key, DEVICE, soon + 400 * 86_400),
    ] {
        let answer = rig.ask("submit", &forged);
        assert_eq!(code(&answer).as_deref(), Some("bad-signature"), "{answer}");
        assert_eq!(answer["error"]["field"], "signature");
    }
    let late = rig.ask("submit", &sign(&plain, &key, DEVICE, unix_seconds() - 1));
    assert_eq!(code(&late).as_deref(), Some("signature-expired"));

    rig.submit(&signed);
    assert_eq!(rig.result("a")["attempt"], 1);
    rig.reaches("a", "succeeded");
    for again in [signed, sign(&plain, &key, DEVICE, soon + 1)] {
        let answer = rig.ask("submit", &again);
        assert_eq!(
            (&answer["ok"], &answer["state"]),
            (&json!(true), &json!("succeeded"))
        );
        assert_eq!(answer["attempt"], 1);
    }
}

#[test]
fn joulectl_signs_what_it_submits() {
    let dir = tempfile::tempdir().unwrap();
    let (file, config) = keygen(dir.path());
    let rig = Rig::start(&format!("{STEADY}{config}"));
    let broker = rig.broker.url();
    let submit = [
        "submit",
        "--broker",
        &broker,
        "-m",
        MODEL,
        "-p",
        "Why?",
        "-n",
        "8",
        "-r",
        "1",
        "--warmup",
        "0",
        "-t",
        "1",
        "--idle-before",
        "0",
        "--idle-after",
        "0",
        "--id",
        "smol",
    ];
    let refused = joulectl(&submit);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--sign-key"));
    let signed = [
        &submit[..],
        &["--wait", "--sign-key", file.to_str().unwrap()],
    ]
    .concat();
    let done = joulectl(&signed);
    assert!(done.status.success(), "{done:?}");
    // Signed anew, it is the same job.
    let again = joulectl(&signed);
    assert!(again.status.success(), "{again:?}");
}
