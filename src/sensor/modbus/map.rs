//! A meter's map: which of its registers hold what, and how far they are to be trusted. A
//! shipped map is a file in `meters/`; a user's own stands in the configuration.

use super::register::{Function, Quantity, Register, WordOrder};
use crate::sensor::{Boundary, Parity};
use serde::{Deserialize, Serialize};

/// Most registers that one request may ask for (Modbus application protocol 6.3, 6.4).
pub(super) const MOST_REGISTERS: u16 = 125;

/// Which registers of a meter hold what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterMap {
    /// What the meter is, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// 3 reads holding registers, 4 input registers.
    pub function: Function,
    #[serde(default)]
    pub words: WordOrder,
    /// How old a register may be when it is read, ms: the meter renews it no more often.
    #[serde(default = "a_second")]
    pub refresh_ms: u32,
    /// Least silence that the meter needs between two questions, ms.
    #[serde(default)]
    pub pause_ms: u32,
    /// Relative limit of the error of power, 0.01 = 1 %.
    #[serde(default = "five_percent")]
    pub accuracy: f64,
    /// What remains of the error at small loads, W: `accuracy` holds from some current on.
    #[serde(default)]
    pub offset_w: f64,
    /// Below this power the meter may stand at zero, W: then zero is no reading.
    #[serde(default)]
    pub starts_w: f64,
    /// The serial line as the meter comes from the factory; always 8 data bits and 1 stop bit.
    #[serde(default = "usual_baud")]
    pub baud: u32,
    #[serde(default = "no_parity")]
    pub parity: Parity,
    /// Whether the meter also answers to 0xF8, when it is the only one on the line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub general_address: bool,
    /// What such a meter usually encloses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<Boundary>,
    /// Total active power.
    pub power: Register,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voltage: Option<Register>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Register>,
    /// Imported energy. Too coarse for an inference, so it is not read: for checks of the
    /// integrated power over days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<Register>,
    /// Scales that depend on the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Models>,
    /// Where the facts above come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<FactSource>,
}

fn a_second() -> u32 {
    1000
}

fn five_percent() -> f64 {
    0.05
}

fn usual_baud() -> u32 {
    9600
}

fn no_parity() -> Parity {
    Parity::None
}

/// The register that tells the model, and what it means. A model that is not listed is not
/// read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    pub address: u16,
    pub variant: Vec<Variant>,
}

/// Models of one scaling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    pub name: String,
    /// First and last number.
    pub ids: [u16; 2],
    /// Factors on the registers' own scales; a quantity without one is not read.
    pub power: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voltage: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<f64>,
}

/// Where some of the map's keys come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactSource {
    pub facts: Vec<String>,
    pub from: String,
    /// Read in that source, or measured; otherwise general knowledge to check on a meter.
    pub verified: bool,
}

/// Registers that one request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub address: u16,
    pub count: u16,
}

/// What is wrong with a map: the key and its value, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MapFault {
    pub value: String,
    pub allowed: &'static str,
}

