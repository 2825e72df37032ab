//! The figures of a report: how each is called, what it means, and where a result has it.

use crate::energy::student_t;
use crate::lab::explain::budget::{Kind, counted, in_repetition, kind};
use crate::lab::lookup::{self, Absent, Found, Path};
use crate::record::Reason;
use crate::record::result::{JobResult, Moment, Reasons};

/// What a figure counts in, and how its numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// With one SI prefix for all values of a column.
    Si(&'static str),
    /// Without a prefix, which would hinder comparing.
    Rate(&'static str),
    Bytes,
    Celsius,
}

/// One figure of a result.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// As in the record where it has the same there; with its unit.
    pub name: &'static str,
    pub heading: &'static str,
    pub unit: Unit,
    pub meaning: &'static str,
    of: Of,
}

#[derive(Debug, Clone, Copy)]
enum Of {
    /// The summary over repetitions, or where it has no such field the repetitions themselves.
    Repetitions,
    /// Once an attempt, at this path.
    Attempt(&'static str),
    /// Once an attempt, without an uncertainty.
    Plain(fn(&JobResult) -> Plain),
}

type Plain = Result<f64, Option<Reason>>;

/// A figure of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OfRun {
    /// Repetitions behind it; 1 for what an attempt has once.
    pub n: u32,
    pub mean: f64,
    pub median: f64,
    pub sd: Option<f64>,
    pub u95: Option<f64>,
    /// Systematic standard uncertainty, which n does not divide; `None` where the record
    /// does not tell.
    pub u_sys: Option<f64>,
}

pub const SPEED: [Figure; 5] = [
    Figure {
        name: "prefill_tok_s",
        heading: "prefill",
        unit: Unit::Rate("tok/s"),
        meaning: "prompt tokens ÷ time from the first evaluation to the first output token known",
        of: Of::Repetitions,
    },
    Figure {
        name: "decode_tok_s",
        heading: "decode",
        unit: Unit::Rate("tok/s"),
        meaning: "decode tokens ÷ time from the first output token known to the last",
        of: Of::Repetitions,
    },
    Figure {
        name: "ttft_s",
        heading: "time to first token",
        unit: Unit::Si("s"),
        meaning: "request received by the worker → first output token known",
        of: Of::Repetitions,
    },
    Figure {
        name: "tpot_s",
        heading: "time per output token",
        unit: Unit::Si("s"),
        meaning: "1 ÷ the decode rate",
        of: Of::Repetitions,
    },
    Figure {
        name: "load_s",
        heading: "load",
        unit: Unit::Si("s"),
        meaning: "worker spawned → context ready",
        of: Of::Plain(|result| match &result.load {
            Some(load) => Ok(load.duration_s),
            None => Err(result.reasons.get("load").copied()),
        }),
    },
];

pub const ENERGY: [Figure; 9] = [
    Figure {
        name: "j_per_prompt_token",
        heading: "per prompt token, gross",
        unit: Unit::Si("J"),
        meaning: "prefill energy ÷ prompt tokens",
        of: Of::Repetitions,
    },
    Figure {
        name: "j_per_prompt_token_net",
        heading: "per prompt token, net",
        unit: Unit::Si("J"),
        meaning: "the same less idle power",
        of: Of::Repetitions,
    },
    Figure {
        name: "j_per_output_token",
        heading: "per output token, gross",
        unit: Unit::Si("J"),
        meaning: "decode energy ÷ decode tokens",
        of: Of::Repetitions,
    },
    Figure {
        name: "j_per_output_token_net",
        heading: "per output token, net",
        unit: Unit::Si("J"),
        meaning: "the same less idle power",
        of: Of::Repetitions,
    },
    Figure {
        name: "j_per_output_token_all_in",
        heading: "per output token, all in",
        unit: Unit::Si("J"),
        meaning: "energy of prefill and decode ÷ output tokens",
        of: Of::Repetitions,
    },
    Figure {
        name: "j_per_output_token_all_in_net",
        heading: "all in, net",
        unit: Unit::Si("J"),
        meaning: "the same less idle power",
        of: Of::Repetitions,
    },
    Figure {
        name: "j_per_token_all",
        heading: "per token of both",
        unit: Unit::Si("J"),
        meaning: "energy of prefill and decode ÷ prompt and output tokens",
        of: Of::Repetitions,
    },
    Figure {
        name: "load_energy_j",
        heading: "loading",
        unit: Unit::Si("J"),
        meaning: "gross energy of the load; it has no idle power to subtract",
        of: Of::Attempt("load"),
    },
    Figure {
        name: "idle_power_w",
        heading: "idle power",
        unit: Unit::Si("W"),
        meaning: "mean power before the work, the model loaded and nothing computing",
        of: Of::Attempt("idle.before"),
    },
];

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

