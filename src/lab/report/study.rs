//! Runs in their configurations, and each configuration's figures.

use super::configuration::{Dimension, Key, Value, naming, varying};
use super::figure::{self, Figure, OfRun};
use crate::record::result::{JobResult, LeftOut};
use crate::record::{Reason, Stamped};
use std::collections::{BTreeMap, HashMap};

/// Which marked runs count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    LeftOut,
    Included,
}

/// What a configuration's figures are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Counted,
    /// Every run is marked: the figures are shown, and nothing is concluded from them.
    OnlyMarked,
}

/// A figure over the runs of a configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pooled {
    /// With one run its own statistic over repetitions, else one value a run.
    pub value: OfRun,
    pub runs: usize,
    /// Runs that count and have no such figure, with the reason of the first.
    pub without: usize,
    pub reason: Option<Reason>,
}

pub type Outcome = Result<Pooled, Option<Reason>>;

/// Runs that only chance tells apart.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// From 1, in the order of the tables.
    pub number: usize,
    pub key: Key,
    pub label: String,
    pub standing: Standing,
    /// Runs whose figures are shown, as indices of [`Study::runs`].
    pub counted: Vec<usize>,
    /// Runs that are not, with their marks.
    pub left_out: Vec<(usize, Vec<LeftOut>)>,
    figures: HashMap<&'static str, Outcome>,
}

impl Study {
    /// Which configuration a run is of, by its index; none of a run that ended too early to tell.
    pub fn configuration_of(&self, run: usize) -> Option<&Configuration> {
        let has = |c: &&Configuration| {
            c.counted.contains(&run) || c.left_out.iter().any(|(at, _)| *at == run)
        };
        self.configurations.iter().find(has)
    }
}

impl Configuration {
    pub fn figure(&self, figure: &Figure) -> &Outcome {
        &self.figures[figure.name]
    }

    pub fn named(&self, name: &str) -> &Outcome {
        self.figure(figure::named(name))
    }

    pub fn text(&self, dimension: Dimension) -> String {
        self.key.value(dimension).to_string()
    }

    pub fn is_simulated(&self) -> bool {
        self.text(Dimension::Power) == "SIMULATED"
    }

    /// Whether its runs make tokens, rather than score given ones or wait.
    pub fn makes_tokens(&self) -> bool {
        matches!(self.text(Dimension::Kind).as_str(), "generate" | "bench")
    }

    pub fn number_and_label(&self) -> String {
        format!("{} · {}", self.number, self.label)
    }
}

/// Everything that a report is about.
#[derive(Debug, Clone)]
pub struct Study {
    pub runs: Vec<Stamped<JobResult>>,
    pub configurations: Vec<Configuration>,
    /// Dimensions in which configurations differ; they agree in the others.
    pub varying: Vec<Dimension>,
    /// Those of them that name a configuration.
    pub naming: Vec<Dimension>,
    pub marked: Marked,
}

impl Study {
    pub fn new(runs: Vec<Stamped<JobResult>>, marked: Marked) -> Self {
        let keys: Vec<Key> = runs.iter().map(Key::of).collect();
        let mut groups: BTreeMap<&Key, Vec<usize>> = BTreeMap::new();
        let measured = |at: &usize| !runs[*at].body.reps.is_empty();
        let (whole, early): (Vec<usize>, Vec<usize>) = (0..runs.len()).partition(measured);
        for at in whole {
            groups.entry(&keys[at]).or_default().push(at);
        }
        for at in early {
            let known = groups.keys().find(|key| key.could_be(&keys[at])).copied();
            groups
                .entry(known.unwrap_or(&keys[at]))
                .or_default()
                .push(at);
        }
        let varying = varying(groups.keys().copied());
        let naming = naming(&varying, groups.keys().copied());
        let configurations = groups
            .iter()
            .enumerate()
            .map(|(at, (key, members))| configuration(at + 1, key, members, &naming, &runs, marked))
            .collect();
        Self {
            varying,
            naming,
            configurations,
            marked,
            runs,
        }
    }

    /// What all configurations agree in, but for what no record tells.
    pub fn common(&self) -> Vec<(Dimension, &Value)> {
        let Some(first) = self.configurations.first() else {
            return Vec::new();
        };
        first
            .key
            .values()
            .filter(|(dimension, value)| {
                **value != Value::Unknown && !self.varying.contains(dimension)
            })
            .collect()
    }

    /// Configurations that conclusions may be drawn from.
    pub fn standing(&self) -> impl Iterator<Item = &Configuration> {
        let counted = |configuration: &&Configuration| configuration.standing == Standing::Counted;
        self.configurations.iter().filter(counted)
    }

    pub fn simulated_runs(&self) -> usize {
        let simulated =
            |run: &&Stamped<JobResult>| run.body.rails.iter().any(|rail| rail.simulated);
        self.runs.iter().filter(simulated).count()
    }
}

