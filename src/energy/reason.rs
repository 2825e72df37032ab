//! Why a figure is missing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a figure is missing. One vocabulary for the wire, the store and the report.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Fewer than 3 complete windows in the interval.
    TooCoarse,
    /// More than 1 % of the interval lies outside delivered windows.
    Coverage,
    /// The ADC stood at full scale.
    Saturated,
    /// The rail delivered nothing at all.
    NoData,
    /// The first output token is part of prefill.
    InPrefill,
    /// Tokens that became known together: the step's energy is on the last of them.
    SharedStep,
    /// No idle phase beside it to subtract.
    NoBaseline,
    /// Net energy below three of its standard uncertainties.
    BelowNoise,
    /// This kind of job has no such figure.
    NotDefined,
    /// No rail is primary.
    NoPrimaryRail,
    /// The job asked to leave it out.
    NotAsked,
    /// The attempt ended before.
    NotReached,
    /// This version does not measure it yet.
    NotMeasured,
    /// The engine does not tell.
    NotReported,
    /// This user may not look: the kernel forbids it.
    NotPermitted,
    /// This machine can't tell.
    NotSupported,
    /// What was read fits more than one answer.
    Unclear,
    /// The record would be larger than a record may be.
    TooLarge,
    /// The disk did not take it.
    NotStored,
    /// Fewer values than the statistic needs.
    TooFew,
}
