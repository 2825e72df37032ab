//! What answers at an address, told by reading alone: nothing is written but register
//! pointers, so that a chip that others use goes on undisturbed.
//!
//! Identification registers are those of the data sheets (INA226 SBOS547, INA228 SLYS021,
//! INA238 SBOSA20, INA3221 SBOS576). The INA219 has none: it is told by values that no
//! register of it can lack.

use crate::sensor::SensorKind;
use crate::sensor::i2c::{Fault, FaultKind, LinuxI2c, TransferError, bound, devices};
use embedded_hal::i2c::I2c;
use std::fmt;

/// Every address that a chip of these families can have.
pub const ADDRESSES: std::ops::RangeInclusive<u8> = 0x40..=0x4f;
/// "TI".
const TEXAS_INSTRUMENTS: u16 = 0x5449;

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chip {
    /// By plausible registers: it has no identification.
    Ina219,
    Ina226,
    Ina228,
    Ina238,
    Ina3221,
    /// Another chip of the same maker, with its die number.
    Other(u16),
    Unknown,
}

impl Chip {
    /// The kind that reads it; `None` where there is no driver for it here.
    pub fn kind(self) -> Option<SensorKind> {
        match self {
            Self::Ina219 => Some(SensorKind::Ina219),
            Self::Ina226 => Some(SensorKind::Ina226),
            Self::Ina228 => Some(SensorKind::Ina228),
            Self::Ina3221 => Some(SensorKind::Ina3221),
            Self::Ina238 | Self::Other(_) | Self::Unknown => None,
        }
    }

    /// By the name that the kernel gives the device.
    fn named(name: &str) -> Chip {
        match name {
            "ina219" => Self::Ina219,
            "ina226" => Self::Ina226,
            "ina228" => Self::Ina228,
            "ina238" => Self::Ina238,
            "ina3221" => Self::Ina3221,
            _ => Self::Unknown,
        }
    }

    fn of_die(die: u16) -> Chip {
        match die {
            0x2260 => Self::Ina226,
            0x3220 => Self::Ina3221,
            // The last digit is the revision.
            0x2280..=0x228f => Self::Ina228,
            0x2380..=0x238f => Self::Ina238,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ina219 => f.write_str("INA219"),
            Self::Ina226 => f.write_str("INA226"),
            Self::Ina228 => f.write_str("INA228"),
            Self::Ina238 => f.write_str("INA238"),
            Self::Ina3221 => f.write_str("INA3221"),
            Self::Other(die) => write!(f, "TI chip with die number {die:#06x}"),
            Self::Unknown => f.write_str("unknown chip"),
        }
    }
}

/// One answer on a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub address: u8,
    pub chip: Chip,
    /// The kernel driver that holds the address: read it as `hwmon` then.
    pub busy: Option<String>,
}

/// What answers at `address`. An error means that nothing does, or that the bus is at fault.
pub fn identify<I2C: I2c>(i2c: &mut I2C, address: u8) -> Result<Chip, I2C::Error> {
    let mut read = |register: u8| {
        let mut bytes = [0; 2];
        i2c.write_read(address, &[register], &mut bytes)
            .map(|()| u16::from_be_bytes(bytes))
    };
    let configuration = read(0x00)?;
    for (maker, die) in [(0xfe, 0xff), (0x3e, 0x3f)] {
        if read(maker)? == TEXAS_INSTRUMENTS {
            return Ok(Chip::of_die(read(die)?));
        }
    }
    let ina219 = could_be_ina219(configuration, read(0x01)?, read(0x02)?, read(0x05)?);
    Ok(if ina219 { Chip::Ina219 } else { Chip::Unknown })
}

/// Bits that an INA219 can't have (SBOS448G, register details).
fn could_be_ina219(configuration: u16, shunt: u16, bus: u16, calibration: u16) -> bool {
    let full_scale = 4000_u16 << (configuration >> 11 & 0b11);
    configuration != 0
        && configuration & 0xc000 == 0
        && (shunt as i16).unsigned_abs() <= full_scale
        && bus & 0b100 == 0
        && bus >> 3 <= 8000
        && calibration & 1 == 0
}

