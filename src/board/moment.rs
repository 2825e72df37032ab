//! The board at one moment: how warm, how fast, how much memory is left.
//!
//! What there is to read is looked for once for each attempt ([`Outlook::find`]); a look
//! within a run is a `pread` of each file.

use super::absence::Absence;
use super::clocks::Clocks;
use super::facts::Host;
use super::fans::Fans;
use super::memory::AvailableMemory;
use super::thermal::Zones;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was read at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// The hottest thermal zone of those that the profile names.
    pub temperature_c: Result<f64, Absence>,
    /// By clock domain: `cpu0-3`, `gpu`.
    pub clocks_mhz: Result<BTreeMap<String, f64>, Absence>,
    /// Revolutions a minute by `<chip>.<fan>`.
    pub fan_rpm: Result<BTreeMap<String, f64>, Absence>,
    /// Share of full drive, where no fan tells its speed.
    pub fan_drive: BTreeMap<String, f64>,
    /// What a new process could use without swapping, as the kernel estimates it.
    pub mem_available_bytes: Result<u64, Absence>,
}

/// Everything that can be read of a board again and again.
#[derive(Debug)]
pub struct Outlook {
    zones: Zones,
    clocks: Clocks,
    fans: Fans,
    memory: AvailableMemory,
}

impl Outlook {
    /// Walks through sysfs: not to be called within a measured window.
    pub fn find(host: &Host) -> Self {
        Self {
            zones: Zones::find(&host.sysfs, &host.profile.thermal),
            clocks: Clocks::find(&host.sysfs),
            fans: Fans::find(&host.sysfs),
            memory: AvailableMemory::open(),
        }
    }

    pub fn look(&self) -> Moment {
        Moment {
            temperature_c: self.zones.hottest_c(),
            clocks_mhz: self.clocks.read_mhz(),
            fan_rpm: self.fans.read_rpm(),
            fan_drive: self.fans.read_drive(),
            mem_available_bytes: self.memory.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BoardIdentity, Profile};
    use super::*;

    #[test]
    fn a_board_that_shows_nothing_says_so() {
        let host = Host {
            profile: Profile::unknown("mine"),
            identity: BoardIdentity::default(),
            sysfs: "/nonexistent".into(),
        };
        let moment = Outlook::find(&host).look();
        assert_eq!(moment.temperature_c, Err(Absence::NotSupported));
        assert_eq!(moment.clocks_mhz, Err(Absence::NotSupported));
        assert_eq!(moment.fan_rpm, Err(Absence::NotSupported));
        assert!(moment.mem_available_bytes.is_ok_and(|bytes| bytes > 0));
        let json = serde_json::to_string(&moment).expect("JSON");
        assert_eq!(serde_json::from_str::<Moment>(&json).expect("JSON"), moment);
    }
}
