//! `joulectl compare`: whether one configuration costs less than another, from result records
//! alone. It ranks only what the 95 % interval of the ratio tells apart.

mod group;
mod text;

use super::file::read_result;
use super::lookup::{Absent, Path};
use super::{LabError, table};
use crate::energy::{Ratio, Sensors, Shared, Statistic, Verdict};
use crate::record::Reason;
use crate::record::result::JobResult;
use group::{Left, Marked, Of, Run, Sample, primary};
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
    /// Count runs that were contended, throttled or did not succeed all the same
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
    boundary: String,
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
    /// `null` for a figure that no sensor measured.
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
    let design = match options.pairs {
        true => Design::Pairs,
        false => Design::Apart,
    };
    if design == Design::Pairs && groups[0].runs.len() != groups[1].runs.len() {
        return Err(LabError::Usage(format!(
            "--pairs needs as many runs of B as of A, not {} and {}",
            groups[0].runs.len(),
            groups[1].runs.len()
        )));
    }
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
    let unknown = |group: &Group| super::explain::unknown(&group.runs[0].record.body, figure);
    let path = Path::parse(figure).ok_or_else(|| unknown(&groups[0]))?;
    let samples = groups
        .iter()
        .map(|group| Sample::of(&group.runs, &path, marked).map_err(|_: Absent| unknown(group)))
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
            .map(|(g, s)| row(g, s))
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
    let sensors = is_energy(path).then(|| sensors(first.0, other.0));
    let (a, b) = (first.1, other.1);
    let ratio = match design {
        Design::Apart => Ratio::independent(&a.known(), &b.known()),
        Design::Pairs => {
            let both = a.values.iter().zip(&b.values);
            let pairs: Vec<(f64, f64)> = both.filter_map(|(a, b)| Some(((*a)?, (*b)?))).collect();
            Ratio::paired(&pairs)
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
        reason: ratio.is_none().then_some(Reason::TooFew),
    }
}

/// The same board, the same rail, the same calibration: then a gain is the same error in all.
fn sensors(a: &Group, b: &Group) -> Sensors {
    let of = |run: &Run| {
        let rail = primary(&run.record.body)?;
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
    let first = of(&a.runs[0]);
    let same = a.runs.iter().chain(&b.runs).all(|run| of(run) == first);
    match same && first.is_some() {
        true => Sensors::Same,
        false => Sensors::Different,
    }
}

fn row(group: &Group, sample: &Sample) -> Row {
    let of = |field: fn(&Statistic) -> f64| sample.statistic.as_ref().map(field);
    let distinct = |of: &dyn Fn(&JobResult) -> String| {
        let all: BTreeSet<String> = group.runs.iter().map(|run| of(&run.record.body)).collect();
        all.into_iter().collect::<Vec<_>>().join(" and ")
    };
    let devices: BTreeSet<&str> = group
        .runs
        .iter()
        .map(|run| run.record.stamp.device.as_str())
        .collect();
    Row {
        group: group.letter,
        of: sample.of,
        n: sample.statistic.map_or(0, |statistic| statistic.n),
        median: of(|statistic| statistic.median),
        iqr: sample.statistic.and_then(|statistic| statistic.iqr),
        mean: of(|statistic| statistic.mean),
        sd: sample.statistic.and_then(|statistic| statistic.sd),
        boundary: distinct(&boundary),
        device: devices.into_iter().collect::<Vec<_>>().join(" and "),
        what: distinct(&|result| {
            let model = result.model.as_ref().map(|model| model.name.clone());
            model.unwrap_or_else(|| "no model".to_owned())
        }),
        simulated: group.runs.iter().any(|run| is_simulated(&run.record.body)),
        left_out: sample.left.clone(),
    }
}

/// Joules and watts belong to a boundary; times and speeds don't.
fn is_energy(path: &Path) -> bool {
    matches!(
        path.unit(),
        "J" | "W" | "mWh" | "tok/J" | "J·s" | "J·s/token²"
    )
}

fn boundary(result: &JobResult) -> String {
    primary(result).map_or_else(|| "no rail".to_owned(), |rail| rail.boundary.to_string())
}

fn is_simulated(result: &JobResult) -> bool {
    primary(result).is_some_and(|rail| rail.simulated)
}

/// What makes a comparison unfair or weak, in sentences.
fn warnings(groups: &[Group], samples: &[Sample], path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    let results = || {
        groups
            .iter()
            .flat_map(|group| &group.runs)
            .map(|run| &run.record.body)
    };
    let differ = |of: &dyn Fn(&JobResult) -> String| {
        let all: BTreeSet<String> = results().map(of).collect();
        (all.len() > 1).then(|| all.into_iter().collect::<Vec<_>>().join(", "))
    };
    let of_energy = is_energy(path);
    if of_energy && let Some(all) = differ(&boundary) {
        warnings.push(format!(
            "BOUNDARIES DIFFER ({all}): these joules don't enclose the same things, and a ratio \
             of them says little about the work"
        ));
    }
    let simulated = results().filter(|result| is_simulated(result)).count();
    if of_energy && simulated > 0 {
        let all = results().count();
        warnings.push(match simulated == all {
            true => "SIMULATED: these joules are those of no real board".to_owned(),
            false => format!("SIMULATED: {simulated} of {all} runs have joules of no real board"),
        });
    }
    let kinds = differ(&|result| {
        let kind = serde_json::to_value(result.kind).unwrap_or_default();
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
