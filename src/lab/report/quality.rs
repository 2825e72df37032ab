//! How good models answer, beside what a token of them takes. A model's score is that of its file:
//! the configuration that scored it may be another than the one that runs it.

use super::configuration::{Dimension, Value};
use super::economy::Basis;
use super::figure::{self, Figure, QUALITY};
use super::findings::Scope;
use super::study::{Configuration, Outcome, Pooled, Study};
use super::table::{Cell, Column, Scaled, Table, name};
use std::collections::{BTreeMap, BTreeSet};

/// Configurations that scored answers.
fn scoring(study: &Study) -> impl Iterator<Item = &Configuration> {
    let scores = |c: &&Configuration| *c.key.value(Dimension::Data) != Value::Nothing;
    study.configurations.iter().filter(scores)
}

/// What each of them found; `None` without any.
pub fn table(study: &Study) -> Option<Table> {
    let all: Vec<&Configuration> = scoring(study).collect();
    let known = |figure: &&Figure| all.iter().any(|c| c.figure(figure).is_ok());
    let shown: Vec<(&Figure, Scaled)> = QUALITY
        .iter()
        .filter(known)
        .map(|figure| (figure, Scaled::of(figure, study)))
        .collect();
    let mut columns = vec![Column::plain("configuration"), Column::plain("data")];
    columns.extend(shown.iter().map(|(figure, scaled)| Column {
        heading: figure.heading.to_owned(),
        unit: scaled.unit.clone(),
        meaning: figure.meaning.to_owned(),
    }));
    let rows: Vec<Vec<Cell>> = all
        .iter()
        .map(|configuration| {
            let data = Cell::text(configuration.text(Dimension::Data));
            let cells = shown.iter();
            let cells = cells.map(|(figure, scaled)| scaled.cell(configuration.figure(figure)));
            [name(configuration), data]
                .into_iter()
                .chain(cells)
                .collect()
        })
        .collect();
    let mut table = (!rows.is_empty()).then(|| Table::new("quality", "Quality", columns, rows))?;
    table.notes.push(
        "± of perplexity and of right answers is twice the standard error over tokens or items: how \
         much other data of the kind would change it. On the same data models differ by less."
            .to_owned(),
    );
    Some(table)
}

/// What was asked of a model. Scores of different tests say nothing about each other, whatever the
/// names of their data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    pub data: String,
    sha256: String,
    /// Tokens of a chunk; choices have none.
    n_ctx: Option<u32>,
    /// Chunks or items.
    parts: u32,
}

impl Test {
    fn of(study: &Study, configuration: &Configuration) -> Option<Self> {
        let mut runs = configuration.counted.iter().map(|at| &study.runs[*at].body);
        let run = runs.next()?;
        let perplexity = run.perplexity.as_ref().map(|found| Self {
            data: found.data.clone(),
            sha256: found.data_sha256.clone(),
            n_ctx: Some(found.n_ctx),
            parts: found.chunks,
        });
        perplexity.or_else(|| {
            let found = run.choice.as_ref()?;
            Some(Self {
                data: found.data.clone(),
                sha256: found.data_sha256.clone(),
                n_ctx: None,
                parts: found.items,
            })
        })
    }

    /// `wiki.txt, 20 chunks of 512`.
    fn label(&self) -> String {
        match self.n_ctx {
            Some(n_ctx) => format!("{}, {} chunks of {n_ctx}", self.data, self.parts),
            None => format!("{}, {} items", self.data, self.parts),
        }
    }
}

/// Every test that a model has done.
fn tests_of(study: &Study) -> BTreeSet<Test> {
    study
        .standing()
        .filter_map(|c| Test::of(study, c))
        .collect()
}

