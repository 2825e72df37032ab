//! Plots as SVG: scales, ticks, paths and marks here, looks in `style.css`, elements in
//! `svg.html`. Coordinates are those of the `viewBox`.

pub mod attempt;
mod mark;
mod path;

pub use mark::{Point, Shape, Whiskers};
pub use path::{Window, area_path, line_path, marks_path, trace_path};
use serde::Serialize;

/// The macros that draw a [`Plot`].
pub const SVG: &str = include_str!("svg.html");
/// How pages and their plots look, in light, in the dark and in print.
pub const STYLE: &str = include_str!("style.css");

/// Width of a character of the plot's labels, roughly.
pub const CHARACTER: f64 = 6.6;

/// The size of a picture and the margins around its axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    pub width: f64,
    pub height: f64,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    /// About how many ticks the horizontal axis has.
    pub x_ticks: u32,
}

impl Frame {
    /// For what happens over time.
    pub const WIDE: Self = Self {
        width: 960.0,
        height: 300.0,
        left: 56.0,
        right: 12.0,
        top: 26.0,
        bottom: 44.0,
        x_ticks: 10,
    };

    pub fn x(self, from: f64, to: f64) -> Scale {
        Scale {
            data: (from, to),
            picture: (self.left, self.width - self.right),
        }
    }

    /// Up is more.
    pub fn y(self, from: f64, to: f64) -> Scale {
        Scale {
            data: (from, to),
            picture: (self.height - self.bottom, self.top),
        }
    }
}

/// A linear scale from data to picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    data: (f64, f64),
    picture: (f64, f64),
}

impl Scale {
    pub fn at(&self, value: f64) -> f64 {
        let share = (value - self.data.0) / (self.data.1 - self.data.0);
        self.picture.0 + share * (self.picture.1 - self.picture.0)
    }

    /// The same, but never beyond the ends of the axis.
    pub fn clamped(&self, value: f64) -> f64 {
        let (low, high) = (self.data.0.min(self.data.1), self.data.0.max(self.data.1));
        self.at(value.clamp(low, high))
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

/// Text in the picture, such as the name of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Text {
    pub x: f64,
    pub y: f64,
    pub text: String,
    pub class: &'static str,
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
    /// Further lines: path and class.
    pub lines: Vec<(String, String)>,
    /// Path of all marks, such as the moments of tokens.
    pub marks: String,
    pub points: Vec<Point>,
    pub texts: Vec<Text>,
    /// A level that the line is compared with.
    pub level: Option<Tick>,
}

impl Plot {
    /// Axes with round ticks and nothing in them. An empty range, such as that of an axis
    /// without numbers, has no ticks.
    pub fn new(frame: Frame, x: (f64, f64), y: (f64, f64), x_title: &str, y_title: &str) -> Self {
        let (x_scale, y_scale) = (frame.x(x.0, x.1), frame.y(y.0, y.1));
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
            width: frame.width,
            height: frame.height,
            left: frame.left,
            right: frame.width - frame.right,
            top: frame.top,
            bottom: frame.height - frame.bottom,
            x_title: x_title.to_owned(),
            y_title: y_title.to_owned(),
            description: String::new(),
            x_ticks: place(x_scale, ticks(x.0, x.1, frame.x_ticks)),
            y_ticks: place(y_scale, ticks(y.0, y.1, 5)),
            bands: Vec::new(),
            area: String::new(),
            line: String::new(),
            lines: Vec::new(),
            marks: String::new(),
            points: Vec::new(),
            texts: Vec::new(),
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
        let (left, right) = (x.at(from).max(x.picture.0), x.at(to).min(x.picture.1));
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
