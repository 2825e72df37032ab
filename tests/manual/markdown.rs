//! A document of `docs/` as the body of a manual page.

use crate::roff;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Headings become sections, tables lists of terms: a terminal has no room for three columns.
pub fn body(document: &str) -> String {
    let mut writer = Writer {
        after_heading: true,
        ..Writer::default()
    };
    for event in Parser::new_ext(document, Options::ENABLE_TABLES) {
        writer.take(event);
    }
    writer.page
}

#[derive(Default)]
struct Writer {
    page: String,
    /// The paragraph, heading or cell at work.
    text: String,
    cells: Vec<String>,
    after_heading: bool,
    in_code: bool,
    in_item: bool,
}

impl Writer {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => self.in_code = true,
            Event::Start(Tag::Item) => self.in_item = true,
            Event::Start(Tag::Strong) => self.text.push_str("\\fB"),
            Event::End(TagEnd::Strong) => self.text.push_str("\\fR"),
            Event::Text(text) if self.in_code => self.text.push_str(&text),
            Event::Text(text) => self.text.push_str(&roff::escaped(&text)),
            Event::Code(text) => self.text.push_str(&roff::code(&text)),
            Event::SoftBreak | Event::HardBreak => self.text.push(' '),
            Event::End(end) => self.end(end),
            _ => {}
        }
    }

    fn end(&mut self, end: TagEnd) {
        match end {
            TagEnd::Heading(level) => {
                let heading = std::mem::take(&mut self.text);
                match level as u8 {
                    // The document's title is the page's name, which has a heading already.
                    1 => {}
                    2 => self.block(&format!(".SH {}\n", heading.to_uppercase())),
                    _ => self.block(&format!(".SS {heading}\n")),
                }
            }
            // A heading makes its own space.
            TagEnd::Paragraph if self.after_heading => self.paragraph(""),
            TagEnd::Paragraph => self.paragraph(".PP\n"),
            TagEnd::Item => {
                self.in_item = false;
                self.paragraph(".IP \\(bu 2\n");
            }
            TagEnd::CodeBlock => {
                self.in_code = false;
                let text = std::mem::take(&mut self.text);
                let space = if self.after_heading { "" } else { ".PP\n" };
                self.block(&format!("{space}{}", roff::example(&text)));
            }
            TagEnd::TableCell => self.cells.push(std::mem::take(&mut self.text)),
            TagEnd::TableHead => {
                self.cells.clear();
            }
            TagEnd::TableRow => self.row(),
            _ => {}
        }
    }

    /// A loose item's paragraph is written with its bullet.
    fn paragraph(&mut self, macro_line: &str) {
        if self.in_item || self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        let text = roff::line(&text);
        self.block(&format!("{macro_line}{text}"));
    }

    /// The first cell is the term, a middle one its default.
    fn row(&mut self) {
        let cells = std::mem::take(&mut self.cells);
        let (term, middle, last) = match cells.as_slice() {
            [term, last] => (term, "", last),
            [term, middle, last] => (term, middle.as_str(), last),
            other => panic!("a table of {} columns", other.len()),
        };
        let middle = match middle {
            "" => String::new(),
            text => format!(" (default: {text})"),
        };
        let row = format!(
            ".TP\n{}{}",
            roff::line(&format!("{term}{middle}")),
            roff::line(last)
        );
        self.block(&row);
    }

    fn block(&mut self, text: &str) {
        self.after_heading = text.starts_with(".S");
        self.page.push_str(text);
    }
}
