//! The pictures of a report. Each says by shape what it says by colour, and shows the same
//! numbers as a table.

mod against;
mod heat;
mod lines;
mod power;
mod rows;
mod scatter;

pub use against::against;
pub use heat::heat;
pub use lines::lines;
pub use power::{Detail, power};
pub use rows::rows;
pub use scatter::scatter;

use super::study::Configuration;
use super::table::Scaled;
use crate::lab::plot::{Plot, Shape};
use serde::Serialize;

/// Classes of the style sheet for what a picture tells apart, each with a shape of its own.
pub const SERIES: [(&str, Shape); 6] = [
    ("s1", Shape::Circle),
    ("s2", Shape::Square),
    ("s3", Shape::Diamond),
    ("s4", Shape::Up),
    ("s5", Shape::Down),
    ("s6", Shape::Hourglass),
];
/// For whatever comes after them.
pub const OTHERS: (&str, Shape) = ("s7", Shape::Cross);

/// A plot with its caption and key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Picture {
    pub caption: String,
    pub plot: Plot,
    pub key: Vec<Key>,
    /// Classes and names of bands.
    pub bands: Vec<(&'static str, &'static str)>,
    pub note: String,
}

/// What a mark stands for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Key {
    pub class: String,
    pub mark: String,
    /// Whether a line belongs to it.
    pub line: bool,
    pub name: String,
}

impl Key {
    fn new((class, shape): (&str, Shape), name: &str) -> Self {
        Self {
            class: class.to_owned(),
            mark: shape.path(0.0, 0.0),
            line: false,
            name: name.to_owned(),
        }
    }
}

/// `3 · 4 threads: decode 26.1 ± 0.2 tok/s (…)`.
fn title(
    configuration: &Configuration,
    what: &str,
    scaled: &Scaled,
    pooled: &super::study::Pooled,
) -> String {
    format!(
        "{}: {what} {} ({})",
        configuration.number_and_label(),
        scaled.show(pooled),
        scaled.behind(pooled)
    )
}

/// `text` in at most so many characters.
fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}
