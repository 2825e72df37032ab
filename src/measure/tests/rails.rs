//! Rails beside one another, and runs that summaries leave out.

use super::*;
use crate::board::Finding;
use crate::record::result::LeftOut;
use crate::sensor::{Boundary, RailSpec};

fn inside(name: &str, boundary: Boundary, outer: &str) -> RailSpec {
    RailSpec {
        boundary,
        contained_in: Some(outer.to_owned()),
        ..real_rail(name)
    }
}

/// The same attempt as a rail sees it that takes `slope` times its power and `offset_w` more.
fn wider(play: &Play, spec: RailSpec, slope: f64, offset_w: f64) -> Recorded {
    play.delivered(spec, Span::from_millis(5), |mut window| {
        window.power.0 = slope * window.power.0 + offset_w;
        Some(window)
    })
}

#[test]
fn each_rail_is_compared_with_those_around_it() {
    let (play, job) = generated();
    let rails = [
        wider(&play, real_rail("input"), 1.02, 3.115),
        play.recorded(inside("module", Boundary::Module, "input")),
        wider(&play, inside("cpu", Boundary::Rail, "module"), 0.5, -1.0),
        play.recorded(inside("lonely", Boundary::Rail, "not-there")),
    ];
    let result = made(&context(job), &play, &rails).result.body;
    let pairs: Vec<(&str, &str)> = result
        .comparisons
        .iter()
        .map(|pair| (pair.rail.as_str(), pair.against.as_str()))
        .collect();
    assert_eq!(
        pairs,
        [("input", "module"), ("module", "cpu"), ("input", "cpu")]
    );
    let carrier = &result.comparisons[0];
    let near = |value: Option<f64>, expected: f64| (value.unwrap() - expected).abs() < 0.05;
    assert!(near(carrier.slope, 1.02), "{carrier:?}");
    assert!(near(carrier.offset_w, 3.115), "{carrier:?}");
    assert_json_snapshot!("comparisons", rounded_as_on_the_wire(carrier));
}

#[test]
fn names_that_lead_in_a_circle_end() {
    let (play, job) = generated();
    let rails = [
        play.recorded(inside("a", Boundary::Rail, "b")),
        play.recorded(inside("b", Boundary::Rail, "a")),
        play.recorded(inside("c", Boundary::Rail, "c")),
    ];
    let result = made(&context(job), &play, &rails).result.body;
    assert_eq!(result.comparisons.len(), 2);
}

#[test]
fn a_rail_that_delivered_nothing_is_not_compared() {
    let (play, job) = generated();
    let rails = [
        play.recorded(real_rail("input")),
        play.recorded_until(inside("module", Boundary::Module, "input"), MonoNs(0)),
    ];
    let result = made(&context(job), &play, &rails).result.body;
    let pair = &result.comparisons[0];
    assert_eq!((pair.slope, pair.n), (None, 0));
    assert_eq!(pair.reason, Some(Reason::NoData));
}

#[test]
fn runs_are_marked_that_summaries_leave_out() {
    let marks = |change: fn(&mut Play), ending: Ending| {
        let (mut play, job) = generated();
        change(&mut play);
        play.observed.ending = ending;
        let result = made(&context(job), &play, &[play.recorded(rail("input"))]).result;
        assert!(result.body.summary.is_some());
        result.body.left_out
    };
    let contended = |play: &mut Play| {
        play.observed.contention = play
            .observed
            .contention
            .map(|seen| crate::board::Contention {
                contended: true,
                ..seen
            });
    };
    let throttled = |play: &mut Play| {
        play.observed.throttling = Some(Finding::Seen(vec!["over-current".to_owned()]));
    };
    let unknown = |play: &mut Play| {
        play.observed.contention = None;
        play.observed.throttling = Some(Finding::NoEvidence);
    };
    assert_eq!(marks(|_| (), Ending::Succeeded), []);
    assert_eq!(marks(unknown, Ending::Succeeded), []);
    assert_eq!(marks(contended, Ending::Succeeded), [LeftOut::Contended]);
    assert_eq!(
        marks(throttled, Ending::Stopped(Stop::Cancelled)),
        [LeftOut::NotSucceeded, LeftOut::Throttled]
    );
}
