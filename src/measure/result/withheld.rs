//! Phases whose energy the primary rail could not tell, in sentences.

use super::rails::timeline;
use crate::energy::{MIN_COVERAGE, MIN_WINDOWS, Part, Reason};
use crate::measure::meter::Recorded;
use crate::measure::observed::Observed;
use std::collections::BTreeMap;

/// More phases than these are counted, not named.
const MOST_NAMED: usize = 4;

/// One sentence for each reason.
pub(super) fn withheld(observed: &Observed, primary: &Recorded) -> Vec<String> {
    let mut by_reason: BTreeMap<Reason, Vec<String>> = BTreeMap::new();
    for part in timeline(observed, primary) {
        if let Err(reason) = part.energy_j {
            by_reason.entry(reason).or_default().push(name(&part));
        }
    }
    // Where the rail delivered nothing at all, that has been said.
    by_reason.remove(&Reason::NoData);
    let rail = &primary.spec.name;
    let sentence = |(reason, phases): (Reason, Vec<String>)| {
        format!(
            "{rail}: no energy of {}: {}",
            listed(&phases),
            because(reason)
        )
    };
    by_reason.into_iter().map(sentence).collect()
}

fn name(part: &Part) -> String {
    let phase = part.span.phase.as_str();
    match part.span.rep {
        Some(rep) => format!("{phase} {rep}"),
        None => phase.to_owned(),
    }
}

fn listed(names: &[String]) -> String {
    let named = names[..names.len().min(MOST_NAMED)].join(", ");
    match names.len().saturating_sub(MOST_NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn because(reason: Reason) -> String {
    match reason {
        Reason::TooCoarse => format!("fewer than {MIN_WINDOWS} windows of the sensor"),
        Reason::Coverage => {
            let most = (1.0 - MIN_COVERAGE) * 100.0;
            format!("more than {most:.0} % of it was not measured")
        }
        Reason::Saturated => "the sensor stood at full scale".to_owned(),
        // Nothing else withholds a part of a timeline.
        _ => "the sensor does not tell".to_owned(),
    }
}
