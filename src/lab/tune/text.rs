//! A tuning for the terminal.

use super::fate::{Entry, Fate};
use super::goal::{Goal, Objective};
use super::plan::{ASSUMED_BESIDES_S, ASSUMED_DECODE_TOK_S, ASSUMED_PREFILL_TOK_S, Plan};
use super::report::{Report, Side, Verdict};
use super::study::Study;
use super::verdict::{interval, verdict};
use crate::lab::figure::{Figure, seconds};
use crate::lab::table::{NARROWEST, WIDEST, pad, wrap};
use console::{Color, measure_text_width, style};
use serde_json::Value;

/// The report in lines of at most `width` columns, but for what is to be pasted.
pub fn render(report: &Report, width: usize) -> String {
    let width = width.clamp(NARROWEST, WIDEST);
    let mut lines = vec![String::new()];
    let title = format!("{} on {}", report.model, report.device);
    lines.push(style(title).bold().to_string());
    lines.extend(wrap(&format!("tuned for {}", aim(&report.goal)), width));
    if report.simulated {
        let banner = "SIMULATED: the power comes from a simulated sensor. Times are real; joules \
                      are those of no real board.";
        let banner = wrap(banner, width).into_iter();
        lines.extend(banner.map(|part| style(part).yellow().bold().to_string()));
    }
    lines.push(String::new());
    lines.extend(candidates(&report.candidates, width));
    lines.push(String::new());
    lines.extend(check(report, width));
    for warning in &report.warnings {
        for (n, part) in wrap(warning, width - 2).into_iter().enumerate() {
            let mark = if n == 0 { "! " } else { "  " };
            lines.push(style(format!("{mark}{part}")).yellow().to_string());
        }
    }
    let counts = report.jobs;
    let jobs = format!(
        "{} jobs in {}, {} of them run again, {} left out",
        counts.run,
        duration(report.spent_s),
        counts.repeated,
        counts.left_out
    );
    for text in [depth(&report.goal), Some(jobs)].into_iter().flatten() {
        let parts = wrap(&text, width).into_iter();
        lines.extend(parts.map(|part| style(part).dim().to_string()));
    }
    lines.push(String::new());
    let heading = match report.verdict {
        Verdict::NoGainShown | Verdict::ExceedsBounds => "the defaults, to paste into a job:",
        Verdict::BoundsNotMet if report.nothing_was_tried() => "the defaults, to paste into a job:",
        Verdict::BoundsNotMet => "the nearest, to paste into a job:",
        Verdict::Gain | Verdict::WithinBounds => "to paste into a job:",
    };
    lines.push(heading.to_owned());
    lines.extend(
        report
            .job
            .iter()
            .map(|(field, value)| format!("  \"{field}\": {value}")),
    );
    let text: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    format!("{}\n", text.join("\n"))
}

/// What is tuned for, in words.
pub fn aim(goal: &Goal) -> String {
    let mut text = format!(
        "the least {}, of requests of {} and {} tokens",
        goal.objective.what(),
        goal.n_prompt,
        goal.n_gen
    );
    if let Some(bound) = goal.bounds.ttft_s {
        text.push_str(&format!(", TTFT at most {}", seconds(bound)));
    }
    if let Some(bound) = goal.bounds.tpot_s {
        text.push_str(&format!(", TPOT at most {}", seconds(bound)));
    }
    text
}

/// Where decode is not measured where a request does it.
fn depth(goal: &Goal) -> Option<String> {
    (goal.needs_prefill() && goal.needs_decode()).then(|| {
        format!(
            "output was measured from an empty context: behind a prompt of {} tokens attention \
             takes more of it",
            goal.n_prompt
        )
    })
}

