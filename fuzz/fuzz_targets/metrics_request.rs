//! Any bytes as what a client sends for metrics: judged alike however they are cut.

#![no_main]

use jouled::metrics::request::{end_of_header, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse(bytes);
    let whole = end_of_header(bytes, 0);
    let half = bytes.len() / 2;
    let cut = end_of_header(&bytes[..half], 0).or_else(|| end_of_header(bytes, half));
    assert_eq!(whole, cut);
    if let Some(end) = whole
        && parse(&bytes[..end]).is_ok()
    {
        assert!(bytes[..end].windows(8).any(|part| part == b"/metrics"));
    }
});
