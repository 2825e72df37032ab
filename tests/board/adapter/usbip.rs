//! The kernel's side of USB/IP: the URBs of a device that this process plays.
//!
//! Messages are those of the kernel's `Documentation/usb/usbip_protocol.rst`, after the
//! import: a header of 48 bytes, big-endian, and the data of the transfer.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

const ATTACH: &str = "/sys/devices/platform/vhci_hcd.0/attach";
const PORT: u32 = 0;
const DEVICE_ID: u32 = 0x0001_0002;
/// `USB_SPEED_FULL`: i2c-tiny-usb is slower, but control transfers of 8 bytes are the same.
const SPEED: u32 = 2;

const CMD_SUBMIT: u32 = 1;
const CMD_UNLINK: u32 = 2;
const RET_SUBMIT: u32 = 3;
const RET_UNLINK: u32 = 4;
const HEADER: usize = 48;
/// -EPIPE: how Linux calls a stall.
const STALLED: i32 = -32;

/// A control transfer.
#[derive(Debug)]
pub struct Request {
    sequence: u32,
    pub setup: Setup,
    /// What the host sends; empty when it reads.
    pub data: Vec<u8>,
}

/// USB 2.0, table 9-2.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub request_type: u8,
    pub request: u8,
    pub value: u16,
    pub index: u16,
    pub length: u16,
}

impl Setup {
    pub fn is_read(&self) -> bool {
        self.request_type & 0x80 != 0
    }
}

/// The device does not know such a request.
#[derive(Debug)]
pub struct Stall;

/// Hands one end of a pair of sockets to the kernel and returns the other.
pub fn attach() -> io::Result<UnixStream> {
    let (ours, kernels) = UnixStream::pair()?;
    let line = format!("{PORT} {} {DEVICE_ID} {SPEED}", kernels.as_raw_fd());
    fs::write(ATTACH, line)?;
    Ok(ours)
}

/// The next transfer; `None` after the kernel has detached the device.
pub fn next(kernel: &mut UnixStream) -> io::Result<Option<Request>> {
    loop {
        let mut header = [0; HEADER];
        match kernel.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let sequence = word(&header, 4);
        match word(&header, 0) {
            CMD_SUBMIT => {
                let is_out = word(&header, 12) == 0;
                let mut data = vec![
                    0;
                    if is_out {
                        word(&header, 24) as usize
                    } else {
                        0
                    }
                ];
                kernel.read_exact(&mut data)?;
                let setup = setup(&header[40..]);
                return Ok(Some(Request {
                    sequence,
                    setup,
                    data,
                }));
            }
            // Every transfer is answered before the next is read: nothing is left to take back.
            CMD_UNLINK => kernel.write_all(&reply(RET_UNLINK, sequence, 0, 0))?,
            other => {
                let text = format!("the kernel sent a message of the unknown kind {other}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
}

pub fn answer(
    kernel: &mut UnixStream,
    request: &Request,
    reply_data: Result<Vec<u8>, Stall>,
) -> io::Result<()> {
    let (status, mut data) = match reply_data {
        Ok(data) => (0, data),
        Err(Stall) => (STALLED, Vec::new()),
    };
    data.truncate(usize::from(request.setup.length));
    let actual = if request.setup.is_read() {
        data.len()
    } else {
        request.data.len()
    };
    let mut message = reply(RET_SUBMIT, request.sequence, status, actual as u32).to_vec();
    message.extend(data);
    kernel.write_all(&message)
}

fn reply(kind: u32, sequence: u32, status: i32, actual: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let words = [kind, sequence, 0, 0, 0, status as u32, actual];
    for (place, value) in header.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&value.to_be_bytes());
    }
    header
}

fn word(header: &[u8; HEADER], at: usize) -> u32 {
    let bytes = header[at..at + 4].try_into();
    u32::from_be_bytes(bytes.expect("four bytes are four bytes"))
}

fn setup(bytes: &[u8]) -> Setup {
    let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    Setup {
        request_type: bytes[0],
        request: bytes[1],
        value: half(2),
        index: half(4),
        length: half(6),
    }
}
