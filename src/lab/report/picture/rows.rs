//! One row a configuration, a mark a value: reads on a phone as on a wall.

use super::{Key, Picture, cut, title};
use crate::lab::plot::{Frame, Plot, Point, Shape, Text, Whiskers, round};
use crate::lab::reason::sentence;
use crate::lab::report::assumptions::Reference;
use crate::lab::report::figure::{self, Figure};
use crate::lab::report::study::{Configuration, Standing, Study};
use crate::lab::report::table::{Scaled, missing};

/// More rows than a picture can be read with.
pub const MOST: usize = 40;
const ROW: f64 = 38.0;
/// From a row's top to its name and to its marks.
const NAME: f64 = 14.0;
const MARK: f64 = 26.0;
const CHARACTERS: usize = 64;
/// More of them have their place in the table alone.
const MOST_REFERENCES: usize = 24;
/// A value of others beyond so many times the study's largest is written, not drawn: it would
/// squeeze everything else.
const FARTHEST: f64 = 3.0;
const REFERENCE: (&str, Shape) = ("reference", Shape::Star);
const STYLES: [(&str, Shape); 3] = [
    ("s1", Shape::Circle),
    ("s2 hollow", Shape::Square),
    ("s3", Shape::Diamond),
];

fn frame(rows: usize) -> Frame {
    Frame {
        width: 480.0,
        height: 10.0 + ROW * rows as f64 + 44.0,
        left: 18.0,
        right: 16.0,
        top: 4.0,
        bottom: 44.0,
        x_ticks: 6,
    }
}

/// `figures`, by name with what the key calls them, of every configuration on one axis from
/// zero, and below them what others found of the first. `None` where no configuration has any.
pub fn rows(
    study: &Study,
    references: &[Reference],
    caption: &str,
    axis: &str,
    figures: &[(&str, &str)],
) -> Option<Picture> {
    let shown = &study.configurations[..study.configurations.len().min(MOST)];
    let figures: Vec<(&Figure, &str)> = figures
        .iter()
        .map(|(name, called)| (figure::named(name), *called))
        .collect();
    // The first has the unit of all: gross is never less than net.
    let scaled = Scaled::of(figures.first()?.0, study);
    let end = |(figure, _): &(&Figure, &str)| {
        let known = shown.iter().filter_map(|c| c.figure(figure).as_ref().ok());
        let ends = known.map(|p| p.value.mean + p.value.u95.unwrap_or_default());
        ends.max_by(f64::total_cmp)
    };
    let own = figures.iter().filter_map(end).max_by(f64::total_cmp)?;
    let first = figures.first()?.0.name;
    let mut others: Vec<&Reference> = references.iter().filter(|r| r.figure == first).collect();
    let all_others = others.len();
    others.truncate(MOST_REFERENCES);
    let near = |other: &&&Reference| other.value <= own * FARTHEST;
    let of_others = others.iter().filter(near).map(|other| other.value);
    let largest = of_others.fold(own, f64::max);
    let top = (largest * scaled.factor * 1.04).max(f64::MIN_POSITIVE);
    let frame = frame(shown.len() + others.len());
    let axis = format!("{axis} in {}", scaled.unit);
    let mut plot = Plot::new(frame, (0.0, top), (0.0, 0.0), &axis, "");
    plot.description = format!(
        "{caption}: one row for each of {} configurations",
        shown.len()
    );
    for (at, configuration) in shown.iter().enumerate() {
        let above = frame.top + 6.0 + ROW * at as f64;
        draw(
            &mut plot,
            frame,
            (0.0, top),
            above,
            configuration,
            &figures,
            &scaled,
        );
    }
    for (at, other) in others.iter().enumerate() {
        let above = frame.top + 6.0 + ROW * (shown.len() + at) as f64;
        draw_reference(&mut plot, frame, (0.0, top), above, other, &scaled);
    }
    let key = figures.iter().zip(STYLES);
    let mut key: Vec<Key> = match figures.len() {
        1 => Vec::new(),
        _ => key
            .map(|((_, called), style)| Key::new(style, called))
            .collect(),
    };
    if shown.iter().any(|c| c.standing == Standing::OnlyMarked) {
        key.push(Key::new(("faint", Shape::Circle), "† only of marked runs"));
    }
    if !others.is_empty() {
        key.push(Key::new(REFERENCE, "value of others, not measured here"));
    }
    Some(Picture {
        caption: caption.to_owned(),
        plot,
        key,
        bands: Vec::new(),
        note: beyond(study, all_others - others.len()),
    })
}

