//! Figures of a result by path, as they stand in the record: `summary.j_per_output_token`,
//! `reps.2.decode.energy_j`, `total.input`, `idle.before`, `load`. A name alone is looked up
//! in the summary. Repetitions go by their number, from 1.

mod path;

pub use path::Path;

use crate::record::Reason;
use crate::record::result::{Contributions, JobResult, Rail, Reasons, Rep, Statistic};
use serde_json::Value;

/// A figure that the record has.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Its uncertainty follows from a budget on a rail.
    Measured {
        value: f64,
        u95: f64,
        /// Standard uncertainties by source in the figure's unit; `None` where the record
        /// does not hold them.
        budget: Option<Contributions>,
        rail: String,
        /// What the figure is: `decode ÷ 127 tokens`.
        made_of: String,
    },
    Statistic(Statistic),
    /// A figure whose uncertainty the record does not state.
    Plain(f64),
}

impl Found {
    pub fn value(&self) -> f64 {
        match self {
            Self::Measured { value, .. } | Self::Plain(value) => *value,
            Self::Statistic(statistic) => statistic.mean,
        }
    }

    pub fn u95(&self) -> Option<f64> {
        match self {
            Self::Measured { u95, .. } => Some(*u95),
            Self::Statistic(statistic) => statistic.u95,
            Self::Plain(_) => None,
        }
    }
}

/// Why a path leads to no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// The record says why.
    Because(Option<Reason>),
    /// The record has no such field.
    Unknown,
}

/// Looks `path` up.
pub fn find(result: &JobResult, path: &Path) -> Result<Found, Absent> {
    match path {
        Path::Summary(name) => {
            let Some(summary) = &result.summary else {
                if !OF_SUMMARY.contains(&name.as_str()) {
                    return Err(Absent::Unknown);
                }
                return Err(Absent::Because(result.reasons.get("summary").copied()));
            };
            let fields = as_value(summary);
            let field = fields.get(name).ok_or(Absent::Unknown)?;
            if field.is_null() {
                return Err(because(&summary.reasons, name));
            }
            let statistic = serde_json::from_value(field.clone());
            statistic.map(Found::Statistic).map_err(|_| Absent::Unknown)
        }
        Path::Rep(rep, name) => {
            let rep = repetition(result, *rep)?;
            let per = per_token(rep, name);
            figure(result, &as_value(rep), &rep.reasons, name, per)
        }
        Path::Phase(rep, phase, name) => {
            let rep = repetition(result, *rep)?;
            let figures = match phase.as_str() {
                "prefill" => rep.prefill.as_ref(),
                _ => rep.decode.as_ref(),
            };
            let Some(figures) = figures else {
                return Err(because(&rep.reasons, phase));
            };
            let whole = Divided {
                budget: phase_budget(rep, phase, name == "energy_net_j"),
                by: 1.0,
                made_of: format!("{phase} of repetition {}", rep.rep),
            };
            let whole = name.starts_with("energy_").then_some(whole);
            figure(result, &as_value(figures), &figures.reasons, name, whole)
        }
        Path::Total(rail) => {
            let total = result.total.get(rail).ok_or(Absent::Unknown)?;
            measured(total.energy_j, total.energy_j_u95, total.reason, || {
                (total.budget.clone(), rail.clone(), "the whole attempt")
            })
        }
        Path::Idle(when) => {
            let phase = match when.as_str() {
                "before" => &result.idle.before,
                _ => &result.idle.after,
            };
            let phase = phase
                .as_ref()
                .ok_or_else(|| because(&result.idle.reasons, when))?;
            measured(phase.power_w, phase.power_w_u95, phase.reason, || {
                (phase.budget.clone(), primary(result), "idle power")
            })
        }
        Path::Load => {
            let load = result
                .load
                .as_ref()
                .ok_or_else(|| because(&result.reasons, "load"))?;
            let reason = load.reasons.get("energy_j").copied();
            measured(load.energy_j, load.energy_j_u95, reason, || {
                (load.budget.clone(), primary(result), "loading the model")
            })
        }
    }
}

/// The rail that a figure was measured on.
pub fn rail<'a>(result: &'a JobResult, path: &Path) -> Option<&'a Rail> {
    let name = match path {
        Path::Total(rail) => rail,
        _ => result.primary_rail.as_ref()?,
    };
    result.rails.iter().find(|rail| rail.name == *name)
}

fn as_value(block: &impl serde::Serialize) -> Value {
    serde_json::to_value(block).expect("a record has only JSON-able fields")
}

fn because(reasons: &Reasons, name: &str) -> Absent {
    Absent::Because(reasons.get(name).copied())
}

fn primary(result: &JobResult) -> String {
    result.primary_rail.clone().unwrap_or_default()
}

fn repetition(result: &JobResult, rep: u32) -> Result<&Rep, Absent> {
    let found = result.reps.iter().find(|found| found.rep == rep);
    found.ok_or(Absent::Unknown)
}

/// A budget that a figure divides by a number of tokens.
struct Divided {
    budget: Option<Contributions>,
    by: f64,
    made_of: String,
}

fn phase_budget(rep: &Rep, phase: &str, net: bool) -> Option<Contributions> {
    let budget = rep.budget.get(phase)?;
    Some(if net { &budget.net } else { &budget.gross }.clone())
}

