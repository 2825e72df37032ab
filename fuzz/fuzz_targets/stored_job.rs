//! Any bytes as a job that lies in the queue, as a version before this one may have left it:
//! it can be told from others, and comes back as it was.

#![no_main]

use jouled::workload::Job;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(job) = serde_json::from_slice::<Job>(bytes) else {
        return;
    };
    job.prompt();
    job.bench_sizes();
    let written = serde_json::to_string(&job).expect("a job can be written");
    let again: Job = serde_json::from_str(&written).expect("what was accepted");
    assert_eq!(again, job);
    assert_eq!(again.content_hash(), job.content_hash());
});
