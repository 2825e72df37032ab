//! The uncertainty budget of a figure, line by line, from what the record itself holds.

use crate::energy::student_t;
use crate::lab::figure::{Figure, share, stated as short};
use crate::lab::lookup::{self, Absent, Found, Path};
use crate::record::Reason;
use crate::record::result::{Contributions, JobResult, Limits, Rail, Rep, Statistic};
use crate::runtime::protocol::StopReason;
use serde::Serialize;

/// Contributions have six digits.
const AGREEMENT: f64 = 1e-4;

/// Whether repeating averages an error away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Systematic,
    Random,
    /// A source that this version does not know.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    pub source: String,
    pub kind: Kind,
    /// The limit that the source states, in words.
    pub limit: String,
    /// Standard uncertainty in the figure's unit.
    pub u: f64,
    /// Share of the variance.
    pub share: f64,
}

/// What can be said about one figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    pub figure: String,
    pub unit: &'static str,
    pub value: Option<f64>,
    pub u95: Option<f64>,
    pub rail: Option<String>,
    /// What the figure is made of, in words.
    pub made_of: String,
    pub lines: Vec<Line>,
    /// Root of the sum of squares.
    pub u: Option<f64>,
    /// Whether twice that is the record's own `u95`.
    pub agrees: Option<bool>,
    /// Why there is no value.
    pub reason: Option<Reason>,
    /// Why there is no budget.
    pub no_budget: Option<String>,
}

/// `None` where the record has no such figure.
pub fn explain(result: &JobResult, path: &Path) -> Option<Explained> {
    let mut explained = Explained {
        figure: path.to_string(),
        unit: path.unit(),
        value: None,
        u95: None,
        rail: None,
        made_of: String::new(),
        lines: Vec::new(),
        u: None,
        agrees: None,
        reason: None,
        no_budget: None,
    };
    let found = match lookup::find(result, path) {
        Ok(found) => found,
        Err(Absent::Unknown) => return None,
        Err(Absent::Because(reason)) => {
            explained.reason = reason;
            explained.made_of = lacking(result, path);
            return Some(explained);
        }
    };
    explained.value = Some(found.value());
    explained.u95 = found.u95();
    match found {
        Found::Measured {
            budget,
            rail,
            made_of,
            ..
        } => {
            explained.made_of = made_of;
            match budget {
                Some(budget) => explained.lines = lines(result, &rail, &budget),
                None => explained.no_budget = Some(left_out(result)),
            }
            explained.rail = Some(rail);
        }
        Found::Statistic(statistic) => of_statistic(&mut explained, result, path, &statistic),
        Found::Plain(_) => {
            explained.no_budget = Some(
                "the record states no uncertainty for it: it follows from other figures, or from \
                 times alone"
                    .to_owned(),
            );
        }
    }
    settle(&mut explained);
    Some(explained)
}

fn left_out(result: &JobResult) -> String {
    match result.reasons.get("budget") {
        Some(Reason::TooLarge) => {
            "its budget was left out (too-large): the record would have been larger than 128 KiB. \
             `joulectl recompute RAW_FILE --write FILE` brings it back from raw data"
        }
        _ => "the record holds no budget for it",
    }
    .to_owned()
}

/// Shares, the combined uncertainty, and whether it is the record's.
fn settle(explained: &mut Explained) {
    if explained.no_budget.is_some() {
        return;
    }
    let variance: f64 = explained.lines.iter().map(|line| line.u * line.u).sum();
    for line in &mut explained.lines {
        line.share = if variance > 0.0 {
            line.u * line.u / variance
        } else {
            0.0
        };
    }
    explained.lines.sort_by(|a, b| b.u.total_cmp(&a.u));
    let u = variance.sqrt();
    explained.u = Some(u);
    explained.agrees = explained
        .u95
        .map(|u95| (2.0 * u - u95).abs() <= AGREEMENT * u95);
}

