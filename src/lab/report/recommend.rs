//! Which configuration to choose: the least energy a token among those that fulfil every stated
//! threshold, and the reason in a sentence. Compared are configurations of one boundary that did
//! the same work with the same model; and with any model, where a threshold is on right answers:
//! without one the smallest model would always be chosen.

use super::assumptions::Usability;
use super::configuration::{Dimension, Value};
use super::economy::Basis;
use super::figure;
use super::findings::{Scope, told_apart};
use super::study::{Configuration, Pooled, Study};
use super::table::{Cell, Column, Scaled, Table};
use super::usability::{Threshold, Verdict, thresholds, verdicts};
use std::collections::{BTreeMap, BTreeSet};

/// What is asked of a configuration, rather than chosen.
const WORK: [Dimension; 5] = [
    Dimension::Model,
    Dimension::Kind,
    Dimension::PromptTokens,
    Dimension::OutputTokens,
    Dimension::Depth,
];

/// Among which configurations one is chosen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group<'a> {
    scope: Scope,
    /// Without the model: of all models.
    work: Vec<(Dimension, &'a Value)>,
    /// `None`: of all boards.
    board: Option<String>,
}

/// The configuration to choose and why, or why there is none.
#[derive(Debug, Clone)]
struct Choice<'a> {
    configuration: Option<&'a Configuration>,
    because: String,
}

/// A row for each group with a choice; `None` where there is nothing to choose from.
pub fn table(usability: Option<&Usability>, study: &Study) -> Option<Table> {
    let thresholds = usability.map(thresholds).unwrap_or_default();
    let mut rows = Vec::new();
    // Perplexities of different tokenisers can't be compared.
    let right_answers = |threshold: &Threshold| matches!(threshold.figure, "acc" | "acc_norm");
    let scored = thresholds.iter().any(right_answers);
    for (group, members) in groups(study, scored) {
        let chosen = choose(&members, &thresholds, study);
        let energy = chosen.configuration.map(|configuration| {
            let name = Basis::of(configuration).figures().0;
            let scaled = Scaled::of(figure::named(name), study);
            let outcome = configuration.named(name).as_ref();
            outcome.map_or_else(|reason| super::table::missing(*reason), |p| scaled.show(p))
        });
        let named = chosen.configuration.map(Configuration::number_and_label);
        rows.push(vec![
            Cell::text(name(&group, study)),
            Cell::text(named.unwrap_or_else(|| "none".to_owned())),
            Cell::text(energy.unwrap_or_else(|| "–".to_owned())),
            Cell::text(chosen.because),
        ]);
    }
    let columns = ["for", "configuration", "energy per output token", "why"];
    let columns = columns.map(Column::plain).to_vec();
    let mut table = (!rows.is_empty())
        .then(|| Table::new("recommended", "Recommended configuration", columns, rows))?;
    if thresholds.is_empty() {
        let note = "No thresholds are stated ([usability]), so that energy alone decides.";
        table.notes.push(note.to_owned());
    }
    if scored && several(study.standing(), Dimension::Model) {
        let note = "Of any model: tokens of different models carry different amounts of text. \
                    Which of them answer well enough is what the thresholds on scores say.";
        table.notes.push(note.to_owned());
    }
    Some(table)
}

/// Standing configurations that may be compared, of each board and, where there are several, of
/// all; of each model and, where their answers are `scored`, of all. Alone in its group a
/// configuration is no choice.
fn groups(study: &Study, scored: bool) -> BTreeMap<Group<'_>, Vec<&Configuration>> {
    let mut groups: BTreeMap<Group, Vec<&Configuration>> = BTreeMap::new();
    for configuration in study.standing() {
        if !configuration.makes_tokens() {
            continue;
        }
        let work = WORK.map(|d| (d, configuration.key.value(d))).to_vec();
        let mut works = vec![work.clone()];
        if scored {
            let asked = work.into_iter();
            works.push(asked.filter(|(d, _)| *d != Dimension::Model).collect());
        }
        let board = configuration.text(Dimension::Board);
        for board in [Some(board), None] {
            for work in &works {
                let group = Group {
                    scope: Scope::of(configuration),
                    work: work.clone(),
                    board: board.clone(),
                };
                groups.entry(group).or_default().push(configuration);
            }
        }
    }
    groups.retain(|group, members| {
        let several = |dimension| several(members.iter().copied(), dimension);
        members.len() > 1
            && (group.board.is_some() || several(Dimension::Board))
            && (group.has_model() || several(Dimension::Model))
    });
    groups
}

