//! Lines of styled text, wrapped and cut to a width.

use anstyle::Style;

/// Text that grows line by line, with styles in it.
#[derive(Default)]
pub struct Page {
    pub text: String,
}

impl Page {
    pub fn blank(&mut self) {
        self.text.push('\n');
    }

    pub fn line(&mut self, style: Style, text: &str) {
        self.line_of(&[(style, text.to_owned())]);
    }

    /// Parts beside each other, a space between them.
    pub fn parts(&mut self, parts: &[(Style, String)]) {
        let mut spaced = Vec::new();
        for (index, (style, text)) in parts.iter().enumerate() {
            if index > 0 {
                spaced.push((Style::new(), " ".to_owned()));
            }
            spaced.push((*style, text.clone()));
        }
        self.line_of(&spaced);
    }

    pub fn line_of(&mut self, parts: &[(Style, String)]) {
        let last = parts.iter().rposition(|(_, text)| !text.trim().is_empty());
        for (index, (style, text)) in parts.iter().enumerate() {
            if Some(index) > last {
                break;
            }
            let text = if Some(index) == last {
                text.trim_end()
            } else {
                text
            };
            self.text.push_str(&format!("{style}{text}{style:#}"));
        }
        self.text.push('\n');
    }

    /// Broken between words; every line but the first begins with as much space as `mark`
    /// takes, or with `mark` itself where that is a comment's.
    pub fn wrapped(&mut self, style: Style, mark: &str, text: &str, width: usize) {
        let indent = mark.chars().count();
        let mut lines: Vec<String> = Vec::new();
        for word in text.split_whitespace() {
            match lines.last_mut() {
                Some(line) if indent + line.chars().count() + 1 + word.chars().count() <= width => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        for (index, line) in lines.iter().enumerate() {
            let mark = if index == 0 || mark.starts_with('#') {
                mark.to_owned()
            } else {
                " ".repeat(indent)
            };
            self.line(style, &format!("{mark}{line}"));
        }
    }
}

/// `text` in at most `width` columns.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}
