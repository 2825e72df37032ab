//! `joulectl compare`: whether one configuration costs less than another, from result records
//! alone. It ranks only what the 95 % interval of the ratio tells apart.

pub(in crate::lab) mod group;
mod text;

use super::file::read_result;
use super::lookup::{self, Absent, Path};
use super::{LabError, table};
use crate::energy::{Ratio, Sensors, Shared, Statistic, Verdict};
use crate::record::Reason;
use group::{Left, Marked, Of, Run, Sample};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;

const DEFAULT: [&str; 2] = ["j_per_output_token", "decode_tok_s"];

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Result records of A as JSON. Without --with, the first is A and each other one is
    /// compared with it
    #[arg(required = true, value_name = "RESULT")]
    pub results: Vec<PathBuf>,
    /// Result records of B
    #[arg(long, short, value_name = "RESULT", num_args = 1..)]
    pub with: Vec<PathBuf>,
    /// A figure as `joulectl explain --list` names it (may be repeated) [default:
    /// j_per_output_token and decode_tok_s]
    #[arg(long, short, value_name = "FIGURE")]
    pub figure: Vec<String>,
    /// Compare in pairs: the first of A with the first of B, and so on, for runs that were
    /// interleaved
    #[arg(long, requires = "with")]
    pub pairs: bool,
    /// Count runs that were contended or throttled, had a setting changed meanwhile, or did not
    /// succeed, all the same
    #[arg(long)]
    pub include_marked: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How two samples are set against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Design {
    Apart,
    Pairs,
}

/// Runs under one letter.
struct Group {
    letter: char,
    runs: Vec<Run>,
}

/// One figure over all groups.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Compared {
    figure: String,
    unit: &'static str,
    groups: Vec<Row>,
    /// Each other group against the first.
    ratios: Vec<Against>,
    warnings: Vec<String>,
}

/// One group in the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    group: char,
    of: Of,
    n: u32,
    median: Option<f64>,
    iqr: Option<f64>,
    mean: Option<f64>,
    sd: Option<f64>,
    /// `None` where no run counts.
    boundary: Option<String>,
    device: String,
    what: String,
    simulated: bool,
    left_out: Vec<Left>,
}

/// `group ÷ the first`.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Against {
    group: char,
    first: char,
    ratio: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    /// `null` for a figure that no sensor measured, and where no run of a side counts.
    sensors: Option<Sensors>,
    verdict: Verdict,
    /// Why there is no ratio.
    reason: Option<Reason>,
}

pub fn run(options: &Options) -> Result<(), LabError> {
    let groups = groups(options)?;
    let marked = match options.include_marked {
        true => Marked::Included,
        false => Marked::LeftOut,
    };
    let design = design(options, &groups)?;
    let figures: Vec<&str> = match options.figure.is_empty() {
        true => DEFAULT.to_vec(),
        false => options.figure.iter().map(String::as_str).collect(),
    };
    let compared = figures
        .into_iter()
        .map(|figure| compare(&groups, figure, marked, design))
        .collect::<Result<Vec<Compared>, LabError>>()?;
    if options.json {
        let marked = options.include_marked;
        println!(
            "{}",
            json!({"v": 1, "include_marked": marked, "pairs": options.pairs, "figures": compared})
        );
    } else {
        print!("{}", text::render(&compared, marked, table::width()));
    }
    Ok(())
}

fn design(options: &Options, groups: &[Group]) -> Result<Design, LabError> {
    if !options.pairs {
        return Ok(Design::Apart);
    }
    match (groups[0].runs.len(), groups[1].runs.len()) {
        (1, 1) => Err(LabError::Usage(
            "--pairs needs several runs a side that were interleaved; repetitions of one run \
             were not: leave --pairs out"
                .to_owned(),
        )),
        (a, b) if a != b => Err(LabError::Usage(format!(
            "--pairs needs as many runs of B as of A, not {b} and {a}"
        ))),
        _ => Ok(Design::Pairs),
    }
}

