//! What a report says, in the order in which it says it, apart from how it looks.

use super::assumptions::Assumptions;
use super::configuration::{Dimension, base_name};
use super::figure::{COUNTERS, ENERGY, HEAT, LOAD, MEMORY, SPEED, TRADE_OFF, named};
use super::picture::{self, Detail, Picture};
use super::source::{Links, attempt};
use super::study::{Configuration, Marked, Standing, Study};
use super::table::{MOST_ROWS, Scaled, Table};
use super::tables;
use super::{baseline, economy, findings, quality, recommend, stated, usability};
use crate::lab::dataset::Attempt;
use crate::record::Stamped;
use crate::record::result::JobResult;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Attempts whose power is drawn: each costs the page some 100 kB.
pub const MOST_TRACES: usize = 6;

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub title: String,
    /// Whether any power is that of no real board.
    pub simulated: bool,
    /// Sentences that nobody may overlook.
    pub banners: Vec<String>,
    pub about: String,
    /// Headline figures of the only configuration: name and value.
    pub headline: Vec<(String, String)>,
    pub findings: Option<Table>,
    /// Which configuration to choose, what it costs and what it is good for.
    pub guidance: Vec<Table>,
    /// What stands above that.
    pub guidance_notes: Vec<String>,
    /// What all configurations share.
    pub common: Vec<(String, String)>,
    pub tables: Vec<Table>,
    pub pictures: Vec<Picture>,
    /// Of attempts with a trace: their name and pictures.
    pub traces: Vec<(String, Vec<Picture>)>,
    /// Why there are no traces, or not all.
    pub trace_note: String,
    pub warnings: Vec<(String, usize)>,
    /// Path as given, and the way to it.
    pub sources: Vec<(String, String)>,
    pub version: &'static str,
}

/// Runs whose power is drawn where they have a trace: the first of each configuration.
pub fn traced(study: &Study) -> Vec<&Stamped<JobResult>> {
    let first = |configuration: &Configuration| {
        let runs = configuration.counted.iter().map(|at| &study.runs[*at]);
        runs.clone().find(|run| run.body.records.trace > 0)
    };
    let all = study.configurations.iter().filter_map(first);
    all.take(MOST_TRACES).collect()
}

