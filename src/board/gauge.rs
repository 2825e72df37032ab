//! A number that the kernel shows in a file, found and opened once and read again and again:
//! a reading within a run is one system call.

use super::absence::Absence;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file with one whole number.
#[derive(Debug)]
pub(super) struct Gauge {
    file: Result<File, Absence>,
    /// How many make one of the unit that is wanted.
    per_unit: f64,
}

impl Gauge {
    pub fn open(path: &Path, per_unit: f64) -> Self {
        let file = File::open(path).map_err(Absence::from);
        Self { file, per_unit }
    }

    pub fn read(&self) -> Result<f64, Absence> {
        let file = self.file.as_ref().map_err(|absence| *absence)?;
        let mut bytes = [0; 32];
        let length = file.read_at(&mut bytes, 0)?;
        let text = std::str::from_utf8(&bytes[..length]).unwrap_or_default();
        let number: i64 = text.trim().parse().map_err(|_| Absence::NotSupported)?;
        Ok(number as f64 / self.per_unit)
    }
}

/// Gauges of one kind by name.
#[derive(Debug, Default)]
pub(super) struct Gauges(Vec<(String, Gauge)>);

impl Gauges {
    /// At most `most` of them: a record has room for so many. Of two with one name the later
    /// gets a number.
    pub fn open(found: Vec<(String, PathBuf)>, per_unit: f64, most: usize) -> Self {
        let mut gauges: Vec<(String, Gauge)> = Vec::new();
        for (name, path) in found.into_iter().take(most) {
            let taken = |name: &str| gauges.iter().any(|(other, _)| other == name);
            let name = match taken(&name) {
                false => name,
                true => (2..)
                    .map(|number| format!("{name}-{number}"))
                    .find(|name| !taken(name))
                    .expect("there are more numbers than gauges"),
            };
            gauges.push((name, Gauge::open(&path, per_unit)));
        }
        Self(gauges)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that answer; why not, where none does.
    pub fn read(&self) -> Result<BTreeMap<String, f64>, Absence> {
        let mut absence = Absence::NotSupported;
        let mut values = BTreeMap::new();
        for (name, gauge) in &self.0 {
            match gauge.read() {
                Ok(value) => {
                    values.insert(name.clone(), value);
                }
                Err(Absence::NotPermitted) => absence = Absence::NotPermitted,
                Err(_) => {}
            }
        }
        if values.is_empty() {
            return Err(absence);
        }
        Ok(values)
    }
}

/// The entries of a folder, in the order of their numbers: `policy4` before `policy10`.
pub(super) fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut entries: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect();
    entries.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    entries
}

/// The first line of a small file, if it says anything.
pub(super) fn line(path: &Path) -> Result<String, Absence> {
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().next().unwrap_or_default().trim();
    match line.is_empty() {
        true => Err(Absence::NotSupported),
        false => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    #[test]
    fn each_reading_is_news_and_what_is_no_number_is_absent() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("cur_freq");
        let missing = Gauge::open(&path, 1.0);
        assert_eq!(missing.read(), Err(Absence::NotSupported));
        fs::write(&path, "918000000\n").unwrap();
        let gauge = Gauge::open(&path, 1e6);
        assert_eq!(gauge.read(), Ok(918.0));
        fs::write(&path, "306000000\n").unwrap();
        assert_eq!(gauge.read(), Ok(306.0));
        fs::write(&path, "<unsupported>\n").unwrap();
        assert_eq!(gauge.read(), Err(Absence::NotSupported));
    }

    #[test]
    fn one_that_answers_is_enough_and_names_stay_apart() {
        let tree = tempfile::tempdir().unwrap();
        let path = |name: &str| tree.path().join(name);
        fs::write(path("a"), "1\n").unwrap();
        fs::write(path("b"), "2\n").unwrap();
        let found = ["a", "b", "gone"].map(|file| ("gpu".to_owned(), path(file)));
        let gauges = Gauges::open(found.clone().into(), 1.0, 9);
        let expected = [("gpu", 1.0), ("gpu-2", 2.0)].map(|(name, v)| (name.to_owned(), v));
        assert_eq!(gauges.read(), Ok(expected.into()));
        assert_eq!(Gauges::open(found.into(), 1.0, 1).read().unwrap().len(), 1);
        let gone = vec![("x".to_owned(), path("gone"))];
        let gone = Gauges::open(gone, 1.0, 9);
        assert_eq!(gone.read(), Err(Absence::NotSupported));
        assert_eq!(Gauges::default().read(), Err(Absence::NotSupported));
    }

    #[test]
    fn entries_are_in_the_order_of_their_numbers() {
        let tree = tempfile::tempdir().unwrap();
        for name in ["policy10", "policy4", "policy0"] {
            fs::write(tree.path().join(name), "").unwrap();
        }
        let names: Vec<String> = entries(tree.path()).into_iter().map(|e| e.0).collect();
        assert_eq!(names, ["policy0", "policy4", "policy10"]);
        assert!(entries(&tree.path().join("nowhere")).is_empty());
    }

    proptest! {
        #[test]
        fn any_content_is_a_number_or_absent(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let tree = tempfile::tempdir().unwrap();
            let path = tree.path().join("temp");
            fs::write(&path, &bytes).unwrap();
            if let Ok(number) = Gauge::open(&path, 1.0).read() {
                prop_assert!(number.is_finite());
            }
        }
    }
}