fn lines(result: &JobResult, rail: &str, budget: &Contributions) -> Vec<Line> {
    let rail = result.rails.iter().find(|found| found.name == rail);
    let line = |(source, u): (&String, &f64)| Line {
        source: source.clone(),
        kind: kind(source, rail),
        limit: stated(source, rail, result),
        u: *u,
        share: 0.0,
    };
    budget.iter().map(line).collect()
}

/// Which kind of error a source is (docs/explain-and-compare.md has the list).
pub fn kind(source: &str, rail: Option<&Rail>) -> Kind {
    match source {
        "offset" | "quantisation" | "baseline" | "drift" | "lag" => Kind::Systematic,
        "noise" | "boundary" | "age" | "bridged" | "duty" => Kind::Random,
        _ if rail.is_some_and(|rail| rail.limits.scale.contains_key(source)) => Kind::Systematic,
        _ => Kind::Unknown,
    }
}

/// The limit behind a source, as the rail states it.
fn stated(source: &str, rail: Option<&Rail>, result: &JobResult) -> String {
    let Some(rail) = rail else {
        return String::new();
    };
    let limits = &rail.limits;
    match source {
        "offset" => all(
            "±",
            &[(limits.current_offset_a, "A"), (limits.power_offset_w, "W")],
        ),
        "quantisation" => step(limits, "half a step of "),
        "noise" => step(limits, "noise over steps of "),
        "boundary" if limits.energy_step_j > 0.0 => {
            let step = short(limits.energy_step_j, "J");
            format!("windows cut at the ends, steps of {step}")
        }
        "boundary" => "windows cut at the ends".to_owned(),
        "age" => match rail.lag.as_ref().filter(|lag| lag.corrected) {
            Some(lag) => {
                let scatter = short(lag.scatter_s, "s");
                format!("delay scatters by {scatter}")
            }
            None => {
                let age = short(limits.refresh_s, "s");
                format!("readings up to {age} old")
            }
        },
        "bridged" => "time that no window covers".to_owned(),
        "duty" => format!("blind for {} of a window", share(limits.blind_share)),
        "lag" => match &rail.lag {
            Some(lag) => {
                let delay = Figure::because(Some(lag.lag_s), Some(lag.lag_s_u95), None);
                format!("delay of {}", delay.show("s"))
            }
            None => String::new(),
        },
        "baseline" => "noise of idle power".to_owned(),
        "drift" => drift(result),
        _ => match limits.scale.get(source) {
            Some(limit) => format!("±{} of power", share(*limit)),
            None => String::new(),
        },
    }
}

/// The limits that there are, joined: `±10 mA and 2 mW`.
fn all(before: &str, limits: &[(f64, &str)]) -> String {
    let known = limits.iter().filter(|(limit, _)| *limit > 0.0);
    let known: Vec<String> = known.map(|(limit, unit)| short(*limit, unit)).collect();
    format!("{before}{}", known.join(" and "))
}

fn step(limits: &Limits, before: &str) -> String {
    let steps = [
        (limits.current_step_a, "A"),
        (limits.voltage_step_v, "V"),
        (limits.power_step_w, "W"),
    ];
    all(before, &steps)
}

fn drift(result: &JobResult) -> String {
    let power = |phase: &Option<crate::record::result::IdlePhase>| phase.as_ref()?.power_w;
    match power(&result.idle.before).zip(power(&result.idle.after)) {
        Some((before, after)) => {
            let half = short(0.5 * (after - before).abs(), "W");
            format!("±{half}, half the drift")
        }
        None => "half the drift".to_owned(),
    }
}

