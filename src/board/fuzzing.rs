//! What fuzz/ can't reach from outside: the texts in which a kernel and a vendor's tools
//! describe a board. None of them makes a number of what is none.

use super::clocks::{device_name, span};
use super::contention::{CpuTimes, Pressure, some_s};
use super::detect::{rank, strings_in};
use super::memory::kib_field;
use super::power_mode::PowerMode;
use super::profile::{Profile, parse};
use super::{BoardIdentity, evidence, facts};
use crate::units::{MonoNs, Span};

/// `bytes` as each of them.
pub fn texts(bytes: &[u8]) {
    for string in strings_in(bytes) {
        assert!(!string.is_empty() && !string.contains(char::is_control));
    }
    let text = &String::from_utf8_lossy(bytes);
    cpu_times(text);
    for field in ["MemAvailable", "VmRSS"] {
        assert!(kib_field(text, field).is_none_or(|bytes| bytes % 1024 == 0));
    }
    let named = [
        facts::os_name(text),
        facts::l4t_release(text),
        facts::cpu_name(text),
        PowerMode::parse(text).map(|mode| mode.name),
    ];
    assert!(named.iter().flatten().all(|name| !name.contains('\n')));
    evidence::number(text, 10);
    evidence::number(text, 16);
    assert!(span(text).starts_with("cpu"));
    assert!(text.ends_with(&device_name(text)) || device_name(text) == "gpu");
}

/// /proc/stat and /proc/pressure, twice: before, and the same two seconds later.
fn cpu_times(text: &str) {
    let pressure = Pressure {
        cpu_s: some_s(text),
        ..Pressure::default()
    };
    let at = |at| CpuTimes::parse(at, text, pressure);
    let (Some(before), Some(after)) = (at(MonoNs(0)), at(MonoNs(0) + Span::from_millis(2_000)))
    else {
        return;
    };
    let seen = before.until(&after, 0.0).expect("two seconds are enough");
    assert_eq!((seen.foreign_cpu, seen.steal), (0.0, 0.0));
    assert!(!seen.contended && seen.psi_some.is_none_or(|share| share == 0.0));
}

/// `text` as a board profile: one that is accepted can be used, on a board that it fits too.
pub fn profile(text: &str) {
    let profile = match parse("board.toml", text) {
        Ok(profile) => profile,
        Err(error) => return assert!(error.to_string().starts_with("board.toml")),
    };
    let exact = |pattern: &String| pattern.trim_end_matches('*').to_owned();
    let identity = BoardIdentity {
        compatible: profile.detect.compatible.iter().map(exact).collect(),
        model: profile.detect.model.first().map(exact),
        ..BoardIdentity::default()
    };
    let stated = !identity.compatible.is_empty() || identity.model.is_some();
    assert_eq!(rank(&identity, &profile.detect).is_some(), stated);
    let bandwidth = profile.memory_bandwidth_gb_s(&identity);
    assert!(bandwidth.is_none_or(|gb_s| gb_s.is_finite() && gb_s > 0.0));
    rails_nest(&profile);
}

/// No rail contains itself, however far around.
fn rails_nest(profile: &Profile) {
    let known = profile.known_rails();
    for rail in &known.rails {
        let mut outside = rail.contained_in.as_deref();
        let mut steps = 0;
        while let Some(label) = outside {
            steps += 1;
            assert!(steps < known.rails.len(), "{} contains itself", rail.label);
            let around = known.rail(label).expect("it is a rail of the profile");
            outside = around.contained_in.as_deref();
        }
    }
}
