//! What strangers say, fit for a terminal: whoever publishes chooses topics and texts.

use crate::units::{MonoNs, Span};

/// Characters of a text that are shown.
const LONGEST: usize = 240;
/// Of one kind of message.
const EVERY: Span = Span::from_millis(60_000);

/// The text without what a terminal would obey, and not longer than a few lines.
pub fn plain(text: &str) -> String {
    let mut shown = String::new();
    for (place, c) in text.chars().enumerate() {
        match c {
            _ if place == LONGEST => {
                shown.push('…');
                break;
            }
            c if c.is_control() || turns_text(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// Marks that let text run in another direction, or hide some of it.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Lets one message a minute through and counts the others.
#[derive(Debug, Default)]
pub struct Seldom {
    next: MonoNs,
    left_out: u64,
}

impl Seldom {
    /// `None` where this is to be left out, else for how many others it stands.
    pub fn pass(&mut self, count: u64, now: MonoNs) -> Option<u64> {
        if now < self.next {
            self.left_out += count;
            return None;
        }
        self.next = now + EVERY;
        Some(std::mem::take(&mut self.left_out) + count.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_terminal_is_given_no_orders() {
        assert_eq!(
            plain("\u{1b}]0;x\u{7}\u{9b}2J"),
            "\\u{1b}]0;x\\u{7}\\u{9b}2J"
        );
        assert_eq!(plain("5 µJ, a\u{202e}b"), "5 µJ, a\\u{202e}b");
    }

    proptest! {
        #[test]
        fn nothing_is_shown_that_is_long_or_a_control_character(text in "\\PC*|(.|\n|\u{9b}){0,400}") {
            let shown = plain(&text);
            prop_assert!(!shown.contains(char::is_control));
            prop_assert!(shown.chars().count() <= 10 * LONGEST + 1);
        }
    }

    #[test]
    fn one_a_minute_stands_for_the_others() {
        let start = MonoNs(1_000_000_000_000);
        let mut seldom = Seldom::default();
        assert_eq!(seldom.pass(3, start), Some(2));
        assert_eq!(seldom.pass(5, start + Span::from_millis(59_000)), None);
        assert_eq!(seldom.pass(1, start + EVERY), Some(5));
        assert_eq!(seldom.pass(1, start + EVERY + EVERY), Some(0));
    }
}