fn groups(options: &Options) -> Result<Vec<Group>, LabError> {
    let read = |file: &PathBuf| -> Result<Run, LabError> {
        Ok(Run {
            file: file.display().to_string(),
            record: read_result(file)?,
        })
    };
    let all = |files: &[PathBuf]| files.iter().map(read).collect::<Result<Vec<Run>, _>>();
    let runs: Vec<Vec<Run>> = if options.with.is_empty() {
        let each = all(&options.results)?;
        each.into_iter().map(|run| vec![run]).collect()
    } else {
        vec![all(&options.results)?, all(&options.with)?]
    };
    if runs.len() < 2 {
        return Err(LabError::Usage(
            "one result has nothing to be compared with: name another, or a group with --with"
                .to_owned(),
        ));
    }
    if runs.len() > 26 {
        return Err(LabError::Usage(
            "at most 26 results can be compared at once; make two groups with --with".to_owned(),
        ));
    }
    let mut seen = BTreeSet::new();
    for run in runs.iter().flatten() {
        let (stamp, body) = (&run.record.stamp, &run.record.body);
        if !seen.insert((stamp.device.clone(), body.id.clone(), body.attempt)) {
            return Err(LabError::Usage(format!(
                "{}: job {}, attempt {} of {} is there twice; a run counts once",
                run.file, body.id, body.attempt, stamp.device
            )));
        }
    }
    Ok(('A'..='Z')
        .zip(runs)
        .map(|(letter, runs)| Group { letter, runs })
        .collect())
}

fn compare(
    groups: &[Group],
    figure: &str,
    marked: Marked,
    design: Design,
) -> Result<Compared, LabError> {
    let unknown = |run: &Run| super::explain::unknown(&run.record.body, figure);
    let first = &groups[0].runs[0];
    let path = Path::parse(figure).ok_or_else(|| unknown(first))?;
    let lacks = |run: &Run| lookup::find(&run.record.body, &path) == Err(Absent::Unknown);
    if groups.iter().flat_map(|group| &group.runs).all(lacks) {
        return Err(unknown(first));
    }
    let samples = groups
        .iter()
        .map(|group| Sample::of(&group.runs, &path, marked).map_err(unknown))
        .collect::<Result<Vec<Sample>, LabError>>()?;
    let ratios = groups
        .iter()
        .zip(&samples)
        .skip(1)
        .map(|(group, sample)| against((&groups[0], &samples[0]), (group, sample), &path, design))
        .collect();
    Ok(Compared {
        figure: path.to_string(),
        unit: path.unit(),
        groups: groups
            .iter()
            .zip(&samples)
            .map(|(g, s)| row(g, s, &path))
            .collect(),
        ratios,
        warnings: warnings(groups, &samples, &path),
    })
}

fn against(
    first: (&Group, &Sample),
    other: (&Group, &Sample),
    path: &Path,
    design: Design,
) -> Against {
    let (a, b) = (first.1, other.1);
    let sensors = is_energy(path)
        .then(|| sensors(&a.counted, &b.counted, path))
        .flatten();
    let (n, ratio) = match design {
        Design::Apart => {
            let (a, b) = (a.known(), b.known());
            (a.len().min(b.len()), Ratio::independent(&a, &b))
        }
        Design::Pairs => {
            let both = a.values.iter().zip(&b.values);
            let pairs: Vec<(f64, f64)> = both.filter_map(|(a, b)| Some(((*a)?, (*b)?))).collect();
            (pairs.len(), Ratio::paired(&pairs))
        }
    };
    let systematic = sensors.map_or(0.0, |sensors| Shared::of_ratio(a.shared, b.shared, sensors));
    let ratio = ratio.map(|ratio| ratio.with_systematic(systematic));
    let interval = ratio.map(|ratio| ratio.interval());
    Against {
        group: other.0.letter,
        first: first.0.letter,
        ratio: ratio.map(|ratio| ratio.ratio()),
        low: interval.map(|interval| interval.0),
        high: interval.map(|interval| interval.1),
        sensors,
        verdict: ratio.map_or(Verdict::NotResolved, |ratio| ratio.verdict()),
        reason: match ratio {
            Some(_) => None,
            None if n < 2 => Some(Reason::TooFew),
            // There are enough, but one is not positive: it has no logarithm.
            None => Some(Reason::NotDefined),
        },
    }
}

