//! The file that a study is made of: strict TOML, checked as far as that is possible without a
//! board. Its SHA-256 names the study (docs/sweep.md).

use super::axes::{Axes, Baseline};
use crate::lab::report::assumptions::{Cost, Reference, Usability};
use crate::strict_toml::{TomlError, line_at};
use crate::workload::job::hex;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// What may be wrong with a manifest, for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {message}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct ManifestError {
    pub path: PathBuf,
    pub line: Option<usize>,
    pub message: String,
}

/// On which boards each point runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// On all of them.
    #[default]
    Each,
    /// Once, on whichever has room.
    Any,
}

/// The order of the points in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Each round begins further on in the list.
    #[default]
    Rotate,
    Random,
    Given,
}

/// When a board is cool enough for the next job.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cooldown {
    /// `None`: only when the temperature has stopped falling.
    pub below_c: Option<f64>,
    /// Longest wait.
    pub limit_s: f64,
    /// Wait after a job where no temperature is published.
    pub settle_s: f64,
}

impl Default for Cooldown {
    fn default() -> Self {
        Self {
            below_c: None,
            limit_s: 600.0,
            settle_s: 60.0,
        }
    }
}

/// What the user expects, where no result tells.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    pub load_s: Option<f64>,
    pub prefill_tok_s: Option<f64>,
    pub decode_tok_s: Option<f64>,
    /// Mean over the whole job.
    pub power_w: Option<f64>,
}

/// A text that a `generate` job goes on from; one of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptSource {
    pub text: Option<String>,
    /// What a user says, through the model's chat template.
    pub message: Option<String>,
    /// As `text`, relative to the manifest.
    pub file: Option<PathBuf>,
}

/// A text, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    Text(String),
    Message(String),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub name: String,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub group: Option<String>,
    #[serde(default)]
    pub devices: Vec<String>,
    #[serde(default)]
    pub boards: Spread,
    #[serde(default = "one")]
    pub rounds: u32,
    #[serde(default)]
    pub order: Order,
    #[serde(default)]
    pub seed: u64,
    #[serde(default = "one")]
    pub retries: u32,
    #[serde(default)]
    pub job: toml::Table,
    #[serde(default)]
    pub matrix: Vec<Axes>,
    #[serde(default)]
    pub prompts: BTreeMap<String, PromptSource>,
    #[serde(default)]
    pub exclude: Vec<Axes>,
    #[serde(default)]
    pub include: Vec<Axes>,
    #[serde(default)]
    pub baseline: Option<Baseline>,
    #[serde(default)]
    pub cooldown: Option<Cooldown>,
    #[serde(default)]
    pub rates: Rates,
    /// What the report reads of it.
    #[serde(default)]
    pub cost: Option<Cost>,
    #[serde(default)]
    pub usability: Option<Usability>,
    #[serde(default)]
    pub reference: Vec<Reference>,
}

fn one() -> u32 {
    1
}

/// Tags that say which study, point and round a job is of.
pub const OWN_TAGS: [&str; 5] = ["study", "study_hash", "point", "role", "round"];
/// Of a study's name: it is in the ids of jobs.
const LONGEST_NAME: usize = 40;

/// A manifest and where it was read.
#[derive(Debug, Clone)]
pub struct Source {
    pub manifest: Manifest,
    pub path: PathBuf,
    pub text: String,
    pub prompts: BTreeMap<String, Prompt>,
}

