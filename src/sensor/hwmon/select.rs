//! The channels that a configuration names, or why there are none.

use super::chips;
use super::discover::{Absence, Input, chips_under, inputs};
use crate::sensor::SensorConfig;
use std::path::{Path, PathBuf};

/// Which chip, and where to look for it.
#[derive(Debug, Clone)]
pub(super) struct Selector {
    pub root: PathBuf,
    pub chip: String,
    /// Every chip of that name, where none is named.
    pub device: Option<String>,
}

impl Selector {
    pub fn new(config: &SensorConfig) -> Selector {
        Selector {
            root: PathBuf::from(config.sysfs_root.as_deref().unwrap_or("/sys")),
            chip: config.chip.clone().unwrap_or_default(),
            device: config.device.clone(),
        }
    }

    /// The channels in order of their devices, with absent ones among them and labels that
    /// are unique as far as devices tell them apart.
    pub fn inputs(&self) -> Result<Vec<Input>, String> {
        let chips = chips_under(&self.root);
        let mut named: Vec<_> = chips.iter().filter(|c| c.name == self.chip).collect();
        if named.is_empty() {
            return Err(self.no_chip());
        }
        let devices: Vec<&str> = named.iter().filter_map(|c| c.device.as_deref()).collect();
        let devices = devices.join(", ");
        if let Some(device) = &self.device {
            named.retain(|chip| chip.device.as_ref() == Some(device));
        }
        if named.is_empty() {
            return Err(format!(
                "{}: no chip `{}` hangs on the device `{}`; there is {devices}",
                folder(&self.root),
                self.chip,
                self.device.as_deref().unwrap_or_default(),
            ));
        }
        named.sort_by_key(|chip| chip.device.clone());
        let mut found: Vec<Input> = named.into_iter().flat_map(inputs).collect();
        if found.is_empty() {
            return Err(format!(
                "{}: the chip `{}` tells no power: {}; {}",
                folder(&self.root),
                self.chip,
                chips::without_power(&self.chip),
                self.others(),
            ));
        }
        tell_apart(&mut found);
        Ok(found)
    }

    fn no_chip(&self) -> String {
        format!(
            "{}: no chip named `{}` tells power or energy; {}",
            folder(&self.root),
            self.chip,
            self.others(),
        )
    }

    fn others(&self) -> String {
        let mut names: Vec<String> = chips_under(&self.root)
            .iter()
            .flat_map(inputs)
            .filter(|input| input.absence != Some(Absence::NotMeasured))
            .map(|input| input.chip)
            .collect();
        names.sort();
        names.dedup();
        if names.is_empty() {
            "no chip there does".to_owned()
        } else {
            format!("these do: {}", names.join(", "))
        }
    }
}

fn folder(root: &Path) -> std::path::Display<'_> {
    root.display()
}

/// A label that several chips use gets the device before it.
fn tell_apart(inputs: &mut [Input]) {
    let labels: Vec<String> = inputs.iter().map(|input| input.label.clone()).collect();
    let devices: Vec<Option<String>> = inputs.iter().map(|input| input.device.clone()).collect();
    for (index, input) in inputs.iter_mut().enumerate() {
        let shared = labels
            .iter()
            .zip(&devices)
            .any(|(label, device)| *label == labels[index] && *device != devices[index]);
        if let (true, Some(device)) = (shared, &input.device) {
            input.label = format!("{device}.{}", input.label);
        }
    }
}
