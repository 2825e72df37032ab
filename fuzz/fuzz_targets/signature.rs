//! Any bytes as a signature, a newline and the payload that it is said to sign: nothing but
//! the lab's key makes one that is taken.

#![no_main]

use jouled::workload::signature::TrustedKeys;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Nobody has the secret half.
static KEYS: LazyLock<TrustedKeys> = LazyLock::new(|| {
    let key = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=".to_owned();
    TrustedKeys::parse(&BTreeMap::from([("lab".to_owned(), key)])).expect("a public key")
});

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let keys = BTreeMap::from([("any".to_owned(), text.to_string())]);
    let _ = TrustedKeys::parse(&keys);
    let (signature, payload) = text.split_once('\n').unwrap_or((&text, ""));
    let refused = KEYS.verify(payload.as_bytes(), signature, "pi5-01", 1_000, 2_000);
    assert!(
        !refused
            .expect_err("nobody signed it")
            .to_string()
            .is_empty()
    );
});
