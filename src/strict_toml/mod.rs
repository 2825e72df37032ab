//! TOML files, and what is merged of them, as types: errors are sentences with a line and the
//! nearest known key. For the configuration, board profiles and maps of meters.

mod tree;

use serde::de::DeserializeOwned;
use std::ops::Range;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};
use tree::{Misfit, Step, Strings, Tree};

/// What is wrong in a file, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TomlError {
    pub line: Option<usize>,
    pub message: String,
}

impl TomlError {
    /// Of toml's own reader, for types that are read once. `text` is what was parsed.
    pub fn of(text: &str, error: &toml::de::Error) -> Self {
        Self {
            line: error.span().map(|span| line_at(text, span.start)),
            message: with_hint(error.message()),
        }
    }
}

/// Reads a file.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, TomlError> {
    read_parsed(parsed(text)?, text)
}

/// The keys and values of a file.
pub fn parsed(text: &str) -> Result<Table, TomlError> {
    toml::from_str(text).map_err(|error| TomlError::of(text, &error))
}

/// Reads what `text` was parsed to; keys may have been added.
pub fn read_parsed<T: DeserializeOwned>(table: Table, text: &str) -> Result<T, TomlError> {
    let value = &Value::Table(table);
    let strings = Strings::Text;
    T::deserialize(Tree { value, strings }).map_err(|misfit| TomlError {
        line: span_of(&misfit, text).map(|span| line_at(text, span.start)),
        message: with_hint(misfit.message()),
    })
}

/// Reads layers that have been merged, in which strings of the environment may stand for numbers
/// and booleans. Errors: a sentence that begins with the key.
pub fn read_layers<T: DeserializeOwned>(layers: Table) -> Result<T, String> {
    let value = &Value::Table(layers);
    let strings = Strings::AnyScalar;
    T::deserialize(Tree { value, strings }).map_err(|misfit| {
        let message = with_hint(misfit.message());
        match path(&misfit) {
            // The message names it.
            path if path.is_empty() || misfit.is_key() => message,
            path => format!("{path}: {message}"),
        }
    })
}

