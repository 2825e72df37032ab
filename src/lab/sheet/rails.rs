//! Rails beside one another, as the record compares them.

use super::{Row, Section, Value, row};
use crate::lab::figure::{Figure, seconds};
use crate::lab::reason;
use crate::record::result::{JobResult, RailComparison};
use crate::sensor::Boundary;

/// `None` where no rail contains another.
pub fn rails(result: &JobResult) -> Option<Section> {
    if result.comparisons.is_empty() {
        return None;
    }
    Some(Section {
        heading: "Rail over rail".to_owned(),
        columns: vec!["besides ± u95".to_owned()],
        rows: result
            .comparisons
            .iter()
            .map(|comparison| compared(result, comparison))
            .collect(),
    })
}

fn compared(result: &JobResult, comparison: &RailComparison) -> Row {
    let RailComparison { rail, against, .. } = comparison;
    let offset = Figure::because(
        comparison.offset_w,
        comparison.offset_w_u95,
        comparison.reason,
    );
    let note = match (
        comparison.slope,
        comparison.residual_w,
        comparison.stretch_s,
    ) {
        (Some(slope), Some(residual), Some(stretch_s)) => format!(
            "{}: {rail} = this + {} × {against}, ± {} around it, {} stretches of {}{}",
            besides(result, comparison),
            Figure::because(Some(slope), comparison.slope_u95, None)
                .show_plain("")
                .trim_end(),
            Figure::exact(residual).show("W"),
            comparison.n,
            seconds(stretch_s),
            mixed(result, comparison),
        ),
        _ => comparison.reason.map_or("", reason::sentence).to_owned(),
    };
    row(
        &format!("{rail} over {against}"),
        vec![Value::of(offset, "W")],
        note,
    )
}

/// What the wider boundary takes besides, as far as the boundaries tell.
fn besides(result: &JobResult, comparison: &RailComparison) -> &'static str {
    let boundary = |name: &str| {
        let rail = result.rails.iter().find(|rail| rail.name == name);
        rail.map(|rail| rail.boundary)
    };
    match (boundary(&comparison.rail), boundary(&comparison.against)) {
        (Some(Boundary::Wall), Some(Boundary::BoardInput)) => "the supply's own losses",
        (Some(Boundary::Wall | Boundary::BoardInput), Some(Boundary::Module)) => {
            "the carrier board and what the rail doesn't see"
        }
        _ => "what the inner rail doesn't see",
    }
}

fn mixed(result: &JobResult, comparison: &RailComparison) -> &'static str {
    let simulated = |name: &str| {
        let rail = result.rails.iter().find(|rail| rail.name == name);
        rail.is_some_and(|rail| rail.simulated)
    };
    if simulated(&comparison.rail) || simulated(&comparison.against) {
        "; SIMULATED"
    } else {
        ""
    }
}
