//! Plots as SVG: scales, ticks and paths here, looks in the page's style sheet. Coordinates
//! are those of the `viewBox`.

use serde::Serialize;
use std::fmt::Write;

pub const WIDTH: f64 = 960.0;
pub const HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 44.0;
/// More points than this in a column of the picture are drawn as their extremes.
const POINTS_A_COLUMN: usize = 2;
/// Width of a character of the plot's labels, roughly.
const CHARACTER: f64 = 6.6;

/// A linear scale from data to picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    data: (f64, f64),
    picture: (f64, f64),
}

impl Scale {
    pub fn x(from: f64, to: f64) -> Self {
        Self {
            data: (from, to),
            picture: (LEFT, WIDTH - RIGHT),
        }
    }

    /// Up is more.
    pub fn y(from: f64, to: f64) -> Self {
        Self {
            data: (from, to),
            picture: (HEIGHT - BOTTOM, TOP),
        }
    }

    pub fn at(&self, value: f64) -> f64 {
        let share = (value - self.data.0) / (self.data.1 - self.data.0);
        self.picture.0 + share * (self.picture.1 - self.picture.0)
    }

    pub fn within(&self, value: f64) -> bool {
        (self.data.0..=self.data.1).contains(&value)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tick {
    pub at: f64,
    pub label: String,
}

/// A coloured interval behind the lines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Band {
    pub class: String,
    pub x: f64,
    pub width: f64,
    /// Empty where it would not fit.
    pub label: String,
    /// Shown when the pointer rests on it.
    pub title: String,
}

/// Everything that the template draws.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plot {
    pub width: f64,
    pub height: f64,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    pub x_title: String,
    pub y_title: String,
    pub description: String,
    pub x_ticks: Vec<Tick>,
    pub y_ticks: Vec<Tick>,
    pub bands: Vec<Band>,
    /// Area of an uncertainty.
    pub area: String,
    pub line: String,
    /// Path of all marks, such as the moments of tokens.
    pub marks: String,
    /// A level that the line is compared with.
    pub level: Option<Tick>,
}

impl Plot {
    pub fn new(x: (f64, f64), y: (f64, f64), x_title: &str, y_title: &str) -> Self {
        let (x_scale, y_scale) = (Scale::x(x.0, x.1), Scale::y(y.0, y.1));
        let place = |scale: Scale, ticks: Vec<(f64, String)>| {
            ticks
                .into_iter()
                .map(|(value, label)| Tick {
                    at: round(scale.at(value)),
                    label,
                })
                .collect()
        };
        Self {
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            right: WIDTH - RIGHT,
            top: TOP,
            bottom: HEIGHT - BOTTOM,
            x_title: x_title.to_owned(),
            y_title: y_title.to_owned(),
            description: String::new(),
            x_ticks: place(x_scale, ticks(x.0, x.1, 10)),
            y_ticks: place(y_scale, ticks(y.0, y.1, 5)),
            bands: Vec::new(),
            area: String::new(),
            line: String::new(),
            marks: String::new(),
            level: None,
        }
    }
}

impl Band {
    /// An interval; `None` where no part of it is in the picture.
    pub fn new(
        x: Scale,
        from: f64,
        to: f64,
        class: &str,
        label: &str,
        title: String,
    ) -> Option<Self> {
        let (left, right) = (x.at(from).max(LEFT), x.at(to).min(WIDTH - RIGHT));
        if right <= left {
            return None;
        }
        let fits = label.chars().count() as f64 * CHARACTER <= right - left;
        Some(Self {
            class: class.to_owned(),
            x: round(left),
            // A short phase is still to be seen.
            width: round((right - left).max(1.0)),
            label: if fits {
                label.to_owned()
            } else {
                String::new()
            },
            title,
        })
    }
}

/// Round values from `from` to `to`, about `wanted` of them, in steps of 1, 2 or 5.
pub fn ticks(from: f64, to: f64, wanted: u32) -> Vec<(f64, String)> {
    let span = to - from;
    if !(span.is_finite() && span > 0.0) {
        return Vec::new();
    }
    let raw = span / f64::from(wanted);
    let decade = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * decade)
        .find(|step| *step >= raw * 0.999)
        .unwrap_or(10.0 * decade);
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let first = (from / step - 1e-9).ceil() as i64;
    let last = (to / step + 1e-9).floor() as i64;
    (first..=last)
        .map(|n| {
            let value = n as f64 * step;
            // Without a sign on zero.
            let value = if n == 0 { 0.0 } else { value };
            (value, format!("{value:.decimals$}"))
        })
        .collect()
}

/// A window of a trace: from, to and power, in the units of the axes; `None` is a gap.
pub type Window = (f64, f64, Option<f64>);

