//! Any bytes as the lines of a raw file: what is accepted gives records, and comes back.

#![no_main]

use jouled::measure::archive;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // As a file, which hardly ever passes the checksum, and as what is in one.
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let _ = archive::read(bytes);
    }
    let Ok(read) = archive::read_lines(bytes) else {
        return;
    };
    read.records();
    let written = archive::write(
        Vec::new(),
        &read.context,
        &read.observed,
        &read.rails,
        &read.live,
    );
    let again = archive::read(&written.expect("what was accepted")[..]);
    assert_eq!(again.expect("what was written"), read);
});
