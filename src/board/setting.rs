//! What of a board a job may set, as it is in force.

use super::facts::Board;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;

/// Read back from the board itself; `null` where it doesn't tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Of the first CPUs that share a clock.
    pub governor: Option<String>,
    /// By clock domain (`cpu0-3`), where the governors differ.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub governors: BTreeMap<String, String>,
    /// The highest cap of any CPU's clock.
    pub max_freq_khz: Option<u32>,
    pub power_mode: Option<String>,
    pub power_mode_id: Option<u32>,
}

impl Setting {
    pub fn of(board: &Board) -> Self {
        Self {
            governor: board.governor.clone(),
            governors: board.governors.clone(),
            max_freq_khz: board.max_freq_khz,
            power_mode: board.power_mode.clone(),
            power_mode_id: board.power_mode_id,
        }
    }

    /// What is not as it was, in words; what was not told before is nothing that changed.
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let governors = match self.governors == later.governors {
            true => change("governor", self.governor.as_ref(), later.governor.as_ref()),
            false => Some("the governors of some CPUs changed".to_owned()),
        };
        let cap = |setting: &Self| setting.max_freq_khz.map(|khz| format!("{khz} kHz"));
        let changes = [
            governors,
            change("max_freq_khz", cap(self).as_ref(), cap(later).as_ref()),
            change(
                "power mode",
                self.power_mode.as_ref(),
                later.power_mode.as_ref(),
            ),
        ];
        changes.into_iter().flatten().collect()
    }
}

fn change<T: Display + PartialEq>(
    what: &str,
    before: Option<&T>,
    later: Option<&T>,
) -> Option<String> {
    match (before, later) {
        (Some(before), Some(later)) if before != later => Some(format!(
            "{what} was {before} at the beginning and {later} at the end"
        )),
        (Some(before), None) => Some(format!(
            "{what} was {before} at the beginning and was not told at the end"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_and_what_was_never_known_is_not() {
        let before = Setting {
            governor: Some("performance".to_owned()),
            governors: BTreeMap::new(),
            max_freq_khz: Some(2_400_000),
            power_mode: None,
            power_mode_id: None,
        };
        assert_eq!(before.changes(&before), [""; 0]);
        let later = Setting {
            max_freq_khz: Some(1_800_000),
            power_mode: Some("15W".to_owned()),
            governor: None,
            ..before.clone()
        };
        let told = before.changes(&later);
        assert_eq!(
            told,
            [
                "governor was performance at the beginning and was not told at the end",
                "max_freq_khz was 2400000 kHz at the beginning and 1800000 kHz at the end",
            ]
        );
        let mixed = Setting {
            governors: BTreeMap::from([("cpu4".to_owned(), "powersave".to_owned())]),
            ..before.clone()
        };
        assert_eq!(before.changes(&mixed).len(), 1);
    }
}
