//! Any bytes as what /proc, sysfs, device trees and a vendor's tools say.

#![no_main]

use jouled::runtime::process::{ProcessMemory, parse_stat};
use jouled::{board, sensor};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    board::fuzzing::texts(bytes);
    sensor::fuzzing::files(bytes);
    let text = String::from_utf8_lossy(bytes);
    let memory = ProcessMemory::parse(&text);
    assert!(memory.anon_bytes.is_none_or(|bytes| bytes % 1024 == 0));
    parse_stat(&text);
});