impl Report {
    pub fn new(
        study: &Study,
        assumptions: &Assumptions,
        title: Option<&str>,
        details: &BTreeMap<Attempt, Detail>,
        links: &Links,
    ) -> Self {
        let mut all = vec![tables::configurations(study)];
        for (id, heading, figures) in [
            ("speed", "Speed", &SPEED[..]),
            ("energy", "Energy", &ENERGY[..]),
            ("trade-off", "Energy against speed", &TRADE_OFF[..]),
            ("load", "Loading", &LOAD[..]),
            ("memory", "Memory", &MEMORY[..]),
            ("counters", "Micro-architecture", &COUNTERS[..]),
            ("heat", "Temperature", &HEAT[..]),
        ] {
            all.push(Table::of_figures(id, heading, study, figures));
        }
        all.extend(quality::table(study));
        all.extend(baseline::table(study));
        all.extend(stated::references(&assumptions.references));
        all.push(tables::boards(study));
        all.push(tables::sensors(study));
        all.push(tables::runs(study, links));
        let traces = traces(study, details);
        Self {
            title: title.map_or_else(|| title_of(study), str::to_owned),
            simulated: study.simulated_runs() > 0,
            banners: banners(study),
            about: about(study),
            headline: headline(study),
            findings: findings::table(study),
            guidance: guidance(study, assumptions),
            guidance_notes: guidance_notes(assumptions),
            common: tables::common(study),
            tables: all,
            pictures: pictures(study, assumptions),
            trace_note: trace_note(study, traces.len()),
            traces,
            warnings: tables::warnings(study),
            sources: links.roots.clone(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

impl Table {
    /// What it leaves out.
    pub fn beyond(&self) -> Option<String> {
        (self.left_out > 0).then(|| {
            format!(
                "{} more rows than the {MOST_ROWS} shown are in the CSV.",
                self.left_out
            )
        })
    }
}

fn models(study: &Study) -> BTreeSet<String> {
    let of_run = |run: &Stamped<JobResult>| {
        let model = run.body.model.as_ref()?;
        Some(base_name(model).to_owned())
    };
    study.runs.iter().filter_map(of_run).collect()
}

fn boards(study: &Study) -> BTreeSet<&str> {
    study
        .runs
        .iter()
        .map(|run| run.stamp.device.as_str())
        .collect()
}

fn title_of(study: &Study) -> String {
    let models: Vec<String> = models(study).into_iter().collect();
    match models.as_slice() {
        [] => "Idle power".to_owned(),
        [one] => format!("{one}: energy and speed"),
        several => format!("Energy and speed of {} models", several.len()),
    }
}

pub fn plural(n: usize, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    }
}

fn about(study: &Study) -> String {
    let mut days: Vec<&str> = study
        .runs
        .iter()
        .filter_map(|run| run.stamp.time.get(..10))
        .collect();
    days.sort_unstable();
    let when = match (days.first(), days.last()) {
        (Some(first), Some(last)) if first == last => format!(", {first}"),
        (Some(first), Some(last)) => format!(", {first} to {last}"),
        _ => String::new(),
    };
    let repetitions = study.runs.iter().map(|run| run.body.reps.len()).sum();
    let boards: Vec<&str> = boards(study).into_iter().collect();
    let on = match boards.as_slice() {
        [one] => (*one).to_owned(),
        few if few.len() <= 4 => format!("{} boards ({})", few.len(), few.join(", ")),
        many => plural(many.len(), "board"),
    };
    format!(
        "{} with {} in {} of {} on {on}{when}.",
        plural(study.runs.len(), "run"),
        plural(repetitions, "repetition"),
        plural(study.configurations.len(), "configuration"),
        plural(models(study).len(), "model"),
    )
}

fn banners(study: &Study) -> Vec<String> {
    let mut banners = Vec::new();
    let (simulated, all) = (study.simulated_runs(), study.runs.len());
    if simulated > 0 {
        let which = match simulated == all {
            true => "the power of every run comes from a simulated sensor".to_owned(),
            false => format!("{simulated} of {all} runs have power from a simulated sensor"),
        };
        banners.push(format!(
            "SIMULATED: {which}. Times are real; their watts and joules are those of no real board."
        ));
    }
    let marked = study
        .runs
        .iter()
        .filter(|run| !run.body.left_out.is_empty())
        .count();
    let only = |c: &&Configuration| c.standing == Standing::OnlyMarked;
    let only = study.configurations.iter().filter(only).count();
    match (study.marked, marked) {
        (_, 0) => {}
        (Marked::Included, n) => banners.push(format!(
            "MARKED: {} counted although contended, throttled, with a setting changed meanwhile or \
             not succeeded (--include-marked).",
            plural(n, "run")
        )),
        (Marked::LeftOut, n) => {
            let shown = match only {
                0 => String::new(),
                1 => " 1 configuration has no other run and is shown with †.".to_owned(),
                n => format!(" {n} configurations have no other run and are shown with †."),
            };
            let were = if n == 1 { "run was" } else { "runs were" };
            banners.push(format!(
                "LEFT OUT: {n} {were} contended, throttled, with a setting changed meanwhile or not \
                 successful, and count in no mean.{shown}"
            ));
        }
    }
    banners
}

/// With several configurations the findings say more.
fn headline(study: &Study) -> Vec<(String, String)> {
    let [only] = study.configurations.as_slice() else {
        return Vec::new();
    };
    let of = |(name, called): (&str, &str)| {
        let value = match only.named(name) {
            Ok(pooled) => Scaled::of(named(name), study).show(pooled),
            Err(reason) => super::table::missing(*reason),
        };
        (called.to_owned(), value)
    };
    [
        ("j_per_output_token", "energy per output token, gross"),
        ("j_per_output_token_net", "net of idle"),
        ("decode_tok_s", "decode"),
        ("prefill_tok_s", "prefill"),
        ("ttft_s", "time to first token"),
        ("idle_power_w", "idle power"),
    ]
    .map(of)
    .to_vec()
}

fn guidance(study: &Study, assumptions: &Assumptions) -> Vec<Table> {
    let mut all = Vec::new();
    all.extend(recommend::table(assumptions.usability.as_ref(), study));
    if let Some(stated) = &assumptions.usability {
        all.extend(usability::table(stated, study));
    }
    if let Some(stated) = &assumptions.cost {
        all.extend(economy::tables(stated, study));
    }
    all.extend(stated::assumptions(assumptions));
    all
}

fn guidance_notes(assumptions: &Assumptions) -> Vec<String> {
    let mut notes = assumptions.notes.clone();
    let absent = match (&assumptions.cost, &assumptions.usability) {
        (Some(_), Some(_)) => return notes,
        (None, None) => {
            "No prices and no thresholds are stated: costs and usability are not judged"
        }
        (None, Some(_)) => "No prices are stated: costs are not computed",
        (Some(_), None) => "No thresholds are stated: usability is not judged",
    };
    notes.push(format!(
        "{absent} (--assumptions FILE, or a study's manifest)."
    ));
    notes
}

fn pictures(study: &Study, assumptions: &Assumptions) -> Vec<Picture> {
    let rows = |caption, axis, figures: &[(&str, &str)]| {
        picture::rows(study, &assumptions.references, caption, axis, figures)
    };
    let mut all = vec![
        rows(
            "Energy per output token (decode)",
            "energy",
            &[
                ("j_per_output_token", "gross"),
                ("j_per_output_token_net", "net of idle"),
            ],
        ),
        rows(
            "Energy per prompt token (prefill)",
            "energy",
            &[
                ("j_per_prompt_token", "gross"),
                ("j_per_prompt_token_net", "net of idle"),
            ],
        ),
        rows(
            "Energy per output token, prefill and decode of a request",
            "energy",
            &[
                ("j_per_output_token_all_in", "gross"),
                ("j_per_output_token_all_in_net", "net of idle"),
            ],
        ),
        rows("Decode speed", "decode", &[("decode_tok_s", "decode")]),
        rows("Prefill speed", "prefill", &[("prefill_tok_s", "prefill")]),
        rows(
            "Output tokens over the time of the whole request",
            "speed",
            &[("output_tok_s", "of the whole request")],
        ),
    ];
    for (scope, configurations) in findings::scopes(study) {
        all.push(picture::scatter(study, &scope, &configurations));
        let scored = quality::against(study, &scope, &configurations);
        all.extend(
            scored
                .iter()
                .map(|found| Some(picture::against(study, found))),
        );
    }
    all.push(rows(
        "S_t, the energy-delay product of a token",
        "S_t",
        &[("s_t", "S_t")],
    ));
    all.extend(dependences(study));
    all.extend([
        rows(
            "Time to first token",
            "time",
            &[("ttft_s", "time to first token")],
        ),
        rows("Load time, cold", "time", &[("load_cold_s", "cold")]),
        rows("Load time, warm", "time", &[("load_warm_s", "warm")]),
        rows(
            "Memory",
            "memory",
            &[
                ("rss_peak_bytes", "peak resident"),
                ("kv_bytes", "KV cache"),
                ("compute_bytes", "compute buffers"),
            ],
        ),
        rows(
            "Instructions a cycle",
            "instructions a cycle",
            &[("prefill_ipc", "prefill"), ("decode_ipc", "decode")],
        ),
        rows(
            "Idle power, model loaded",
            "power",
            &[("idle_power_w", "idle power")],
        ),
        picture::heat(study),
    ]);
    all.into_iter().flatten().collect()
}

/// How figures depend on what was varied in numbers.
fn dependences(study: &Study) -> Vec<Option<Picture>> {
    use Dimension::{Context, Depth, PromptTokens, Threads};
    let every: Vec<&Configuration> = study.standing().collect();
    let plain = [
        (Threads, "Prefill by threads", ("prefill_tok_s", "prefill")),
        (Threads, "Decode by threads", ("decode_tok_s", "decode")),
        (
            Context,
            "Peak resident memory by context",
            ("rss_peak_bytes", "memory"),
        ),
        (Context, "KV cache by context", ("kv_bytes", "memory")),
        (Depth, "Decode by depth", ("decode_tok_s", "decode")),
        (
            PromptTokens,
            "Time to first token by prompt",
            ("ttft_s", "time"),
        ),
    ];
    let mut all: Vec<Option<Picture>> = plain
        .into_iter()
        .map(|(dimension, caption, figure)| {
            picture::lines(study, &every, caption, dimension, figure)
        })
        .collect();
    for (scope, configurations) in findings::scopes(study) {
        for (dimension, by) in [(Threads, "threads"), (Depth, "depth")] {
            let caption = format!("Energy per output token by {by} ({})", scope.name());
            let figure = ("j_per_output_token", "energy");
            let picture = picture::lines(study, &configurations, &caption, dimension, figure);
            all.push(picture);
        }
    }
    all
}

fn traces(study: &Study, details: &BTreeMap<Attempt, Detail>) -> Vec<(String, Vec<Picture>)> {
    let mut traces = Vec::new();
    for run in traced(study) {
        let Some(detail) = details.get(&attempt(run)) else {
            continue;
        };
        let of = |c: &&Configuration| {
            c.counted
                .iter()
                .any(|at| std::ptr::eq(&study.runs[*at], run))
        };
        let Some(configuration) = study.configurations.iter().find(of) else {
            continue;
        };
        let pictures = picture::power(&run.body, detail);
        if !pictures.is_empty() {
            let simulated = if configuration.is_simulated() {
                " · SIMULATED"
            } else {
                ""
            };
            let name = format!(
                "{} · job {} on {}{simulated}",
                configuration.number_and_label(),
                run.body.id,
                run.stamp.device
            );
            traces.push((name, pictures));
        }
    }
    traces
}

fn trace_note(study: &Study, shown: usize) -> String {
    let asked = study
        .runs
        .iter()
        .filter(|run| run.body.records.trace > 0)
        .count();
    match (asked, shown) {
        (0, _) => "No run asked for its power trace (publish.trace).".to_owned(),
        (_, 0) => "Power traces were made and are not among the data of this report: `joulectl collect` keeps them.".to_owned(),
        (asked, shown) if asked > shown => format!(
            "{shown} of {asked} runs with a trace: the first of each configuration, {MOST_TRACES} at most."
        ),
        _ => String::new(),
    }
}