impl Group<'_> {
    fn has_model(&self) -> bool {
        self.work
            .iter()
            .any(|(dimension, _)| *dimension == Dimension::Model)
    }
}

fn several<'a>(all: impl Iterator<Item = &'a Configuration>, dimension: Dimension) -> bool {
    let found: BTreeSet<String> = all.map(|one| one.text(dimension)).collect();
    found.len() > 1
}

/// `SmolLM2-135M · 512 prompt · on pi5-01 (board-input)`: what the study does not share.
fn name(group: &Group, study: &Study) -> String {
    let differs = |(dimension, _): &&(Dimension, &Value)| study.varying.contains(dimension);
    let work = group.work.iter().filter(differs);
    let mut parts: Vec<String> = work
        .map(|(dimension, value)| dimension.phrase(value))
        .collect();
    if !group.has_model() {
        parts.insert(0, "any model".to_owned());
    }
    if study.varying.contains(&Dimension::Board) {
        parts.push(match &group.board {
            Some(board) => format!("on {board}"),
            None => "on any board".to_owned(),
        });
    }
    let scope = group.scope.name();
    match parts.is_empty() {
        true => scope,
        false => format!("{} ({scope})", parts.join(" · ")),
    }
}

fn choose<'a>(
    members: &[&'a Configuration],
    thresholds: &[Threshold],
    study: &Study,
) -> Choice<'a> {
    let all: Vec<Judged> = members
        .iter()
        .map(|configuration| Judged {
            configuration,
            verdicts: verdicts(thresholds, study, configuration),
        })
        .collect();
    let (told, untold): (Vec<usize>, Vec<usize>) =
        (0..thresholds.len()).partition(|at| all.iter().any(|one| one.is_known(*at)));
    let (fulfil, rest): (Vec<&Judged>, Vec<&Judged>) =
        all.iter().partition(|one| one.passes(&told));
    let untold = not_judged(&untold, thresholds);
    if fulfil.is_empty() {
        return Choice {
            configuration: None,
            because: format!(
                "none of {} fulfils every threshold: {}{untold}",
                members.len(),
                obstacles(&rest, &told, thresholds)
            ),
        };
    }
    let fulfil: Vec<&Configuration> = fulfil.iter().map(|one| one.configuration).collect();
    let energy = Basis::of(fulfil[0]).figures().0;
    let mut known: Vec<(&Configuration, &Pooled)> = fulfil
        .iter()
        .filter_map(|configuration| {
            Some((*configuration, configuration.named(energy).as_ref().ok()?))
        })
        .collect();
    known.sort_by(|a, b| a.1.value.mean.total_cmp(&b.1.value.mean));
    let Some(((first, least), others)) = known.split_first() else {
        return Choice {
            configuration: None,
            because: "none has a figure of energy per output token".to_owned(),
        };
    };
    let among = match (told.is_empty(), rest.len()) {
        (true, _) => format!("of {}", members.len()),
        (false, 0) => format!("of {}, which all fulfil every threshold", members.len()),
        (false, out) => format!(
            "of the {} of {} that fulfil every threshold ({})",
            fulfil.len(),
            members.len(),
            match out {
                1 => "1 does not".to_owned(),
                n => format!("{n} do not"),
            }
        ),
    };
    let mut because = format!("least energy per output token {among}");
    because += &beside(least, others, study);
    let without = fulfil.len() - known.len();
    if without > 0 {
        because += &format!("; {without} without the figure");
    }
    because += &untold;
    Choice {
        configuration: Some(first),
        because,
    }
}

/// A configuration and the verdict on each threshold.
struct Judged<'a> {
    configuration: &'a Configuration,
    verdicts: Vec<Verdict>,
}

