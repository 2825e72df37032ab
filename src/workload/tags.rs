//! Reads a job's tags. JSON lets a key come twice and serde takes the last; a job that says
//! two things is refused like any other that is not clear.

use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

pub(super) type Tags = BTreeMap<String, String>;

pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tags, D::Error> {
    struct EachOnce;
    impl<'de> Visitor<'de> for EachOnce {
        type Value = Tags;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of strings")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags, A::Error> {
            let mut tags = Tags::new();
            while let Some((key, value)) = map.next_entry()? {
                if tags.insert(key, value).is_some() {
                    return Err(A::Error::custom("a tag is given twice"));
                }
            }
            Ok(tags)
        }
    }
    deserializer.deserialize_map(EachOnce)
}
