//! How much later than the load did it a rail shows it, on this very rig, as
//! `jouled calibrate lag` found it out by steps of the load.

use super::Delay;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Delays that can be meant, in seconds. A rail never shows a load before it was there; what
/// is below zero is a rig's uncertainty. A rail that is later is taken for silent.
pub const PLAUSIBLE_LAG_S: RangeInclusive<f64> = -1.0..=5.0;

/// The delay of one rail. A point source's readings are moved earlier by it; of a window or
/// counter source it is reported alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lag {
    /// The day, `2026-11-21`.
    pub date: String,
    /// The mean over the steps.
    pub lag_s: f64,
    /// Expanded uncertainty of that mean.
    pub lag_s_u95: f64,
    /// Standard deviation of single steps: what a correction by the mean leaves of the age
    /// of a reading.
    pub scatter_s: f64,
    /// How many steps it is the mean of, and by how much the rail stepped.
    pub steps: u32,
    pub step_w: f64,
}

impl Lag {
    /// The correction by it.
    pub fn delay(&self) -> Delay {
        Delay {
            mean_s: self.lag_s,
            u_s: 0.5 * self.lag_s_u95,
            scatter_s: self.scatter_s,
        }
    }

    /// The key that is wrong, its value, and what is allowed.
    pub(super) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        if self.date.parse::<jiff::civil::Date>().is_err() {
            let allowed = "a day such as \"2026-11-21\"";
            return Some(("lag.date", format!("\"{}\"", self.date), allowed));
        }
        let (spread, power) = (0.0..=*PLAUSIBLE_LAG_S.end(), f64::MIN..=f64::MAX);
        [
            ("lag.lag_s", self.lag_s, PLAUSIBLE_LAG_S, "-1 to 5 seconds"),
            (
                "lag.lag_s_u95",
                self.lag_s_u95,
                spread.clone(),
                "0 to 5 seconds",
            ),
            ("lag.scatter_s", self.scatter_s, spread, "0 to 5 seconds"),
            ("lag.step_w", self.step_w, power, "a power in watts"),
        ]
        .into_iter()
        .find(|(_, value, allowed, _)| !allowed.contains(value))
        .map(|(key, value, _, allowed)| (key, value.to_string(), allowed))
    }
}