impl Judged<'_> {
    fn is_known(&self, threshold: usize) -> bool {
        !matches!(self.verdicts[threshold], Verdict::Unknown(_))
    }

    fn passes(&self, thresholds: &[usize]) -> bool {
        let mut judged = thresholds.iter().map(|at| self.verdicts[*at]);
        judged.all(|verdict| verdict == Verdict::Pass)
    }
}

/// Thresholds on figures that none has tell nobody apart: whoever reads has to judge them.
fn not_judged(thresholds: &[usize], all: &[Threshold]) -> String {
    let names: Vec<&str> = thresholds.iter().map(|at| all[*at].name.as_str()).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(
            "; NOT JUDGED, since none has the figure: {}",
            names.join(", ")
        ),
    }
}

/// What stands in the way: `reading speed (3 fail), first token (2 unknown)`.
fn obstacles(members: &[&Judged], told: &[usize], thresholds: &[Threshold]) -> String {
    let mut parts = Vec::new();
    for at in told {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for verdict in members.iter().map(|one| one.verdicts[*at]) {
            if verdict != Verdict::Pass {
                *counts.entry(verdict.word()).or_default() += 1;
            }
        }
        let counts: Vec<String> = counts
            .iter()
            .map(|(word, n)| format!("{n} {word}"))
            .collect();
        if !counts.is_empty() {
            parts.push(format!("{} ({})", thresholds[*at].name, counts.join(", ")));
        }
    }
    parts.join(", ")
}

/// How far the others are, and from which the intervals don't tell it apart.
fn beside(least: &Pooled, others: &[(&Configuration, &Pooled)], study: &Study) -> String {
    let Some((next, other)) = others.first() else {
        return ", and the only one".to_owned();
    };
    let near: Vec<&Configuration> = others
        .iter()
        .take_while(|(_, other)| told_apart(least, other) == Some(false))
        .map(|(configuration, _)| *configuration)
        .collect();
    let Some(fastest) = fastest(&near) else {
        let factor = other.value.mean / least.value.mean;
        let doubt = match told_apart(least, other) {
            None => ", with no interval to judge it by",
            Some(_) => "",
        };
        return format!("; {} takes {factor:.2} times as much{doubt}", next.number);
    };
    let numbers: Vec<String> = near.iter().map(|c| c.number.to_string()).collect();
    let which = match numbers.len() {
        1..=6 => numbers.join(", "),
        n => format!("{n} others"),
    };
    let speed = figure::named("decode_tok_s");
    let speed = match fastest.figure(speed) {
        Ok(pooled) => format!(
            ", of which {} decodes fastest, at {}",
            fastest.number,
            Scaled::of(speed, study).show(pooled)
        ),
        Err(_) => String::new(),
    };
    format!("; NOT TOLD APART from {which}: the intervals overlap{speed}")
}

fn fastest<'a>(near: &[&'a Configuration]) -> Option<&'a Configuration> {
    let speed = |configuration: &Configuration| {
        let speed = configuration.named("decode_tok_s").as_ref().ok();
        speed.map_or(f64::NEG_INFINITY, |pooled| pooled.value.mean)
    };
    near.iter()
        .copied()
        .max_by(|a, b| speed(a).total_cmp(&speed(b)))
}

#[cfg(test)]
mod tests {
    use super::super::assumptions::Assumptions;
    use super::super::study::Marked;
    use super::*;
    use crate::lab::testing;
    use crate::record::Stamped;
    use crate::record::result::{JobResult, Statistic};

    /// Threads, J a token and its u95, tok/s.
    type Invented = (u32, f64, f64, f64);

    fn run((threads, joules, u95, tok_s): Invented) -> Stamped<JobResult> {
        let mut run = testing::result();
        run.body.left_out.clear();
        run.body.id = format!("run-{threads}");
        run.body.engine.as_mut().unwrap().threads = threads;
        let summary = run.body.summary.as_mut().unwrap();
        let statistic = |mean, u95| Statistic {
            n: 3,
            median: mean,
            mean,
            sd: Some(0.0),
            iqr: None,
            u95,
            u_sys: Some(0.0),
        };
        summary.j_per_output_token_all_in = Some(statistic(joules, Some(u95)));
        summary.decode_tok_s = Some(statistic(tok_s, None));
        run
    }

