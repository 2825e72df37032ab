//! Any text as the configuration file: it is read, or refused with a sentence.

#![no_main]

use jouled::config::parse;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    // What a configuration names is read: no device is to be waited for, and the system's
    // hundred authorities take longer than all the rest.
    if text.contains("mqtts") || text.contains("_file") && text.contains("/dev") {
        return;
    }
    if let Err(error) = parse(Path::new("jouled.toml"), text) {
        assert!(!error.to_string().is_empty());
    }
});