impl MeterMap {
    /// Everything that can be said about a map without its meter.
    pub(super) fn check(&self) -> Result<(), MapFault> {
        let quantities = [
            ("power", Some(&self.power), Quantity::Power),
            ("voltage", self.voltage.as_ref(), Quantity::Voltage),
            ("current", self.current.as_ref(), Quantity::Current),
            ("energy", self.energy.as_ref(), Quantity::Energy),
        ];
        for (key, register, quantity) in quantities {
            if let Some(register) = register {
                register.check(key, quantity)?;
            }
        }
        let within = |key: &str, value: f64, low: f64, high: f64, allowed| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                let value = format!("{key} {value}");
                Err(MapFault { value, allowed })
            }
        };
        let refresh_ms = f64::from(self.refresh_ms);
        within("refresh_ms", refresh_ms, 1.0, 600_000.0, "1 to 600000 ms")?;
        let pause_ms = f64::from(self.pause_ms);
        within("pause_ms", pause_ms, 0.0, 10_000.0, "0 to 10000 ms")?;
        let accuracy = self.accuracy;
        within("accuracy", accuracy, 0.0, 1.0, "0 to 1, where 0.01 is 1 %")?;
        within("offset_w", self.offset_w, 0.0, 1e4, "0 to 10000 W")?;
        within("starts_w", self.starts_w, 0.0, 1e4, "0 to 10000 W")?;
        for variant in self.model.iter().flat_map(|model| &model.variant) {
            let factors = [
                ("model power", Some(variant.power)),
                ("model voltage", variant.voltage),
                ("model current", variant.current),
            ];
            for (key, factor) in factors {
                let factor = factor.unwrap_or(1.0);
                within(key, factor, 1e-9, 1e9, "a factor of 1e-9 to 1e9")?;
            }
        }
        self.block().map(drop)
    }

    /// The span from the first to the last register that a sweep needs: all of it in one
    /// request, so that the values belong together and no answer can be taken for another's.
    pub(super) fn block(&self) -> Result<Block, MapFault> {
        let others = [self.voltage.as_ref(), self.current.as_ref()];
        let mut spans = Vec::new();
        for register in std::iter::once(&self.power).chain(others.into_iter().flatten()) {
            spans.push(register.span());
            spans.extend(register.exponent.map(|address| (address, 1)));
        }
        spans.extend(self.model.iter().map(|model| (model.address, 1)));
        let mut first = u32::from(self.power.address);
        let mut end = first;
        for (address, words) in spans {
            first = first.min(u32::from(address));
            end = end.max(u32::from(address) + u32::from(words));
        }
        match u16::try_from(end - first) {
            Ok(count) if count <= MOST_REGISTERS && end <= 0x1_0000 => Ok(Block {
                address: first as u16,
                count,
            }),
            _ => Err(MapFault {
                value: format!("registers {first} to {}", end - 1),
                allowed: "power, voltage, current, their exponents and the model must lie within \
                          125 registers, which are read at once; leave out what lies farther from \
                          power",
            }),
        }
    }

    /// Power alone: an answer of another length than the block's, but where the map has
    /// nothing else.
    pub(super) fn power_alone(&self) -> Block {
        Block {
            address: self.power.address,
            count: self.power.kind.words(),
        }
    }

    /// The map of a meter that has these registers `by` addresses farther up; `None` past the
    /// last address.
    pub(super) fn shifted(&self, by: u16) -> Option<MeterMap> {
        let mut map = self.clone();
        let registers = [
            Some(&mut map.power),
            map.voltage.as_mut(),
            map.current.as_mut(),
            map.energy.as_mut(),
        ];
        for register in registers.into_iter().flatten() {
            register.address = register.address.checked_add(by)?;
            if let Some(exponent) = &mut register.exponent {
                *exponent = exponent.checked_add(by)?;
            }
        }
        if let Some(model) = &mut map.model {
            model.address = model.address.checked_add(by)?;
        }
        map.block().ok()?;
        Some(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = r#"
        function = 4
        accuracy = 0.01
        power = { address = 0x34, type = "f32", unit = "W" }
        voltage = { address = 0, type = "f32", unit = "V" }
    "#;

    fn parsed(text: &str) -> MeterMap {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_small_map_is_enough_and_survives_a_round_trip() {
        let map = parsed(OWN);
        map.check().unwrap();
        let block = Block {
            address: 0,
            count: 0x36,
        };
        assert_eq!(map.block(), Ok(block));
        assert_eq!(map.power_alone().count, 2);
        let again: MeterMap = toml::from_str(&toml::to_string(&map).unwrap()).unwrap();
        assert_eq!(again, map);
    }

    #[test]
    fn faults_name_the_key() {
        let fault = |from: &str, to: &str| {
            let fault = parsed(&OWN.replace(from, to)).check().unwrap_err();
            fault.value
        };
        assert!(fault("unit = \"W\"", "unit = \"V\"").starts_with("power"));
        assert!(fault("address = 0,", "address = 500,").contains("501"));
        assert!(fault("accuracy = 0.01", "accuracy = 1.5").starts_with("accuracy"));
        let model = |factors: &str| {
            let variant = format!("{{ name = \"P\", ids = [1, 2], {factors} }}");
            let model = format!("[model]\naddress = 1\nvariant = [{variant}]\n");
            parsed(&format!("{OWN}{model}")).check()
        };
        assert_eq!(model("power = 0.1, voltage = 0.01"), Ok(()));
        for factors in [
            "power = 0",
            "power = 1, voltage = nan",
            "power = 1, current = -inf",
        ] {
            assert!(model(factors).unwrap_err().value.starts_with("model"));
        }
        let unknown = OWN.replace("accuracy", "acuracy");
        assert!(toml::from_str::<MeterMap>(&unknown).is_err());
        assert!(toml::from_str::<MeterMap>(&OWN.replace("= 4", "= 6")).is_err());
    }

    #[test]
    fn the_block_holds_exponents_and_model_and_ends_at_the_last_address() {
        let mut map = parsed(OWN);
        map.power.exponent = Some(0x40);
        let models = Models {
            address: 0x45,
            variant: Vec::new(),
        };
        map.model = Some(models);
        assert_eq!(map.block().unwrap().count, 0x46);

        let map = parsed(OWN);
        assert_eq!(map.shifted(1000).unwrap().block().unwrap().address, 1000);
        let last = 0xffff - 0x35;
        assert!(map.shifted(last).is_some());
        assert!(map.shifted(last + 1).is_none());
    }
}