fn draw(
    plot: &mut Plot,
    frame: Frame,
    axis: (f64, f64),
    above: f64,
    configuration: &Configuration,
    figures: &[(&Figure, &str)],
    scaled: &Scaled,
) {
    let x = frame.x(axis.0, axis.1);
    // Pictures grow downwards: a scale that is the identity puts marks into their row.
    let y = Frame {
        top: 0.0,
        bottom: 0.0,
        ..frame
    }
    .y(frame.height, 0.0);
    let marked = configuration.standing == Standing::OnlyMarked;
    let dagger = if marked { " †" } else { "" };
    plot.texts.push(Text {
        x: frame.left,
        y: above + NAME,
        text: format!(
            "{}{dagger}",
            cut(&configuration.number_and_label(), CHARACTERS)
        ),
        class: "row",
        title: configuration.number_and_label(),
    });
    let known = figures
        .iter()
        .filter_map(|(figure, _)| configuration.figure(figure).as_ref().ok());
    let longest = known.map(|pooled| pooled.value.mean).fold(0.0, f64::max);
    let (from, line) = (round(x.at(axis.0)), round(above + MARK));
    let stem = format!(
        "M{from} {line}H{}",
        round(x.clamped(longest * scaled.factor))
    );
    plot.lines.push((stem, "stem".to_owned()));
    let mut absent = Vec::new();
    for ((figure, called), (class, shape)) in figures.iter().zip(STYLES) {
        match configuration.figure(figure) {
            Ok(pooled) => {
                let value = pooled.value.mean * scaled.factor;
                let whiskers = Whiskers {
                    x: pooled.value.u95.map(|u95| u95 * scaled.factor),
                    y: None,
                };
                let class = if marked {
                    format!("{class} faint")
                } else {
                    class.to_owned()
                };
                plot.points.push(Point::new(
                    (x, value),
                    (y, above + MARK),
                    whiskers,
                    (shape, &class),
                    title(configuration, called, scaled, pooled),
                ));
            }
            Err(reason) => absent.push((called, *reason)),
        }
    }
    if let Some((_, reason)) = absent.first() {
        let all = absent
            .iter()
            .map(|(called, reason)| format!("{called}: {}", missing(*reason)));
        let all: Vec<String> = all.collect();
        let nothing = absent.len() == figures.len();
        plot.texts.push(Text {
            x: round(frame.width - frame.right),
            // Beside the name only where marks need the line below it.
            y: above + if nothing { MARK + 4.0 } else { NAME },
            text: match figures.len() {
                1 => missing(*reason),
                _ => cut(&all.join(", "), if nothing { CHARACTERS } else { 32 }),
            },
            class: "absent",
            title: reason.map_or(String::new(), |reason| sentence(reason).to_owned()),
        });
    }
}

/// A value of others in a row of its own, without whiskers: how far it may be off is not known.
fn draw_reference(
    plot: &mut Plot,
    frame: Frame,
    axis: (f64, f64),
    above: f64,
    other: &Reference,
    scaled: &Scaled,
) {
    let x = frame.x(axis.0, axis.1);
    let y = Frame {
        top: 0.0,
        bottom: 0.0,
        ..frame
    }
    .y(frame.height, 0.0);
    let said = format!(
        "{}: {}, {} ({})",
        other.label(),
        other.stated,
        other.source,
        other.basis.as_str()
    );
    plot.texts.push(Text {
        x: frame.left,
        y: above + NAME,
        text: cut(&other.label(), CHARACTERS - 20),
        class: "row of-others",
        title: said.clone(),
    });
    let value = other.value * scaled.factor;
    let within = x.within(value);
    plot.texts.push(Text {
        x: round(frame.width - frame.right),
        y: above + if within { NAME } else { MARK + 4.0 },
        text: match within {
            true => other.basis.as_str().to_owned(),
            false => format!(
                "{} {} → beyond",
                scaled.number(other.value, None),
                scaled.unit
            ),
        },
        class: "absent",
        title: said.clone(),
    });
    if within {
        plot.points.push(Point::new(
            (x, value),
            (y, above + MARK),
            Whiskers::default(),
            (REFERENCE.1, REFERENCE.0),
            said,
        ));
    }
}

/// What a picture leaves out.
fn beyond(study: &Study, references: usize) -> String {
    let configurations = match study.configurations.len().saturating_sub(MOST) {
        0 => None,
        n => Some(format!(
            "{n} more configurations are in the table, not in this picture."
        )),
    };
    let references = match references {
        0 => None,
        n => Some(format!("{n} more values of others are in their table.")),
    };
    let notes: Vec<String> = configurations.into_iter().chain(references).collect();
    notes.join(" ")
}
