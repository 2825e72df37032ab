//! Any bytes as items of a `choice` job: what is accepted can be scored, and comes back as it
//! was; a refusal is a short sentence that names the line and repeats no text.

#![no_main]

use jouled::quality::items::{self, MOST_CHOICES, MOST_ITEMS};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match items::parse(bytes) {
        Ok(items) => {
            assert!((1..=MOST_ITEMS).contains(&items.len()));
            let mut written = Vec::new();
            for item in &items {
                assert!((2..=MOST_CHOICES).contains(&item.choices.len()));
                assert!(item.gold < item.choices.len());
                let (context, texts) = item.texts();
                assert!(!context.is_empty());
                for (text, choice) in texts.zip(&item.choices) {
                    assert!(text.ends_with(choice.as_str()));
                    assert!(format!("{context}{text}").starts_with(item.context.as_str()));
                }
                serde_json::to_writer(&mut written, item).expect("an item can be written");
                written.push(b'\n');
            }
            // A line may be longer once it is escaped.
            if let Ok(again) = items::parse(&written) {
                assert_eq!(again, items);
            }
        }
        Err(refusal) => assert!(refusal.to_string().len() < 1_024),
    }
});
