//! Marks of single values: a shape that people tell apart without its colour, and whiskers for
//! the uncertainty.

use super::{Scale, round};
use serde::Serialize;

/// Half the size of a mark in the picture.
const SIZE: f64 = 5.0;
/// Half the length of the stroke at a whisker's end.
const CAP: f64 = 3.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Circle,
    Square,
    Diamond,
    Up,
    Down,
    Hourglass,
    Cross,
    /// Of what was not measured here.
    Star,
}

impl Shape {
    pub const ALL: [Self; 8] = [
        Self::Circle,
        Self::Square,
        Self::Diamond,
        Self::Up,
        Self::Down,
        Self::Hourglass,
        Self::Cross,
        Self::Star,
    ];

    /// Its path around (x, y).
    pub fn path(self, x: f64, y: f64) -> String {
        let r = SIZE;
        let (x, y) = (round(x), round(y));
        match self {
            Self::Circle => format!(
                "M{} {y}a{r} {r} 0 1 0 {} 0a{r} {r} 0 1 0 -{} 0Z",
                round(x - r),
                2.0 * r,
                2.0 * r
            ),
            Self::Square => {
                let h = r * 0.9;
                format!(
                    "M{} {}h{}v{}h-{}Z",
                    round(x - h),
                    round(y - h),
                    2.0 * h,
                    2.0 * h,
                    2.0 * h
                )
            }
            Self::Diamond => {
                let h = r * 1.25;
                format!("M{x} {}l{h} {h}l-{h} {h}l-{h} -{h}Z", round(y - h))
            }
            Self::Up => format!("M{x} {}l5.5 9.5h-11Z", round(y - 5.8)),
            Self::Down => format!("M{x} {}l5.5 -9.5h-11Z", round(y + 5.8)),
            Self::Hourglass => format!("M{} {}h10l-10 10h10Z", round(x - r), round(y - r)),
            Self::Star => {
                let tip = format!("M{x} {}", round(y - 7.0));
                format!("{tip}l1.8 5.2l5.2 1.8l-5.2 1.8l-1.8 5.2l-1.8 -5.2l-5.2 -1.8l5.2 -1.8Z")
            }
            Self::Cross => {
                let corner = format!("M{} {}", round(x - 2.0), round(y - 5.5));
                format!("{corner}h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5Z")
            }
        }
    }
}

/// How far a value may be off, in the units of the axes; `None` where that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Whiskers {
    pub x: Option<f64>,
    pub y: Option<f64>,
}

/// A value in the picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    pub class: String,
    /// Path of the mark.
    pub mark: String,
    /// Path of the whiskers; empty without an uncertainty.
    pub whiskers: String,
    /// Shown when the pointer rests on it.
    pub title: String,
}

impl Point {
    /// The value at `at`, which lies on both scales.
    pub fn new(
        (x, at_x): (Scale, f64),
        (y, at_y): (Scale, f64),
        whiskers: Whiskers,
        (shape, class): (Shape, &str),
        title: String,
    ) -> Self {
        let (cx, cy) = (x.at(at_x), y.at(at_y));
        let mut path = String::new();
        if let Some(half) = whiskers.x {
            let (from, to) = (round(x.clamped(at_x - half)), round(x.clamped(at_x + half)));
            let (top, cap) = (round(cy - CAP), 2.0 * CAP);
            path = format!(
                "M{from} {top}v{cap}M{from} {}H{to}M{to} {top}v{cap}",
                round(cy)
            );
        }
        if let Some(half) = whiskers.y {
            let (from, to) = (round(y.clamped(at_y - half)), round(y.clamped(at_y + half)));
            let (left, cap) = (round(cx - CAP), 2.0 * CAP);
            path += &format!(
                "M{left} {from}h{cap}M{} {from}V{to}M{left} {to}h{cap}",
                round(cx)
            );
        }
        Self {
            class: class.to_owned(),
            mark: shape.path(cx, cy),
            whiskers: path,
            title,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Frame;
    use super::*;

    #[test]
    fn each_shape_is_another() {
        let mut paths: Vec<String> = Shape::ALL.iter().map(|s| s.path(0.0, 0.0)).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), Shape::ALL.len());
    }

    #[test]
    fn whiskers_end_at_the_axes() {
        let (x, y) = (Frame::WIDE.x(0.0, 10.0), Frame::WIDE.y(0.0, 10.0));
        let at = |half| Whiskers {
            x: Some(half),
            y: None,
        };
        let point = |half| {
            Point::new(
                (x, 5.0),
                (y, 5.0),
                at(half),
                (Shape::Circle, "a"),
                String::new(),
            )
        };
        assert_eq!(point(50.0).whiskers, point(5.0).whiskers);
        assert_ne!(point(2.0).whiskers, point(5.0).whiskers);
        let none = Point::new(
            (x, 5.0),
            (y, 5.0),
            Whiskers::default(),
            (Shape::Circle, "a"),
            String::new(),
        );
        assert_eq!(none.whiskers, "");
    }
}
