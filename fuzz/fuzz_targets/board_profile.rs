//! Any text as a board profile: it can be used, or it is refused with its file.

#![no_main]

use jouled::board::fuzzing::profile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| profile(text));