    fn study(all: &[Invented]) -> Study {
        Study::new(all.iter().copied().map(run).collect(), Marked::LeftOut)
    }

    fn chosen(all: &[Invented], usability: &str) -> Vec<String> {
        let told = Assumptions::parse(usability).unwrap();
        let table = table(told.usability.as_ref(), &study(all)).unwrap();
        assert_eq!(table.rows.len(), 1);
        table.rows[0].iter().map(|cell| cell.text.clone()).collect()
    }

    const READ: &str =
        "[usability]\nreading = { tokens_per_s = 10, source = \"x\", date = \"2026-11-22\" }\n";

    #[test]
    fn without_thresholds_the_least_energy_decides() {
        let all = [
            (1, 0.050, 0.001, 8.0),
            (2, 0.040, 0.001, 12.0),
            (4, 0.060, 0.001, 20.0),
        ];
        assert_eq!(
            chosen(&all, ""),
            [
                "board-input, SIMULATED",
                "2 · 2 threads",
                "40.0 ± 1.0 mJ",
                "least energy per output token of 3; 1 takes 1.25 times as much"
            ]
        );
    }

    #[test]
    fn a_threshold_leaves_out_what_does_not_fulfil_it() {
        let all = [
            (1, 0.030, 0.001, 8.0),
            (2, 0.040, 0.001, 12.0),
            (4, 0.060, 0.001, 20.0),
        ];
        let found = chosen(&all, READ);
        assert_eq!(found[1], "2 · 2 threads");
        assert_eq!(
            found[3],
            "least energy per output token of the 2 of 3 that fulfil every threshold (1 does not); \
             3 takes 1.50 times as much"
        );
    }

    #[test]
    fn what_is_not_told_apart_is_named_with_the_fastest() {
        let all = [
            (1, 0.0402, 0.001, 11.0),
            (2, 0.040, 0.001, 12.0),
            (4, 0.0405, 0.001, 20.0),
        ];
        let found = chosen(&all, READ);
        assert_eq!(
            found[3],
            "least energy per output token of 3, which all fulfil every threshold; NOT TOLD APART \
             from 1, 3: the intervals overlap, of which 3 decodes fastest, at 20.00 tok/s"
        );
    }

    /// Of `bench` nobody knows a first token: the rest decides, and says so.
    #[test]
    fn a_threshold_on_a_figure_that_none_has_is_named_and_rules_nobody_out() {
        let all = [(1, 0.030, 0.001, 8.0), (2, 0.040, 0.001, 12.0)];
        let cold = format!(
            "{READ}load_cold = {{ at_most_s = 5, source = \"x\", date = \"2026-11-22\" }}\n"
        );
        let found = chosen(&all, &cold);
        assert_eq!(found[1], "2 · 2 threads");
        assert_eq!(
            found[3],
            "least energy per output token of the 1 of 2 that fulfil every threshold (1 does not), \
             and the only one; NOT JUDGED, since none has the figure: cold load"
        );
        let alone = cold.replace(READ, "[usability]\n");
        assert_eq!(chosen(&all, &alone)[1], "1 · 1 thread");
    }

    #[test]
    fn none_is_none_and_says_what_stands_in_the_way() {
        let all = [(1, 0.030, 0.001, 8.0), (2, 0.040, 0.001, 9.0)];
        let found = chosen(&all, READ);
        assert_eq!(found[1..3], ["none", "–"]);
        assert_eq!(
            found[3],
            "none of 2 fulfils every threshold: reading speed (2 fail)"
        );
    }

    #[test]
    fn different_work_is_not_compared_and_one_alone_is_no_choice() {
        let mut all: Vec<Stamped<JobResult>> = [(1, 0.030, 0.001, 8.0), (2, 0.040, 0.001, 9.0)]
            .map(run)
            .to_vec();
        for rep in &mut all[1].body.reps {
            rep.prefill.as_mut().unwrap().tokens = 999;
        }
        let study = Study::new(all, Marked::LeftOut);
        assert!(table(None, &study).is_none());
    }
}
