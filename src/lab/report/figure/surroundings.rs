//! Memory, loading and temperature.

use super::{Figure, Of, Plain, Unit};
use crate::record::result::{JobResult, Load, Moment};

macro_rules! of_memory {
    ($field:ident) => {
        Of::Plain(|result| {
            let memory = &result.memory;
            let bytes = memory.$field.map(|bytes| bytes as f64);
            bytes.ok_or_else(|| memory.reasons.get(stringify!($field)).copied())
        })
    };
}

pub const MEMORY: [Figure; 6] = [
    Figure {
        name: "rss_peak_bytes",
        heading: "peak resident",
        unit: Unit::Bytes,
        meaning: "most pages of the worker that were in memory at once",
        of: of_memory!(rss_peak_bytes),
    },
    Figure {
        name: "model_bytes",
        heading: "weights",
        unit: Unit::Bytes,
        meaning: "weights as the engine placed them",
        of: of_memory!(model_bytes),
    },
    Figure {
        name: "kv_bytes",
        heading: "KV cache",
        unit: Unit::Bytes,
        meaning: "the engine's KV buffers, for the whole context",
        of: of_memory!(kv_bytes),
    },
    Figure {
        name: "compute_bytes",
        heading: "compute",
        unit: Unit::Bytes,
        meaning: "the engine's compute buffers",
        of: of_memory!(compute_bytes),
    },
    Figure {
        name: "device_bytes",
        heading: "on accelerators",
        unit: Unit::Bytes,
        meaning: "all buffers on accelerators",
        of: of_memory!(device_bytes),
    },
    Figure {
        name: "available_min_bytes",
        heading: "left at least",
        unit: Unit::Bytes,
        meaning: "lowest MemAvailable seen from the loaded model on",
        of: of_memory!(available_min_bytes),
    },
];

/// What was in memory of a model's file before it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// Under 5 % of it.
    Cold,
    /// 5 % or more.
    Warm,
    /// Nobody could tell.
    Unclear,
}

impl Cache {
    /// The load of a run, where it was of this kind: a load of one kind is none of another.
    pub fn load(self, result: &JobResult) -> Result<&Load, Option<crate::record::Reason>> {
        let load = result.load.as_ref();
        let load = load.ok_or_else(|| result.reasons.get("load").copied())?;
        let found = match load.cold {
            Some(true) => Self::Cold,
            Some(false) => Self::Warm,
            None => Self::Unclear,
        };
        if found == self { Ok(load) } else { Err(None) }
    }
}

fn load_s(result: &JobResult, cache: Cache) -> Plain {
    Ok(cache.load(result)?.duration_s)
}

pub const LOAD: [Figure; 6] = [
    Figure {
        name: "load_cold_s",
        heading: "cold load",
        unit: Unit::Si("s"),
        meaning: "worker spawned → context ready, under 5 % of the file in memory before",
        of: Of::Plain(|result| load_s(result, Cache::Cold)),
    },
    Figure {
        name: "load_warm_s",
        heading: "warm load",
        unit: Unit::Si("s"),
        meaning: "the same, 5 % of the file or more in memory before",
        of: Of::Plain(|result| load_s(result, Cache::Warm)),
    },
    Figure {
        name: "load_unclear_s",
        heading: "load, cold or warm",
        unit: Unit::Si("s"),
        meaning: "the same, where nobody could tell what was in memory before",
        of: Of::Plain(|result| load_s(result, Cache::Unclear)),
    },
    Figure {
        name: "load_cold_energy_j",
        heading: "energy of a cold load",
        unit: Unit::Si("J"),
        meaning: "gross energy of a cold load; it has no idle power to subtract",
        of: Of::Load(Cache::Cold),
    },
    Figure {
        name: "load_warm_energy_j",
        heading: "of a warm load",
        unit: Unit::Si("J"),
        meaning: "gross energy of a warm load",
        of: Of::Load(Cache::Warm),
    },
    Figure {
        name: "load_read_bytes",
        heading: "read from disk in it",
        unit: Unit::Bytes,
        meaning: "bytes that the worker read from the disk while it loaded",
        of: Of::Plain(|result| {
            let load = result.load.as_ref();
            let load = load.ok_or_else(|| result.reasons.get("load").copied())?;
            let counters = &load.counters;
            let bytes = counters.read_bytes.map(|bytes| bytes as f64);
            bytes.ok_or_else(|| counters.reasons.get("read_bytes").copied())
        }),
    },
];

pub const HEAT: [Figure; 3] = [
    Figure {
        name: "start_temperature_c",
        heading: "at the start",
        unit: Unit::Celsius,
        meaning: "hottest thermal zone before the first repetition",
        of: Of::Plain(|result| {
            celsius(
                result.reps.first().and_then(|rep| rep.start.as_ref()),
                result,
            )
        }),
    },
    Figure {
        name: "end_temperature_c",
        heading: "at the end",
        unit: Unit::Celsius,
        meaning: "the same after the last repetition",
        of: Of::Plain(|result| {
            celsius(result.reps.last().and_then(|rep| rep.end.as_ref()), result)
        }),
    },
    Figure {
        name: "max_temperature_c",
        heading: "highest",
        unit: Unit::Celsius,
        meaning: "highest seen from the loaded model on, between repetitions",
        of: Of::Plain(|result| {
            let thermal = &result.thermal;
            thermal
                .max_c
                .ok_or_else(|| thermal.reasons.get("max_c").copied())
        }),
    },
];

fn celsius(moment: Option<&Moment>, result: &JobResult) -> Plain {
    let fallback = || result.thermal.reasons.get("max_c").copied();
    match moment {
        Some(moment) => moment
            .temperature_c
            .ok_or_else(|| moment.reasons.get("temperature_c").copied()),
        None => Err(fallback()),
    }
}