/// The path of a trace. Windows are drawn as the steps that they are, or, where there are
/// more of them than the picture has columns, as their extremes in each column.
pub fn trace_path(windows: &[Window], x: Scale, y: Scale) -> String {
    let columns = (WIDTH - LEFT - RIGHT) as usize;
    let seen: Vec<&Window> = windows
        .iter()
        .filter(|(from, to, _)| x.within(*from) || x.within(*to))
        .collect();
    if seen.len() <= columns * POINTS_A_COLUMN {
        return steps(&seen, x, y);
    }
    extremes(&seen, x, y)
}

fn steps(windows: &[&Window], x: Scale, y: Scale) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    for (from, to, power) in windows {
        let Some(power) = power else {
            pen_down = false;
            continue;
        };
        let (left, right, level) = (round(x.at(*from)), round(x.at(*to)), round(y.at(*power)));
        if pen_down {
            push(&mut path, format_args!("V{level}H{right}"));
        } else {
            push(&mut path, format_args!("M{left} {level}H{right}"));
        }
        pen_down = true;
    }
    path
}

fn extremes(windows: &[&Window], x: Scale, y: Scale) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    let column = |window: &Window| x.at((window.0 + window.1) / 2.0).floor();
    for group in windows.chunk_by(|a, b| column(a) == column(b)) {
        let known = || group.iter().filter_map(|window| window.2);
        let low = known().fold(f64::INFINITY, f64::min);
        let high = known().fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            pen_down = false;
            continue;
        }
        let letter = if pen_down { 'L' } else { 'M' };
        let (at, low, high) = (column(group[0]), round(y.at(low)), round(y.at(high)));
        push(&mut path, format_args!("{letter}{at} {low}V{high}"));
        pen_down = true;
    }
    path
}

/// The path through `points`; a `None` breaks it.
pub fn line_path(points: impl Iterator<Item = Option<(f64, f64)>>, x: Scale, y: Scale) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    for point in points {
        if let Some((at, value)) = point {
            let letter = if pen_down { 'L' } else { 'M' };
            let (at, value) = (round(x.at(at)), round(y.at(value)));
            push(&mut path, format_args!("{letter}{at} {value}"));
        }
        pen_down = point.is_some();
    }
    path
}

/// The area between `low` and `high` of `(at, low, high)`.
pub fn area_path(points: &[(f64, f64, f64)], x: Scale, y: Scale) -> String {
    let upper = points.iter().map(|(at, _, high)| (*at, *high));
    let lower = points.iter().rev().map(|(at, low, _)| (*at, *low));
    let mut path = line_path(upper.chain(lower).map(Some), x, y);
    if !path.is_empty() {
        path.push('Z');
    }
    path
}

/// Short strokes at the foot of the picture.
pub fn marks_path(at: impl Iterator<Item = f64>, x: Scale, length: f64) -> String {
    let foot = HEIGHT - BOTTOM;
    let mut path = String::new();
    for at in at.filter(|at| x.within(*at)) {
        push(
            &mut path,
            format_args!("M{} {foot}v-{length}", round(x.at(at))),
        );
    }
    path
}

fn push(path: &mut String, part: std::fmt::Arguments<'_>) {
    path.write_fmt(part).expect("a String takes everything");
}

/// A tenth of a pixel is more than a screen shows.
pub fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        let labels = |from, to, n| -> Vec<String> {
            ticks(from, to, n).into_iter().map(|tick| tick.1).collect()
        };
        assert_eq!(labels(0.0, 8.0, 5), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(0.03, 0.1, 4), ["0.04", "0.06", "0.08", "0.10"]);
        assert!(ticks(1.0, 1.0, 5).is_empty());
        assert!(ticks(0.0, f64::NAN, 5).is_empty());
    }

    #[test]
    fn a_gap_lifts_the_pen() {
        let (x, y) = (Scale::x(0.0, 3.0), Scale::y(0.0, 10.0));
        let windows = [
            (0.0, 1.0, Some(5.0)),
            (1.0, 2.0, None),
            (2.0, 3.0, Some(5.0)),
        ];
        assert_eq!(trace_path(&windows, x, y).matches('M').count(), 2);
    }

    #[test]
    fn a_long_trace_keeps_its_extremes() {
        let (x, y) = (Scale::x(0.0, 100_000.0), Scale::y(0.0, 10.0));
        let windows: Vec<Window> = (0..100_000)
            .map(|n| {
                let at = f64::from(n);
                let power = if n == 50_000 { 9.0 } else { 1.0 };
                (at, at + 1.0, Some(power))
            })
            .collect();
        let path = trace_path(&windows, x, y);
        assert!(path.len() < 30_000);
        assert!(path.contains(&format!("V{}", round(y.at(9.0)))));
    }

    proptest! {
        #[test]
        fn there_are_a_few_ticks_and_all_within(from in -1e6..1e6f64, span in 1e-3..1e6f64) {
            let found = ticks(from, from + span, 5);
            prop_assert!((2..=8).contains(&found.len()), "{found:?}");
            for (value, _) in found {
                let slack = span * 1e-6;
                prop_assert!(value >= from - slack && value <= from + span + slack);
            }
        }
    }
}