fn path(misfit: &Misfit) -> String {
    let mut path = String::new();
    for step in misfit.path() {
        match step {
            Step::Key(key) if path.is_empty() => path.push_str(key),
            Step::Key(key) => path.extend([".", key]),
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

/// Where in the file it is. Only a file with an error is worth a second parsing.
fn span_of(misfit: &Misfit, text: &str) -> Option<Range<usize>> {
    let root = DeTable::parse(text).ok()?;
    let mut span = root.span();
    let root = Spanned::new(span.clone(), DeValue::Table(root.into_inner()));
    let (mut value, mut key_span) = (&root, None);
    for step in misfit.path() {
        value = match (step, value.get_ref()) {
            (Step::Key(key), DeValue::Table(table)) => {
                let (key, value) = table.get_key_value(key.as_str())?;
                key_span = Some(key.span());
                value
            }
            (Step::Index(index), DeValue::Array(values)) => values.get(*index)?,
            _ => return None,
        };
        span = value.span();
    }
    key_span.filter(|_| misfit.is_key()).or(Some(span))
}

/// The line of a byte, from 1.
pub fn line_at(text: &str, byte: usize) -> usize {
    let before = &text.as_bytes()[..byte.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Adds the nearest known key to serde's "unknown field `x`, expected one of `a`, `b`".
fn with_hint(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let Some(unknown) = names.next().filter(|_| message.contains("unknown field `")) else {
        return message.to_owned();
    };
    let nearest = names.min_by_key(|known| strsim::damerau_levenshtein(unknown, known));
    match nearest {
        Some(known) => format!("unknown key `{unknown}`; the nearest known one is `{known}`"),
        None => format!("unknown key `{unknown}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Block {
        name: Option<String>,
        count: u8,
        share: f64,
        on: bool,
        kind: Kind,
        pair: (u8, u8),
        table: BTreeMap<String, Vec<i64>>,
        block: Vec<Block>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        #[default]
        Plain,
        Fancy,
    }

    fn refused(text: &str) -> (Option<usize>, String) {
        let error = read::<Block>(text).unwrap_err();
        (error.line, error.message)
    }

    #[test]
    fn a_file_is_read_as_its_types() {
        let text = "name = \"a\"\ncount = 7\nshare = 2\non = true\nkind = \"fancy\"\n\
                    pair = [1, 2]\ntable.x = [-1]\n[[block]]\nshare = 0.5\n";
        let block = read::<Block>(text).unwrap();
        assert_eq!(block.name.as_deref(), Some("a"));
        assert_eq!((block.count, block.share, block.on), (7, 2.0, true));
        assert_eq!((block.kind, block.pair), (Kind::Fancy, (1, 2)));
        assert_eq!(block.table["x"], [-1]);
        assert_eq!(block.block[0].share, 0.5);
        assert_eq!(toml::from_str::<Block>(text).unwrap().count, 7);
    }

    #[test]
    fn an_unknown_key_has_a_line_and_a_neighbour() {
        assert_eq!(
            refused("\nnmae = \"a\"\n"),
            (
                Some(2),
                "unknown key `nmae`; the nearest known one is `name`".to_owned()
            )
        );
        assert_eq!(with_hint("invalid type"), "invalid type");
    }

    #[test]
    fn the_line_is_that_of_the_innermost_value() {
        let misfits = [
            (
                "name = \"a\"\ncount = \"7\"\n",
                2,
                "string \"7\", expected u8",
            ),
            ("\ncount = 300\n", 2, "integer `300`, expected u8"),
            ("count = 1.5\n", 1, "floating point `1.5`, expected u8"),
            (
                "\n\nname = 2026-01-01\n",
                3,
                "date without quotes, expected a string",
            ),
            ("kind = 1\n", 1, "integer `1`, expected a string"),
            ("\nkind = \"other\"\n", 2, "unknown variant `other`"),
            ("pair = [\n1,\n\"x\"]\n", 3, "expected u8"),
            ("pair = [1]\n", 1, "invalid length 1"),
            (
                "table = { a = [1],\n b = [\n1,\ntrue] }\n",
                4,
                "boolean `true`, expected i64",
            ),
            (
                "[[block]]\n[[block]]\non = []\n",
                3,
                "sequence, expected a boolean",
            ),
            (
                "[[block]]\nname = \"a\"\n[[block.block]]\nnmae = 1\n",
                4,
                "`name`",
            ),
            ("block = 1\n", 1, "integer `1`, expected a sequence"),
            ("[block]\n", 1, "map, expected a sequence"),
            // serde would take the values of a type in a list, in an order that nobody promised.
            (
                "block = [[\n\"a\"]]\n",
                1,
                "sequence, expected struct Block",
            ),
        ];
        for (text, at, what) in misfits {
            let (line, message) = refused(text);
            assert_eq!(line, Some(at), "{text}: {message}");
            assert!(message.contains(what), "{text}: {message}");
        }
    }

    fn layers(text: &str) -> Result<Block, String> {
        read_layers(parsed(text).unwrap())
    }

    #[test]
    fn strings_of_layers_may_stand_for_what_is_wanted() {
        let text = "name = \"007\"\ncount = \"7\"\nshare = \"1e3\"\non = \"Yes\"\n";
        let block = layers(text).unwrap();
        assert_eq!(block.name.as_deref(), Some("007"));
        assert_eq!((block.count, block.share, block.on), (7, 1000.0, true));
        let wrong = [
            (
                "count = \"many\"",
                "count: invalid type: string \"many\", expected u8",
            ),
            (
                "[[block]]\non = \"maybe\"",
                "block[0].on: invalid type: string",
            ),
            (
                "[[block]]\nnmae = 1",
                "unknown key `nmae`; the nearest known one is `name`",
            ),
        ];
        for (text, begin) in wrong {
            let message = layers(text).unwrap_err();
            assert!(message.starts_with(begin), "{message}");
        }
    }

    proptest! {
        #[test]
        fn whatever_toml_reads_is_read_alike(text in "(count|share|on|nope)( = |\\.)(-?[0-9]{1,4}|[0-9]\\.[0-9]|true|\"x\"|x = 1)\n") {
            let Ok(table) = parsed(&text) else { return Ok(()) };
            let (ours, theirs) = (read_parsed::<Block>(table, &text), toml::from_str::<Block>(&text));
            match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                (Err(ours), Err(theirs)) => {
                    prop_assert_eq!(ours.message, with_hint(theirs.message()));
                    prop_assert_eq!(ours.line, Some(1));
                }
                (ours, theirs) => prop_assert!(false, "{ours:?} {theirs:?}"),
            }
        }
    }

    #[test]
    fn lines_are_counted_in_bytes() {
        assert_eq!(line_at("ä\nb", 3), 2);
        assert_eq!(line_at("ä\nb", 99), 2);
    }
}
