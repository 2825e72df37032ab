//! How well models answer against the energy of a token: a mark a configuration.

use super::{Key, OTHERS, Picture, SERIES, title};
use crate::lab::plot::{Frame, Plot, Point, Text, Whiskers, round};
use crate::lab::report::configuration::Dimension;
use crate::lab::report::quality::Against;
use crate::lab::report::study::{Configuration, Study};
use crate::lab::report::table::Scaled;

const FRAME: Frame = Frame {
    width: 480.0,
    height: 320.0,
    left: 54.0,
    right: 16.0,
    top: 14.0,
    bottom: 44.0,
    x_ticks: 6,
};
/// More than these have no number beside them.
const NUMBERED: usize = 24;

pub fn against(study: &Study, found: &Against) -> Picture {
    let joules = Scaled::of(found.energy, study);
    let score = Scaled::of(found.score, study);
    let end = |of: &dyn Fn(usize) -> (f64, Option<f64>)| {
        let ends = (0..found.all.len()).map(|at| {
            let (mean, u95) = of(at);
            mean + u95.unwrap_or_default()
        });
        ends.fold(f64::MIN_POSITIVE, f64::max)
    };
    let right = end(&|at| (found.all[at].1.value.mean, found.all[at].1.value.u95));
    let top = end(&|at| (found.all[at].2.value.mean, found.all[at].2.value.u95));
    let (right, top) = (right * joules.factor * 1.08, top * score.factor * 1.08);
    let x_title = format!("energy per output token in {}", joules.unit);
    let mut plot = Plot::new(
        FRAME,
        (0.0, right),
        (0.0, top),
        &x_title,
        found.score.heading,
    );
    plot.description = format!(
        "{} on {} against energy per output token, {}",
        found.score.heading,
        found.data,
        found.scope.name()
    );
    let (x, y) = (FRAME.x(0.0, right), FRAME.y(0.0, top));
    let series = series(found);
    for (configuration, energy, quality) in &found.all {
        let name = of_model(configuration);
        let style = series.iter().position(|known| *known == name);
        let (class, shape) = style.and_then(|n| SERIES.get(n).copied()).unwrap_or(OTHERS);
        let at = (
            energy.value.mean * joules.factor,
            quality.value.mean * score.factor,
        );
        let whiskers = Whiskers {
            x: energy.value.u95.map(|u95| u95 * joules.factor),
            y: quality.value.u95.map(|u95| u95 * score.factor),
        };
        let text = format!(
            "{}, {} {}",
            title(configuration, "energy", &joules, energy),
            found.score.heading,
            score.show(quality)
        );
        plot.points.push(Point::new(
            (x, at.0),
            (y, at.1),
            whiskers,
            (shape, class),
            text,
        ));
        if found.all.len() <= NUMBERED {
            plot.texts.push(Text {
                x: round(x.at(at.0) + 9.0),
                y: round(y.at(at.1) - 8.0),
                text: configuration.number.to_string(),
                class: "number",
                title: configuration.number_and_label(),
            });
        }
    }
    let mut key: Vec<Key> = series
        .iter()
        .zip(SERIES)
        .map(|(name, style)| Key::new(style, name))
        .collect();
    if series.len() > SERIES.len() {
        key.push(Key::new(OTHERS, "other files"));
    }
    Picture {
        caption: format!(
            "{} on {} against energy per output token, gross ({})",
            capital(found.score.heading),
            found.data,
            found.scope.name()
        ),
        plot,
        key,
        bands: Vec::new(),
        note: "The score is that of the model's file, whatever configuration found it.".to_owned(),
    }
}

/// `SmolLM2-135M Q4_0`.
fn of_model(configuration: &Configuration) -> String {
    format!(
        "{} {}",
        configuration.text(Dimension::Model),
        configuration.text(Dimension::Quant)
    )
}

/// Files in the order of the configurations.
fn series(found: &Against) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (configuration, ..) in &found.all {
        let name = of_model(configuration);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
