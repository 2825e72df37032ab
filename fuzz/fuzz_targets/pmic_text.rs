//! Any bytes as what `vcgencmd pmic_read_adc` prints: numbers, each rail once, and the same
//! again from its own text.

#![no_main]

use jouled::sensor::pmic::{Adc, parse};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::fmt::Write;

fuzz_target!(|bytes: &[u8]| {
    let Adc(channels) = parse(&String::from_utf8_lossy(bytes));
    let names: BTreeSet<&str> = channels.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names.len(), channels.len());
    let mut text = String::new();
    for channel in &channels {
        let name = &channel.name;
        if let Some(current) = channel.current {
            assert!(current.0.is_finite());
            writeln!(text, "{name}_A current(0)={}A", current.0).expect("memory");
        }
        if let Some(voltage) = channel.voltage {
            assert!(voltage.0.is_finite());
            writeln!(text, "{name}_V volt(0)={}V", voltage.0).expect("memory");
        }
    }
    assert_eq!(parse(&text).0, channels);
});