/// Over repetitions: their scatter with Student's t, and the systematic part, which they
/// share.
fn of_statistic(explained: &mut Explained, result: &JobResult, path: &Path, statistic: &Statistic) {
    let n = statistic.n;
    explained.made_of = match n {
        1 => "of the only repetition".to_owned(),
        n => format!("mean of {n} repetitions"),
    };
    let (Some(sd), Some(_), 2..) = (statistic.sd, statistic.u95, n) else {
        explained.no_budget = Some(format!(
            "one repetition has no spread; the figure's own budget is that of {}",
            repetitions(result, path)
                .next()
                .map_or_else(|| "its repetition".to_owned(), |(path, _)| path.to_string())
        ));
        return;
    };
    let t = student_t(n as usize - 1);
    let sd_text = short(sd, explained.unit);
    explained.lines.push(Line {
        source: "repetitions".to_owned(),
        kind: Kind::Random,
        limit: format!("{sd_text} ÷ √{n}, t={t:.2}"),
        // Half of t, so that k = 2 gives the 95 % interval of so few.
        u: 0.5 * t * sd / f64::from(n).sqrt(),
        share: 0.0,
    });
    let Some(u_sys) = statistic.u_sys else {
        return;
    };
    explained.rail.clone_from(&result.primary_rail);
    let shared = shared(result, path).filter(|lines| {
        let squares: f64 = lines.iter().map(|line| line.u * line.u).sum();
        (squares.sqrt() - u_sys).abs() <= AGREEMENT * u_sys
    });
    explained.lines.extend(shared.unwrap_or_else(|| {
        vec![Line {
            source: "systematic".to_owned(),
            kind: Kind::Systematic,
            limit: "shared by all".to_owned(),
            u: u_sys,
            share: 0.0,
        }]
    }));
}

/// The figure's paths in the repetitions that the summary counts.
fn repetitions<'a>(
    result: &'a JobResult,
    path: &'a Path,
) -> impl Iterator<Item = (Path, &'a Rep)> + 'a {
    let name = match path {
        Path::Summary(name) => name.as_str(),
        _ => "",
    };
    counted(&result.reps).filter_map(move |rep| Some((in_repetition(name, rep.rep)?, rep)))
}

/// Which repetitions keep a summary from having the figure: it counts all or none.
fn lacking(result: &JobResult, path: &Path) -> String {
    let lack: Vec<String> = repetitions(result, path)
        .filter(|(path, _)| lookup::find(result, path).is_err())
        .map(|(_, rep)| rep.rep.to_string())
        .collect();
    match lack.is_empty() {
        true => String::new(),
        false => format!(
            "a summary counts all repetitions, and it is missing in {}",
            lack.join(", ")
        ),
    }
}

/// Repetitions that ran to their end: those that a summary counts.
pub fn counted(reps: &[Rep]) -> impl Iterator<Item = &Rep> {
    reps.iter()
        .filter(|rep| matches!(rep.stop_reason, StopReason::Length | StopReason::Eog))
}

/// Where a figure of the summary stands in a repetition.
pub fn in_repetition(name: &str, rep: u32) -> Option<Path> {
    match name.split_once('_') {
        Some((phase @ ("prefill" | "decode"), "tok_s")) => {
            Some(Path::Phase(rep, phase.to_owned(), "tok_s".to_owned()))
        }
        Some(_) => Some(Path::Rep(rep, name.to_owned())),
        None => None,
    }
}

/// The systematic sources of a mean over repetitions: they are the same error in each, so
/// they add up.
fn shared(result: &JobResult, path: &Path) -> Option<Vec<Line>> {
    let rail_name = result.primary_rail.as_ref()?;
    let rail = result.rails.iter().find(|rail| rail.name == *rail_name);
    let mut sums = Contributions::new();
    let mut n = 0.0;
    for (path, _) in repetitions(result, path) {
        let Ok(Found::Measured { budget, .. }) = lookup::find(result, &path) else {
            return None;
        };
        for (source, u) in budget? {
            *sums.entry(source).or_default() += u;
        }
        n += 1.0;
    }
    sums.retain(|source, _| kind(source, rail) == Kind::Systematic);
    sums.values_mut().for_each(|u| *u /= n);
    Some(lines(result, rail_name, &sums))
}
