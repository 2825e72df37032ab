//! Paths of lines, areas and traces in the picture.

use super::{Scale, round};
use std::fmt::Write;

/// More points than this in a column of the picture are drawn as their extremes.
const POINTS_A_COLUMN: usize = 2;

/// A window of a trace: from, to and power, in the units of the axes; `None` is a gap.
pub type Window = (f64, f64, Option<f64>);

/// The path of a trace. Windows are drawn as the steps that they are, or, where there are
/// more of them than the picture has columns, as their extremes in each column.
pub fn trace_path(windows: &[Window], x: Scale, y: Scale) -> String {
    let columns = (x.picture.1 - x.picture.0) as usize;
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

/// Short strokes that stand at `foot`.
pub fn marks_path(at: impl Iterator<Item = f64>, x: Scale, foot: f64, length: f64) -> String {
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

#[cfg(test)]
mod tests {
    use super::super::Frame;
    use super::*;

    #[test]
    fn a_gap_lifts_the_pen() {
        let (x, y) = (Frame::WIDE.x(0.0, 3.0), Frame::WIDE.y(0.0, 10.0));
        let windows = [
            (0.0, 1.0, Some(5.0)),
            (1.0, 2.0, None),
            (2.0, 3.0, Some(5.0)),
        ];
        assert_eq!(trace_path(&windows, x, y).matches('M').count(), 2);
    }

    #[test]
    fn a_long_trace_keeps_its_extremes() {
        let (x, y) = (Frame::WIDE.x(0.0, 100_000.0), Frame::WIDE.y(0.0, 10.0));
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
}
