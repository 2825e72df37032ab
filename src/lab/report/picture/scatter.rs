//! Speed against energy: which configurations no other beats in both.

use super::{Key, OTHERS, Picture, SERIES, title};
use crate::lab::plot::{Frame, Plot, Point, Text, Whiskers, round};
use crate::lab::report::configuration::Dimension;
use crate::lab::report::figure;
use crate::lab::report::findings::Scope;
use crate::lab::report::study::{Configuration, Study};
use crate::lab::report::table::Scaled;

const FRAME: Frame = Frame {
    width: 480.0,
    height: 360.0,
    left: 54.0,
    right: 16.0,
    top: 14.0,
    bottom: 44.0,
    x_ticks: 6,
};
/// More points than can be told apart.
const MOST: usize = 500;
/// More than these have no number beside them, unless they are on the front.
const NUMBERED: usize = 24;

/// One configuration in the picture's units.
#[derive(Debug, Clone, Copy)]
struct At<'a> {
    configuration: &'a Configuration,
    tok_s: f64,
    joules: f64,
}

/// Configurations of one scope. `None` with fewer than two that have both figures.
pub fn scatter(study: &Study, scope: &Scope, configurations: &[&Configuration]) -> Option<Picture> {
    let (speed, energy) = (
        figure::named("decode_tok_s"),
        figure::named("j_per_output_token"),
    );
    let scaled = Scaled::of(energy, study);
    let rate = Scaled::of(speed, study);
    let mut all: Vec<At> = configurations
        .iter()
        .filter_map(|configuration| {
            Some(At {
                configuration,
                tok_s: configuration.figure(speed).as_ref().ok()?.value.mean,
                joules: configuration.figure(energy).as_ref().ok()?.value.mean * scaled.factor,
            })
        })
        .collect();
    let left_out = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    if all.len() < 2 {
        return None;
    }
    let right = all.iter().map(|at| at.tok_s).fold(0.0, f64::max) * 1.1;
    let top = all.iter().map(|at| at.joules).fold(0.0, f64::max) * 1.12;
    let energy_axis = format!("energy per output token in {}", scaled.unit);
    let mut plot = Plot::new(
        FRAME,
        (0.0, right),
        (0.0, top),
        "decode in tok/s",
        &energy_axis,
    );
    let (x, y) = (FRAME.x(0.0, right), FRAME.y(0.0, top));
    let front = front(&all);
    let mut steps = String::new();
    for (n, at) in front.iter().enumerate() {
        let (px, py) = (round(x.at(at.tok_s)), round(y.at(at.joules)));
        match n {
            0 => steps = format!("M{px} {py}"),
            _ => steps += &format!("L{px} {py}"),
        }
    }
    plot.lines.push((steps, "front".to_owned()));
    let series = series(&all);
    for at in &all {
        let name = series_name(at.configuration);
        let style = series.iter().position(|known| *known == name);
        let (class, shape) = style.and_then(|n| SERIES.get(n).copied()).unwrap_or(OTHERS);
        let pooled = |figure| at.configuration.figure(figure).as_ref().ok();
        let (speed, energy) = (pooled(speed)?, pooled(energy)?);
        let whiskers = Whiskers {
            x: speed.value.u95,
            y: energy.value.u95.map(|u95| u95 * scaled.factor),
        };
        let text = format!(
            "{}, at {}",
            title(at.configuration, "decode", &scaled, energy),
            rate.show(speed)
        );
        plot.points.push(Point::new(
            (x, at.tok_s),
            (y, at.joules),
            whiskers,
            (shape, class),
            text,
        ));
        let on_front = front
            .iter()
            .any(|other| other.configuration.number == at.configuration.number);
        if on_front || all.len() <= NUMBERED {
            plot.texts.push(Text {
                x: round(x.at(at.tok_s) + 9.0),
                y: round(y.at(at.joules) - 8.0),
                text: at.configuration.number.to_string(),
                class: if on_front {
                    "number on-front"
                } else {
                    "number"
                },
                title: at.configuration.number_and_label(),
            });
        }
    }
    let mut key: Vec<Key> = match series.len() {
        1 => Vec::new(),
        _ => series
            .iter()
            .zip(SERIES)
            .map(|(name, style)| Key::new(style, name))
            .collect(),
    };
    if series.len() > SERIES.len() {
        key.push(Key::new(OTHERS, "other models"));
    }
    key.push(Key {
        class: "front".to_owned(),
        mark: String::new(),
        line: true,
        name: "Pareto front: no other is both faster and leaner".to_owned(),
    });
    plot.description = format!(
        "Decode speed against energy per output token, {}",
        scope.name()
    );
    Some(Picture {
        caption: format!("Speed against energy, gross ({})", scope.name()),
        plot,
        key,
        bands: Vec::new(),
        note: match left_out {
            0 => String::new(),
            n => format!("{n} more configurations are in the table, not in this picture."),
        },
    })
}

/// Those that no other is at least as good as in both and better in one, from slow to fast.
fn front<'a>(all: &[At<'a>]) -> Vec<At<'a>> {
    let beaten = |at: &At| {
        all.iter().any(|other| {
            other.tok_s >= at.tok_s
                && other.joules <= at.joules
                && (other.tok_s > at.tok_s || other.joules < at.joules)
        })
    };
    let mut front: Vec<At> = all.iter().filter(|at| !beaten(at)).copied().collect();
    front.sort_by(|a, b| a.tok_s.total_cmp(&b.tok_s));
    front
}

fn series_name(configuration: &Configuration) -> String {
    configuration.text(Dimension::Model)
}

/// Models in the order of the configurations.
fn series(all: &[At]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for at in all {
        let name = series_name(at.configuration);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::report::study::Marked;
    use crate::lab::testing;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// Of which every point is.
    static STUDY: LazyLock<Study> =
        LazyLock::new(|| Study::new(vec![testing::result()], Marked::Included));

    proptest! {
        #[test]
        fn no_point_of_the_front_is_beaten_and_every_other_is(
            values in prop::collection::vec((1.0..100.0f64, 1.0..100.0f64), 1..40),
        ) {
            let configuration = &STUDY.configurations[0];
            let all: Vec<At> = values
                .iter()
                .map(|&(tok_s, joules)| At { configuration, tok_s, joules })
                .collect();
            let found = front(&all);
            prop_assert!(!found.is_empty());
            prop_assert!(found.windows(2).all(|w| w[0].joules <= w[1].joules));
            for at in &all {
                let at_least = found.iter().any(|f| f.tok_s >= at.tok_s && f.joules <= at.joules);
                prop_assert!(at_least);
            }
        }
    }
}