/// What an energy per token divides, and by what.
fn per_token(rep: &Rep, name: &str) -> Option<Divided> {
    let prompt = rep.prefill.as_ref().map(|phase| phase.tokens);
    let (phase, tokens, counted) = match name.strip_suffix("_net").unwrap_or(name) {
        "j_per_prompt_token" => ("prefill", prompt?, "prompt"),
        "j_per_output_token" => ("decode", rep.decode.as_ref()?.tokens, "decode"),
        "j_per_output_token_all_in" => ("both", rep.output_tokens, "output"),
        "j_per_token_all" => (
            "both",
            prompt?.saturating_add(rep.output_tokens),
            "prompt and output",
        ),
        _ => return None,
    };
    let energy = match phase {
        "both" => "prefill and decode",
        phase => phase,
    };
    let net = name.ends_with("_net");
    Some(Divided {
        budget: phase_budget(rep, phase, net),
        by: f64::from(tokens),
        made_of: format!(
            "{energy} of repetition {}{} ÷ {tokens} {counted} tokens",
            rep.rep,
            if net { " less idle" } else { "" },
        ),
    })
}

fn figure(
    result: &JobResult,
    block: &Value,
    reasons: &Reasons,
    name: &str,
    divided: Option<Divided>,
) -> Result<Found, Absent> {
    let field = block.get(name).ok_or(Absent::Unknown)?;
    if field.is_null() {
        return Err(because(reasons, name));
    }
    let value = field.as_f64().ok_or(Absent::Unknown)?;
    let u95 = block.get(format!("{name}_u95")).and_then(Value::as_f64);
    let (Some(u95), Some(divided)) = (u95, divided) else {
        return Ok(Found::Plain(value));
    };
    let each = |parts: Contributions| {
        let each = |(source, u): (String, f64)| (source, u / divided.by);
        parts.into_iter().map(each).collect()
    };
    Ok(Found::Measured {
        value,
        u95,
        budget: divided.budget.map(each),
        rail: primary(result),
        made_of: divided.made_of,
    })
}

fn measured(
    value: Option<f64>,
    u95: Option<f64>,
    reason: Option<Reason>,
    rest: impl FnOnce() -> (Contributions, String, &'static str),
) -> Result<Found, Absent> {
    let value = value.ok_or(Absent::Because(reason))?;
    let Some(u95) = u95 else {
        return Ok(Found::Plain(value));
    };
    let (budget, rail, made_of) = rest();
    Ok(Found::Measured {
        value,
        u95,
        // Records of before have no budget; one that is exact has an empty one.
        budget: (!budget.is_empty() || u95 == 0.0).then_some(budget),
        rail,
        made_of: made_of.to_owned(),
    })
}

/// Fields of a repetition and of its phases that are figures, in the order of the record.
const OF_REP: [&str; 15] = [
    "ttft_s",
    "tpot_s",
    "j_per_prompt_token",
    "j_per_prompt_token_net",
    "j_per_output_token",
    "j_per_output_token_net",
    "j_per_output_token_all_in",
    "j_per_output_token_all_in_net",
    "j_per_token_all",
    "j_per_token_all_net",
    "tok_per_j",
    "mwh_per_token",
    "edp",
    "s_t",
    "mbu",
];
const OF_PHASE: [&str; 3] = ["tok_s", "energy_j", "energy_net_j"];
const OF_SUMMARY: [&str; 9] = [
    "prefill_tok_s",
    "decode_tok_s",
    "ttft_s",
    "tpot_s",
    "j_per_prompt_token",
    "j_per_output_token",
    "j_per_output_token_net",
    "j_per_output_token_all_in",
    "j_per_token_all",
];

/// Every figure's path that leads somewhere in this record, to a value or to a reason.
pub fn list(result: &JobResult) -> Vec<Path> {
    let summary = OF_SUMMARY.iter().map(|name| Path::Summary((*name).into()));
    let reps = result.reps.iter().flat_map(|rep| {
        let phases = ["prefill", "decode"].into_iter().flat_map(move |phase| {
            let of = move |name: &&str| Path::Phase(rep.rep, phase.into(), (*name).into());
            OF_PHASE.iter().map(of)
        });
        let own = OF_REP
            .iter()
            .map(|name| Path::Rep(rep.rep, (*name).to_owned()));
        phases.chain(own)
    });
    let totals = result.total.keys().cloned().map(Path::Total);
    let idle = ["before", "after"].map(|when| Path::Idle(when.to_owned()));
    summary
        .chain(reps)
        .chain(totals)
        .chain(idle)
        .chain([Path::Load])
        .collect()
}

/// The headline: the energy of an output token, over the repetitions where there are several.
pub fn headline(result: &JobResult) -> Path {
    let name = "j_per_output_token".to_owned();
    let several = result.summary.as_ref().is_some_and(|summary| summary.n > 1);
    match result.reps.first() {
        Some(only) if !several => Path::Rep(only.rep, name),
        _ => Path::Summary(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::testing;

    #[test]
    fn whatever_is_listed_leads_somewhere() {
        let result = testing::result().body;
        let paths = list(&result);
        for path in &paths {
            assert_eq!(Path::parse(&path.to_string()).as_ref(), Some(path));
            let found = find(&result, path);
            assert_ne!(found, Err(Absent::Unknown), "{path}");
        }
        assert!(paths.iter().any(|path| find(&result, path).is_ok()));
    }

    #[test]
    fn what_is_missing_has_the_records_reason() {
        let result = testing::result().body;
        let of = |text: &str| find(&result, &Path::parse(text).unwrap());
        assert_eq!(
            of("reps.1.j_per_prompt_token_net"),
            Err(Absent::Because(Some(Reason::BelowNoise)))
        );
        assert_eq!(
            of("j_per_prompt_token"),
            Err(Absent::Because(Some(Reason::TooCoarse)))
        );
        assert_eq!(of("reps.9.tpot_s"), Err(Absent::Unknown));
        assert_eq!(of("total.other"), Err(Absent::Unknown));
        assert_eq!(of("reps.1.prompt_sha256"), Err(Absent::Unknown));
    }
}
