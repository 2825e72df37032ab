//! Any bytes as the lines of a raw file: what is accepted gives records, and comes back.

#![no_main]

use flate2::Compression;
use flate2::write::GzEncoder;
use jouled::measure::archive;
use libfuzzer_sys::fuzz_target;
use std::io::Write;

fuzz_target!(|bytes: &[u8]| {
    // As a file, which hardly ever passes the checksum, and as what is in one.
    let _ = archive::read(bytes);
    let mut file = GzEncoder::new(Vec::new(), Compression::none());
    file.write_all(bytes).expect("memory");
    let file = file.finish().expect("memory");
    let Ok(read) = archive::read(&file[..]) else {
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
