//! Every combination of a manifest's values, less what is excluded, each once. Nothing here
//! knows what a value means but `model`, whose `{quant}` is filled in.

use super::axes::{Axes, Key, Settings};
use glob::Pattern;
use serde_json::{Value, json};

/// A study of more would not end.
pub const MOST_POINTS: usize = 10_000;

const QUANT: &str = "{quant}";

/// What is wrong with a block of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    #[error("model: {0} has {QUANT} in it, and there is no quant to put there")]
    NoQuant(String),
    #[error("quant: no model has {QUANT} in its name for it")]
    NoPlace,
    #[error("model: missing; a file name in the boards' model directory, or several")]
    NoModel,
    #[error("{0} combinations are more than the {MOST_POINTS} that a study may have")]
    TooMany(usize),
    #[error("{key}: {pattern} is no pattern: {why}")]
    Pattern {
        key: &'static str,
        pattern: String,
        why: &'static str,
    },
}

/// The points of a block: the first key varies slowest.
pub fn expand(axes: &Axes) -> Result<Vec<Settings>, MatrixError> {
    let given = axes.given();
    let count = given.iter().try_fold(1_usize, |count, (_, values)| {
        count.checked_mul(values.len())
    });
    match count {
        Some(count) if count <= MOST_POINTS => {}
        count => return Err(MatrixError::TooMany(count.unwrap_or(usize::MAX))),
    }
    let mut points = vec![Settings::new()];
    for (key, values) in &given {
        let with = |point: &Settings, value: &Value| {
            let mut point = point.clone();
            point.insert(*key, value.clone());
            point
        };
        points = points
            .iter()
            .flat_map(|point| values.iter().map(move |value| with(point, value)))
            .collect();
    }
    let has_quants = given.iter().any(|(key, _)| *key == Key::quant);
    let mut filled = Vec::new();
    let mut placed = false;
    for mut point in points {
        let Some(Value::String(model)) = point.get(&Key::model).cloned() else {
            // `idle` runs without one; the job's check knows.
            if has_quants {
                return Err(MatrixError::NoModel);
            }
            filled.push(point);
            continue;
        };
        match (model.contains(QUANT), point.get(&Key::quant)) {
            (true, Some(Value::String(quant))) => {
                let name = model.replace(QUANT, quant);
                point.insert(Key::model, json!(name));
                placed = true;
            }
            (true, _) => return Err(MatrixError::NoQuant(model)),
            // A name of its own has its quant in it, whatever the others take.
            (false, _) => {
                point.remove(&Key::quant);
            }
        }
        filled.push(point);
    }
    match has_quants && !placed {
        true => Err(MatrixError::NoPlace),
        false => Ok(distinct(filled)),
    }
}

/// Each point once, where it came first.
pub fn distinct(points: Vec<Settings>) -> Vec<Settings> {
    let mut seen = std::collections::BTreeSet::new();
    let mut kept = points;
    // JSON values have no order of their own; a map of them prints in the order of its keys.
    kept.retain(|point| seen.insert(format!("{point:?}")));
    kept
}

/// A rule of `[[exclude]]`: it fits a point when each of its keys does.
#[derive(Debug)]
pub struct Rule(Vec<(Key, Vec<Wanted>)>);

#[derive(Debug)]
enum Wanted {
    Like(Pattern),
    Value(Value),
}

impl Rule {
    pub fn new(axes: &Axes) -> Result<Self, MatrixError> {
        let wanted = |key: Key, value: Value| match value {
            Value::String(pattern) => match Pattern::new(&pattern) {
                Ok(like) => Ok(Wanted::Like(like)),
                Err(error) => Err(MatrixError::Pattern {
                    key: key.name(),
                    pattern,
                    why: error.msg,
                }),
            },
            value => Ok(Wanted::Value(value)),
        };
        let keys = axes.given().into_iter().map(|(key, values)| {
            let values = values.into_iter().map(|value| wanted(key, value));
            Ok((key, values.collect::<Result<_, _>>()?))
        });
        Ok(Self(keys.collect::<Result<_, _>>()?))
    }

