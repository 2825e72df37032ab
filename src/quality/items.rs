//! Items of a `choice` job: JSON Lines, read strictly. A file may come from anywhere; an error
//! names the line and what is wrong, and repeats no text of it.

use crate::strict_json;
use serde::{Deserialize, Serialize};

/// A result names the choice of each item in 128 KiB, and half of that is left for the rest.
pub const MOST_ITEMS: usize = 20_000;
pub const MOST_CHOICES: usize = 64;
/// More than any context holds.
const MOST_LINE_BYTES: usize = 1 << 20;

/// A question with its possible answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What the model reads, such as `Question: Why?\nAnswer:`.
    #[serde(alias = "query")]
    pub context: String,
    pub choices: Vec<String>,
    /// Which choice is the right one, from 0.
    #[serde(alias = "label")]
    pub gold: usize,
    /// Between context and choice; counts for the likelihood, not for the choice's length.
    #[serde(default = "space")]
    pub delimiter: String,
}

fn space() -> String {
    " ".to_owned()
}

/// Why a file holds no items.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemsError {
    #[error("has no items")]
    Empty,
    #[error("has more than {MOST_ITEMS} items; split it")]
    TooMany,
    #[error("line {line}: is longer than {MOST_LINE_BYTES} bytes")]
    LongLine { line: usize },
    #[error("line {line}: {}{message}", field.as_ref().map(|f| format!("{f}: ")).unwrap_or_default())]
    Json {
        line: usize,
        field: Option<String>,
        message: String,
    },
    #[error("line {line}: {what}")]
    Item { line: usize, what: String },
}

/// Every item of a file. Blank lines are none.
pub fn parse(bytes: &[u8]) -> Result<Vec<Item>, ItemsError> {
    // Spreadsheets put one before their text.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut items = Vec::new();
    for (index, text) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        if text.len() > MOST_LINE_BYTES {
            return Err(ItemsError::LongLine { line });
        }
        if items.len() == MOST_ITEMS {
            return Err(ItemsError::TooMany);
        }
        let item: Item = strict_json::read(text).map_err(|error| ItemsError::Json {
            line,
            field: error.field,
            message: error.message,
        })?;
        match item.fault() {
            Some(what) => return Err(ItemsError::Item { line, what }),
            None => items.push(item),
        }
    }
    match items.is_empty() {
        true => Err(ItemsError::Empty),
        false => Ok(items),
    }
}

impl Item {
    fn fault(&self) -> Option<String> {
        let choices = self.choices.len();
        if self.context.trim().is_empty() {
            return Some("context: is empty, and a choice is scored after one".to_owned());
        }
        if !(2..=MOST_CHOICES).contains(&choices) {
            let fault = format!("choices: must be 2 to {MOST_CHOICES}, not {choices}");
            return Some(fault);
        }
        if let Some(empty) = self.choices.iter().position(String::is_empty) {
            return Some(format!("choices[{empty}]: is empty"));
        }
        (self.gold >= choices).then(|| {
            let last = choices - 1;
            format!(
                "gold: must be 0 to {last}, an index into choices, not {}",
                self.gold
            )
        })
    }

    /// Context and continuations as they are tokenised: white space at the context's end goes to
    /// the continuations, since tokenisers join it to the word that follows.
    pub fn texts(&self) -> (&str, impl Iterator<Item = String>) {
        let context = self.context.trim_end();
        let end = &self.context[context.len()..];
        let texts = self.choices.iter();
        let texts = texts.map(move |choice| format!("{end}{}{choice}", self.delimiter));
        (context, texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const SKY: &str = r#"{"context":"The sky is","choices":["blue","green"],"gold":0}"#;

    fn refused(text: &str) -> String {
        parse(text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn items_come_in_the_order_of_their_lines() {
        let query = r#"{"query":"2 + 2 =","choices":["4","5","6"],"label":0,"delimiter":""}"#;
        let text = format!("\u{feff}{SKY}\r\n\n{query}");
        let items = parse(text.as_bytes()).expect("both are items");
        assert_eq!(items.len(), 2);
        assert_eq!((items[0].delimiter.as_str(), items[1].gold), (" ", 0));
        assert_eq!(items[1].context, "2 + 2 =");
    }

    #[test]
    fn space_at_the_end_of_a_context_is_the_continuations() {
        let item = &parse(SKY.replace("is\"", "is \\n\"").as_bytes()).unwrap()[0];
        let (context, texts) = item.texts();
        assert_eq!(context, "The sky is");
        assert_eq!(texts.collect::<Vec<_>>(), [" \n blue", " \n green"]);
    }

    #[test]
    fn a_refusal_names_the_line_and_the_field_and_repeats_nothing() {
        let cases = [
            ("", "has no items"),
            ("\n \n", "has no items"),
            ("{", "line 1: EOF"),
            ("[]", "line 1: "),
            ("\"secret\"", "line 1: "),
            (
                r#"{"context":"secret","choices":["a"],"gold":0}"#,
                "line 1: choices: must be 2 to 64, not 1",
            ),
            (
                r#"{"context":" ","choices":["a","b"],"gold":0}"#,
                "line 1: context: is empty",
            ),
            (
                r#"{"context":"secret","choices":["a",""],"gold":0}"#,
                "line 1: choices[1]: is empty",
            ),
            (
                r#"{"context":"secret","choices":["a","b"],"gold":2}"#,
                "line 1: gold: must be 0 to 1",
            ),
            (
                r#"{"context":"secret","choices":["a","b"],"gold":-1}"#,
                "line 1: gold: ",
            ),
            (
                r#"{"context":"secret","choices":["a","b"],"gold":"a"}"#,
                "line 1: gold: ",
            ),
            (
                r#"{"context":"secret","choices":["a","b"]}"#,
                "line 1: gold: missing field",
            ),
            (
                r#"{"context":"secret","query":"x","choices":["a","b"],"gold":0}"#,
                "duplicate field",
            ),
            (
                r#"{"context":"secret","choices":["a","b"],"gold":0,"x":1}"#,
                "line 1: x: unknown field",
            ),
            (
                r#"{"context":"secret","choices":["a","b"],"gold":0} {}"#,
                "line 1: text follows",
            ),
        ];
        for (text, expected) in cases {
            let said = refused(text);
            assert!(said.contains(expected), "{text}: {said}");
            assert!(!said.contains("secret"), "{said}");
            if text.trim().is_empty() {
                continue;
            }
            let second = refused(&format!("{SKY}\n{text}x"));
            assert!(second.contains("line 2"), "{second}");
        }
        assert!(parse(b"{\"context\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_file_has_bounds() {
        let long = format!(r#"{{"context":"{}"}}"#, "x".repeat(MOST_LINE_BYTES));
        assert!(refused(&long).contains("line 1: is longer than"));
        let many = format!("{SKY}\n").repeat(MOST_ITEMS + 1);
        assert!(refused(&many).contains("more than 20000 items"));
        assert!(parse(&many.as_bytes()[SKY.len() + 1..]).is_ok());
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_can_be_an_item_is_one(
            context in "\\S.{0,40}",
            choices in proptest::collection::vec(".{1,20}", 2..8),
            gold: prop::sample::Index,
        ) {
            let gold = gold.index(choices.len());
            let line = json!({"context": context, "choices": choices, "gold": gold});
            let items = parse(line.to_string().as_bytes()).expect("an item");
            prop_assert_eq!(&items[0].context, &context);
            let (before, texts) = items[0].texts();
            for (text, choice) in texts.zip(&choices) {
                prop_assert_eq!(format!("{before}{text}"), format!("{context} {choice}"));
            }
        }
    }
}