fn candidates(entries: &[Entry], width: usize) -> Vec<String> {
    if entries.is_empty() {
        return vec!["there was nothing to try beside the defaults".to_owned()];
    }
    let ratio = |entry: &Entry| {
        entry
            .against_defaults
            .map_or_else(|| "–".to_owned(), |found| interval(&found))
    };
    let label = |entry: &Entry| measure_text_width(&entry.label);
    let heading = "cost ÷ defaults, 95 %";
    let second = measure_text_width(heading) + 3;
    let longest = entries.iter().map(label).max().unwrap_or(0);
    let first = longest.clamp(9, (width - second) / 2) + 2;
    let room = width - first - second;
    let title = format!("{}{}fate", pad("candidate", first), pad(heading, second));
    let mut lines = vec![style(title).underlined().to_string()];
    for entry in entries {
        let labels = wrap(&entry.label, first - 2);
        let fates = wrap(&fate(entry), room);
        for n in 0..labels.len().max(fates.len()) {
            let at = |all: &[String]| all.get(n).cloned().unwrap_or_default();
            let middle = if n == 0 { ratio(entry) } else { String::new() };
            let left = format!("{}{}", pad(&at(&labels), first), pad(&middle, second));
            let text = at(&fates);
            lines.push(match entry.fate {
                Fate::Taken => format!("{left}{}", style(text).fg(Color::Green)),
                _ => format!("{left}{text}"),
            });
        }
    }
    lines
}

/// What became of a candidate, in words.
pub fn fate(entry: &Entry) -> String {
    let rung = entry.rung;
    match &entry.fate {
        Fate::Taken => format!("taken in rung {rung}"),
        Fate::Tied => format!("tied in rung {rung}: no difference shown to what was taken"),
        Fate::Worse { than, ratio } => {
            format!("worse than {than} in rung {rung}: ×{}", interval(ratio))
        }
        Fate::Halved => {
            format!("halved after rung {rung}: no time for more, not shown to be worse")
        }
        Fate::Exceeds {
            time,
            bound_s,
            value_s,
        } => format!(
            "too slow in rung {rung}: {} {} where {} is allowed",
            time.as_str(),
            seconds(*value_s),
            seconds(*bound_s)
        ),
        Fate::Failed { reason } => format!("failed: {}", crate::print::harmless(reason)),
        Fate::NoEffect { why } => format!("no effect: {why}"),
        Fate::NotTried => "not tried: no time".to_owned(),
        Fate::TooFast { n_ctx } => format!(
            "too fast for the sensor: {n_ctx} tokens are over in too few of its windows; a \
             larger --n-ctx allows longer jobs"
        ),
        Fate::TooFew { why } => {
            let why = why.as_ref().map_or_else(String::new, |why| {
                format!(": {}", crate::print::harmless(why))
            });
            format!("too few jobs counted in rung {rung}{why}")
        }
    }
}

fn check(report: &Report, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(defaults), Some(chosen)) = (&report.defaults, &report.chosen) {
        lines.extend(sides(defaults, chosen, report));
    }
    let colour = match report.verdict {
        Verdict::Gain | Verdict::WithinBounds => Color::Green,
        Verdict::NoGainShown | Verdict::ExceedsBounds | Verdict::BoundsNotMet => Color::Yellow,
    };
    let text = wrap(&verdict(report), width).into_iter();
    lines.extend(text.map(|part| style(part).fg(colour).bold().to_string()));
    lines
}

/// Figures of both sides of the check.
fn sides(defaults: &Side, chosen: &Side, report: &Report) -> Vec<String> {
    type Row<'r> = (&'r str, &'r dyn Fn(&Side) -> String);
    let plain = |value: Option<f64>, unit: &str| Figure::because(value, None, None).show(unit);
    let rate = |value: Option<f64>| Figure::because(value, None, None).show_plain("tok/s");
    let (name, unit) = match report.goal.objective {
        Objective::Energy => ("J/output token, all", "J"),
        Objective::Prefill => ("prompt token", "s"),
        Objective::Decode => ("output token", "s"),
        Objective::Balanced => ("J·s a request", "J·s"),
    };
    let cost = |side: &Side| Figure::because(side.cost, side.cost_u95, None).show(unit);
    let rows: [Row<'_>; 7] = [
        (name, &cost),
        ("prompt", &|side| rate(side.prefill_tok_s)),
        ("output", &|side| rate(side.decode_tok_s)),
        ("TTFT", &|side| plain(side.ttft_s, "s")),
        ("TPOT", &|side| plain(side.tpot_s, "s")),
        ("J/prompt token", &|side| {
            plain(side.j_per_prompt_token, "J")
        }),
        ("J/output token", &|side| {
            plain(side.j_per_output_token, "J")
        }),
    ];
    let mut lines = Vec::new();
    let heading = format!("{}{}chosen", pad("check", 20), pad("defaults", 22));
    lines.push(style(heading).underlined().to_string());
    for (name, of) in rows {
        let (a, b) = (of(defaults), of(chosen));
        if a == "–" && b == "–" {
            continue;
        }
        lines.push(format!("{}{}{b}", pad(name, 20), pad(&a, 22)));
    }
    lines.push(String::new());
    lines
}