/// What answers at [`ADDRESSES`] of the I2C device file `bus`. Addresses that a kernel
/// driver holds are named and left alone.
pub fn scan_bus(bus: &str) -> Result<Vec<Found>, Fault> {
    let mut i2c =
        LinuxI2c::open(bus).map_err(|error| Fault::of(bus, *ADDRESSES.start(), &error))?;
    scan(&mut i2c, bus, |address| {
        bound(devices(), bus, address).map(|bound| (Chip::named(&bound.chip), bound.driver))
    })
}

/// The same on any bus. An address that fails otherwise than by its silence is an unknown
/// chip; a stuck bus ends the search, since each further address would take a second.
fn scan<I2C>(
    i2c: &mut I2C,
    bus: &str,
    held: impl Fn(u8) -> Option<(Chip, String)>,
) -> Result<Vec<Found>, Fault>
where
    I2C: I2c,
    I2C::Error: TransferError,
{
    let mut found = Vec::new();
    for address in ADDRESSES {
        if let Some((chip, driver)) = held(address) {
            let busy = Some(driver);
            found.push(Found {
                address,
                chip,
                busy,
            });
            continue;
        }
        let (chip, busy) = match identify(i2c, address) {
            Ok(chip) => (chip, None),
            Err(error) => match error.fault() {
                FaultKind::Vanished => continue,
                FaultKind::Held => (Chip::Unknown, Some("unknown driver".to_owned())),
                FaultKind::BusError | FaultKind::ShortTransfer | FaultKind::Arbitration => {
                    (Chip::Unknown, None)
                }
                _ => return Err(Fault::of(bus, address, &error)),
            },
        };
        found.push(Found {
            address,
            chip,
            busy,
        });
    }
    Ok(found)
}