/// The same board, the same rail, the same calibration: then a gain is the same error in all.
/// `None` where no run of a side counts.
fn sensors(a: &[&Run], b: &[&Run], path: &Path) -> Option<Sensors> {
    let of = |run: &Run| {
        let rail = lookup::rail(&run.record.body, path)?;
        Some((
            run.record.stamp.device.clone(),
            rail.name.clone(),
            rail.source.clone(),
            rail.range_mv,
            rail.shunt_ohm,
            rail.calibration_date.clone(),
            rail.limits.clone(),
        ))
    };
    let first = of(a.first()?);
    b.first()?;
    let same = a.iter().chain(b).all(|run| of(run) == first);
    Some(match same && first.is_some() {
        true => Sensors::Same,
        false => Sensors::Different,
    })
}

fn row(group: &Group, sample: &Sample, path: &Path) -> Row {
    let of = |field: fn(&Statistic) -> f64| sample.statistic.as_ref().map(field);
    // What a run that does not count was about is not what the figures are about.
    let behind: Vec<&Run> = match sample.counted.is_empty() {
        true => group.runs.iter().collect(),
        false => sample.counted.clone(),
    };
    let model = |run: &Run| {
        let model = run.record.body.model.as_ref();
        model.map_or_else(|| "no model".to_owned(), |model| model.name.clone())
    };
    Row {
        group: group.letter,
        of: sample.of,
        n: sample.statistic.map_or(0, |statistic| statistic.n),
        median: of(|statistic| statistic.median),
        iqr: sample.statistic.and_then(|statistic| statistic.iqr),
        mean: of(|statistic| statistic.mean),
        sd: sample.statistic.and_then(|statistic| statistic.sd),
        boundary: (!sample.counted.is_empty())
            .then(|| distinct(&sample.counted, |run| boundary(run, path)).join(" and ")),
        device: distinct(&behind, |run| run.record.stamp.device.clone()).join(" and "),
        what: distinct(&behind, model).join(" and "),
        simulated: sample.counted.iter().any(|run| is_simulated(run, path)),
        left_out: sample.left.clone(),
    }
}

/// What the runs say, each once, in order.
fn distinct(runs: &[&Run], of: impl Fn(&Run) -> String) -> Vec<String> {
    let all: BTreeSet<String> = runs.iter().map(|run| of(run)).collect();
    all.into_iter().collect()
}

/// Joules and watts belong to a boundary; times and speeds don't.
fn is_energy(path: &Path) -> bool {
    matches!(
        path.unit(),
        "J" | "W" | "mWh" | "tok/J" | "J·s" | "J·s/token²"
    )
}

fn boundary(run: &Run, path: &Path) -> String {
    let rail = lookup::rail(&run.record.body, path);
    rail.map_or_else(|| "no rail".to_owned(), |rail| rail.boundary.to_string())
}

fn is_simulated(run: &Run, path: &Path) -> bool {
    lookup::rail(&run.record.body, path).is_some_and(|rail| rail.simulated)
}

/// What makes a comparison of the runs that count unfair or weak, in sentences.
fn warnings(groups: &[Group], samples: &[Sample], path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    let counted: Vec<&Run> = samples
        .iter()
        .flat_map(|sample| sample.counted.iter().copied())
        .collect();
    let differ = |of: &dyn Fn(&Run) -> String| {
        let all = distinct(&counted, of);
        (all.len() > 1).then(|| all.join(", "))
    };
    let of_energy = is_energy(path);
    if of_energy && let Some(all) = differ(&|run| boundary(run, path)) {
        warnings.push(format!(
            "BOUNDARIES DIFFER ({all}): these joules don't enclose the same things, and a ratio \
             of them says little about the work"
        ));
    }
    let simulated = counted.iter().filter(|run| is_simulated(run, path)).count();
    if of_energy && simulated > 0 {
        let all = counted.len();
        warnings.push(match simulated == all {
            true => "SIMULATED: these joules are those of no real board".to_owned(),
            false => format!("SIMULATED: {simulated} of {all} runs have joules of no real board"),
        });
    }
    let kinds = differ(&|run| {
        let kind = serde_json::to_value(run.record.body.kind).unwrap_or_default();
        kind.as_str().unwrap_or_default().to_owned()
    });
    if let Some(all) = kinds {
        warnings.push(format!("kinds of job differ ({all})"));
    }
    for (group, sample) in groups.iter().zip(samples) {
        if sample.of == Of::Repetitions {
            warnings.push(format!(
                "{}: repetitions of one run; how runs differ is not in its spread",
                group.letter
            ));
        }
    }
    warnings
}

#[cfg(test)]
mod tests;