/// `45 s`, `12 min`, `1 h 20 min`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match seconds {
        0..=89 => format!("{seconds} s"),
        90..=5399 => format!("{} min", (seconds + 30) / 60),
        _ => {
            let minutes = (seconds + 30) / 60;
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

/// What would be tried.
pub fn render_plan(study: &Study, plan: &Plan, width: usize) -> String {
    let width = width.clamp(NARROWEST, WIDEST);
    let title = format!("{} on {}", study.model, study.device);
    let mut lines = vec![style(title).bold().to_string()];
    let goal = &study.rules.goal;
    lines.extend(wrap(&format!("would be tuned for {}", aim(goal)), width));
    lines.push(String::new());
    lines.push(
        style(format!(
            "{}candidates, beside the defaults",
            pad("stage", 13)
        ))
        .underlined()
        .to_string(),
    );
    for planned in &plan.stages {
        let all = planned.candidates.join("; ");
        for (n, part) in wrap(&all, width - 13).into_iter().enumerate() {
            let stage = if n == 0 { planned.stage.as_str() } else { "" };
            lines.push(format!("{}{part}", pad(stage, 13)));
        }
    }
    lines.push(String::new());
    let (least, most) = (&plan.least, &plan.most);
    let mut about = format!(
        "{} to {} jobs, about {} to {} at {ASSUMED_PREFILL_TOK_S} tokens/s of prompt, \
         {ASSUMED_DECODE_TOK_S} of output and {ASSUMED_BESIDES_S} s besides; the first job tells \
         the board's own pace",
        least.jobs,
        most.jobs,
        duration(least.seconds),
        duration(most.seconds)
    );
    if let Some(budget) = study.rules.budget_s {
        about.push_str(&format!("; --time ends it after {}", duration(budget)));
    }
    lines.extend(wrap(&about, width));
    format!("{}\n", lines.join("\n"))
}

/// The report as JSON, as it is printed and kept.
pub fn json(report: &Report) -> Value {
    let mut value = serde_json::to_value(report).expect("a report has only JSON-able fields");
    let gain = report.gain();
    value["gain"] = serde_json::json!(gain.map(|(gain, _)| gain));
    value["gain_u95"] = serde_json::json!(gain.map(|(_, half)| half));
    value
}

#[cfg(test)]
mod tests {
    use super::super::plan::plan;
    use super::super::study::tests::study;
    use super::super::synthetic::Invented;
    use super::*;

    fn report(effect: f64) -> Report {
        let study = study();
        Report::of(&study, &Invented::new(3, effect).tune(&study))
    }

    fn plain(text: &str) -> String {
        console::strip_ansi_codes(text).into_owned()
    }

    #[test]
    fn a_gain_at_80_columns() {
        insta::assert_snapshot!(plain(&render(&report(1.0), 80)));
    }

    #[test]
    fn no_gain_at_100_columns() {
        insta::assert_snapshot!(plain(&render(&report(0.0), 100)));
    }

    #[test]
    fn a_plan_at_80_columns() {
        let mut study = study();
        study.rules.budget_s = Some(1200.0);
        let plan = plan(&study.rules, 4);
        insta::assert_snapshot!(plain(&render_plan(&study, &plan, 80)));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for effect in [0.0, 1.0] {
            let report = report(effect);
            for width in [60, 72, 80, 100, 120] {
                let text = plain(&render(&report, width));
                for line in text.lines().filter(|line| !line.starts_with("  \"")) {
                    assert!(measure_text_width(line) <= width, "{width}: {line}");
                }
            }
        }
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(12.4), "12 s");
        assert_eq!(duration(100.0), "2 min");
        assert_eq!(duration(4_830.0), "81 min");
        assert_eq!(duration(5_400.0), "1 h 30 min");
    }

    #[test]
    fn the_json_has_the_gain_with_its_uncertainty() {
        let report = report(1.0);
        let json = json(&report);
        let (gain, half) = report.gain().unwrap();
        assert!(gain > half && half > 0.0);
        assert_eq!(
            (&json["gain"], &json["verdict"]),
            (&gain.into(), &"gain".into())
        );
        assert_eq!(json["job"]["params"]["threads"], 3);
        assert_eq!(json["candidates"][0]["what"], "no-effect");
    }
}
