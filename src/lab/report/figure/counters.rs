//! The CPU's own counters, of all threads of the worker, in user space.

use super::{Figure, Of, Plain, Unit, phase};
use crate::record::result::{Hardware, PhaseFigures, Rep};
use crate::workload::Phase;

fn hardware(phase: &PhaseFigures) -> Result<&Hardware, Option<crate::record::Reason>> {
    let counters = &phase.counters;
    let missing = || counters.reasons.get("hardware").copied();
    counters.hardware.as_ref().ok_or_else(missing)
}

fn ipc(rep: &Rep, of: Phase) -> Plain {
    let hardware = hardware(phase(rep, of)?)?;
    let missing = || hardware.reasons.get("ipc").copied();
    hardware.ipc.ok_or_else(missing)
}

fn a_token(rep: &Rep, of: Phase, name: &str, count: fn(&Hardware) -> Option<u64>) -> Plain {
    let phase = phase(rep, of)?;
    let hardware = hardware(phase)?;
    let missing = || hardware.reasons.get(name).copied();
    let count = count(hardware).ok_or_else(missing)?;
    Ok(count as f64 / f64::from(phase.tokens))
}

macro_rules! each {
    ($value:expr) => {
        Of::Each {
            value: $value,
            energy: None,
        }
    };
}

pub const COUNTERS: [Figure; 8] = [
    Figure {
        name: "prefill_ipc",
        heading: "instructions a cycle, prefill",
        unit: Unit::Ratio,
        meaning: "instructions ÷ cycles",
        of: each!(|_, rep| ipc(rep, Phase::Prefill)),
    },
    Figure {
        name: "decode_ipc",
        heading: "instructions a cycle, decode",
        unit: Unit::Ratio,
        meaning: "the same of decode: low where the CPU waits for memory",
        of: each!(|_, rep| ipc(rep, Phase::Decode)),
    },
    Figure {
        name: "prefill_instructions_per_token",
        heading: "instructions a prompt token",
        unit: Unit::Millions("instructions"),
        meaning: "instructions of prefill ÷ prompt tokens",
        of: each!(|_, rep| a_token(rep, Phase::Prefill, "instructions", |h| h.instructions)),
    },
    Figure {
        name: "decode_instructions_per_token",
        heading: "instructions a decode token",
        unit: Unit::Millions("instructions"),
        meaning: "instructions of decode ÷ decode tokens",
        of: each!(|_, rep| a_token(rep, Phase::Decode, "instructions", |h| h.instructions)),
    },
    Figure {
        name: "decode_cycles_per_token",
        heading: "cycles a decode token",
        unit: Unit::Millions("cycles"),
        meaning: "cycles of decode ÷ decode tokens, all threads",
        of: each!(|_, rep| a_token(rep, Phase::Decode, "cycles", |h| h.cycles)),
    },
    Figure {
        name: "decode_cache_misses_per_token",
        heading: "cache misses a decode token",
        unit: Unit::Millions("misses"),
        meaning: "last-level cache misses of decode ÷ decode tokens",
        of: each!(|_, rep| a_token(rep, Phase::Decode, "cache_misses", |h| h.cache_misses)),
    },
    Figure {
        name: "decode_cache_miss_ratio",
        heading: "misses of references",
        unit: Unit::Ratio,
        meaning: "last-level cache misses ÷ references in decode",
        of: each!(|_, rep| {
            let hardware = hardware(phase(rep, Phase::Decode)?)?;
            let missing = |name: &str| hardware.reasons.get(name).copied();
            let misses = hardware
                .cache_misses
                .ok_or_else(|| missing("cache_misses"))?;
            let of = hardware.cache_references.filter(|of| *of > 0);
            let of = of.ok_or_else(|| missing("cache_references"))?;
            Ok(misses as f64 / of as f64)
        }),
    },
    Figure {
        name: "decode_major_faults",
        heading: "major faults in decode",
        unit: Unit::Rate("faults"),
        meaning: "page faults of a repetition's decode that needed the disk",
        of: each!(|_, rep| {
            let counters = &phase(rep, Phase::Decode)?.counters;
            let faults = counters.major_faults.map(|faults| faults as f64);
            faults.ok_or_else(|| counters.reasons.get("major_faults").copied())
        }),
    },
];
