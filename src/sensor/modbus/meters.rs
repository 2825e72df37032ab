//! The meters that are known by name. Their maps are the files in `meters/`, embedded. A new
//! one is a file there, a line in the table below and one in docs/configuration.md.

use super::map::MeterMap;
use crate::strict_toml;

/// What `meter` or `map` in the configuration names.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meter {
    Map(Box<MeterMap>),
    /// Registers lie where discovery finds them; the maps count from the model's first.
    SunSpec {
        integers: Box<MeterMap>,
        floats: Box<MeterMap>,
    },
}

impl Meter {
    /// What is known of the meter before it is asked.
    pub fn map(&self) -> &MeterMap {
        match self {
            Meter::Map(map) => map,
            Meter::SunSpec { integers, .. } => integers,
        }
    }
}

macro_rules! meters {
    ($($name:literal: $file:literal),+ $(,)?) => {
        const MAPS: &[(&str, &str)] = &[$(($name, shipped!($file))),+];

        /// What an unknown name's error lists.
        pub(super) const KNOWN: &str = concat!("the known meters are sunspec", $(", ", $name),+);
    };
}

macro_rules! shipped {
    ($file:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/meters/",
            $file,
            ".toml"
        ))
    };
}

meters! {
    "sdm120": "sdm120",
    "sdm230": "sdm230",
    "sdm630": "sdm630",
    "pzem-004t": "pzem-004t",
    "pzem-017": "pzem-017",
    "em111": "em112",
    "em112": "em112",
    "et112": "em112",
    "em340": "em340",
    "abb-b21": "abb-b21",
    "abb-b23": "abb-b21",
    "iem3155": "iem3155",
    "finder-7m24": "finder-7m24",
    "janitza-b23": "janitza-b23",
    "shelly-pro-3em": "shelly-pro-3em",
    "riden-rd60xx": "riden-rd60xx",
}

const SUNSPEC_INTEGERS: &str = shipped!("sunspec-integers");
const SUNSPEC_FLOATS: &str = shipped!("sunspec-floats");

/// The meter of that name.
pub(super) fn find(name: &str) -> Option<Meter> {
    if name == "sunspec" {
        return Some(Meter::SunSpec {
            integers: Box::new(parsed(SUNSPEC_INTEGERS)),
            floats: Box::new(parsed(SUNSPEC_FLOATS)),
        });
    }
    let (_, text) = MAPS.iter().find(|(known, _)| *known == name)?;
    Some(Meter::Map(Box::new(parsed(text))))
}

fn parsed(text: &str) -> MeterMap {
    strict_toml::read(text).expect("a test reads every shipped map")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn files() -> Vec<(String, String)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("meters");
        let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                (name, std::fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn every_file_is_a_sound_map_and_is_embedded() {
        let mut embedded: BTreeSet<&str> = MAPS.iter().map(|(_, text)| *text).collect();
        embedded.extend([SUNSPEC_INTEGERS, SUNSPEC_FLOATS]);
        let files = files();
        assert_eq!(files.len(), embedded.len());
        for (name, text) in &files {
            assert!(
                embedded.contains(text.as_str()),
                "{name} is not in the table"
            );
            let map: MeterMap = toml::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
            map.check()
                .unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
            assert!(!map.description.is_empty(), "{name}");
            assert!(map.boundary.is_some(), "{name}");
        }
        for (name, _) in MAPS {
            assert!(find(name).is_some());
        }
        assert!(find("sunspec").is_some());
        assert!(find("sdm9000").is_none());
    }

    #[test]
    fn every_fact_of_a_shipped_map_has_its_source() {
        for (name, text) in files() {
            let table: toml::Table = text.parse().unwrap();
            let map: MeterMap = toml::from_str(&text).unwrap();
            let described = ["description", "source"];
            let facts: BTreeSet<&str> = table
                .keys()
                .map(String::as_str)
                .filter(|key| !described.contains(key))
                .collect();
            let sourced = map.source.iter().flat_map(|source| &source.facts);
            let sourced: BTreeSet<&str> = sourced.map(String::as_str).collect();
            assert_eq!(sourced, facts, "{name}");
            assert!(
                map.source.iter().all(|source| !source.from.is_empty()),
                "{name}"
            );
        }
    }
}
