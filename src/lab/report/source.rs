//! Where a report's data comes from, and the way back to it.

use super::picture::Detail;
use crate::lab::LabError;
use crate::lab::dataset::{Attempt, Dataset};
use crate::lab::file::read_result_json;
use crate::record::job::Token;
use crate::record::result::JobResult;
use crate::record::{Reason, Stamped};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

/// What the paths of the command line lead to.
pub struct Source {
    dataset: Dataset,
    paths: Vec<PathBuf>,
}

/// Ways from the report to the records, relative to the report's folder.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// Result records in files of their own.
    files: HashMap<Attempt, String>,
    /// Path as given, and the way to it.
    pub roots: Vec<(String, String)>,
}

impl Source {
    pub fn open(paths: &[PathBuf]) -> Result<Self, LabError> {
        Ok(Self {
            dataset: Dataset::open(paths)?,
            paths: paths.to_vec(),
        })
    }

    /// Every result once.
    ///
    /// Errors: there is none.
    pub fn results(&self) -> Result<Vec<Stamped<JobResult>>, LabError> {
        let warn = |why: &str| eprintln!("warning: {why}");
        let results = self.dataset.results(warn)?;
        if results.is_empty() {
            let paths: Vec<String> = self.paths.iter().map(|p| p.display().to_string()).collect();
            return Err(LabError::Usage(format!(
                "{}: no results in it; name a folder that `joulectl collect` wrote, or result \
                 records as `joulectl submit --out` writes them",
                paths.join(", ")
            )));
        }
        Ok(results)
    }

    /// Trace and tokens of `runs`, as far as they were collected.
    pub fn details(
        &self,
        runs: &[&Stamped<JobResult>],
    ) -> Result<BTreeMap<Attempt, Detail>, LabError> {
        let wanted: BTreeSet<Attempt> = runs.iter().map(|run| attempt(run)).collect();
        let mut details: BTreeMap<Attempt, Detail> = BTreeMap::new();
        for (of, samples) in self.dataset.trace(&wanted)? {
            let Some(run) = runs.iter().find(|run| attempt(run) == of) else {
                continue;
            };
            let zero = run.body.t0_mono_ns as f64;
            let primary = run.body.primary_rail.as_deref();
            let of_rail = samples
                .iter()
                .filter(|sample| Some(sample.rail.as_str()) == primary);
            let windows = of_rail.map(|sample| {
                let t0 = (sample.t_mono_ns as f64 - zero) * 1e-9;
                (t0, t0 + sample.dt_ns as f64 * 1e-9, sample.power_w)
            });
            details.entry(of).or_default().windows = windows.collect();
        }
        for (of, samples) in self.dataset.tokens(&wanted)? {
            let tokens = samples.into_iter().map(|sample| {
                let token = Token {
                    i: sample.i,
                    t_s: sample.t_s,
                    energy_j: sample.energy_j,
                    energy_j_u95: sample.energy_j_u95,
                    u_ran_j: sample.u_ran_j,
                    power_w: sample.power_w,
                    step_n: sample.step_n,
                    reason: sample.reason.as_deref().and_then(named),
                };
                (sample.rep, token)
            });
            details.entry(of).or_default().tokens = tokens.collect();
        }
        Ok(details)
    }

    /// Ways from a report in `folder`.
    pub fn links(&self, folder: &Path) -> Links {
        let mut links = Links::default();
        for path in &self.paths {
            let given = path.display().to_string();
            links.roots.push((given, relative(folder, path)));
            for file in result_files(path) {
                if let Some(of) = identity(&file) {
                    links.files.insert(of, relative(folder, &file));
                }
            }
        }
        links
    }
}

impl Links {
    /// The way to a run's result record, where that has a file of its own.
    pub fn of(&self, run: &Stamped<JobResult>) -> Option<String> {
        self.files.get(&attempt(run)).cloned()
    }
}

/// The identity of a run.
pub fn attempt(run: &Stamped<JobResult>) -> Attempt {
    Attempt {
        device: run.stamp.device.clone(),
        id: run.body.id.clone(),
        attempt: run.body.attempt,
    }
}

fn named(reason: &str) -> Option<Reason> {
    serde_json::from_value(reason.into()).ok()
}

/// The path itself, or what lies in the folder.
fn result_files(path: &Path) -> Vec<PathBuf> {
    let is_json = |path: &Path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    };
    if path.is_file() {
        return Some(path.to_owned())
            .into_iter()
            .filter(|path| is_json(path))
            .collect();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| is_json(path))
        .collect()
}

fn identity(file: &Path) -> Option<Attempt> {
    let record = read_result_json(file).ok()?;
    Some(Attempt {
        device: record["device"].as_str()?.to_owned(),
        id: record["id"].as_str()?.to_owned(),
        attempt: u32::try_from(record["attempt"].as_u64()?).ok()?,
    })
}

/// The way from a folder to `to`, as part of an address.
fn relative(folder: &Path, to: &Path) -> String {
    let whole = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (from, to) = (whole(folder), whole(to));
    let shared = from
        .components()
        .zip(to.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = from.components().skip(shared).map(|_| "..".to_owned());
    let down = to
        .components()
        .skip(shared)
        .filter_map(|component| match component {
            Component::Normal(name) => Some(escaped(&name.to_string_lossy())),
            _ => None,
        });
    let steps: Vec<String> = up.chain(down).collect();
    match steps.is_empty() {
        true => ".".to_owned(),
        // A first step with a colon would be taken for the scheme of an address.
        false => format!("./{}", steps.join("/")),
    }
}

fn escaped(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => out.push(char::from(byte)),
            false => out += &format!("%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::testing;

    #[test]
    fn the_way_to_a_record_starts_at_the_report() {
        let dir = tempfile::tempdir().unwrap();
        let results = dir.path().join("my results");
        let reports = dir.path().join("reports");
        std::fs::create_dir_all(&results).unwrap();
        std::fs::create_dir_all(&reports).unwrap();
        let run = testing::result();
        std::fs::write(results.join("a#1.json"), run.to_json()).unwrap();
        let source = Source::open(std::slice::from_ref(&results)).unwrap();
        let links = source.links(&reports);
        assert_eq!(
            links.of(&run).as_deref(),
            Some("./../my%20results/a%231.json")
        );
        assert_eq!(links.roots[0].1, "./../my%20results");
    }
}
