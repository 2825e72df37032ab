//! The far end of the virtual board's I2C bus: an i2c-tiny-usb adapter with INA219s behind it.
//!
//! The kernel of the guest sees a USB device over USB/IP and makes a `/dev/i2c-N` of it with
//! its own drivers; the chips are those of `kind = "simulated"`, register by register. What
//! each of them is asked is logged with the time, so that a test can be judged by what was
//! served. The process ends when the kernel detaches the device, and its end unplugs it.
//!
//! `board-adapter plug LOG WAVEFORM BUS_V SHUNT_OHM ADDRESS...` plugs it in, as root;
//! `board-adapter model FILE` writes the tiny model that the jobs run.
#![allow(clippy::unwrap_used, reason = "a test")]

mod tiny_usb;
mod usbip;

#[path = "../../support/tiny_gguf.rs"]
#[allow(dead_code, reason = "only sound models are written here")]
mod tiny_gguf;

use jouled::clock::Monotonic;
use jouled::sensor::simulated::{Chip, Unit, Wiring};
use jouled::units::{Ohms, Volts};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use tiny_usb::TinyUsb;

/// How the chips differ from perfect ones: within the limits of the data sheet and of a
/// shunt of 1 %.
const UNIT: Unit = Unit {
    clock_ratio: 1.03,
    offset: Volts(4e-6),
    gain: 1.003,
    bus_gain: 1.0,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["model", file] => tiny_gguf::write(Path::new(file), tiny_gguf::Damage::None).unwrap(),
        ["plug", log, waveform, bus_v, shunt_ohm, addresses @ ..] => {
            let chips = addresses.iter().map(|address| {
                let wiring = Wiring {
                    address: u8::from_str_radix(address.trim_start_matches("0x"), 16).unwrap(),
                    shunt: Ohms(shunt_ohm.parse().unwrap()),
                    bus: Volts(bus_v.parse().unwrap()),
                    current: waveform.parse().unwrap(),
                    unit: UNIT,
                };
                Chip::new(wiring, Monotonic)
            });
            let mut log =
                BufWriter::new(File::options().append(true).create(true).open(log).unwrap());
            let adapter = TinyUsb::new(chips.collect());
            let done = plug(
                adapter,
                &mut log,
                &format!("{waveform} {bus_v} {shunt_ohm}"),
            );
            log.flush().unwrap();
            done.unwrap();
        }
        _ => {
            eprintln!("board-adapter plug LOG WAVEFORM BUS_V SHUNT_OHM ADDRESS... | model FILE");
            std::process::exit(2);
        }
    }
}

/// Serves until the kernel lets go of the device.
fn plug(mut adapter: TinyUsb, log: &mut impl Write, what: &str) -> io::Result<()> {
    let mut kernel = usbip::attach()?;
    writeln!(log, "{} plugged {what}", jouled::clock::now().0)?;
    log.flush()?;
    // Where the log lies is slow to write: a line a read would slow the bus down.
    const LINES: usize = 64;
    let mut lines = 0;
    while let Some(request) = usbip::next(&mut kernel)? {
        let reply = adapter.answer(&request);
        usbip::answer(&mut kernel, &request, reply)?;
        for read in adapter.take_served() {
            writeln!(log, "{read}")?;
            lines += 1;
        }
        if lines >= LINES {
            lines = 0;
            log.flush()?;
        }
    }
    writeln!(log, "{} unplugged", jouled::clock::now().0)
}
