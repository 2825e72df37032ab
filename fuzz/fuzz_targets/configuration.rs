//! Any text as the configuration file: it is read, or refused with a sentence.

#![no_main]

use jouled::config::parse;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    // A password's file is read: no device is to be waited for.
    if text.contains("_file") && text.contains("/dev") {
        return;
    }
    if let Err(error) = parse(Path::new("jouled.toml"), text) {
        assert!(!error.to_string().is_empty());
    }
});