/// Every figure, in the order of the tables.
pub fn all() -> impl Iterator<Item = &'static Figure> {
    SPEED.iter().chain(&ENERGY).chain(&MEMORY).chain(&HEAT)
}

/// The figure of this name.
///
/// # Panics
///
/// Where there is none: names are those of the tables above.
pub fn named(name: &str) -> &'static Figure {
    all()
        .find(|figure| figure.name == name)
        .expect("a figure of the tables above")
}

fn celsius(moment: Option<&Moment>, result: &JobResult) -> Plain {
    let fallback = || result.thermal.reasons.get("max_c").copied();
    match moment {
        Some(moment) => moment
            .temperature_c
            .ok_or_else(|| moment.reasons.get("temperature_c").copied()),
        None => Err(fallback()),
    }
}

impl Figure {
    /// The figure of a run.
    ///
    /// Errors: why it has none, where the record says so.
    pub fn of(&self, result: &JobResult) -> Result<OfRun, Option<Reason>> {
        match self.of {
            Of::Repetitions => repetitions(result, self.name),
            Of::Attempt(path) => {
                let path = Path::parse(path).expect("a path of the table above");
                let found = lookup::find(result, &path)
                    .map_err(|absent| reason(absent, &result.reasons, self.name))?;
                Ok(once(&found, result, &path))
            }
            Of::Plain(read) => read(result).map(|value| OfRun {
                n: 1,
                mean: value,
                median: value,
                sd: None,
                u95: None,
                u_sys: Some(0.0),
            }),
        }
    }
}

fn once(found: &Found, result: &JobResult, path: &Path) -> OfRun {
    OfRun {
        n: 1,
        mean: found.value(),
        median: found.value(),
        sd: None,
        u95: found.u95(),
        u_sys: systematic(found, result, path),
    }
}

fn reason(absent: Absent, reasons: &Reasons, name: &str) -> Option<Reason> {
    match absent {
        Absent::Because(reason) => reason,
        Absent::Unknown => reasons.get(name).copied(),
    }
}

fn repetitions(result: &JobResult, name: &str) -> Result<OfRun, Option<Reason>> {
    let summary = lookup::find(result, &Path::Summary(name.to_owned()));
    if let Ok(Found::Statistic(statistic)) = &summary
        && statistic.n > 1
    {
        let random = scatter(statistic.n, statistic.sd);
        let rest = || Some(remainder(statistic.u95?, random?));
        // Energies alone have a systematic part; speeds have none to be told.
        let of_speeds = (!name.starts_with("j_")).then_some(0.0);
        let u_sys = statistic.u_sys.or_else(rest).or(of_speeds);
        return Ok(OfRun {
            n: statistic.n,
            mean: statistic.mean,
            median: statistic.median,
            sd: statistic.sd,
            u95: statistic.u95.or_else(|| Some(random?.hypot(2.0 * u_sys?))),
            u_sys,
        });
    }
    if let Err(Absent::Because(Some(reason))) = summary {
        return Err(Some(reason));
    }
    let each = counted(&result.reps)
        .filter_map(|rep| in_repetition(name, rep.rep))
        .map(|path| match lookup::find(result, &path) {
            Ok(found) => Ok(once(&found, result, &path)),
            Err(absent) => Err(reason(absent, &result.reasons, name)),
        })
        .collect::<Result<Vec<OfRun>, _>>()?;
    match each.as_slice() {
        [] => Err(result
            .reasons
            .get("summary")
            .copied()
            .or(Some(Reason::NotReached))),
        [only] => Ok(*only),
        _ => Ok(mean(&each).expect("there are several")),
    }
}

