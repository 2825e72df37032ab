//! Any bytes as a request to the service that runs as root, and as nvpmodel's configuration: only
//! names that can be ones of governors come through, and each mode has a number of its own.

#![no_main]

use jouled::power::modes_in;
use jouled::power::protocol::{Request, is_name, line, read_line};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;

fuzz_target!(|bytes: &[u8]| {
    let modes = modes_in(&String::from_utf8_lossy(bytes));
    let ids: BTreeSet<u32> = modes.iter().map(|mode| mode.id).collect();
    assert_eq!(ids.len(), modes.len());

    let mut rest = bytes;
    while let Ok(Some(request)) = read_line(&mut rest) {
        let Ok(request) = Request::parse(&request) else {
            continue;
        };
        if let Request::Apply(wanted) = &request {
            assert!(!wanted.is_empty());
            assert!(wanted.governor.as_deref().is_none_or(is_name));
        }
        let again = line(&request);
        assert_eq!(Request::parse(again.trim_ascii_end()), Ok(request));
    }
});
