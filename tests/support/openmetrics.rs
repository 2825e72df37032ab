//! A strict reader of OpenMetrics text, version 1.0: what a scrape says, or why it is none.

use std::collections::{BTreeMap, BTreeSet};

/// Labels of a sample, sorted.
pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Labels,
    pub value: f64,
}

#[derive(Debug, Default)]
pub struct Scrape {
    pub samples: Vec<Sample>,
    /// Type of each family.
    pub types: BTreeMap<String, String>,
}

impl Scrape {
    /// Panics where the text breaks a rule of the format.
    pub fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("it ends with EOF");
        assert!(!body.contains("# EOF") && !body.contains('\r'), "{text}");
        let mut scrape = Self::default();
        let mut family = Family::default();
        let mut seen = BTreeSet::new();
        for line in body.lines() {
            let Some(comment) = line.strip_prefix("# ") else {
                let sample = read_sample(line);
                family.check(&sample, line);
                let labels: Vec<_> = sample.labels.clone().into_iter().collect();
                assert!(seen.insert((sample.name.clone(), labels)), "twice: {line}");
                scrape.samples.push(sample);
                continue;
            };
            let mut words = comment.splitn(3, ' ');
            let (what, name) = (words.next().expect("a word"), words.next().expect("a name"));
            let rest = words.next().unwrap_or_default();
            if family.name != name {
                family.end();
                family = Family::named(name);
                assert!(
                    !scrape.types.contains_key(name),
                    "{name} comes in two parts"
                );
                scrape.types.insert(name.to_owned(), "unknown".to_owned());
            }
            assert_eq!(family.samples, 0, "{line} stands after a sample");
            match what {
                "HELP" => assert!(!rest.is_empty(), "{line}"),
                "TYPE" => {
                    assert!(["counter", "gauge", "info"].contains(&rest), "{line}");
                    family.kind = rest.to_owned();
                    scrape.types.insert(name.to_owned(), rest.to_owned());
                }
                "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                _ => panic!("no comment of the format: {line}"),
            }
        }
        family.end();
        scrape
    }

    /// The samples of this name.
    pub fn all(&self, name: &str) -> Vec<&Sample> {
        let named = |sample: &&Sample| sample.name == name;
        self.samples.iter().filter(named).collect()
    }

    /// The value of the one sample with this name and, among others, these labels.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &&&Sample| {
            let has = |(key, value): &(&str, &str)| {
                sample.labels.get(*key).is_some_and(|known| known == value)
            };
            labels.iter().all(has)
        };
        let all = self.all(name);
        let mut found = all.iter().filter(fits);
        let first = found.next()?;
        assert!(found.next().is_none(), "more than one {name} {labels:?}");
        Some(first.value)
    }
}

#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    samples: u32,
}

impl Family {
    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    fn check(&mut self, sample: &Sample, line: &str) {
        self.samples += 1;
        let suffix = sample.name.strip_prefix(&self.name);
        let expected = match self.kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        assert_eq!(
            suffix,
            Some(expected),
            "{line} is no sample of {}",
            self.name
        );
        match self.kind.as_str() {
            "counter" => assert!(sample.value >= 0.0, "{line}"),
            "info" => assert_eq!(sample.value, 1.0, "{line}"),
            _ => {}
        }
    }

    fn end(&self) {
        assert!(
            self.name.is_empty() || self.samples > 0,
            "{} is empty",
            self.name
        );
    }
}

fn read_sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, rest) = line.split_at(end);
    let is_name = |name: &str| {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
    };
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    let mut rest = rest;
    if let Some(mut inside) = rest.strip_prefix('{') {
        while !inside.starts_with('}') {
            let (key, after) = inside.split_once("=\"").expect("a label");
            assert!(is_name(key), "{line}");
            let (value, after) = unquoted(after);
            assert!(labels.insert(key.to_owned(), value).is_none(), "{line}");
            inside = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &inside[1..];
    }
    let value = rest.strip_prefix(' ').expect("one space before the value");
    let value: f64 = value
        .parse()
        .unwrap_or_else(|_| panic!("no number: {line}"));
    assert!(value.is_finite(), "what is missing is absent: {line}");
    Sample {
        name: name.to_owned(),
        labels,
        value,
    }
}

/// The text up to the closing quote, and what comes after that.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next().expect("an escaped character").1 {
                'n' => value.push('\n'),
                plain @ ('"' | '\\') => value.push(plain),
                other => panic!("no escape: \\{other}"),
            },
            plain => value.push(plain),
        }
    }
    panic!("no closing quote: {text}")
}