/// The test on data of this name: the longest, of those that differ in length alone. `Err`: how
/// many others there are that can't be compared.
pub fn only_test(study: &Study, data: &str) -> Result<Test, usize> {
    let named = tests_of(study).into_iter().filter(|test| test.data == data);
    // In the order of their lengths.
    let mut longest: BTreeMap<(String, Option<u32>), Test> = BTreeMap::new();
    for test in named {
        longest.insert((test.sha256.clone(), test.n_ctx), test);
    }
    match longest.len() {
        1 => Ok(longest.into_values().next().expect("there is one")),
        other => Err(other),
    }
}

/// What a model's file scored: in the first configuration that did the test with it.
pub fn score(study: &Study, of: &Configuration, test: &Test, name: &str) -> Outcome {
    let same =
        |dimension: Dimension, c: &Configuration| c.key.value(dimension) == of.key.value(dimension);
    let fits = |c: &&Configuration| {
        same(Dimension::Sha256, c) && Test::of(study, c).as_ref() == Some(test)
    };
    let mut found = study.standing().filter(fits).map(|c| *c.named(name));
    found.find(Result::is_ok).unwrap_or(Err(None))
}

/// A configuration with the energy of its output token and its model's score.
pub type Scored<'a> = (&'a Configuration, &'a Pooled, Pooled);

/// For each scope, test and score: what each configuration takes, and how well its model answers.
pub struct Against<'a> {
    pub scope: Scope,
    /// The data's name, and more where several tests have data of that name.
    pub data: String,
    pub score: &'static Figure,
    pub energy: &'static Figure,
    pub all: Vec<Scored<'a>>,
}

/// Scores against energy, as far as both are known of two files or more.
pub fn against<'a>(
    study: &'a Study,
    scope: &Scope,
    members: &[&'a Configuration],
) -> Vec<Against<'a>> {
    let mut found = Vec::new();
    for test in tests_of(study) {
        for name in ["perplexity", "acc", "acc_norm"] {
            for members in comparable(name, members) {
                for basis in [Basis::Request, Basis::Decode] {
                    found.extend(one(study, scope, &members, &test, name, basis));
                }
            }
        }
    }
    found
}

fn one<'a>(
    study: &'a Study,
    scope: &Scope,
    members: &[&'a Configuration],
    test: &Test,
    name: &str,
    basis: Basis,
) -> Option<Against<'a>> {
    let energy = figure::named(basis.figures().0);
    let all: Vec<Scored> = members
        .iter()
        .filter(|c| c.makes_tokens() && Basis::of(c) == basis)
        .filter_map(|c| {
            let joules = c.figure(energy).as_ref().ok()?;
            Some((*c, joules, score(study, c, test, name).ok()?))
        })
        .collect();
    let files: BTreeSet<&Value> = all
        .iter()
        .map(|(c, ..)| c.key.value(Dimension::Sha256))
        .collect();
    (files.len() > 1).then(|| Against {
        scope: scope.clone(),
        data: match only_test(study, &test.data) {
            Ok(only) if only == *test => only.data,
            _ => test.label(),
        },
        score: figure::named(name),
        energy,
        all,
    })
}