impl Source {
    /// Reads and checks a manifest, and the files of its prompts.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(path).map_err(|error| ManifestError {
            path: path.to_owned(),
            line: None,
            message: error.to_string(),
        })?;
        Self::parse(path, text)
    }

    /// The same of a text; prompts in files are looked for beside `path`.
    pub fn parse(path: &Path, text: String) -> Result<Self, ManifestError> {
        let manifest: Manifest = toml::from_str(&text).map_err(|error| {
            let TomlError { line, message } = TomlError::of(&text, &error);
            ManifestError {
                path: path.to_owned(),
                line,
                message,
            }
        })?;
        let mut source = Self {
            manifest,
            path: path.to_owned(),
            text,
            prompts: BTreeMap::new(),
        };
        source.check()?;
        source.prompts = source.read_prompts()?;
        Ok(source)
    }

    /// The study's name in tags and file names: 16 digits of the text's SHA-256.
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(&self.text))[..16].to_owned()
    }

    /// An error at the place that `keys` lead to.
    pub fn error(&self, keys: &[&str], message: impl Into<String>) -> ManifestError {
        ManifestError {
            path: self.path.clone(),
            line: line_of(&self.text, keys),
            message: message.into(),
        }
    }

    fn check(&self) -> Result<(), ManifestError> {
        let manifest = &self.manifest;
        let mut bytes = manifest.name.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !starts || !bytes.all(fine) || manifest.name.len() > LONGEST_NAME {
            let message = format!(
                "name: must be 1 to {LONGEST_NAME} characters of [A-Za-z0-9._-], the first a \
                 letter or digit"
            );
            return Err(self.error(&["name"], message));
        }
        if manifest.group.is_some() && !manifest.devices.is_empty() {
            let message = "group and devices: give one of them";
            return Err(self.error(&["devices"], message));
        }
        if !(1..=1_000).contains(&manifest.rounds) {
            return Err(self.error(&["rounds"], "rounds: must be 1 to 1000"));
        }
        if manifest.retries > 10 {
            return Err(self.error(&["retries"], "retries: must be 0 to 10"));
        }
        if manifest.matrix.is_empty() && manifest.include.is_empty() {
            let message = "there is nothing to run: give a [[matrix]] or an [[include]]";
            return Err(self.error(&["name"], message));
        }
        if manifest.exclude.iter().any(|rule| rule.given().is_empty()) {
            let message = "[[exclude]]: a rule without a key would leave out everything";
            return Err(self.error(&["exclude"], message));
        }
        if let Some(baseline) = &manifest.baseline {
            if baseline.every == Some(0) {
                let message = "every: must be 1 or more points; leave it out for first and last";
                return Err(self.error(&["baseline", "every"], message));
            }
            if baseline.axes().given().is_empty() {
                let message = "[baseline]: it needs a model and settings of its own";
                return Err(self.error(&["baseline"], message));
            }
        }
        self.check_job()?;
        self.check_numbers()
    }

    fn check_job(&self) -> Result<(), ManifestError> {
        let job = &self.manifest.job;
        if job.contains_key("id") {
            let message = "id: the study gives each job an id of its own";
            return Err(self.error(&["job", "id"], message));
        }
        let tags = job.get("tags").and_then(toml::Value::as_table);
        let taken = OWN_TAGS
            .into_iter()
            .find(|own| tags.is_some_and(|tags| tags.contains_key(*own)));
        match taken {
            Some(own) => {
                let message = format!("tags.{own}: the study says this itself");
                Err(self.error(&["job", "tags", own], message))
            }
            None => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<(), ManifestError> {
        let seconds = |value: f64| (0.0..=86_400.0).contains(&value);
        if let Some(cooldown) = &self.manifest.cooldown {
            for (key, value) in [
                ("limit_s", cooldown.limit_s),
                ("settle_s", cooldown.settle_s),
            ] {
                if !seconds(value) {
                    let message = format!("{key}: must be 0 to 86400 seconds");
                    return Err(self.error(&["cooldown", key], message));
                }
            }
            if cooldown
                .below_c
                .is_some_and(|c| !(-40.0..=150.0).contains(&c))
            {
                let message = "below_c: must be -40 to 150 °C";
                return Err(self.error(&["cooldown", "below_c"], message));
            }
        }
        let rates = &self.manifest.rates;
        for (key, value) in [
            ("load_s", rates.load_s),
            ("prefill_tok_s", rates.prefill_tok_s),
            ("decode_tok_s", rates.decode_tok_s),
            ("power_w", rates.power_w),
        ] {
            if value.is_some_and(|value| !(value > 0.0 && value.is_finite())) {
                let message = format!("{key}: must be more than 0; leave out what you don't know");
                return Err(self.error(&["rates", key], message));
            }
        }
        Ok(())
    }

    fn read_prompts(&self) -> Result<BTreeMap<String, Prompt>, ManifestError> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let mut prompts = BTreeMap::new();
        for (name, source) in &self.manifest.prompts {
            let wrong = |message: String| self.error(&["prompts", name], message);
            let prompt = match (&source.text, &source.message, &source.file) {
                (Some(text), None, None) => Prompt::Text(text.clone()),
                (None, Some(message), None) => Prompt::Message(message.clone()),
                (None, None, Some(file)) => {
                    let file = folder.join(file);
                    let read = std::fs::read_to_string(&file);
                    Prompt::Text(
                        read.map_err(|error| wrong(format!("{}: {error}", file.display())))?,
                    )
                }
                _ => {
                    let message = format!("prompts.{name}: give one of text, message and file");
                    return Err(wrong(message));
                }
            };
            prompts.insert(name.clone(), prompt);
        }
        Ok(prompts)
    }
}

