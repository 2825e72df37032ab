//! A manifest as jobs: each point with its label and what it asks of a board, without an id.

use super::axes::{Key, Place, Settings, plainly};
use super::manifest::{Cooldown, Manifest, ManifestError, Order, Prompt, Source, Spread};
use super::matrix::{MOST_POINTS, MatrixError, Rule, distinct, expand};
use crate::lab::submit::no_limits;
use crate::workload::job::{VERSION, hex};
use crate::workload::{Job, SpecErrorCode};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Jobs of a board: at a minute each they take three days and a half.
const MOST_JOBS: usize = 5_000;
/// Of a tag's value (docs/mqtt.md).
const LONGEST_LABEL: usize = 200;

/// One configuration of the study.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub label: String,
    pub settings: Settings,
    /// Everything but `id` and the study's own tags.
    pub job: Map<String, Value>,
    /// Of `job`, to tell whether two studies mean the same: 16 digits of a SHA-256.
    pub content: String,
}

impl Point {
    /// As this version understands it; `None` where only the board may.
    pub fn parsed(&self) -> Option<Job> {
        let mut job = self.job.clone();
        job.insert("id".to_owned(), json!("point"));
        Job::parse(Value::Object(job).to_string().as_bytes(), &no_limits()).ok()
    }
}

/// What is to be run, whatever the boards.
#[derive(Debug, Clone)]
pub struct Study {
    pub name: String,
    pub hash: String,
    pub points: Vec<Point>,
    pub baseline: Option<Point>,
    /// Points between two runs of the baseline.
    pub every: Option<u32>,
    pub rounds: u32,
    pub retries: u32,
    pub order: Order,
    pub seed: u64,
    pub spread: Spread,
    pub cooldown: Option<Cooldown>,
    /// What the author may not have meant.
    pub warnings: Vec<String>,
}

impl Study {
    pub fn new(source: &Source) -> Result<Self, ManifestError> {
        let manifest = &source.manifest;
        let in_block = |block: &'static str| {
            move |error: MatrixError| source.error(&[block], format!("[[{block}]] {error}"))
        };
        let mut all = Vec::new();
        for axes in &manifest.matrix {
            all.extend(expand(axes).map_err(in_block("matrix"))?);
            if all.len() > MOST_POINTS {
                return Err(in_block("matrix")(MatrixError::TooMany(all.len())));
            }
        }
        let mut warnings = Vec::new();
        for (n, axes) in manifest.exclude.iter().enumerate() {
            let rule = Rule::new(axes).map_err(in_block("exclude"))?;
            let before = all.len();
            all.retain(|point| !rule.fits(point));
            if all.len() == before {
                warnings.push(format!("[[exclude]] number {} leaves nothing out", n + 1));
            }
        }
        for axes in &manifest.include {
            all.extend(expand(axes).map_err(in_block("include"))?);
        }
        let all = distinct(all);
        if all.len() > MOST_POINTS {
            return Err(in_block("include")(MatrixError::TooMany(all.len())));
        }
        let all = once(source, all);
        match all.len() {
            0 => return Err(source.error(&["exclude"], "[[exclude]]: nothing is left to run")),
            count if count * manifest.rounds as usize > MOST_JOBS => {
                let message = format!(
                    "{count} points in {} rounds are more than the {MOST_JOBS} jobs that a board \
                     may have in one study",
                    manifest.rounds
                );
                return Err(source.error(&["rounds"], message));
            }
            _ => {}
        }
        let baseline = match &manifest.baseline {
            None => None,
            Some(baseline) => {
                let wrong =
                    |error: MatrixError| source.error(&["baseline"], format!("[baseline] {error}"));
                expand(&baseline.axes()).map_err(wrong)?.pop()
            }
        };
        let varying = varying(all.iter().map(|asked| &asked.settings));
        let mut labels = Labels::default();
        let points = all
            .into_iter()
            .map(|asked| {
                let label = labels.of(&asked.settings, &varying);
                asked.point(source, label, "matrix")
            })
            .collect::<Result<Vec<Point>, _>>()?;
        let baseline = baseline
            .map(|settings| {
                let label = Labels::default().of(&settings, &varying);
                Asked::of(source, settings).point(source, label, "baseline")
            })
            .transpose()?;
        let Manifest {
            rounds,
            retries,
            order,
            seed,
            boards,
            cooldown,
            ..
        } = manifest;
        Ok(Self {
            name: manifest.name.clone(),
            hash: source.hash(),
            points,
            baseline,
            every: manifest
                .baseline
                .as_ref()
                .and_then(|baseline| baseline.every),
            rounds: *rounds,
            retries: *retries,
            order: *order,
            seed: *seed,
            spread: *boards,
            cooldown: *cooldown,
            warnings,
        })
    }
}

