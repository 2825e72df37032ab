//! Which runs summaries over several runs leave out, by rule: what did not succeed, what
//! shared the CPU, what was throttled, what lost the setting that it asked for. The record's own
//! figures and summary stay; it is marked.

use crate::board::Setting;
use crate::measure::context::Context;
use crate::measure::observed::Observed;
use crate::record::result::{Contention, LeftOut, Thermal};
use crate::workload::JobState;

/// Whether a job that asked for a governor, a cap or a power mode ended in what it began in.
pub(super) fn kept_setting(context: &Context, observed: &Observed) -> bool {
    let before = Setting::of(&context.board);
    let after = observed.setting_after.as_ref();
    !context.job.sets_power() || after.is_none_or(|after| before.changes(after).is_empty())
}

/// Unknown is not marked: a board that can't tell whether it throttles would have no summary.
pub(super) fn left_out(
    state: JobState,
    contention: &Contention,
    thermal: &Thermal,
    setting_changed: bool,
) -> Vec<LeftOut> {
    [
        (state != JobState::Succeeded, LeftOut::NotSucceeded),
        (contention.contended == Some(true), LeftOut::Contended),
        (thermal.throttled == Some(true), LeftOut::Throttled),
        (setting_changed, LeftOut::SettingChanged),
    ]
    .into_iter()
    .filter_map(|(applies, why)| applies.then_some(why))
    .collect()
}