    pub fn fits(&self, point: &Settings) -> bool {
        let fits = |value: &Value, wanted: &Wanted| match wanted {
            Wanted::Like(pattern) => value.as_str().is_some_and(|text| pattern.matches(text)),
            Wanted::Value(wanted) => value == wanted,
        };
        self.0.iter().all(|(key, wanted)| {
            let value = point.get(key);
            value.is_some_and(|value| wanted.iter().any(|wanted| fits(value, wanted)))
        })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::lab::sweep::axes::Several;
    use proptest::prelude::*;

    fn axes(text: &str) -> Axes {
        toml::from_str(text).unwrap()
    }

    fn models(text: &str) -> Vec<String> {
        let points = expand(&axes(text)).unwrap();
        let model = |point: &Settings| point[&Key::model].as_str().unwrap().to_owned();
        points.iter().map(model).collect()
    }

    #[test]
    fn the_first_key_varies_slowest() {
        let points = expand(&axes("threads = [1, 2]\nmodel = ['a', 'b']\nn_ctx = 512")).unwrap();
        let told: Vec<String> = points
            .iter()
            .map(|point| {
                format!(
                    "{}{}",
                    point[&Key::model].as_str().unwrap(),
                    point[&Key::threads]
                )
            })
            .collect();
        assert_eq!(told, ["a1", "a2", "b1", "b2"]);
        assert!(points.iter().all(|point| point[&Key::n_ctx] == 512));
    }

    #[test]
    fn a_quant_fills_its_place_and_leaves_whole_names_alone() {
        assert_eq!(
            models("model = ['a.{quant}.gguf', 'whole.gguf']\nquant = ['Q4_0', 'Q8_0']"),
            ["a.Q4_0.gguf", "a.Q8_0.gguf", "whole.gguf"]
        );
        let error = |text| expand(&axes(text)).unwrap_err();
        assert_eq!(error("model = 'a'\nquant = 'Q4_0'"), MatrixError::NoPlace);
        let left_open = error("model = 'a.{quant}'");
        assert_eq!(left_open, MatrixError::NoQuant("a.{quant}".to_owned()));
        assert_eq!(error("quant = 'Q4_0'"), MatrixError::NoModel);
    }

    #[test]
    fn a_rule_fits_when_all_of_its_keys_do() {
        let points = expand(&axes("model = ['gemma-1', 'smol']\nthreads = [1, 2, 4]")).unwrap();
        let left = |rule: &str| {
            let rule = Rule::new(&axes(rule)).unwrap();
            points.iter().filter(|point| !rule.fits(point)).count()
        };
        assert_eq!(left("model = 'gemma*'"), 3);
        assert_eq!(left("model = 'gemma*'\nthreads = [1, 4]"), 4);
        assert_eq!(left("threads = 8"), 6);
        // What a point does not say is not what the rule means.
        assert_eq!(left("n_ctx = 512"), 6);
        assert!(Rule::new(&axes("model = '***'")).is_err());
    }

    #[test]
    fn more_than_anybody_can_run_is_refused_before_it_is_made() {
        let many = |n: u32| Some(Several((0..n).collect()));
        let axes = Axes {
            model: Some(Several(vec!["a".to_owned()])),
            threads: many(1_000),
            n_ctx: many(1_000),
            n_batch: many(1_000_000),
            ..Axes::default()
        };
        assert!(matches!(expand(&axes), Err(MatrixError::TooMany(_))));
    }

    /// Small blocks of a matrix.
    pub fn blocks() -> impl Strategy<Value = Axes> {
        let numbers = |least| proptest::option::of(proptest::collection::vec(1_u32..5, least..4));
        (
            proptest::collection::vec("[a-c]", 1..4),
            numbers(1),
            numbers(1),
            proptest::option::of(proptest::collection::vec(any::<bool>(), 1..3)),
        )
            .prop_map(|(model, threads, n_ctx, mmap)| Axes {
                model: Some(Several(model)),
                threads: threads.map(Several),
                n_ctx: n_ctx.map(Several),
                mmap: mmap.map(Several),
                ..Axes::default()
            })
    }

    proptest! {
        /// The product of the numbers of different values, and each combination once.
        #[test]
        fn every_combination_is_there_once(axes in blocks()) {
            let points = expand(&axes).unwrap();
            let sizes = axes.given().into_iter().map(|(_, values)| {
                let different: std::collections::BTreeSet<String> =
                    values.iter().map(Value::to_string).collect();
                different.len()
            });
            prop_assert_eq!(points.len(), sizes.product::<usize>());
            let alone = distinct(points.clone());
            prop_assert_eq!(alone, points);
        }

        /// A rule and its complement part the points.
        #[test]
        fn what_a_rule_leaves_out_fits_it(axes in blocks(), rule in blocks()) {
            let rule_has = rule.given();
            let rule = Rule::new(&rule).unwrap();
            for point in expand(&axes).unwrap() {
                let expected = rule_has.iter().all(|(key, values)| {
                    point.get(key).is_some_and(|value| values.contains(value))
                });
                prop_assert_eq!(rule.fits(&point), expected);
            }
        }
    }
}
