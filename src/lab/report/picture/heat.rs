//! Temperature over the run: at the ends of repetitions, of one run a configuration.

use super::{Key, Picture, SERIES};
use crate::lab::plot::{Frame, Plot, Point, Whiskers, line_path};
use crate::lab::report::study::{Configuration, Study};
use crate::record::result::JobResult;

const FRAME: Frame = Frame {
    width: 480.0,
    height: 300.0,
    left: 54.0,
    right: 16.0,
    top: 14.0,
    bottom: 44.0,
    x_ticks: 6,
};

const NOTE: &str =
    "At the start and end of each repetition of one run; the axis does not begin at zero.";

/// Seconds since the attempt's start, and °C.
type Reading = (f64, f64);

/// The first runs that know their temperature, as many as lines can be told apart. `None` where
/// none does.
pub fn heat(study: &Study) -> Option<Picture> {
    let runs: Vec<(&Configuration, Vec<Reading>)> = study
        .configurations
        .iter()
        .filter_map(|configuration| {
            let of_run = |at: &usize| readings(&study.runs[*at].body);
            let found = configuration
                .counted
                .iter()
                .map(of_run)
                .find(|found| found.len() > 1)?;
            Some((configuration, found))
        })
        .collect();
    let shown = &runs[..runs.len().min(SERIES.len())];
    let all = || shown.iter().flat_map(|(_, readings)| readings);
    let end = all().map(|reading| reading.0).max_by(f64::total_cmp)?;
    let begin = all().map(|reading| reading.0).min_by(f64::total_cmp)?;
    let low = all().map(|reading| reading.1).min_by(f64::total_cmp)?;
    let high = all().map(|reading| reading.1).max_by(f64::total_cmp)?;
    let pad = (high - low).max(2.0) * 0.12;
    let margin = (end - begin) * 0.03;
    let (x_range, y_range) = ((begin - margin, end + margin), (low - pad, high + pad));
    let mut plot = Plot::new(
        FRAME,
        x_range,
        y_range,
        "time since the start in s",
        "temperature in °C",
    );
    let (x, y) = (FRAME.x(x_range.0, x_range.1), FRAME.y(y_range.0, y_range.1));
    let mut key = Vec::new();
    for ((configuration, readings), (class, shape)) in shown.iter().zip(SERIES) {
        let points = readings.iter().map(|reading| Some(*reading));
        plot.lines.push((line_path(points, x, y), class.to_owned()));
        for (at, celsius) in readings {
            let name = configuration.number_and_label();
            let title = format!("{name}: {celsius:.1} °C after {at:.1} s");
            plot.points.push(Point::new(
                (x, *at),
                (y, *celsius),
                Whiskers::default(),
                (shape, class),
                title,
            ));
        }
        key.push(Key {
            line: true,
            ..Key::new((class, shape), &configuration.number_and_label())
        });
    }
    plot.description = "Temperature over the run, at the ends of repetitions".to_owned();
    Some(Picture {
        caption: "Temperature over the run".to_owned(),
        plot,
        key,
        bands: Vec::new(),
        note: match runs.len() - shown.len() {
            0 => NOTE.to_owned(),
            n => format!("{NOTE} {n} more configurations are in the table, not in this picture."),
        },
    })
}

/// At the start of the first repetition and the end of each.
fn readings(result: &JobResult) -> Vec<Reading> {
    let Some(timeline) = result
        .primary_rail
        .as_ref()
        .and_then(|rail| result.timeline.get(rail))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for rep in &result.reps {
        let of_rep = || {
            timeline
                .iter()
                .filter(|interval| interval.rep == Some(rep.rep))
        };
        let begins = of_rep().map(|interval| interval.t0_ns).min();
        let ends = of_rep().map(|interval| interval.t1_ns).max();
        for (at, moment) in [(begins, &rep.start), (ends, &rep.end)] {
            let celsius = moment.as_ref().and_then(|moment| moment.temperature_c);
            if let (Some(at), Some(celsius)) = (at, celsius) {
                found.push((at as f64 * 1e-9, celsius));
            }
        }
    }
    found.dedup();
    found
}
