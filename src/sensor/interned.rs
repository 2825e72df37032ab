//! Names that sources state in their code, read back from a file.
//!
//! Sources name themselves and their errors with string literals. A name that comes from raw
//! data is found among those that were read before, or kept for the rest of the process: a
//! file can name at most [`MOST_NAMES`], so that it can't fill the memory.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// A name in the code. An alias, since serde would take the reference itself for one into
/// what it reads.
pub type Name = &'static str;

/// Sources and their errors together are a few dozen.
const MOST_NAMES: usize = 256;
const LONGEST_NAME: usize = 64;

static NAMES: Mutex<BTreeSet<Name>> = Mutex::new(BTreeSet::new());

/// For a field with one name.
pub fn name<'de, D: Deserializer<'de>>(input: D) -> Result<Name, D::Error> {
    intern(String::deserialize(input)?).map_err(D::Error::custom)
}

/// For named numbers.
pub fn named<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<(Name, f64)>, D::Error> {
    Vec::<(String, f64)>::deserialize(input)?
        .into_iter()
        .map(|(name, number)| Ok((intern(name).map_err(D::Error::custom)?, number)))
        .collect()
}

fn intern(name: String) -> Result<Name, &'static str> {
    // A set is whole whatever its holder did.
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name.as_str()) {
        return Ok(known);
    }
    if name.len() > LONGEST_NAME || names.len() >= MOST_NAMES {
        return Err("names no source or error of a sensor");
    }
    let kept: Name = Box::leak(name.into_boxed_str());
    names.insert(kept);
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        let first = intern("shunt".to_owned()).unwrap();
        let second = intern("shunt".to_owned()).unwrap();
        assert_eq!(first.as_ptr(), second.as_ptr());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert!(intern("x".repeat(LONGEST_NAME + 1)).is_err());
    }
}