/// Refuses a chip that is certainly not what the configuration says.
pub(in crate::sensor) fn expect<I2C>(
    i2c: &mut I2C,
    bus: &str,
    address: u8,
    wanted: SensorKind,
) -> Result<(), Fault>
where
    I2C: I2c,
    I2C::Error: TransferError,
{
    let chip = identify(i2c, address).map_err(|error| Fault::of(bus, address, &error))?;
    // An INA219 can't be told for certain, and its registers may hold anything after a fault.
    let certain = !matches!(chip, Chip::Unknown | Chip::Ina219);
    let fits = match wanted {
        SensorKind::Ina219 | SensorKind::Simulated => !certain,
        _ => chip.kind() == Some(wanted),
    };
    if fits {
        return Ok(());
    }
    let advice = match (chip, chip.kind()) {
        (Chip::Unknown, _) => "check the address and the wiring".to_owned(),
        (_, Some(kind)) => format!("use kind = \"{kind}\""),
        _ => "there is no driver for it here; use the kernel's with kind = \"hwmon\"".to_owned(),
    };
    let article = if matches!(chip, Chip::Other(_)) {
        "a"
    } else {
        "an"
    };
    Err(Fault {
        kind: FaultKind::OtherChip,
        bus: bus.to_owned(),
        address,
        detail: format!("{article} {chip} answers there, no {wanted}; {advice}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::i2c::BusError;
    use embedded_hal::i2c::{ErrorType, Operation};
    use std::collections::HashMap;

    /// Register files by address; anything that is written but a pointer fails the test.
    struct Bus(HashMap<u8, HashMap<u8, u16>>);

    impl ErrorType for Bus {
        type Error = BusError;
    }

    impl I2c for Bus {
        fn transaction(&mut self, address: u8, ops: &mut [Operation<'_>]) -> Result<(), BusError> {
            let chip = self.0.get(&address).ok_or(BusError::Errno(121))?;
            let mut pointer = 0;
            for operation in ops {
                match operation {
                    Operation::Write(bytes) => {
                        assert_eq!(bytes.len(), 1, "only pointers are written");
                        pointer = bytes[0];
                    }
                    Operation::Read(bytes) => {
                        let value = chip.get(&pointer).copied().unwrap_or(0xffff);
                        bytes.copy_from_slice(&value.to_be_bytes());
                    }
                }
            }
            Ok(())
        }
    }

    fn bus(chips: &[(u8, &[(u8, u16)])]) -> Bus {
        let chip = |registers: &[(u8, u16)]| registers.iter().copied().collect();
        Bus(chips
            .iter()
            .map(|(address, registers)| (*address, chip(registers)))
            .collect())
    }

    const INA219: &[(u8, u16)] = &[(0, 0x399f), (1, 0xfff0), (2, 1250 << 3 | 2), (5, 0)];
    const INA226: &[(u8, u16)] = &[(0, 0x4127), (0xfe, 0x5449), (0xff, 0x2260)];
    const INA228: &[(u8, u16)] = &[(0, 0), (0x3e, 0x5449), (0x3f, 0x2281)];
    const INA238: &[(u8, u16)] = &[(0, 0), (0x3e, 0x5449), (0x3f, 0x2381)];
    const INA3221: &[(u8, u16)] = &[(0, 0x7127), (0xfe, 0x5449), (0xff, 0x3220)];
    const INA260: &[(u8, u16)] = &[(0, 0x6127), (0xfe, 0x5449), (0xff, 0x2270)];
    /// A 16-channel PWM chip, common at 0x40.
    const PCA9685: &[(u8, u16)] = &[(0, 0x1104), (1, 0x04e2), (2, 0xe2e4), (5, 0xe000)];

    #[test]
    fn each_chip_is_told() {
        let mut bus = bus(&[
            (0x40, INA219),
            (0x41, INA226),
            (0x42, INA228),
            (0x43, INA238),
            (0x44, INA3221),
            (0x45, INA260),
            (0x46, PCA9685),
            (0x47, &[]),
        ]);
        let found = scan(&mut bus, "/dev/i2c-1", |address| {
            (address == 0x4f).then(|| (Chip::named("ina3221"), "ina3221".to_owned()))
        })
        .unwrap();
        let chips: Vec<Chip> = found.iter().map(|found| found.chip).collect();
        assert_eq!(
            chips,
            [
                Chip::Ina219,
                Chip::Ina226,
                Chip::Ina228,
                Chip::Ina238,
                Chip::Ina3221,
                Chip::Other(0x2270),
                Chip::Unknown,
                Chip::Unknown,
                Chip::Ina3221
            ]
        );
        assert_eq!(found[8].busy.as_deref(), Some("ina3221"));
    }

    #[test]
    fn the_wrong_chip_is_refused_with_the_right_kind() {
        let mut bus = bus(&[(0x40, INA226), (0x41, INA219), (0x42, INA238), (0x43, &[])]);
        let mut refused = |address, wanted| {
            expect(&mut bus, "/dev/i2c-1", address, wanted)
                .err()
                .map(|fault| fault.to_string())
        };
        let text = refused(0x40, SensorKind::Ina219).unwrap();
        assert!(text.contains("an INA226 answers there"), "{text}");
        assert!(text.contains("kind = \"ina226\""), "{text}");
        assert!(
            refused(0x41, SensorKind::Ina226)
                .unwrap()
                .contains("kind = \"ina219\"")
        );
        assert!(refused(0x42, SensorKind::Ina219).unwrap().contains("hwmon"));
        assert!(
            refused(0x43, SensorKind::Ina226)
                .unwrap()
                .contains("check the address")
        );
        assert_eq!(refused(0x43, SensorKind::Ina219), None);
        assert_eq!(refused(0x40, SensorKind::Ina226), None);
    }

    #[test]
    fn a_stuck_bus_ends_the_search() {
        struct Stuck;
        impl ErrorType for Stuck {
            type Error = BusError;
        }
        impl I2c for Stuck {
            fn transaction(&mut self, _: u8, _: &mut [Operation<'_>]) -> Result<(), BusError> {
                Err(BusError::Errno(110))
            }
        }
        let fault = scan(&mut Stuck, "/dev/i2c-1", |_| None).unwrap_err();
        assert_eq!(fault.kind, FaultKind::StuckBus);
    }
}
