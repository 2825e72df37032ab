//! Any bytes as a line of tegrastats: each rail that is read stands there, name before
//! power.

#![no_main]

use jouled::sensor::tegrastats::line::rails;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let line = String::from_utf8_lossy(bytes);
    let tokens: Vec<&str> = line.split_ascii_whitespace().collect();
    for rail in rails(&line).unwrap_or_default() {
        let stands_there = tokens.windows(2).any(|pair| {
            let current = pair[1].split('/').next().unwrap_or_default();
            let number = current.strip_suffix("mW").unwrap_or(current);
            pair[0] == rail.label && number.parse() == Ok(rail.milliwatts)
        });
        assert!(stands_there, "{rail:?} in {line:?}");
        assert!(!["RAM", "SWAP", "IRAM", "NC"].contains(&rail.label));
    }
});
