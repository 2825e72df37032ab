//! What can be wrong with a chip or its bus, and what to do about it.

use crate::sensor::OpenError;
use std::fmt;

/// The kinds of fault, from the bus to the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// There is no such I2C device file.
    NoBus,
    NoPermission,
    /// A kernel driver holds the address.
    Held,
    /// Nobody acknowledges the address.
    Vanished,
    /// The bus is held low, or the controller waits in vain.
    StuckBus,
    /// The controller did only a part of a transfer.
    ShortTransfer,
    /// Another master was faster.
    Arbitration,
    /// The controller refuses this kind of transfer.
    Unsupported,
    /// Anything else that the controller reports.
    BusError,
    /// Something answers, but not the chip that the configuration names.
    OtherChip,
    /// The chip has stopped converting.
    Stopped,
    /// The chip overwrites its results before the bus can deliver them.
    TooSlow,
}

impl FaultKind {
    /// From the errno of a transfer: Documentation/i2c/fault-codes.rst and the drivers' own
    /// habits (bcm2835, Tegra and DesignWare report a missing acknowledge as EREMOTEIO).
    pub(super) fn of_transfer(errno: i32) -> FaultKind {
        match errno {
            errno::ENOENT | errno::ENODEV => Self::NoBus,
            errno::EACCES | errno::EPERM => Self::NoPermission,
            errno::EBUSY => Self::Held,
            errno::EREMOTEIO | errno::ENXIO => Self::Vanished,
            errno::ETIMEDOUT => Self::StuckBus,
            errno::EAGAIN => Self::Arbitration,
            errno::EOPNOTSUPP => Self::Unsupported,
            _ => Self::BusError,
        }
    }
}

mod errno {
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const ENXIO: i32 = 6;
    pub const EAGAIN: i32 = 11;
    pub const EACCES: i32 = 13;
    pub const EBUSY: i32 = 16;
    pub const ENODEV: i32 = 19;
    pub const EOPNOTSUPP: i32 = 95;
    pub const ETIMEDOUT: i32 = 110;
    pub const EREMOTEIO: i32 = 121;
}

/// An I2C error that knows its kind.
pub trait TransferError: embedded_hal::i2c::Error + fmt::Display {
    fn fault(&self) -> FaultKind;
}

/// One fault of one chip. Its text says what to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// The I2C device file.
    pub bus: String,
    pub address: u8,
    /// What was reported, or which driver holds the address.
    pub detail: String,
}

impl Fault {
    pub fn of(bus: &str, address: u8, error: &impl TransferError) -> Fault {
        let kind = error.fault();
        let driver = match kind {
            FaultKind::Held => super::kernel_driver(bus, address),
            _ => None,
        };
        Fault {
            kind,
            bus: bus.to_owned(),
            address,
            detail: driver.unwrap_or_else(|| error.to_string()),
        }
    }

    /// Whether the bus device has to be opened anew: another attempt on this one is in vain.
    pub fn is_lasting(&self) -> bool {
        matches!(
            self.kind,
            FaultKind::NoBus
                | FaultKind::NoPermission
                | FaultKind::Held
                | FaultKind::Unsupported
                | FaultKind::OtherChip
                | FaultKind::Stopped
                | FaultKind::TooSlow
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault {
            kind,
            bus,
            address,
            detail,
        } = self;
        match kind {
            FaultKind::NoBus => write!(
                f,
                "{bus}: no such I2C bus ({detail}); list the buses with `ls /dev/i2c-*`, enable \
                 I2C in the board's configuration, or load the module i2c-dev"
            ),
            FaultKind::NoPermission => write!(
                f,
                "{bus}: permission denied; add the user that runs jouled to the group that owns \
                 the device (usually `i2c`)"
            ),
            FaultKind::Held => write!(
                f,
                "{bus}: address {address:#04x} is held by a kernel driver ({detail}); use kind = \
                 \"hwmon\", or unbind it"
            ),
            FaultKind::Vanished => write!(
                f,
                "{bus}: address {address:#04x} does not answer; check the wiring, the supply and \
                 the address with `i2cdetect -y BUS` ({detail})"
            ),
            FaultKind::StuckBus => write!(
                f,
                "{bus}: address {address:#04x} timed out: something holds the bus; check the \
                 pull-ups and the other devices on it ({detail})"
            ),
            FaultKind::ShortTransfer => write!(
                f,
                "{bus}: address {address:#04x} broke off a transfer ({detail}); check the wiring \
                 and the length of the cable"
            ),
            FaultKind::Arbitration => write!(
                f,
                "{bus}: address {address:#04x} lost the bus to another master ({detail})"
            ),
            FaultKind::Unsupported => write!(
                f,
                "{bus}: address {address:#04x} cannot be read by this I2C controller ({detail}); \
                 use another bus"
            ),
            FaultKind::BusError => write!(
                f,
                "{bus}: address {address:#04x} failed on the wire ({detail}); check the wiring, \
                 the pull-ups and the bus speed"
            ),
            FaultKind::OtherChip => write!(f, "{bus}: address {address:#04x}: {detail}"),
            FaultKind::Stopped => write!(
                f,
                "{bus}: the chip at address {address:#04x} has stopped converting; check its \
                 supply"
            ),
            FaultKind::TooSlow => write!(
                f,
                "{bus}: the chip at address {address:#04x} overwrites its results before they are \
                 read ({detail}); run the I2C bus at 400 kHz, or set adc_shunt to avg2 or slower"
            ),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> OpenError {
        OpenError::Device(fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::i2c::BusError;

    fn text(errno: i32) -> String {
        Fault::of("/dev/i2c-99", 0x44, &BusError::Errno(errno)).to_string()
    }

    #[test]
    fn errors_say_what_to_do() {
        assert!(text(16).contains("0x44 is held by a kernel driver"));
        assert!(text(16).contains("kind = \"hwmon\""));
        assert!(text(13).contains("group"));
        assert!(text(121).contains("does not answer"));
        assert!(text(6).contains("does not answer"));
        assert!(text(110).contains("pull-ups"));
        assert!(text(5).contains("on the wire"));
        assert!(text(2).contains("ls /dev/i2c-*"));
    }

    #[test]
    fn what_will_pass_is_told_from_what_lasts() {
        let lasting = |errno| Fault::of("/dev/i2c-99", 0x44, &BusError::Errno(errno)).is_lasting();
        assert!(lasting(19));
        assert!(lasting(95));
        assert!(!lasting(121));
        assert!(!lasting(110));
        let short = BusError::Short { done: 1, of: 2 };
        assert!(!Fault::of("/dev/i2c-99", 0x44, &short).is_lasting());
    }
}