/// Half of the 95 % interval of a mean from its scatter: Student's t on sd/√n.
fn scatter(n: u32, sd: Option<f64>) -> Option<f64> {
    let degrees = usize::try_from(n)
        .ok()?
        .checked_sub(1)
        .filter(|degrees| *degrees > 0)?;
    Some(student_t(degrees) * sd? / f64::from(n).sqrt())
}

/// The systematic standard uncertainty that makes `u95` of a random part.
fn remainder(u95: f64, random: f64) -> f64 {
    let squared = u95 * u95 - random * random;
    // What rounding leaves between two equal numbers is no uncertainty.
    match squared > 1e-4 * u95 * u95 {
        true => squared.sqrt() / 2.0,
        false => 0.0,
    }
}

/// Values that are equal but for chance: repetitions of a run, or runs of a configuration. Their
/// scatter is divided by √n, what is systematic in all of them is not. `None` of nothing.
pub fn mean(each: &[OfRun]) -> Option<OfRun> {
    let values: Vec<f64> = each.iter().map(|one| one.mean).collect();
    let spread = crate::energy::Statistic::of(&values)?;
    let u_sys: Option<f64> = each.iter().map(|one| one.u_sys).sum();
    let u_sys = u_sys.map(|sum| sum / each.len() as f64);
    Some(OfRun {
        n: spread.n,
        mean: spread.mean,
        median: spread.median,
        sd: spread.sd,
        u95: spread
            .u95
            .zip(u_sys)
            .map(|(random, u_sys)| random.hypot(2.0 * u_sys)),
        u_sys,
    })
}

/// The systematic standard uncertainty in a figure: the root of the sum of squares of its
/// systematic sources, or all of its uncertainty where the record does not hold them.
fn systematic(found: &Found, result: &JobResult, path: &Path) -> Option<f64> {
    match found {
        Found::Plain(_) => Some(0.0),
        Found::Statistic(statistic) => statistic.u_sys,
        Found::Measured {
            u95, budget: None, ..
        } => Some(u95 / 2.0),
        Found::Measured {
            budget: Some(budget),
            ..
        } => {
            let rail = lookup::rail(result, path);
            let shared = budget
                .iter()
                .filter(|(source, _)| kind(source, rail) != Kind::Random);
            Some(shared.map(|(_, u)| u * u).sum::<f64>().sqrt())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_run(u_sys: Option<f64>) -> OfRun {
        OfRun {
            n: 5,
            mean: 2.0,
            median: 2.0,
            sd: Some(0.1),
            u95: None,
            u_sys,
        }
    }

    #[test]
    fn what_is_systematic_is_what_scatter_leaves_of_the_uncertainty() {
        let random = scatter(5, Some(0.1)).unwrap();
        let u95 = random.hypot(2.0 * 0.03);
        assert!((remainder(u95, random) - 0.03).abs() < 1e-12);
        assert_eq!(remainder(random, random), 0.0);
        assert_eq!(remainder(random * (1.0 - 1e-9), random), 0.0);
    }

    #[test]
    fn an_unknown_systematic_part_is_not_taken_for_none() {
        let known = mean(&[of_run(Some(0.0)), of_run(Some(0.1))]).unwrap();
        assert_eq!(known.u_sys, Some(0.05));
        assert!(known.u95.is_some());
        let unknown = mean(&[of_run(Some(0.0)), of_run(None)]).unwrap();
        assert_eq!((unknown.u_sys, unknown.u95), (None, None));
    }
}
