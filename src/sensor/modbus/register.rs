//! One number in a meter: where it stands, how it is stored, what a step of it is worth.

use super::map::MapFault;
use serde::{Deserialize, Serialize};

/// One quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// On the wire, from 0. Manuals often count from 1, or from 30001 and 40001.
    pub address: u16,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub unit: Unit,
    /// The value of one step in `unit`.
    #[serde(default = "one")]
    pub scale: f64,
    /// Codes that say "no value", as a number of the register's width (-1: every bit set).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nan: Vec<i64>,
    /// Address of a signed power of ten that scales besides (SunSpec).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exponent: Option<u16>,
}

fn one() -> f64 {
    1.0
}

/// The Modbus function that reads the registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Function {
    Holding,
    Input,
}

impl TryFrom<u8> for Function {
    type Error = String;

    fn try_from(code: u8) -> Result<Function, String> {
        match code {
            3 => Ok(Function::Holding),
            4 => Ok(Function::Input),
            _ => Err(format!(
                "function {code}: 3 (holding registers) or 4 (input registers)"
            )),
        }
    }
}

impl From<Function> for u8 {
    fn from(function: Function) -> u8 {
        match function {
            Function::Holding => 3,
            Function::Input => 4,
        }
    }
}

/// Which of the words of a wider number comes first. Within a word the high byte always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WordOrder {
    #[default]
    HighFirst,
    LowFirst,
}

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
}

impl Kind {
    /// Registers of 16 bits.
    pub fn words(self) -> u16 {
        match self {
            Kind::U16 | Kind::I16 => 1,
            Kind::U32 | Kind::I32 | Kind::F32 => 2,
            Kind::U64 | Kind::I64 => 4,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    W,
    #[serde(rename = "kW")]
    KiloW,
    #[serde(rename = "mW")]
    MilliW,
    V,
    #[serde(rename = "mV")]
    MilliV,
    A,
    #[serde(rename = "mA")]
    MilliA,
    Wh,
    #[serde(rename = "kWh")]
    KiloWh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    Power,
    Voltage,
    Current,
    Energy,
}

impl Unit {
    /// How many W, V, A or Wh one is.
    pub(super) fn factor(self) -> f64 {
        match self {
            Unit::W | Unit::V | Unit::A | Unit::Wh => 1.0,
            Unit::KiloW | Unit::KiloWh => 1e3,
            Unit::MilliW | Unit::MilliV | Unit::MilliA => 1e-3,
        }
    }

    fn quantity(self) -> Quantity {
        match self {
            Unit::W | Unit::KiloW | Unit::MilliW => Quantity::Power,
            Unit::V | Unit::MilliV => Quantity::Voltage,
            Unit::A | Unit::MilliA => Quantity::Current,
            Unit::Wh | Unit::KiloWh => Quantity::Energy,
        }
    }
}

impl Register {
    /// First address and number of registers.
    pub(super) fn span(&self) -> (u16, u16) {
        (self.address, self.kind.words())
    }

    pub(super) fn check(&self, key: &str, quantity: Quantity) -> Result<(), MapFault> {
        let fault = |what: String, allowed| {
            Err(MapFault {
                value: format!("{key} with {what}"),
                allowed,
            })
        };
        if self.unit.quantity() != quantity {
            let unit = format!("unit {:?}", self.unit);
            return match quantity {
                Quantity::Power => fault(unit, "W, kW or mW"),
                Quantity::Voltage => fault(unit, "V or mV"),
                Quantity::Current => fault(unit, "A or mA"),
                Quantity::Energy => fault(unit, "Wh or kWh"),
            };
        }
        if !(1e-9..=1e9).contains(&self.scale.abs()) {
            let scale = format!("scale {}", self.scale);
            return fault(
                scale,
                "a size of 1e-9 to 1e9; negative turns the sign around",
            );
        }
        Ok(())
    }
}
