//! Each rail against those that contain it: what the wider boundary takes besides.

use crate::energy::{Line, reconcile};
use crate::measure::meter::Recorded;
use crate::measure::observed::Observed;
use crate::record::result::RailComparison;

/// Every pair of rails of which one contains the other, directly or through others, from the
/// narrowest step outwards.
pub(super) fn comparisons(observed: &Observed, rails: &[Recorded]) -> Vec<RailComparison> {
    rails
        .iter()
        .flat_map(|inner| around(inner, rails).map(move |outer| (outer, inner)))
        .map(|(outer, inner)| compared(observed, outer, inner))
        .collect()
}

/// The rails around `rail`, the nearest first. Where names lead in a circle, each once.
fn around<'a>(rail: &'a Recorded, rails: &'a [Recorded]) -> impl Iterator<Item = &'a Recorded> {
    let outside = |rail: &&'a Recorded| {
        let name = rail.spec.contained_in.as_ref()?;
        rails.iter().find(|other| other.spec.name == *name)
    };
    std::iter::successors(outside(&rail), outside)
        .take(rails.len())
        .take_while(|outer| outer.spec.name != rail.spec.name)
}

fn compared(observed: &Observed, outer: &Recorded, inner: &Recorded) -> RailComparison {
    let found = reconcile(&outer.trace, &inner.trace, observed.t0, observed.t1);
    let line = found.line.ok();
    let of = |field: fn(Line) -> f64| line.map(field);
    RailComparison {
        rail: outer.spec.name.clone(),
        against: inner.spec.name.clone(),
        slope: of(|line| line.slope),
        slope_u95: of(|line| line.slope_u95),
        offset_w: of(|line| line.offset_w),
        offset_w_u95: of(|line| line.offset_w_u95),
        residual_w: of(|line| line.residual_w),
        n: found.n,
        stretch_s: Some(found.stretch.as_secs_f64()),
        reason: found.line.err(),
    }
}
