//! Any bytes as a model file: its header is read or refused, and its memory estimated.

#![no_main]

use jouled::runtime::gguf::{Header, MemoryEstimate};
use jouled::workload::Params;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = Header::parse(bytes) {
        assert!(header.data_offset <= header.file_bytes);
        let estimate = MemoryEstimate::of(&header, &Params::default());
        assert!(estimate.total_bytes() >= estimate.weights_bytes);
        header.params();
    }
});
