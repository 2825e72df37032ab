//! Till Harbaum's i2c-tiny-usb as Linux's driver of that name talks to it: I2C messages as
//! vendor requests on the control endpoint. Commands and flags are those of the kernel's
//! `drivers/i2c/busses/i2c-tiny-usb.c`.

use crate::usbip::{Request, Setup, Stall};
use embedded_hal::i2c::{I2c, Operation};
use jouled::clock::{self, Monotonic};
use jouled::sensor::simulated::Chip;
use std::fmt;

const GET_DESCRIPTOR: u8 = 6;
const DEVICE: u8 = 1;
const CONFIGURATION: u8 = 2;
const STRING: u8 = 3;

const GET_FUNCTIONS: u8 = 1;
const SET_DELAY: u8 = 2;
const GET_STATUS: u8 = 3;
/// With the bits for a start before, and a stop after the message.
const IO: std::ops::RangeInclusive<u8> = 4..=7;

const STATUS_ACKNOWLEDGED: u8 = 1;
const STATUS_NOT_ACKNOWLEDGED: u8 = 2;

/// `I2C_FUNC_I2C` and `I2C_FUNC_SMBUS_EMUL`.
const FUNCTIONS: u32 = 0x0eff_0009;

const STRINGS: [&str; 3] = ["jouled", "i2c-tiny-usb", "virtual-board"];

/// USB 2.0, table 9-8: vendor 0403, product c631.
const DEVICE_DESCRIPTOR: [u8; 18] = [
    18, DEVICE, 0x10, 0x01, 0xff, 0, 0, 8, 0x03, 0x04, 0x31, 0xc6, 0x05, 0x02, 1, 2, 3, 1,
];
/// One configuration with one interface without endpoints, 100 mA.
const CONFIGURATION_DESCRIPTOR: [u8; 18] = [
    9,
    CONFIGURATION,
    18,
    0,
    1,
    1,
    0,
    0x80,
    50, //
    9,
    4,
    0,
    0,
    0,
    0xff,
    0,
    0,
    0,
];

/// A register that was read.
#[derive(Debug)]
pub struct Served {
    at_ns: u64,
    address: u8,
    register: u8,
    value: u16,
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Served {
            at_ns,
            address,
            register,
            value,
        } = self;
        write!(f, "{at_ns} {address:#04x} {register} {value}")
    }
}

/// The adapter and its bus.
pub struct TinyUsb {
    chips: Vec<Chip<Monotonic>>,
    status: u8,
    /// The register that the last message has pointed to.
    register: u8,
    served: Vec<Served>,
}

impl TinyUsb {
    pub fn new(chips: Vec<Chip<Monotonic>>) -> TinyUsb {
        TinyUsb {
            chips,
            status: STATUS_ACKNOWLEDGED,
            register: 0,
            served: Vec::new(),
        }
    }

    /// The data of the reply.
    pub fn answer(&mut self, request: &Request) -> Result<Vec<u8>, Stall> {
        const VENDOR: u8 = 0x40;
        let setup = &request.setup;
        match (setup.request_type & 0x60, setup.request) {
            (0, GET_DESCRIPTOR) => descriptor(setup),
            // Setting address, configuration and interface: there is but one.
            (0, _) if !setup.is_read() => Ok(Vec::new()),
            (VENDOR, GET_FUNCTIONS) => Ok(FUNCTIONS.to_le_bytes().to_vec()),
            (VENDOR, SET_DELAY) => Ok(Vec::new()),
            (VENDOR, GET_STATUS) => Ok(vec![self.status]),
            (VENDOR, command) if IO.contains(&command) => Ok(self.transfer(request)),
            _ => Err(Stall),
        }
    }

    pub fn take_served(&mut self) -> Vec<Served> {
        std::mem::take(&mut self.served)
    }

    /// One message; `value` holds its flags and `index` the address.
    fn transfer(&mut self, request: &Request) -> Vec<u8> {
        let address = request.setup.index as u8;
        let mut read = vec![0; usize::from(request.setup.length)];
        let operation = if request.setup.is_read() {
            Operation::Read(&mut read)
        } else {
            Operation::Write(&request.data)
        };
        let mut operations = [operation];
        // A chip does not acknowledge an address that is not its own.
        let acknowledged = self
            .chips
            .iter_mut()
            .any(|chip| chip.transaction(address, &mut operations).is_ok());
        self.status = if acknowledged {
            STATUS_ACKNOWLEDGED
        } else {
            STATUS_NOT_ACKNOWLEDGED
        };
        if !request.setup.is_read() {
            self.register = request.data.first().copied().unwrap_or(self.register);
            return Vec::new();
        }
        if let ([high, low], true) = (read.as_slice(), acknowledged) {
            self.served.push(Served {
                at_ns: clock::now().0,
                address,
                register: self.register,
                value: u16::from_be_bytes([*high, *low]),
            });
        }
        read
    }
}

fn descriptor(setup: &Setup) -> Result<Vec<u8>, Stall> {
    let [kind, index] = setup.value.to_be_bytes();
    match (kind, index) {
        (DEVICE, _) => Ok(DEVICE_DESCRIPTOR.to_vec()),
        (CONFIGURATION, _) => Ok(CONFIGURATION_DESCRIPTOR.to_vec()),
        // The languages: English.
        (STRING, 0) => Ok(vec![4, STRING, 0x09, 0x04]),
        (STRING, index) => {
            let text = STRINGS.get(usize::from(index) - 1).ok_or(Stall)?;
            let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let mut bytes = vec![2 + units.len() as u8, STRING];
            bytes.extend(units);
            Ok(bytes)
        }
        _ => Err(Stall),
    }
}
