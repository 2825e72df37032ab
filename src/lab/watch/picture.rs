//! What a terminal shows as an SVG, for the documents: the same bytes for the same buffer.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;

/// Of one cell, in pixels.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 18.0;
const BASELINE: f64 = 13.5;
const MARGIN: f64 = 12.0;

const GROUND: &str = "#14181d";
const TEXT: &str = "#d8dee6";
const DIM: &str = "#8a94a1";

/// Bars are drawn as what they mean, since fonts differ in them.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How a run of cells looks.
#[derive(PartialEq, Clone, Copy)]
struct Look {
    text: &'static str,
    ground: Option<&'static str>,
    bold: bool,
    underlined: bool,
}

pub fn svg(buffer: &Buffer, title: &str) -> String {
    let area = buffer.area;
    let width = f64::from(area.width) * WIDTH + 2.0 * MARGIN;
    let height = f64::from(area.height) * HEIGHT + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" \
         width=\"{width:.0}\" role=\"img\" aria-label=\"{title}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{GROUND}\"/>\n\
         <g font-family=\"'DejaVu Sans Mono','Liberation Mono',Menlo,Consolas,monospace\" \
         font-size=\"14\" xml:space=\"preserve\">\n"
    );
    for y in 0..area.height {
        let mut x = 0;
        while x < area.width {
            let look = look(&buffer[(x, y)]);
            let begin = x;
            let mut text = String::new();
            while x < area.width && self::look(&buffer[(x, y)]) == look {
                text.push_str(buffer[(x, y)].symbol());
                x += 1;
            }
            run(&mut svg, begin, x, y, &text, look);
        }
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

fn look(cell: &Cell) -> Look {
    let dim = cell.modifier.contains(Modifier::DIM);
    let text = match cell.fg {
        Color::Cyan => "#56c8d8",
        Color::Magenta => "#d98cd9",
        Color::Yellow => "#e6c35c",
        Color::Red => "#f07f6a",
        Color::DarkGray => DIM,
        _ if dim => DIM,
        _ => TEXT,
    };
    let reversed = cell.modifier.contains(Modifier::REVERSED);
    Look {
        text: if reversed { GROUND } else { text },
        ground: reversed.then_some(text),
        bold: cell.modifier.contains(Modifier::BOLD),
        underlined: cell.modifier.contains(Modifier::UNDERLINED),
    }
}

fn run(svg: &mut String, begin: u16, end: u16, y: u16, text: &str, look: Look) {
    let left = MARGIN + f64::from(begin) * WIDTH;
    let top = MARGIN + f64::from(y) * HEIGHT;
    let wide = f64::from(end - begin) * WIDTH;
    let mut write = |text: std::fmt::Arguments| {
        svg.write_fmt(text).expect("a String takes everything");
    };
    if let Some(ground) = look.ground {
        write(format_args!(
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{HEIGHT:.1}\" \
             fill=\"{ground}\"/>\n"
        ));
    }
    for (place, c) in text.chars().enumerate() {
        if let Some(level) = BARS.iter().position(|bar| *bar == c) {
            let tall = HEIGHT * (level + 1) as f64 / 8.0;
            let x = left + place as f64 * WIDTH;
            let y = top + HEIGHT - tall;
            write(format_args!(
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" \
                 fill=\"{}\"/>\n",
                WIDTH - 0.6,
                look.text
            ));
        }
    }
    let text: String = text
        .chars()
        .map(|c| if BARS.contains(&c) { ' ' } else { c })
        .collect();
    // Each word at its place: viewers may fold spaces.
    let mut place = 0;
    for word in text.split_inclusive(' ') {
        let length = word.chars().count();
        let letters = word.trim_end();
        if !letters.is_empty() {
            let x = left + place as f64 * WIDTH;
            let y = top + BASELINE;
            let wide = letters.chars().count() as f64 * WIDTH;
            let weight = if look.bold {
                " font-weight=\"bold\""
            } else {
                ""
            };
            let line = if look.underlined {
                " text-decoration=\"underline\""
            } else {
                ""
            };
            let letters = escaped(letters);
            write(format_args!(
                "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{wide:.1}\" \
                 lengthAdjust=\"spacingAndGlyphs\" fill=\"{}\"{weight}{line}>{letters}</text>\n",
                look.text
            ));
        }
        place += length;
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
