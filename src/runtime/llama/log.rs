//! llama.cpp's log: warnings go to stderr, and what it only tells there (buffer sizes,
//! flash attention, offloaded layers) is read from the lines of one load.

use crate::runtime::protocol::WorkerMemory;
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
    /// What the lines tell of memory.
    pub fn memory(&self) -> WorkerMemory {
        let buffers = self.buffers();
        let all = |wanted: fn(&Buffer) -> bool| {
            let wanted = buffers.iter().filter(|buffer| wanted(buffer));
            wanted
                .map(|buffer| buffer.bytes)
                .reduce(u64::saturating_add)
        };
        // Where such buffers were told of, and none is meant, 0 is the answer.
        let part = |among: fn(&Buffer) -> bool, meant: fn(&Buffer) -> bool| {
            let among = buffers.iter().filter(|buffer| among(buffer));
            among
                .map(|buffer| if meant(buffer) { buffer.bytes } else { 0 })
                .reduce(u64::saturating_add)
        };
        WorkerMemory {
            kv_bytes: all(|buffer| buffer.is_cache()),
            compute_bytes: all(|buffer| buffer.what == "compute"),
            repack_bytes: part(
                |buffer| buffer.is_weights(),
                |buffer| buffer.is_rearranged(),
            ),
            model_bytes: all(|buffer| buffer.is_weights()),
            device_bytes: part(|_| true, |buffer| buffer.is_on_accelerator()),
        }
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

    fn buffers(&self) -> Vec<Buffer<'_>> {
        let mut buffers = Vec::<Buffer>::new();
        for buffer in self.0.lines().filter_map(Buffer::of) {
            // Reserved anew in the course of a load: the last size counts.
            let known = buffers
                .iter_mut()
                .find(|known| buffer.is_reserved() && known.is_same(&buffer));
            match known {
                Some(known) => known.bytes = buffer.bytes,
                None => buffers.push(buffer),
            }
        }
        buffers
    }
}

/// A buffer that a line such as
/// `load_tensors:   CPU_REPACK model buffer size =    72.00 MiB` tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Buffer<'a> {
    /// ggml's name of where it is.
    place: &'a str,
    /// `model`, `KV`, `RS`, `compute`, `output`, ...
    what: &'a str,
    /// As allocated: the kernel gives pages as they are touched.
    bytes: u64,
}

