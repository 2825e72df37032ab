//! Any bytes as the payload of each command: it is read, or refused with a short sentence in
//! ASCII. That the sentence quotes no prompt is for `tests/privacy.rs`.

#![no_main]

use jouled::mqtt::Command;
use jouled::mqtt::command::{answer, id_in};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, from_slice};

const NAMES: [&str; 7] = [
    "submit", "cancel", "jobs", "queue", "replay", "models", "other",
];

fuzz_target!(|bytes: &[u8]| {
    for name in NAMES {
        match Command::parse(name, bytes) {
            Ok(Command::Cancel { id }) | Ok(Command::Replay { id, .. }) => {
                assert_eq!(id_in(bytes).as_deref(), Some(id.as_str()));
            }
            Ok(_) => {}
            Err(refusal) => {
                let text = [Some(&refusal.message), refusal.field.as_ref()];
                let short = |text: &&String| text.is_ascii() && text.len() < 1_024;
                assert!(
                    text.iter()
                        .flatten()
                        .all(|text| short(text) && !text.is_empty())
                );
                let written = answer(&Err(refusal));
                let read: Value = from_slice(&written).expect("an answer is JSON");
                assert_eq!(read["ok"], false);
            }
        }
    }
});
