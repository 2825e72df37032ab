//! Any bytes as a job: one that is accepted comes back as the daemon writes it and names
//! nothing outside of its folders; a refusal is a short sentence of jouled's own.

#![no_main]

use jouled::workload::{Job, Limits};
use libfuzzer_sys::fuzz_target;
use std::path::{Component, Path};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    match Job::parse(bytes, &limits) {
        Ok(job) => {
            let written = serde_json::to_vec(&job).expect("a job can be written");
            let again = Job::parse(&written, &limits).expect("what was accepted");
            assert_eq!(again, job);
            if let Some(model) = &job.model {
                let parts: Vec<Component> = Path::new(model.as_str()).components().collect();
                assert!(matches!(parts[..], [Component::Normal(_)]));
            }
        }
        Err(refusal) => {
            let text = [Some(refusal.message), refusal.field];
            assert!(
                text.iter()
                    .flatten()
                    .all(|text| text.is_ascii() && text.len() < 1_024)
            );
        }
    }
});
