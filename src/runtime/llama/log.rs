//! llama.cpp's log: warnings go to stderr, and what it only tells there (buffer sizes,
//! flash attention, offloaded layers) is read from the lines of one load.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

struct Log {
    /// A continuation has the level of what it continues.
    level: Level,
    captured: Option<String>,
}

static LOG: Mutex<Log> = Mutex::new(Log {
    level: Level::Debug,
    captured: None,
});

/// A load prints a few ten kilobytes.
const MOST_CAPTURED_BYTES: usize = 1 << 20;

/// Takes a piece of the log; `None` continues the one before.
pub fn receive(level: Option<Level>, text: &str) {
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    log.level = level.unwrap_or(log.level);
    if log.level >= Level::Warn {
        // A closed stderr is no reason to stop.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
    if log.level >= Level::Info
        && let Some(captured) = &mut log.captured
        && captured.len() + text.len() <= MOST_CAPTURED_BYTES
    {
        captured.push_str(text);
    }
}

/// Runs `work` and yields what it logged.
pub fn capture<T>(work: impl FnOnce() -> T) -> (T, LoadLog) {
    let exchange = |captured| {
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut log.captured, captured)
    };
    exchange(Some(String::new()));
    let result = work();
    (result, LoadLog(exchange(None).unwrap_or_default()))
}

/// The log of loading a model and making its context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadLog(String);

impl LoadLog {
    /// All caches: sliding-window models have two, recurrent ones keep states.
    pub fn kv_bytes(&self) -> Option<u64> {
        let caches = self
            .sizes("KV buffer size")
            .chain(self.sizes("RS buffer size"));
        sum(caches.map(|(_, bytes)| bytes))
    }

    /// The buffers of all devices, as reserved: pages are only touched as needed.
    pub fn compute_bytes(&self) -> Option<u64> {
        // Reserved anew in the course of a load: the last size of each buffer counts.
        let mut last = Vec::<(&str, u64)>::new();
        for (name, bytes) in self.sizes("compute buffer size") {
            match last.iter_mut().find(|(known, _)| *known == name) {
                Some(entry) => entry.1 = bytes,
                None => last.push((name, bytes)),
            }
        }
        sum(last.into_iter().map(|(_, bytes)| bytes))
    }

    /// Weights rearranged for this CPU, beside those of the file; 0 if none were.
    pub fn repack_bytes(&self) -> Option<u64> {
        sum(self.sizes("model buffer size").map(
            |(name, bytes)| {
                if name.contains("REPACK") { bytes } else { 0 }
            },
        ))
    }

    /// As resolved when left to the engine.
    pub fn flash_attn(&self) -> Option<bool> {
        let enabled = self.0.contains("Flash Attention enabled")
            || self.0.contains("enabling flash_attn since");
        let disabled =
            self.0.contains("Flash Attention not supported") || self.0.contains("forcing off");
        (enabled || disabled).then_some(enabled && !disabled)
    }

    pub fn layers_offloaded(&self) -> u32 {
        let after = self.0.split("offloaded ").nth(1).unwrap_or_default();
        let number = after.split('/').next().unwrap_or_default();
        number.parse().unwrap_or(0)
    }

    /// Its last words, for an error.
    pub fn tail(&self) -> String {
        let lines: Vec<&str> = self.0.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("; ")
    }

    /// Name and size of the buffers that a line such as
    /// `load_tensors:   CPU_REPACK model buffer size =    72.00 MiB` reports.
    fn sizes<'a>(&'a self, what: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        self.0.lines().filter_map(move |line| {
            let (before, after) = line.split_once(what)?;
            let name = before.split_whitespace().next_back()?;
            let size = after.trim_start().strip_prefix('=')?;
            let mib: f64 = size.split_whitespace().next()?.parse().ok()?;
            Some((name, (mib * 1_048_576.0).round() as u64))
        })
    }
}

/// `None` if there is nothing to add up.
fn sum(bytes: impl Iterator<Item = u64>) -> Option<u64> {
    bytes.reduce(|total, more| total + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_lines() {
        let log = LoadLog(
            "load_tensors: offloaded 3/31 layers to GPU\n\
             load_tensors:   CPU_Mapped model buffer size =    93.69 MiB\n\
             load_tensors:   CPU_REPACK model buffer size =    72.00 MiB\n\
             llama_kv_cache:        CPU KV buffer size =    40.00 MiB\n\
             llama_kv_cache:        CPU KV buffer size =     5.00 MiB\n\
             sched_reserve: Flash Attention enabled\n\
             sched_reserve:        CPU compute buffer size =   100.00 MiB\n\
             sched_reserve:        CPU compute buffer size =    16.00 MiB\n"
                .to_owned(),
        );
        const MIB: u64 = 1 << 20;
        assert_eq!(log.kv_bytes(), Some(45 * MIB));
        assert_eq!(log.compute_bytes(), Some(16 * MIB));
        assert_eq!(log.repack_bytes(), Some(72 * MIB));
        assert_eq!(log.flash_attn(), Some(true));
        assert_eq!(log.layers_offloaded(), 3);
    }

    #[test]
    fn what_was_not_logged_is_missing() {
        let log = LoadLog(String::new());
        assert_eq!(log.kv_bytes(), None);
        assert_eq!(log.compute_bytes(), None);
        assert_eq!(log.repack_bytes(), None);
        assert_eq!(log.flash_attn(), None);
    }
}
