//! Studies of the tests.

use super::manifest::Source;
use super::seat::{Seat, Unfit};
use super::study::Study;
use std::path::Path;

/// Of so many points that differ in their threads.
pub fn study(points: usize) -> Study {
    let threads: Vec<String> = (1..=points).map(|n| n.to_string()).collect();
    of(&format!(
        "name = 'test'\n[[matrix]]\nkind = 'bench'\nmodel = 'm.gguf'\nthreads = [{}]\n",
        threads.join(", ")
    ))
}

pub fn of(text: &str) -> Study {
    let source = Source::parse(Path::new("study.toml"), text.to_owned()).unwrap();
    Study::new(&source).unwrap()
}

/// A board that can run everything.
pub fn seat(study: &Study, device: &str) -> Seat {
    Seat::new(study, device, Unfit::new())
}
