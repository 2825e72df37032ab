//! How a figure depends on a number that was varied: a line for each set of configurations that
//! differ in that number alone.

use super::{Key, Picture, SERIES, title};
use crate::lab::plot::{Frame, Plot, Point, Whiskers, line_path};
use crate::lab::report::configuration::{Dimension, Value};
use crate::lab::report::figure;
use crate::lab::report::study::{Configuration, Pooled, Study};
use crate::lab::report::table::Scaled;
use std::collections::BTreeMap;

const FRAME: Frame = Frame {
    width: 480.0,
    height: 300.0,
    left: 64.0,
    right: 16.0,
    top: 14.0,
    bottom: 44.0,
    x_ticks: 6,
};

/// A configuration at its number.
type At<'a> = (u64, &'a Configuration, &'a Pooled);

/// The figure `name` over `dimension`, of these configurations. `None` where none differ in it
/// alone.
pub fn lines(
    study: &Study,
    configurations: &[&Configuration],
    caption: &str,
    dimension: Dimension,
    (name, axis): (&str, &str),
) -> Option<Picture> {
    let figure = figure::named(name);
    let rest: Vec<Dimension> = study
        .varying
        .iter()
        .copied()
        .filter(|other| *other != dimension)
        .collect();
    let mut sets: BTreeMap<Vec<&Value>, Vec<At>> = BTreeMap::new();
    for configuration in configurations {
        let Value::Number(number) = configuration.key.value(dimension) else {
            continue;
        };
        let Ok(pooled) = configuration.figure(figure) else {
            continue;
        };
        let others = rest.iter().map(|other| configuration.key.value(*other));
        let set = sets.entry(others.collect()).or_default();
        set.push((*number, configuration, pooled));
    }
    sets.retain(|_, set| set.len() > 1);
    let left_out = sets.len().saturating_sub(SERIES.len());
    let shown: Vec<&mut Vec<At>> = sets.values_mut().take(SERIES.len()).collect();
    let ends = shown
        .iter()
        .flat_map(|set| set.iter())
        .map(|(x, _, pooled)| {
            let value = &pooled.value;
            (*x as f64, value.mean + value.u95.unwrap_or_default())
        });
    let (right, top) = ends.reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))?;
    let scaled = Scaled::of(figure, study);
    let (right, top) = (right * 1.06, top * scaled.factor * 1.08);
    let axis = format!("{axis} in {}", scaled.unit);
    let mut plot = Plot::new(FRAME, (0.0, right), (0.0, top), dimension.heading(), &axis);
    plot.description = format!("{caption}: a line for each of {} sets", shown.len());
    let (x, y) = (FRAME.x(0.0, right), FRAME.y(0.0, top));
    let naming: Vec<Dimension> = study
        .naming
        .iter()
        .copied()
        .filter(|other| *other != dimension)
        .collect();
    let mut key = Vec::new();
    for (set, (class, shape)) in shown.into_iter().zip(SERIES) {
        set.sort_by_key(|(number, ..)| *number);
        let points = set
            .iter()
            .map(|(at, _, pooled)| Some((*at as f64, pooled.value.mean * scaled.factor)));
        plot.lines.push((line_path(points, x, y), class.to_owned()));
        for (at, configuration, pooled) in set.iter() {
            let whiskers = Whiskers {
                x: None,
                y: pooled.value.u95.map(|u95| u95 * scaled.factor),
            };
            plot.points.push(Point::new(
                (x, *at as f64),
                (y, pooled.value.mean * scaled.factor),
                whiskers,
                (shape, class),
                title(configuration, figure.heading, &scaled, pooled),
            ));
        }
        let name = set[0].1.key.label(&naming);
        key.push(Key {
            line: true,
            ..Key::new((class, shape), &name)
        });
    }
    Some(Picture {
        caption: caption.to_owned(),
        plot,
        key,
        bands: Vec::new(),
        note: match left_out {
            0 => String::new(),
            n => format!("{n} more lines are in the table, not in this picture."),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::report::study::Marked;
    use crate::lab::testing;
    use crate::record::Stamped;
    use crate::record::result::JobResult;

    /// Threads, context, KV bytes.
    fn run((threads, n_ctx, kv_bytes): (u32, u32, u64)) -> Stamped<JobResult> {
        let mut run = testing::result();
        run.body.left_out.clear();
        run.body.id = format!("{threads}-{n_ctx}");
        let engine = run.body.engine.as_mut().unwrap();
        (engine.threads, engine.n_ctx) = (threads, n_ctx);
        run.body.memory.kv_bytes = Some(kv_bytes);
        run
    }

    fn of_context(all: &[(u32, u32, u64)]) -> Option<Picture> {
        let study = Study::new(all.iter().copied().map(run).collect(), Marked::LeftOut);
        let every: Vec<&Configuration> = study.standing().collect();
        let figure = ("kv_bytes", "memory");
        lines(&study, &every, "KV cache", Dimension::Context, figure)
    }

    #[test]
    fn a_line_joins_what_differs_in_that_number_alone() {
        let picture = of_context(&[
            (2, 512, 10_000_000),
            (2, 1024, 20_000_000),
            (2, 2048, 40_000_000),
            (4, 512, 11_000_000),
            (4, 2048, 41_000_000),
            (8, 4096, 80_000_000),
        ])
        .unwrap();
        let names: Vec<&str> = picture.key.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(names, ["2 threads", "4 threads"]);
        assert_eq!(
            (picture.plot.lines.len(), picture.plot.points.len()),
            (2, 5)
        );
        assert_eq!(picture.plot.y_title, "memory in MB");
    }

    #[test]
    fn without_two_numbers_there_is_no_line() {
        assert!(of_context(&[(2, 512, 10), (4, 1024, 20)]).is_none());
        assert!(of_context(&[(2, 512, 10)]).is_none());
    }
}
