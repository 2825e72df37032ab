//! Errors of TOML files as sentences with a line and the nearest known key, for the
//! configuration and for board profiles.

/// What is wrong in a file, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TomlError {
    pub line: Option<usize>,
    pub message: String,
}

impl TomlError {
    /// `text` is what was parsed.
    pub fn of(text: &str, error: &toml::de::Error) -> Self {
        Self {
            line: error.span().map(|span| line_at(text, span.start)),
            message: with_hint(error.message()),
        }
    }
}

/// The line of a byte, from 1.
pub fn line_at(text: &str, byte: usize) -> usize {
    let before = &text.as_bytes()[..byte.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Adds the nearest known key to serde's "unknown field `x`, expected one of `a`, `b`".
pub fn with_hint(message: &str) -> String {
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

    #[test]
    fn an_unknown_key_has_a_line_and_a_neighbour() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Block {
            #[expect(dead_code, reason = "only its name matters")]
            name: Option<String>,
        }
        let text = "\nnmae = \"a\"\n";
        let error = toml::from_str::<Block>(text).unwrap_err();
        let error = TomlError::of(text, &error);
        assert_eq!(error.line, Some(2));
        assert_eq!(
            error.message,
            "unknown key `nmae`; the nearest known one is `name`"
        );
        assert_eq!(with_hint("invalid type"), "invalid type");
    }

    #[test]
    fn lines_are_counted_in_bytes() {
        assert_eq!(line_at("ä\nb", 3), 2);
        assert_eq!(line_at("ä\nb", 99), 2);
    }
}
