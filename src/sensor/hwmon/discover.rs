//! Which channels the machine has: chips are told apart by name and device, since hwmon
//! numbers change from boot to boot.

use super::chips::{self, DRIVERS_DEFAULT, Layout};
use super::method::Method;
use crate::sensor::ReadingKind;
use crate::sensor::sysfs::{ReadError, entries, file_name, number, text};
use crate::units::{Ohms, Span};
use std::path::{Path, PathBuf};

/// One channel of a chip and whether it can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// The chip's name: `chip` of a `[[sensor]]`.
    pub chip: String,
    /// What the chip hangs on, such as `1-0040`: `device` of a `[[sensor]]`.
    pub device: Option<String>,
    /// The label that driver or device tree gives the channel, else `power1` or `ch1`.
    pub label: String,
    /// The file with the power, the current or the energy.
    pub path: PathBuf,
    /// `Point` for power, `Counter` for energy.
    pub kind: ReadingKind,
    pub readable: Result<(), String>,
    /// Why the channel is no rail, however readable it is; `readable` has the sentence.
    pub absence: Option<Absence>,
    /// The shunt that the driver reckons with.
    pub shunt: Option<Ohms>,
    /// What to look at before the figures are believed.
    pub warnings: Vec<String>,
    /// `power1`, `in2`: tells the channels of a chip apart.
    pub(super) channel: String,
    pub(super) method: Method<PathBuf>,
    pub(super) cycle: Cycle,
}

/// How often a chip has something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cycle {
    pub span: Span,
    /// By the driver, and not by a table of how it usually sets the chip up.
    pub stated: bool,
    /// The part in which one channel's current is converted; `None` for an unknown chip.
    pub conversion: Option<Span>,
}

/// Why a channel gives no rail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// The driver has it switched off.
    Disabled,
    /// Labelled as leading nowhere.
    NotConnected,
    /// An agreement or a battery's own flow, no measurement of the board.
    NotMeasured,
    /// Another channel of the same chip has its energy too.
    InsideAnother,
}

/// A chip before its channels are looked at.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub name: String,
    pub device: Option<String>,
    power_supply: bool,
    folder: PathBuf,
}

/// Every channel under `sysfs_root` (usually `/sys`) that tells power or energy, each read
/// once. A chip with both gives its power only, since both tell the same energy.
pub fn discover(sysfs_root: &Path) -> Vec<Input> {
    chips_under(sysfs_root)
        .iter()
        .flat_map(inputs)
        .map(checked)
        .collect()
}

/// The chips, each once: those of the class, those that only a driver's folder shows (a
/// copied tree may have no links), and L4T 32's.
pub(super) fn chips_under(root: &Path) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut folders = entries(&root.join("class/hwmon"));
    for driver in entries(&root.join("bus/i2c/drivers")) {
        for device in entries(&driver) {
            folders.extend(entries(&device.join("hwmon")));
            folders.extend(entries(&device).into_iter().filter(|path| is_iio(path)));
        }
    }
    for folder in folders {
        let name = if is_iio(&folder) {
            folder
                .join("rail_name_0")
                .exists()
                .then(|| "ina3221x".to_owned())
        } else {
            text(&folder.join("name"))
        };
        let device = device(&folder);
        let seen = found.iter().any(|other| {
            other.folder.file_name() == folder.file_name()
                && (other.device == device || other.device.is_none() || device.is_none())
        });
        if let Some(name) = name.filter(|_| !seen) {
            found.push(Found {
                name,
                device,
                power_supply: is_power_supply(&folder.join("device")),
                folder,
            });
        }
    }
    found
}

fn is_iio(folder: &Path) -> bool {
    file_name(folder).is_some_and(|name| name.starts_with("iio:device"))
}

/// By the class that it stands in, or by its `type` in a copied tree.
fn is_power_supply(device: &Path) -> bool {
    let kinds = ["Battery", "UPS", "Mains", "USB", "Wireless"];
    text(&device.join("type")).is_some_and(|kind| kinds.contains(&kind.as_str()))
        || std::fs::canonicalize(device)
            .is_ok_and(|path| path.iter().any(|part| part == "power_supply"))
}