/// A configuration and its job, or why there is none.
struct Asked {
    settings: Settings,
    job: Result<Map<String, Value>, String>,
}

impl Asked {
    fn of(source: &Source, settings: Settings) -> Self {
        let job = job(source, &settings);
        Self { settings, job }
    }

    fn point(self, source: &Source, label: String, block: &str) -> Result<Point, ManifestError> {
        let job = self
            .job
            .map_err(|message| source.error(&[block], format!("[{block}] {label}: {message}")))?;
        Ok(Point {
            label,
            settings: self.settings,
            content: content(&job),
            job,
        })
    }
}

fn content(job: &Map<String, Value>) -> String {
    hex(&Sha256::digest(Value::Object(job.clone()).to_string()))[..16].to_owned()
}

/// Each job once, where it came first: settings that differ may ask for the same.
fn once(source: &Source, all: Vec<Settings>) -> Vec<Asked> {
    let mut seen = BTreeSet::new();
    let asked = all.into_iter().map(|settings| Asked::of(source, settings));
    asked
        .filter(|asked| match &asked.job {
            Ok(job) => seen.insert(content(job)),
            // It is told with its label.
            Err(_) => true,
        })
        .collect()
}

/// Keys in which not all points agree.
fn varying<'p>(points: impl Iterator<Item = &'p Settings> + Clone) -> BTreeSet<Key> {
    let keys: BTreeSet<Key> = points
        .clone()
        .flat_map(|point| point.keys().copied())
        .collect();
    let differs = |key: &Key| {
        let mut values = points.clone().map(|point| point.get(key));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    keys.into_iter().filter(differs).collect()
}

/// Labels that were given away.
#[derive(Default)]
struct Labels(BTreeSet<String>);

impl Labels {
    /// The model, and what of the point is not the same in all.
    fn of(&mut self, settings: &Settings, varying: &BTreeSet<Key>) -> String {
        let model = settings.get(&Key::model).map(plainly);
        let model = model.map(|name| name.strip_suffix(".gguf").unwrap_or(&name).to_owned());
        let told = |(key, value): (&Key, &Value)| match key {
            Key::model | Key::quant => None,
            Key::kind | Key::prompt => varying.contains(key).then(|| plainly(value)),
            _ => varying
                .contains(key)
                .then(|| format!("{} {}", key.name(), plainly(value))),
        };
        let parts = model.into_iter().chain(settings.iter().filter_map(told));
        let parts: Vec<String> = parts.collect();
        let mut label = match parts.is_empty() {
            true => settings.get(&Key::kind).map_or("point".to_owned(), plainly),
            false => parts.join(" "),
        };
        // As a tag it crosses the wire and lands in tables.
        label.retain(|c| !c.is_control());
        let mut end = LONGEST_LABEL.min(label.len());
        while !label.is_char_boundary(end) {
            end -= 1;
        }
        label.truncate(end);
        let whole = label.clone();
        let mut n = 1;
        while !self.0.insert(label.clone()) {
            n += 1;
            label = format!("{whole} ({n})");
        }
        label
    }
}

/// The job of a point, and what a board would say against it as far as that is known here.
fn job(source: &Source, settings: &Settings) -> Result<Map<String, Value>, String> {
    let common = serde_json::to_value(&source.manifest.job).map_err(|error| error.to_string())?;
    let Value::Object(mut job) = common else {
        return Err("[job] is no table".to_owned());
    };
    job.entry("v").or_insert(json!(VERSION));
    for (key, value) in settings {
        match (key, key.place()) {
            (Key::model, _) => {
                job.insert("model".to_owned(), value.clone());
            }
            (Key::prompt, _) => {
                let name = value.as_str().unwrap_or_default();
                let prompt = source.prompts.get(name);
                let prompt =
                    prompt.ok_or_else(|| format!("there is no prompt {name} in [prompts]"))?;
                match prompt {
                    Prompt::Text(text) => job.insert("prompt".to_owned(), json!(text)),
                    Prompt::Message(text) => {
                        let messages = json!([{"role": "user", "content": text}]);
                        job.insert("messages".to_owned(), messages)
                    }
                };
            }
            (_, Place::Job) => {
                job.insert(key.name().to_owned(), value.clone());
            }
            (_, Place::Params) => {
                let params = job.entry("params").or_insert_with(|| json!({}));
                let params = params.as_object_mut();
                let params = params.ok_or("params: must be a table")?;
                params.insert(key.name().to_owned(), value.clone());
            }
            (_, Place::Elsewhere) => {}
        }
    }
    if !job.contains_key("kind") {
        return Err("kind: missing; generate or bench, say, here or in [job]".to_owned());
    }
    let mut whole = job.clone();
    whole.insert("id".to_owned(), json!("point"));
    let whole = Value::Object(whole).to_string();
    match Job::parse(whole.as_bytes(), &no_limits()) {
        Err(error) if error.code == SpecErrorCode::InvalidSpec => {
            let field = error.field.as_deref().unwrap_or("the job");
            Err(format!("{field}: {error}"))
        }
        // What this version does not do, the board's may.
        _ => Ok(job),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn study(text: &str) -> Result<Study, ManifestError> {
        let source = Source::parse(Path::new("study.toml"), text.to_owned())?;
        Study::new(&source)
    }

    fn labels(study: &Study) -> Vec<&str> {
        study
            .points
            .iter()
            .map(|point| point.label.as_str())
            .collect()
    }

    const HEAD: &str = "name = 'a'\n[job]\nrepetitions = 2\nparams = { n_batch = 256 }\n";

    #[test]
    fn a_point_is_a_job_with_what_all_have_in_common() {
        let study = study(&format!(
            "{HEAD}[[matrix]]\nkind = 'bench'\nmodel = 'm.gguf'\nthreads = [1, 2]\nn_prompt = 64\n"
        ))
        .unwrap();
        assert_eq!(labels(&study), ["m threads 1", "m threads 2"]);
        assert_eq!(
            Value::Object(study.points[1].job.clone()),
            json!({"v": 1, "kind": "bench", "model": "m.gguf", "repetitions": 2, "n_prompt": 64,
                   "params": {"n_batch": 256, "threads": 2}})
        );
        assert_ne!(study.points[0].content, study.points[1].content);
        assert_eq!(study.points[1].parsed().unwrap().params.threads, Some(2));
    }

    #[test]
    fn points_that_are_there_twice_run_once_and_included_ones_come_last() {
        let text = format!(
            "{HEAD}kind = 'bench'\n[[matrix]]\nmodel = ['a', 'b']\nthreads = [1, 2]\n\
             [[matrix]]\nmodel = 'a'\nthreads = 1\n\
             [[exclude]]\nmodel = 'b'\nthreads = 2\n[[exclude]]\nmodel = 'c'\n\
             [[include]]\nmodel = 'b'\nthreads = [1, 4]\n"
        );
        let study = study(&text).unwrap();
        assert_eq!(
            labels(&study),
            ["a threads 1", "a threads 2", "b threads 1", "b threads 4"]
        );
        assert_eq!(study.warnings, ["[[exclude]] number 2 leaves nothing out"]);
    }

    #[test]
    fn points_that_ask_for_the_same_job_run_once() {
        let text = |matrix: &str| format!("{HEAD}kind = 'bench'\n{matrix}");
        let same = text("[[matrix]]\nmodel = ['a.{quant}', 'a.Q4_0']\nquant = ['Q4_0', 'Q8_0']\n");
        assert_eq!(labels(&study(&same).unwrap()), ["a.Q4_0", "a.Q8_0"]);
        let same = text("[[matrix]]\nmodel = 'a'\n[[include]]\nkind = 'bench'\nmodel = 'a'\n");
        assert_eq!(labels(&study(&same).unwrap()), ["a"]);
        // What `[job]` has already.
        let same = text("[[matrix]]\nmodel = 'a'\n[[include]]\nmodel = 'a'\nn_batch = 256\n");
        assert_eq!(labels(&study(&same).unwrap()), ["a"]);
        let same = format!(
            "{HEAD}[[matrix]]\nkind = 'generate'\nmodel = 'm'\nprompt = ['a', 'b', 'c']\n\
             [prompts]\na = {{ text = 'x' }}\nb = {{ text = 'x' }}\nc = {{ message = 'x' }}\n"
        );
        assert_eq!(labels(&study(&same).unwrap()), ["m a", "m c"]);
    }

    #[test]
    fn prompts_become_texts_and_messages() {
        let text = format!(
            "{HEAD}[[matrix]]\nkind = 'generate'\nmodel = 'm'\nprompt = ['a', 'b']\n\
             [prompts]\na = {{ text = 'x' }}\nb = {{ message = 'y' }}\n"
        );
        let study = study(&text).unwrap();
        assert_eq!(labels(&study), ["m a", "m b"]);
        assert_eq!(study.points[0].job["prompt"], "x");
        assert_eq!(study.points[1].job["messages"][0]["content"], "y");
    }

    #[test]
    fn what_no_board_would_take_is_refused_with_the_point() {
        let said = |matrix: &str| {
            let text = format!("name = 'a'\n[[matrix]]\n{matrix}");
            study(&text).unwrap_err().to_string()
        };
        let wrong = said("kind = 'bench'\nmodel = 'm'\nn_ctx = [512, 8]\n");
        assert!(
            wrong.starts_with("study.toml:2: [matrix] m n_ctx 8: params.n_ctx"),
            "{wrong}"
        );
        assert!(said("model = 'm'\n").contains("kind: missing"));
        assert!(said("kind = 'bench'\n").contains("model"));
        let wrong = said("kind = 'generate'\nmodel = 'm'\nprompt = 'p'\n");
        assert!(wrong.contains("no prompt p in [prompts]"), "{wrong}");
        let wrong = said("kind = 'generate'\nmodel = 'm'\nn_prompt = 5\n");
        assert!(wrong.contains("prompt"), "{wrong}");
        let text =
            "name = 'a'\n[[matrix]]\nkind = 'bench'\nmodel = 'm'\n[[exclude]]\nmodel = '*'\n";
        assert!(
            study(text)
                .unwrap_err()
                .to_string()
                .contains("nothing is left")
        );
    }

    #[test]
    fn the_baseline_is_labelled_by_what_varies() {
        let text = format!(
            "{HEAD}kind = 'bench'\n[[matrix]]\nmodel = 'a'\nthreads = [1, 2]\n\
             [baseline]\nevery = 2\nmodel = 'a'\nthreads = 2\nn_ctx = 512\n"
        );
        let study = study(&text).unwrap();
        let baseline = study.baseline.as_ref().unwrap();
        assert_eq!(
            (baseline.label.as_str(), study.every),
            ("a threads 2", Some(2))
        );
        assert_eq!(baseline.job["params"]["n_ctx"], 512);
    }

    #[test]
    fn labels_fit_a_tag_and_differ() {
        let long = "é".repeat(150);
        let text = format!(
            "{HEAD}kind = 'idle'\n[[matrix]]\nduration_s = [1, 2]\ndata = '{long}'\n\
             [[matrix]]\nduration_s = 3\ndata = '{long}x'\n"
        );
        let source = Source::parse(Path::new("study.toml"), text).unwrap();
        let points: Vec<Settings> = source
            .manifest
            .matrix
            .iter()
            .flat_map(|axes| expand(axes).unwrap())
            .collect();
        let varying = varying(points.iter());
        let mut labels = Labels::default();
        let labels: BTreeSet<String> = points
            .iter()
            .map(|point| labels.of(point, &varying))
            .collect();
        assert_eq!(labels.len(), 3);
        assert!(labels.iter().all(|label| label.len() <= 256));
    }
}