impl<'a> Buffer<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (before, size) = line.split_once(" buffer size =")?;
        // The function, then place and kind.
        let (_, named) = before.split_once(':')?;
        let (place, what) = named.trim_start().split_once(' ')?;
        let mib: f64 = size.split_whitespace().next()?.parse().ok()?;
        Some(Self {
            place,
            what: what.trim_start(),
            bytes: (mib * 1_048_576.0).round() as u64,
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.place, self.what) == (other.place, other.what)
    }

    fn is_reserved(&self) -> bool {
        self.what == "compute" || self.what == "output"
    }

    fn is_weights(&self) -> bool {
        self.what == "model"
    }

    /// Sliding-window models have two caches, recurrent ones keep states.
    fn is_cache(&self) -> bool {
        matches!(self.what, "KV" | "RS") || self.what.ends_with(" state")
    }

    /// Weights in another order than the file's, for this CPU's instructions. Where the file
    /// is mapped they are there twice.
    fn is_rearranged(&self) -> bool {
        const NAMES: [&str; 4] = ["REPACK", "AARCH64", "KLEIDIAI", "SPACEMIT"];
        self.place == "AMX" || NAMES.iter().any(|name| self.place.contains(name))
    }

    /// `CUDA0`, `Vulkan0`, ... `CUDA_Host` is main memory that the accelerator may read.
    fn is_on_accelerator(&self) -> bool {
        let on_host = self.place.starts_with("CPU") || matches!(self.place, "AMX" | "BLAS");
        !(on_host || self.place.ends_with("_Host"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn sizes_are_read_from_the_lines() {
        let log = LoadLog(
            "load_tensors: offloaded 3/31 layers to GPU\n\
             load_tensors:   CPU_Mapped model buffer size =    93.50 MiB\n\
             load_tensors:   CPU_REPACK model buffer size =    72.00 MiB\n\
             llama_kv_cache:        CPU KV buffer size =    40.00 MiB\n\
             llama_kv_cache:        CPU KV buffer size =     5.00 MiB\n\
             sched_reserve: Flash Attention enabled\n\
             sched_reserve:        CPU compute buffer size =   100.00 MiB\n\
             sched_reserve:        CPU compute buffer size =    16.00 MiB\n"
                .to_owned(),
        );
        let memory = log.memory();
        assert_eq!(memory.kv_bytes, Some(45 * MIB));
        assert_eq!(memory.compute_bytes, Some(16 * MIB));
        assert_eq!(memory.repack_bytes, Some(72 * MIB));
        assert_eq!(memory.model_bytes, Some(165 * MIB + MIB / 2));
        assert_eq!(memory.device_bytes, Some(0));
        assert_eq!(log.flash_attn(), Some(true));
        assert_eq!(log.layers_offloaded(), 3);
    }

    #[test]
    fn what_an_accelerator_holds_is_told_apart() {
        let log = |names: [&str; 3]| {
            let [device, host, second] = names;
            LoadLog(format!(
                "load_tensors: offloaded 31/31 layers to GPU\n\
                 load_tensors:   CPU_Mapped model buffer size =    28.00 MiB\n\
                 load_tensors: {device:>12} model buffer size =    93.00 MiB\n\
                 load_tensors: {second:>12} model buffer size =     7.00 MiB\n\
                 llama_context: {host:>10}  output buffer size =     0.25 MiB\n\
                 llama_kv_cache: {device:>10} KV buffer size =    45.00 MiB\n\
                 llama_memory_recurrent: {device:>10} RS buffer size =     2.00 MiB\n\
                 sched_reserve: {device:>10} compute buffer size =   100.00 MiB\n\
                 sched_reserve: {device:>10} compute buffer size =    98.00 MiB\n\
                 sched_reserve: {host:>10} compute buffer size =     5.00 MiB\n"
            ))
        };
        for names in [
            ["CUDA0", "CUDA_Host", "CUDA1"],
            ["Vulkan0", "Vulkan_Host", "Vulkan1"],
        ] {
            let log = log(names);
            assert_eq!(
                log.memory(),
                WorkerMemory {
                    kv_bytes: Some(47 * MIB),
                    compute_bytes: Some(103 * MIB),
                    repack_bytes: Some(0),
                    model_bytes: Some(128 * MIB),
                    device_bytes: Some((93 + 7 + 45 + 2 + 98) * MIB),
                }
            );
            assert_eq!(log.layers_offloaded(), 31);
        }
    }

    #[test]
    fn rearranged_weights_are_recognised_by_their_buffers() {
        for (name, rearranged) in [
            ("CPU_REPACK", true),
            ("CPU_AARCH64", true),
            ("CPU_KLEIDIAI", true),
            ("CPU_RISCV64_SPACEMIT", true),
            ("AMX", true),
            ("CPU", false),
            ("CPU_Mapped", false),
        ] {
            let line = format!("load_tensors: {name:>12} model buffer size =    10.00 MiB\n");
            let memory = LoadLog(line).memory();
            let expected = if rearranged { 10 * MIB } else { 0 };
            assert_eq!(memory.repack_bytes, Some(expected), "{name}");
            assert_eq!(memory.device_bytes, Some(0), "{name}");
        }
    }

    #[test]
    fn what_was_not_logged_is_missing() {
        let log = LoadLog(String::new());
        assert_eq!(log.memory(), WorkerMemory::default());
        assert_eq!(log.flash_attn(), None);
    }
}
