//! What of a board a job may set, as it is in force.

use super::facts::Board;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
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
    /// By clock domain (`cpu0-3`), where the caps differ.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub max_freqs_khz: BTreeMap<String, u32>,
    pub power_mode: Option<String>,
    pub power_mode_id: Option<u32>,
}

impl Setting {
    pub fn of(board: &Board) -> Self {
        Self {
            governor: board.governor.clone(),
            governors: board.governors.clone(),
            max_freq_khz: board.max_freq_khz,
            max_freqs_khz: board.max_freqs_khz.clone(),
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
        let power_mode = change(
            "power mode",
            self.power_mode.as_ref(),
            later.power_mode.as_ref(),
        );
        let caps = self.cap_changes(later).into_iter().map(Some);
        let changes = std::iter::once(governors).chain(caps);
        changes.chain([power_mode]).flatten().collect()
    }

    /// The highest cap may stay while another one falls.
    fn cap_changes(&self, later: &Self) -> Vec<String> {
        let told = |khz: Option<u32>| khz.map(|khz| format!("{khz} kHz"));
        let changed = |what: &str, before: Option<u32>, later: Option<u32>| {
            change(what, told(before).as_ref(), told(later).as_ref())
        };
        let settings = [self, later].into_iter();
        let domains: BTreeSet<&String> = settings.flat_map(|is| is.max_freqs_khz.keys()).collect();
        if domains.is_empty() {
            let change = changed("max_freq_khz", self.max_freq_khz, later.max_freq_khz);
            return change.into_iter().collect();
        }
        let changes = domains.into_iter().filter_map(|domain| {
            let what = format!("max_freq_khz of {domain}");
            changed(&what, self.cap_of(domain), later.cap_of(domain))
        });
        changes.collect()
    }

    fn cap_of(&self, domain: &str) -> Option<u32> {
        match self.max_freqs_khz.is_empty() {
            true => self.max_freq_khz,
            false => self.max_freqs_khz.get(domain).copied(),
        }
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
            max_freqs_khz: BTreeMap::new(),
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

    #[test]
    fn a_cap_of_some_cpus_that_falls_is_told_where_the_highest_one_stays() {
        let with = |caps: &[(&str, u32)]| Setting {
            governor: None,
            governors: BTreeMap::new(),
            max_freq_khz: Some(2_400_000),
            max_freqs_khz: caps
                .iter()
                .map(|(domain, khz)| ((*domain).to_owned(), *khz))
                .collect(),
            power_mode: None,
            power_mode_id: None,
        };
        let before = with(&[
            ("cpu0-3", 1_800_000),
            ("cpu4-5", 2_400_000),
            ("cpu6-7", 2_400_000),
        ]);
        assert_eq!(before.changes(&before), [""; 0]);
        let throttled = with(&[
            ("cpu0-3", 1_800_000),
            ("cpu4-5", 1_200_000),
            ("cpu6-7", 2_400_000),
        ]);
        let told =
            "max_freq_khz of cpu4-5 was 2400000 kHz at the beginning and 1200000 kHz at the end";
        assert_eq!(before.changes(&throttled), [told]);
        // All were at one cap, and then not.
        let told = "max_freq_khz of cpu0 was 2400000 kHz at the beginning and 1 kHz at the end";
        assert_eq!(
            with(&[]).changes(&with(&[("cpu0", 1), ("cpu1", 2_400_000)])),
            [told]
        );
    }
}