/// The name of the device that the chip hangs on: what its `device` link points to, else the
/// folder above `hwmon`, or above an `iio:device`.
fn device(folder: &Path) -> Option<String> {
    let name = |path: &Path| file_name(path).map(str::to_owned);
    if let Ok(target) = std::fs::read_link(folder.join("device")) {
        // `../..` has no last name before it is resolved.
        return std::fs::canonicalize(folder.join("device"))
            .map_or_else(|_| name(&target), |path| name(&path));
    }
    let above = folder.parent()?;
    let device = if is_iio(folder) {
        above
    } else {
        above
            .parent()
            .filter(|_| file_name(above) == Some("hwmon"))?
    };
    name(device).filter(|name| !["class", "virtual"].contains(&name.as_str()))
}

/// The channels of a chip, without reading a measured value.
pub(super) fn inputs(chip: &Found) -> Vec<Input> {
    if let Some(reason) = chips::refusal(&chip.name, chip.power_supply) {
        return refused(chip, reason).into_iter().collect();
    }
    let mut inputs = match chips::layout(&chip.name) {
        Layout::Generic => generic(chip),
        Layout::Ina2xx => ina2xx(chip).into_iter().collect(),
        Layout::Ina3221 => (1..=3).filter_map(|k| ina3221(chip, k)).collect(),
        Layout::Iio => (0..3).filter_map(|k| iio(chip, k)).collect(),
    };
    let used = inputs.iter().filter(|i| i.absence.is_none()).count();
    let cycle = chips::cycle(
        &chip.name,
        number(&chip.folder.join("update_interval")),
        number(&chip.folder.join("samples")),
        used,
    );
    for input in &mut inputs {
        input.cycle = cycle;
    }
    inputs
}

/// `input`, read once, to know whether it can be.
pub(super) fn checked(mut input: Input) -> Input {
    if input.absence.is_none() {
        let outcome = input.method.clone().open().read();
        if let Err(ReadError::Disabled(_)) = outcome {
            input.absence = Some(Absence::Disabled);
        }
        input.readable = outcome.map(drop).map_err(|error| error.to_string());
    }
    input
}

impl Found {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn existing(&self, name: &str) -> Option<PathBuf> {
        Some(self.file(name)).filter(|path| path.exists())
    }

    fn micro_ohms(&self, file: &str) -> Option<Ohms> {
        let shunt = number(&self.file(file)).filter(|micro_ohms| *micro_ohms > 0)?;
        Some(Ohms(shunt as f64 * 1e-6))
    }

    fn input(&self, channel: String, label: String, method: Method<PathBuf>) -> Input {
        let absence = (label == "NC").then_some(Absence::NotConnected);
        Input {
            chip: self.name.clone(),
            device: self.device.clone(),
            path: method.path().to_owned(),
            kind: method.kind(),
            readable: match absence {
                None => Ok(()),
                Some(_) => Err(format!(
                    "{}: labelled NC, not connected",
                    method.path().display()
                )),
            },
            absence,
            shunt: None,
            warnings: Vec::new(),
            channel,
            label,
            method,
            cycle: Cycle::default(),
        }
    }
}

impl Input {
    fn absent(mut self, absence: Absence, reason: &str) -> Input {
        self.absence = Some(absence);
        self.readable = Err(format!("{}: {reason}", self.path.display()));
        self
    }

    fn with_shunt(mut self, shunt: Option<Ohms>) -> Input {
        self.shunt = shunt;
        let outer = chips::chip(&self.chip).is_some_and(chips::Chip::has_outer_shunt);
        if outer && shunt == Some(DRIVERS_DEFAULT) {
            self.warnings.push(format!(
                "{}: the driver reckons with a shunt of 10 mOhm, which is its default where \
                 nobody told it: on a breakout marked R100 it then shows ten times the power; \
                 set shunt-resistor in the device tree, or write the micro-ohms to \
                 shunt_resistor",
                self.chip
            ));
        }
        self
    }
}

