//! Which runs summaries over several runs leave out, by rule: what did not succeed, what
//! shared the CPU, what was throttled. The record's own figures and summary stay; it is marked.

use crate::record::result::{Contention, LeftOut, Thermal};
use crate::workload::JobState;

/// Unknown is not marked: a board that can't tell whether it throttles would have no summary.
pub(super) fn left_out(
    state: JobState,
    contention: &Contention,
    thermal: &Thermal,
) -> Vec<LeftOut> {
    [
        (state != JobState::Succeeded, LeftOut::NotSucceeded),
        (contention.contended == Some(true), LeftOut::Contended),
        (thermal.throttled == Some(true), LeftOut::Throttled),
    ]
    .into_iter()
    .filter_map(|(applies, why)| applies.then_some(why))
    .collect()
}