/// Models whose scores may stand on one axis: every one, or of a score that depends on the
/// tokeniser each by itself.
fn comparable<'a>(name: &str, members: &[&'a Configuration]) -> Vec<Vec<&'a Configuration>> {
    if name != "perplexity" {
        return vec![members.to_vec()];
    }
    let mut by_model: BTreeMap<String, Vec<&Configuration>> = BTreeMap::new();
    for member in members {
        let model = member.text(Dimension::Model);
        by_model.entry(model).or_default().push(member);
    }
    by_model.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::super::assumptions::Assumptions;
    use super::super::recommend;
    use super::super::study::Marked;
    use super::*;
    use crate::lab::testing;
    use crate::record::Stamped;
    use crate::record::result::JobResult;
    use crate::workload::Kind;
    use serde_json::json;

    fn of_file(sha256: &str, quant: &str) -> Stamped<JobResult> {
        let mut run = testing::result();
        run.body.left_out.clear();
        run.body.id = format!("run-{quant}");
        let model = run.body.model.as_mut().unwrap();
        sha256.clone_into(&mut model.sha256);
        model.quant = Some(quant.to_owned());
        model.name = format!("m.{quant}.gguf");
        run
    }

    /// A run that made tokens, and one that scored the same file.
    fn runs(sha256: &str, quant: &str, joules: f64, acc: f64) -> [Stamped<JobResult>; 2] {
        let mut made = of_file(sha256, quant);
        let summary = made.body.summary.as_mut().unwrap();
        let mut statistic = summary.j_per_output_token.clone().unwrap();
        (statistic.mean, statistic.u95) = (joules, Some(0.01 * joules));
        summary.j_per_output_token_all_in = Some(statistic);
        let mut scored = of_file(sha256, quant);
        scored.body.id += "-scored";
        scored.body.kind = Kind::Choice;
        let block = json!({"data": "q.jsonl", "data_sha256": "ab", "data_bytes": 10, "items": 100,
            "correct": 50, "acc": acc, "acc_se": 0.01, "correct_norm": 50, "acc_norm": acc,
            "acc_norm_se": 0.01, "correct_bytes": 50, "acc_bytes": acc, "acc_bytes_se": 0.01,
            "repetitions": 3, "tokens_evaluated": 1000, "duration_s": 10.0, "energy_j": 50.0,
            "energy_j_u95": 1.0, "energy_net_j": 20.0, "energy_net_j_u95": 1.0, "power_w": 5.0,
            "power_w_u95": 0.1, "j_per_item": 0.5, "j_per_item_u95": 0.01, "j_per_item_net": 0.2,
            "j_per_item_net_u95": 0.01, "j_per_correct": 1.0, "j_per_correct_u95": 0.02,
            "j_per_correct_net": 0.4, "j_per_correct_net_u95": 0.02, "j_per_correct_norm": 1.0,
            "j_per_correct_norm_u95": 0.02, "acc_per_w": acc / 5.0, "acc_norm_per_w": acc / 5.0,
            "reasons": {}});
        scored.body.choice = Some(serde_json::from_value(block).unwrap());
        [made, scored]
    }

    fn study() -> Study {
        let all = [
            runs("aa", "Q3_K_S", 0.030, 0.40),
            runs("bb", "Q4_0", 0.040, 0.50),
            runs("cc", "Q8_0", 0.060, 0.51),
        ];
        Study::new(all.concat(), Marked::LeftOut)
    }

    #[test]
    fn what_scored_is_listed_with_twice_its_standard_error() {
        let study = study();
        let table = table(&study).unwrap();
        assert_eq!(table.rows.len(), 3);
        let row: Vec<&str> = table.rows[0]
            .iter()
            .map(|cell| cell.text.as_str())
            .collect();
        assert_eq!(row[1..3], ["q.jsonl", "0.400 ± 0.020"]);
        let at = table
            .columns
            .iter()
            .position(|c| c.heading == "right answers a watt");
        // 5 % of accuracy and 2 % of power: 0.08 × 0.0539.
        assert_eq!(row[at.unwrap()], "0.0800 ± 0.0043");
    }

    #[test]
    fn a_score_belongs_to_the_file_and_stands_against_what_a_token_takes() {
        let study = study();
        let (scope, members) = super::super::findings::scopes(&study).pop_first().unwrap();
        let found = against(&study, &scope, &members);
        let names: Vec<&str> = found.iter().map(|one| one.score.name).collect();
        assert_eq!(names, ["acc", "acc_norm"]);
        let points: Vec<(f64, f64)> = found[0]
            .all
            .iter()
            .map(|(_, energy, score)| (energy.value.mean, score.value.mean))
            .collect();
        assert_eq!(points, [(0.030, 0.40), (0.040, 0.50), (0.060, 0.51)]);
        let picture = super::super::picture::against(&study, &found[0]);
        assert_eq!(picture.plot.points.len(), 3);
    }

    #[test]
    fn a_quantisation_that_answers_too_badly_is_not_recommended() {
        let told = "[usability]\nacc = { data = \"q.jsonl\", at_least = 0.45, source = \"x\", \
                    date = \"2026-11-22\" }\n";
        let told = Assumptions::parse(told).unwrap();
        // Prompts and answers are the same work for every quantisation.
        let table = recommend::table(told.usability.as_ref(), &study()).unwrap();
        assert_eq!(table.rows.len(), 1);
        assert!(table.rows[0][1].text.contains("Q4_0"), "{:?}", table.rows);
        assert!(
            table.rows[0][3].text.contains("2 of 3 that fulfil"),
            "{:?}",
            table.rows
        );
    }

    /// Where a score is asked for, models are set against each other too.
    #[test]
    fn a_model_is_recommended_over_another_by_answers_that_are_good_enough() {
        let mut all = [
            runs("aa", "Q4_0", 0.030, 0.40),
            runs("bb", "Q4_0", 0.040, 0.50),
            runs("cc", "Q8_0", 0.060, 0.51),
        ];
        for run in &mut all[0] {
            run.body.model.as_mut().unwrap().name = "Smaller.Q4_0.gguf".to_owned();
        }
        let study = Study::new(all.concat(), Marked::LeftOut);
        assert_eq!(recommend::table(None, &study).unwrap().rows.len(), 1);
        let told = "[usability]\nacc = { data = \"q.jsonl\", at_least = 0.45, source = \"x\", \
                    date = \"2026-11-22\" }\n";
        let told = Assumptions::parse(told).unwrap();
        let table = recommend::table(told.usability.as_ref(), &study).unwrap();
        let of_any = |row: &&Vec<Cell>| row[0].text.starts_with("any model");
        let row = table.rows.iter().find(of_any).unwrap();
        assert!(row[1].text.contains("Q4_0"), "{row:?}");
        assert!(row[3].text.contains("2 of 3 that fulfil"), "{row:?}");
        assert_eq!(table.rows.len(), 2);
    }

    /// Perplexities over other chunks, or items of other content, are not set beside each other.
    #[test]
    fn scores_of_different_tests_are_not_compared() {
        let mut all = [
            runs("bb", "Q4_0", 0.040, 0.50),
            runs("cc", "Q8_0", 0.060, 0.51),
        ];
        all[1][1].body.choice.as_mut().unwrap().data_sha256 = "cd".to_owned();
        let study = Study::new(all.concat(), Marked::LeftOut);
        let (scope, members) = super::super::findings::scopes(&study).pop_first().unwrap();
        assert!(against(&study, &scope, &members).is_empty());
        let told = "[usability]\nacc = { data = \"q.jsonl\", at_least = 0.45, source = \"x\", \
                    date = \"2026-11-22\" }\n";
        let usability = Assumptions::parse(told).unwrap().usability.unwrap();
        let table = super::super::usability::table(&usability, &study).unwrap();
        let judged = table.rows.iter().map(|row| row[1].text.as_str());
        assert!(judged.clone().count() > 0 && judged.clone().all(|text| text == "unknown: –"));
        assert!(
            table
                .notes
                .iter()
                .any(|note| note.starts_with("q.jsonl stands for 2 tests"))
        );
    }

    /// A trial with a few items does not stand in for all of them.
    #[test]
    fn of_tests_of_different_lengths_the_longest_is_judged() {
        let mut all = [
            runs("bb", "Q4_0", 0.040, 0.10),
            runs("bb", "Q4_0", 0.040, 0.50),
        ]
        .concat();
        all[1].body.choice.as_mut().unwrap().items = 10;
        for rep in &mut all[1].body.reps {
            rep.prefill.as_mut().unwrap().tokens = 100;
        }
        let study = Study::new(all, Marked::LeftOut);
        let test = only_test(&study, "q.jsonl").unwrap();
        assert_eq!(test.parts, 100);
        let found = score(&study, &study.configurations[0], &test, "acc").unwrap();
        assert!((found.value.mean - 0.5).abs() < 1e-12, "{found:?}");
    }
}
