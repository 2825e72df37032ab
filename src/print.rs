//! `println!` and its like for commands whose reader may go before they end (`| head -1`).
//!
//! The macros of the standard library panic then. These shadow them in the whole library, so
//! that no command has to think of it: what nobody reads any more is dropped, and the command
//! runs to its end, stops what it has started, and its exit code still says how the work went.
//!
//! What is printed may come from the network or from a record: control characters in it, which
//! a terminal would obey, are shown as escapes of JSON, so that JSON stays the same JSON.

use std::fmt::{Arguments, Write as _};
use std::io::{ErrorKind, Write, stderr, stdout};

macro_rules! print {
    ($($text:tt)*) => { $crate::print::out(format_args!($($text)*)) };
}

macro_rules! println {
    () => { $crate::print::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::print::out(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprint {
    ($($text:tt)*) => { $crate::print::err(format_args!($($text)*)) };
}

macro_rules! eprintln {
    () => { $crate::print::err(format_args!("\n")) };
    ($($text:tt)*) => { $crate::print::err(format_args!("{}\n", format_args!($($text)*))) };
}

/// To standard output.
///
/// # Panics
///
/// Where it can't be written for another reason than that its reader is gone: a file on a full
/// disk must not look like the whole result.
pub fn out(text: Arguments) {
    match stdout()
        .lock()
        .write_all(harmless(&text.to_string()).as_bytes())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            panic!("the standard output can't be written: {error}")
        }
        _ => {}
    }
}

/// To standard error. Where that can't be written, there is nobody to tell.
pub fn err(text: Arguments) {
    let _ = stderr()
        .lock()
        .write_all(harmless(&text.to_string()).as_bytes());
}

/// The styles that commands use: none, bold, dim, underlined, and colours that can be read.
const STYLES: [&str; 10] = ["0", "1", "2", "4", "31", "32", "33", "34", "35", "36"];

/// `text` with nothing for a terminal to obey but line breaks, tabs and [`STYLES`].
pub fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match style(rest) {
            Some(style) => {
                safe.push_str(style);
                style.len()
            }
            None => {
                push(&mut safe, c);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    safe
}

fn push(safe: &mut String, c: char) {
    // They change the order in which characters are shown.
    let acts = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match c {
        '\n' | '\t' => safe.push(c),
        _ if c.is_control() || acts => {
            write!(safe, "\\u{:04x}", u32::from(c)).expect("a String takes everything");
        }
        _ => safe.push(c),
    }
}

/// The style that `text` begins with.
fn style(text: &str) -> Option<&str> {
    let (number, _) = text.strip_prefix("\u{1b}[")?.split_once('m')?;
    let length = "\u{1b}[m".len() + number.len();
    STYLES.contains(&number).then(|| &text[..length])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let title = "board \u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}8m\r\u{202e}\u{1b}[8mhidden\u{1b}";
        assert_eq!(
            harmless(title),
            r"board \u001b]0;owned\u0007\u001b[2J\u009b8m\u000d\u202e\u001b[8mhidden\u001b"
        );
    }

    #[test]
    #[cfg(feature = "lab")]
    fn the_styles_of_commands_stay() {
        let ours = console::style("treasure\n\té").bold().dim().underlined();
        for ours in [
            ours.clone().red(),
            ours.clone().green(),
            ours.clone().yellow(),
            ours.cyan(),
        ] {
            let ours = ours.force_styling(true).to_string();
            assert_eq!(harmless(&ours), ours);
        }
    }

    proptest! {
        #[test]
        fn json_stays_the_same_json(text in "(.|[\\x00-\\x1f\\x7f-\\x9f\\u{202e}]){0,40}") {
            let json = serde_json::to_string(&text).unwrap();
            let printed: String = serde_json::from_str(&harmless(&json)).unwrap();
            prop_assert_eq!(printed, text);
        }
    }
}