fn generic(chip: &Found) -> Vec<Input> {
    let power = numbered(chip, "power", |power| Method::Power {
        power,
        counts_per_watt: 1e6,
        voltage: None,
        current: None,
    });
    if !power.is_empty() {
        return power;
    }
    let mut energy = numbered(chip, "energy", Method::Energy);
    // amd_energy: a socket's counter has its cores' energy too, and reading 64 cores' would
    // disturb what is measured.
    if energy
        .iter()
        .any(|input| input.label.starts_with("Esocket"))
    {
        energy = energy
            .into_iter()
            .map(|input| match input.label.starts_with("Ecore") {
                true => input.absent(Absence::InsideAnother, "inside the socket's counter"),
                false => input,
            })
            .collect();
    }
    energy
}

fn numbered(chip: &Found, prefix: &str, method: impl Fn(PathBuf) -> Method<PathBuf>) -> Vec<Input> {
    entries(&chip.folder)
        .into_iter()
        .filter_map(|path| {
            let channel = file_name(&path)?.strip_suffix("_input")?.to_owned();
            channel.strip_prefix(prefix)?.parse::<u32>().ok()?;
            let label = text(&chip.file(&format!("{channel}_label")));
            let label = label.unwrap_or_else(|| channel.clone());
            Some(chip.input(channel, label, method(path)))
        })
        .collect()
}

/// The one channel of an INA219 and its like.
fn ina2xx(chip: &Found) -> Option<Input> {
    let (voltage, current) = (chip.existing("in1_input"), chip.existing("curr1_input"));
    let method = match (chip.existing("power1_input"), voltage, current) {
        (Some(power), voltage, current) => Method::Power {
            power,
            counts_per_watt: 1e6,
            voltage,
            current,
        },
        (None, Some(voltage), Some(current)) => Method::Product { voltage, current },
        _ => return None,
    };
    let label = ["power1_label", "in1_label", "curr1_label", "label"]
        .iter()
        .find_map(|file| text(&chip.file(file)))
        .unwrap_or_else(|| "power1".to_owned());
    let input = chip.input("power1".to_owned(), label, method);
    Some(input.with_shunt(chip.micro_ohms("shunt_resistor")))
}

/// Channel `k`, from 1, of an INA3221 under the mainline driver.
fn ina3221(chip: &Found, k: u32) -> Option<Input> {
    let voltage = chip.existing(&format!("in{k}_input"))?;
    let current = chip.existing(&format!("curr{k}_input"))?;
    let label = text(&chip.file(&format!("in{k}_label"))).unwrap_or_else(|| format!("ch{k}"));
    let method = Method::Product { voltage, current };
    let input = chip
        .input(format!("in{k}"), label, method)
        .with_shunt(chip.micro_ohms(&format!("shunt{k}_resistor")));
    if number(&chip.file(&format!("in{k}_enable"))) == Some(0) {
        return Some(input.absent(
            Absence::Disabled,
            &format!("the driver has this channel disabled (in{k}_enable is 0)"),
        ));
    }
    Some(input)
}

/// Channel `k`, from 0, of L4T 32's ina3221x.
fn iio(chip: &Found, k: u32) -> Option<Input> {
    let voltage = chip.existing(&format!("in_voltage{k}_input"));
    let current = chip.existing(&format!("in_current{k}_input"));
    let method = match (
        chip.existing(&format!("in_power{k}_input")),
        voltage,
        current,
    ) {
        (Some(power), voltage, current) => Method::Power {
            power,
            counts_per_watt: 1e3,
            voltage,
            current,
        },
        (None, Some(voltage), Some(current)) => Method::Product { voltage, current },
        _ => return None,
    };
    let label = text(&chip.file(&format!("rail_name_{k}")));
    let label = label.unwrap_or_else(|| format!("ch{}", k + 1));
    Some(chip.input(format!("rail_{k}"), label, method))
}

/// One entry for a chip whose values are no measurement; none where it tells nothing that
/// could be taken for power.
fn refused(chip: &Found, reason: &str) -> Option<Input> {
    let power = ["power1_input", "curr1_input", "energy1_input", "in0_input"]
        .iter()
        .find_map(|file| chip.existing(file))?;
    let method = Method::Power {
        power,
        counts_per_watt: 1e6,
        voltage: None,
        current: None,
    };
    let input = chip.input("power1".to_owned(), chip.name.clone(), method);
    Some(input.absent(Absence::NotMeasured, reason))
}
