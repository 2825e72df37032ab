//! Power chips on the I2C buses, told by reading alone.

use super::{Found, Reach};
use crate::probe::advice;
use crate::sensor::i2c::FaultKind;
use crate::sensor::{hwmon, ina2xx};
use std::path::Path;

impl Found<'_> {
    /// What answers on each bus, and the buses that can't be asked.
    pub(super) fn i2c_buses(&mut self) {
        let mut denied: Vec<(String, String)> = Vec::new();
        for bus in self.scope.i2c.as_deref().map(buses).unwrap_or_default() {
            match ina2xx::scan_bus(&bus) {
                Ok(chips) => {
                    for chip in chips {
                        self.i2c_chip(&bus, &chip);
                    }
                }
                Err(fault) if fault.kind == FaultKind::NoPermission => {
                    denied.push((bus, fault.to_string()));
                }
                Err(fault) => {
                    let name = bus.trim_start_matches("/dev/").to_owned();
                    self.refuse(&name, "i2c", bus, fault.to_string());
                }
            }
        }
        // One line for all buses: it is the same group that is missing.
        if let Some((_, why)) = denied.first().cloned() {
            let buses: Vec<String> = denied.into_iter().map(|(bus, _)| bus).collect();
            self.refuse("i2c", "i2c", buses.join(" "), why);
        }
    }

    fn i2c_chip(&mut self, bus: &str, found: &ina2xx::Found) {
        let address = u16::from(found.address);
        if self.has(|sensor| sensor.bus.as_deref() == Some(bus) && sensor.address == Some(address))
        {
            return;
        }
        let number = bus.rsplit('-').next().unwrap_or_default();
        let device = format!("{number}-{address:04x}");
        if let Some(driver) = &found.busy {
            let shown = |input: &hwmon::Input| input.device.as_deref() == Some(device.as_str());
            if !self.inputs.iter().any(shown) {
                let why = format!(
                    "the kernel's driver {driver} holds it and shows no power in hwmon; unbind it \
                     to read the chip here: `echo {device} | sudo tee \
                     /sys/bus/i2c/drivers/{driver}/unbind`"
                );
                let place = format!("{bus} {address:#04x}");
                self.refuse(&device, "i2c", place, why);
            }
            return;
        }
        let name = format!("{}-{number}-{address:02x}", found.chip).to_lowercase();
        match (found.chip.kind(), found.chip) {
            (Some(kind), chip) => {
                let mut config = self.block(&name, kind);
                config.bus = Some(bus.to_owned());
                config.address = Some(address);
                self.add(config, Reach::Incomplete(advice::incomplete(chip)));
            }
            // Thermometers and clocks live at these addresses too.
            (None, ina2xx::Chip::Unknown) => {}
            (None, chip) => {
                let why = format!(
                    "an {chip} answers, for which there is no driver here; bind the kernel's and \
                     use kind = \"hwmon\""
                );
                let place = format!("{bus} {address:#04x}");
                self.refuse(&device, "i2c", place, why);
            }
        }
    }
}

/// The I2C device files in `folder`, in order of their numbers.
fn buses(folder: &Path) -> Vec<String> {
    let mut numbers: Vec<u32> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            name.to_str()?.strip_prefix("i2c-")?.parse().ok()
        })
        .collect();
    numbers.sort_unstable();
    let path = |number| folder.join(format!("i2c-{number}"));
    numbers
        .into_iter()
        .map(|number| path(number).display().to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::scope;
    use super::super::{Reach, Scope};
    use super::*;

    #[test]
    fn a_chip_on_a_bus_is_a_block_to_complete_unless_something_else_has_it() {
        let tree = tempfile::tempdir().unwrap();
        let mut scope = scope(tree.path());
        let chip = |address, chip, busy: Option<&str>| ina2xx::Found {
            address,
            chip,
            busy: busy.map(str::to_owned),
        };
        let seen = |scope: &Scope, chip: &ina2xx::Found| {
            let mut found = Found::new(scope);
            found.i2c_chip("/dev/i2c-7", chip);
            found.candidates
        };
        let ina219 = chip(0x44, ina2xx::Chip::Ina219, None);
        let found = seen(&scope, &ina219).remove(0);
        assert_eq!(found.config.name, "ina219-7-44");
        assert_eq!(found.device.as_deref(), Some("/dev/i2c-7 0x44"));
        assert!(matches!(found.reach, Reach::Incomplete(_)));
        let held = chip(0x40, ina2xx::Chip::Ina3221, Some("ina3221"));
        let closed = seen(&scope, &held).remove(0);
        assert!(matches!(closed.reach, Reach::Closed(why) if why.contains("7-0040")));
        assert_eq!(seen(&scope, &chip(0x48, ina2xx::Chip::Unknown, None)), []);
        let mut config = found.config;
        config.shunt_ohm = Some(0.01);
        scope.configured.push(config.clone());
        assert_eq!(seen(&scope, &ina219).len(), 1);
    }
}