/// The line of the last of these keys that is there. Of an array of tables it is the first.
fn line_of(text: &str, keys: &[&str]) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut line = None;
    for key in keys {
        let Some((found, value)) = table.iter().find(|(name, _)| name.get_ref() == key) else {
            break;
        };
        line = Some(line_at(text, found.span().start));
        table = match value.get_ref() {
            DeValue::Table(table) => table,
            DeValue::Array(list) => match list.first().map(|first| first.get_ref()) {
                Some(DeValue::Table(table)) => table,
                _ => break,
            },
            _ => break,
        };
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::sweep::study::Study;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Source, ManifestError> {
        Source::parse(Path::new("study.toml"), text.to_owned())
    }

    fn complaint(text: &str) -> String {
        parse(text).expect_err(text).to_string()
    }

    const SMALL: &str = "name = \"a\"\n[[matrix]]\nkind = \"bench\"\nmodel = \"m.gguf\"\n";

    #[test]
    fn a_small_manifest_has_sensible_defaults() {
        let source = parse(SMALL).unwrap();
        let manifest = &source.manifest;
        assert_eq!((manifest.rounds, manifest.retries), (1, 1));
        assert_eq!(
            (manifest.boards, manifest.order),
            (Spread::Each, Order::Rotate)
        );
        assert!(manifest.cooldown.is_none() && manifest.baseline.is_none());
        assert_eq!(source.hash().len(), 16);
        assert_ne!(source.hash(), parse(&format!("{SMALL}#")).unwrap().hash());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_neighbour() {
        let said = complaint(&format!("{SMALL}threds = 2\n"));
        assert!(
            said.starts_with("study.toml:5: unknown key `threds`"),
            "{said}"
        );
        assert!(said.ends_with("`threads`"), "{said}");
        let said = complaint(&format!("{SMALL}[cooldown]\nbelow = 5\n"));
        assert!(
            said.starts_with("study.toml:6: ") && said.contains("`below_c`"),
            "{said}"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_where_it_stands() {
        for (more, line, part) in [
            ("[baseline]\nevery = 0\nmodel = 'm'\n", 6, "every"),
            ("[baseline]\nevery = 3\n", 5, "[baseline]"),
            ("[[exclude]]\n", 5, "everything"),
            ("[job]\nid = 'x'\n", 6, "id"),
            ("[job]\n[job.tags]\nround = 'x'\n", 7, "tags.round"),
            ("[cooldown]\nlimit_s = -1\n", 6, "limit_s"),
            ("[rates]\npower_w = 0\n", 6, "power_w"),
            (
                "[prompts]\na = { text = 'x', message = 'y' }\n",
                6,
                "prompts.a",
            ),
            (
                "[prompts]\na = { file = '/nowhere/at/all' }\n",
                6,
                "/nowhere",
            ),
        ] {
            let said = complaint(&format!("{SMALL}{more}"));
            assert!(
                said.starts_with(&format!("study.toml:{line}: ")),
                "{more}{said}"
            );
            assert!(said.contains(part), "{said}");
        }
        assert!(complaint("name = 'a'\n").contains("nothing to run"));
        assert!(complaint(&SMALL.replace("\"a\"", "\"a b\"")).starts_with("study.toml:1: name"));
        let both = format!("group = 'g'\ndevices = ['a']\n{SMALL}");
        assert!(complaint(&both).starts_with("study.toml:2: group and devices"));
    }

    #[test]
    fn prompts_come_from_the_manifest_and_from_files_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("long.txt"), "once upon").unwrap();
        let path = folder.path().join("study.toml");
        let prompts = "[prompts]\na = { text = 'x' }\nb = { message = 'y' }\n\
                       c = { file = 'long.txt' }\n";
        std::fs::write(&path, format!("{SMALL}{prompts}")).unwrap();
        let source = Source::read(&path).unwrap();
        let read: Vec<&Prompt> = source.prompts.values().collect();
        let text = |text: &str| Prompt::Text(text.to_owned());
        assert_eq!(
            read,
            [
                &text("x"),
                &Prompt::Message("y".to_owned()),
                &text("once upon")
            ]
        );
    }

    proptest! {
        /// Whatever stands in a manifest, it is a study or a sentence that says why not.
        #[test]
        fn any_text_is_a_study_or_a_complaint(lines in proptest::collection::vec(prop_oneof![
            Just("[[matrix]]".to_owned()), Just("[job]".to_owned()), Just("[[exclude]]".to_owned()),
            Just("[baseline]".to_owned()), Just("[cooldown]".to_owned()), Just("[prompts]".to_owned()),
            Just("kind = 'bench'".to_owned()), Just("model = ['a.{quant}', 'b']".to_owned()),
            "(threads|n_ctx|quant|prompt|every|limit_s|rounds|id|tags|x) = (-?[0-9]{1,11}|'[a-z*?\\[]{0,3}'|\\[[12, ]{0,4}\\]|\\{\\}|true)",
            "\\PC{0,12}",
        ], 0..14)) {
            let text = format!("name = 'a'\n{}\n", lines.join("\n"));
            let study = parse(&text).and_then(|source| Study::new(&source));
            match study {
                Ok(study) => prop_assert!(!study.points.is_empty()),
                Err(error) => prop_assert!(error.to_string().starts_with("study.toml")),
            }
        }
    }

    #[test]
    fn prices_are_checked_before_the_study_runs() {
        let price = "[cost]\ncurrency = 'EUR'\n[cost.electricity]\nprice_per_kwh = 0.3\n\
                     source = 'a bill'\ndate = '2026-11-01'\n";
        let manifest = parse(&format!("{SMALL}{price}")).unwrap().manifest;
        assert!(manifest.cost.is_some() && manifest.usability.is_none());
        let said = complaint(&format!("{SMALL}{}", price.replace("source", "sauce")));
        assert!(said.contains("unknown key `sauce`"), "{said}");
    }
}
