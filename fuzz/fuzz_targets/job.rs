//! Any bytes as a job: one that is accepted is accepted again as the daemon writes it.

#![no_main]

use jouled::workload::{Job, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    if let Ok(job) = Job::parse(bytes, &limits) {
        let written = serde_json::to_vec(&job).expect("a job can be written");
        Job::parse(&written, &limits).expect("what was accepted");
    }
});