fn configuration(
    number: usize,
    key: &Key,
    members: &[usize],
    naming: &[Dimension],
    runs: &[Stamped<JobResult>],
    marked: Marked,
) -> Configuration {
    let is_marked = |at: &usize| marked == Marked::LeftOut && !runs[*at].body.left_out.is_empty();
    let (out, within): (Vec<usize>, Vec<usize>) = members.iter().copied().partition(is_marked);
    let (standing, counted) = match within.is_empty() {
        true => (Standing::OnlyMarked, out.clone()),
        false => (Standing::Counted, within),
    };
    let figures = figure::all()
        .map(|figure| (figure.name, pool(figure, &counted, runs)))
        .collect();
    Configuration {
        number,
        key: key.clone(),
        label: key.label(naming),
        standing,
        counted,
        left_out: out
            .into_iter()
            .map(|at| (at, runs[at].body.left_out.clone()))
            .collect(),
        figures,
    }
}

fn pool(figure: &Figure, counted: &[usize], runs: &[Stamped<JobResult>]) -> Outcome {
    let mut values = Vec::new();
    let mut reasons = Vec::new();
    for at in counted {
        match figure.of(&runs[*at].body) {
            Ok(value) => values.push(value),
            Err(reason) => reasons.push(reason),
        }
    }
    let reason = reasons.first().copied().flatten();
    let value = match values.as_slice() {
        [only] => Some(*only),
        several => figure::mean(several),
    };
    Ok(Pooled {
        value: value.ok_or(reason)?,
        runs: values.len(),
        without: reasons.len(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::testing;

    fn run(id: &str, j_per_token: f64) -> Stamped<JobResult> {
        let mut run = testing::result();
        run.body.id = id.to_owned();
        run.body.left_out.clear();
        let summary = run.body.summary.as_mut().unwrap();
        let statistic = summary.j_per_output_token.as_mut().unwrap();
        (statistic.mean, statistic.u_sys) = (j_per_token, Some(0.01 * j_per_token));
        run
    }

    fn j_per_token(study: &Study) -> Pooled {
        study.configurations[0].named("j_per_output_token").unwrap()
    }

    #[test]
    fn one_run_keeps_its_own_statistic() {
        let study = Study::new(vec![run("a", 0.05)], Marked::LeftOut);
        let pooled = j_per_token(&study);
        assert_eq!((pooled.runs, pooled.value.n), (1, 3));
        assert_eq!((pooled.value.mean, pooled.value.u95), (0.05, Some(0.0007)));
    }

    #[test]
    fn runs_divide_their_scatter_and_keep_what_is_systematic() {
        let study = Study::new(
            vec![run("a", 0.049), run("b", 0.050), run("c", 0.051)],
            Marked::LeftOut,
        );
        let pooled = j_per_token(&study).value;
        assert_eq!((pooled.n, pooled.median), (3, 0.050));
        let random = 4.3027 * 0.001 / 3f64.sqrt();
        let expected = random.hypot(2.0 * 0.01 * 0.05);
        assert!((pooled.u95.unwrap() - expected).abs() < 1e-9, "{pooled:?}");
    }

    #[test]
    fn marked_runs_don_t_count_unless_there_is_no_other() {
        let mut marked = run("b", 0.9);
        marked.body.left_out = vec![LeftOut::Throttled];
        let both = vec![run("a", 0.05), marked.clone()];
        let study = Study::new(both.clone(), Marked::LeftOut);
        assert_eq!(j_per_token(&study).value.mean, 0.05);
        assert_eq!(
            study.configurations[0].left_out,
            [(1, vec![LeftOut::Throttled])]
        );
        let all = Study::new(both, Marked::Included);
        assert_eq!(j_per_token(&all).runs, 2);
        let only = Study::new(vec![marked], Marked::LeftOut);
        assert_eq!(only.configurations[0].standing, Standing::OnlyMarked);
        assert_eq!(j_per_token(&only).value.mean, 0.9);
        assert_eq!(only.standing().count(), 0);
    }

    #[test]
    fn what_is_missing_in_every_run_has_its_reason() {
        let study = Study::new(vec![run("a", 0.05), run("b", 0.05)], Marked::LeftOut);
        let prompt = study.configurations[0].named("j_per_prompt_token");
        assert_eq!(*prompt, Err(Some(Reason::TooCoarse)));
        let net = study.configurations[0].named("j_per_prompt_token_net");
        assert_eq!(*net, Err(Some(Reason::BelowNoise)));
    }

    #[test]
    fn a_run_that_ended_early_is_named_with_its_configuration() {
        let mut early = run("b", 0.05);
        early.body.reps.clear();
        early.body.summary = None;
        early.body.left_out = vec![LeftOut::NotSucceeded];
        let study = Study::new(vec![early, run("a", 0.05)], Marked::LeftOut);
        assert_eq!(study.configurations.len(), 1);
        assert_eq!(study.configurations[0].counted, [1]);
        assert_eq!(study.configurations[0].left_out.len(), 1);
    }
}
