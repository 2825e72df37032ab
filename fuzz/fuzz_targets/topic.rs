//! Any bytes as a topic: nothing but a command of this device is one, and no answer goes to
//! where records, commands or discovery are read from.

#![no_main]

use jouled::mqtt::Topics;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TOPICS: LazyLock<Topics> = LazyLock::new(|| Topics::new("jouled", "pi5-01"));

fuzz_target!(|topic: &str| {
    if let Some(name) = TOPICS.command(topic) {
        assert_eq!(topic, format!("jouled/pi5-01/cmd/{name}"));
        assert!(!name.is_empty() && !name.contains('/'));
    }
    if TOPICS.check_response(topic).is_ok() {
        let first = topic.split('/').next();
        assert!(!matches!(first, Some("jouled" | "homeassistant")));
        assert!(!topic.starts_with('$') && !topic.contains(['+', '#', '\0']));
        assert!((1..=256).contains(&topic.len()));
    }
});
