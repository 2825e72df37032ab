//! The bus of a simulated chip: a transaction blocks for as long as its bits take on a real
//! one, so that a sampler has as many waits and wake-ups as on a board. The kernel's own time
//! in an I2C transfer is not in it.

use crate::clock;
use crate::units::Span;
use embedded_hal::i2c::{ErrorType, I2c, Operation};

/// A chip behind a controller that clocks `hz` bits a second; with 0 it answers at once.
#[derive(Debug)]
pub struct Wire<C> {
    chip: C,
    hz: u64,
}

impl<C> Wire<C> {
    pub fn new(chip: C, hz: u32) -> Self {
        Self {
            chip,
            hz: u64::from(hz),
        }
    }
}

impl<C: ErrorType> ErrorType for Wire<C> {
    type Error = C::Error;
}

impl<C: I2c> I2c for Wire<C> {
    fn transaction(&mut self, address: u8, ops: &mut [Operation<'_>]) -> Result<(), C::Error> {
        if let Some(ns) = (bits(ops) * 1_000_000_000).checked_div(self.hz) {
            clock::sleep(Span(ns));
        }
        self.chip.transaction(address, ops)
    }
}

/// A start and nine bits for the address each, nine for each byte, and a stop.
fn bits(ops: &[Operation<'_>]) -> u64 {
    ops.iter().fold(1, |bits, operation| {
        let bytes = match operation {
            Operation::Write(bytes) => bytes.len(),
            Operation::Read(bytes) => bytes.len(),
        };
        bits + 10 + 9 * bytes as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_a_register_takes_48_bits() {
        let mut answer = [0; 2];
        let ops = [Operation::Write(&[1]), Operation::Read(&mut answer)];
        assert_eq!(bits(&ops), 1 + 19 + 28);
    }
}
