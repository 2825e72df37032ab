//! Any bytes as a model file: its header is read or refused, and what it would take
//! estimated, for modest parameters and for the largest.

#![no_main]

use jouled::runtime::gguf::{Header, MemoryEstimate};
use jouled::workload::{FlashAttn, KvType, Params};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = Header::parse(bytes) else {
        return;
    };
    assert!(header.data_offset <= header.file_bytes);
    let largest = Params {
        n_ctx: u32::MAX,
        n_batch: u32::MAX,
        flash_attn: FlashAttn::Off,
        kv_type: KvType::F32,
        ..Params::default()
    };
    let modest = MemoryEstimate::of(&header, &Params::default(), 1);
    let estimate = MemoryEstimate::of(&header, &largest, u32::MAX);
    assert!(modest.total_bytes() >= modest.weights_bytes);
    assert!(estimate.total_bytes() >= modest.total_bytes());
    header.params();
    header.step_bytes();
    for kv_type in [KvType::F32, KvType::F16, KvType::Q8_0, KvType::Q4_0] {
        header.kv_token_bytes(kv_type);
    }
});
