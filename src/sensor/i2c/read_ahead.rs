//! Several registers in one transfer.
//!
//! Each transfer puts its thread to sleep and wakes it again, on a core that a model would
//! use: four registers in one cost a fourth of that. Controllers that take one read a transfer
//! only (i2c-bcm2835) refuse, and are not asked again.

use super::{FaultKind, TransferError};
use embedded_hal::i2c::{ErrorType, I2c, Operation};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most registers that are read at once.
const MOST: usize = 4;

/// A bus whose clones share what was read ahead. Registers have 16 bits and are read by
/// writing their number first; whatever else is transferred goes through.
#[derive(Debug)]
pub struct ReadAhead<I2C>(Arc<Mutex<State<I2C>>>);

#[derive(Debug)]
struct State<I2C> {
    i2c: I2C,
    refused: bool,
    /// Register and what it held, until it is asked for.
    ahead: [Option<(u8, [u8; 2])>; MOST],
}

impl<I2C> Clone for ReadAhead<I2C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<I2C: I2c> ReadAhead<I2C>
where
    I2C::Error: TransferError,
{
    pub fn new(i2c: I2C) -> Self {
        Self(Arc::new(Mutex::new(State {
            i2c,
            refused: false,
            ahead: [None; MOST],
        })))
    }

    /// Reads up to four `registers` of the chip at `address`, in order; whoever reads one of
    /// them next is given that. Tells whether it did: where the controller refuses, every
    /// register is read when it is asked for.
    pub fn read(&self, address: u8, registers: &[u8]) -> Result<bool, I2C::Error> {
        let mut state = self.state();
        state.ahead = [None; MOST];
        if state.refused {
            return Ok(false);
        }
        let mut held = [[0; 2]; MOST];
        let mut operations = Vec::with_capacity(2 * MOST);
        for (register, held) in registers.iter().zip(&mut held) {
            operations.push(Operation::Write(std::slice::from_ref(register)));
            operations.push(Operation::Read(held));
        }
        match state.i2c.transaction(address, &mut operations) {
            Ok(()) => {
                for (at, &register) in registers.iter().take(MOST).enumerate() {
                    state.ahead[at] = Some((register, held[at]));
                }
                Ok(true)
            }
            Err(error) if error.fault() == FaultKind::Unsupported => {
                state.refused = true;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// What was read ahead counts no more.
    pub fn forget(&self) {
        self.state().ahead = [None; MOST];
    }
}

impl<I2C> ReadAhead<I2C> {
    fn state(&self) -> MutexGuard<'_, State<I2C>> {
        // Nothing is left half-changed by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I2C> State<I2C> {
    fn take(&mut self, register: u8) -> Option<[u8; 2]> {
        let held = self.ahead.iter_mut().find(|held| {
            let of = held.map(|(of, _)| of);
            of == Some(register)
        });
        held?.take().map(|(_, held)| held)
    }
}

impl<I2C: ErrorType> ErrorType for ReadAhead<I2C> {
    type Error = I2C::Error;
}

impl<I2C: I2c> I2c for ReadAhead<I2C> {
    fn transaction(&mut self, address: u8, ops: &mut [Operation<'_>]) -> Result<(), I2C::Error> {
        let mut state = self.state();
        if let [Operation::Write([register]), Operation::Read(bytes)] = ops
            && bytes.len() == 2
            && let Some(held) = state.take(*register)
        {
            bytes.copy_from_slice(&held);
            return Ok(());
        }
        state.i2c.transaction(address, ops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::simulated::NoAcknowledge;

    /// Registers that count how often they are read; `compound`: several in one transfer.
    #[derive(Debug)]
    struct Counting {
        transfers: u16,
        compound: bool,
    }

    #[derive(Debug, thiserror::Error)]
    enum Refusal {
        #[error("one read a transfer")]
        Compound,
        #[error(transparent)]
        Nobody(NoAcknowledge),
    }

    impl embedded_hal::i2c::Error for Refusal {
        fn kind(&self) -> embedded_hal::i2c::ErrorKind {
            match self {
                Self::Compound => embedded_hal::i2c::ErrorKind::Other,
                Self::Nobody(error) => error.kind(),
            }
        }
    }

    impl TransferError for Refusal {
        fn fault(&self) -> FaultKind {
            match self {
                Self::Compound => FaultKind::Unsupported,
                Self::Nobody(error) => error.fault(),
            }
        }
    }

    impl ErrorType for Counting {
        type Error = Refusal;
    }

    impl I2c for Counting {
        fn transaction(&mut self, address: u8, ops: &mut [Operation<'_>]) -> Result<(), Refusal> {
            if address != 0x40 {
                return Err(Refusal::Nobody(NoAcknowledge));
            }
            if ops.len() > 2 && !self.compound {
                return Err(Refusal::Compound);
            }
            self.transfers += 1;
            let mut pointer = 0;
            for operation in ops {
                match operation {
                    Operation::Write(bytes) => pointer = bytes[0],
                    Operation::Read(bytes) => {
                        let held = 256 * self.transfers + u16::from(pointer);
                        bytes.copy_from_slice(&held.to_be_bytes());
                    }
                }
            }
            Ok(())
        }
    }

    fn bus(compound: bool) -> ReadAhead<Counting> {
        let transfers = 0;
        ReadAhead::new(Counting {
            transfers,
            compound,
        })
    }

    fn read(bus: &ReadAhead<Counting>, register: u8) -> [u8; 2] {
        let mut held = [0; 2];
        bus.clone()
            .write_read(0x40, &[register], &mut held)
            .unwrap();
        held
    }

    #[test]
    fn each_register_is_given_once_and_then_read_anew() {
        let bus = bus(true);
        assert!(bus.read(0x40, &[2, 1]).unwrap());
        assert_eq!([read(&bus, 1), read(&bus, 2)], [[1, 1], [1, 2]]);
        assert_eq!(read(&bus, 1), [2, 1]);
        assert!(bus.read(0x40, &[2]).unwrap());
        bus.forget();
        assert_eq!(read(&bus, 2), [4, 2]);
    }

    #[test]
    fn a_controller_that_refuses_is_not_asked_again_but_a_lost_chip_is_an_error() {
        let refusing = bus(false);
        assert!(!refusing.read(0x40, &[2, 1]).unwrap());
        assert!(refusing.state().refused);
        assert_eq!([read(&refusing, 2), read(&refusing, 1)], [[1, 2], [2, 1]]);
        let bus = bus(true);
        assert!(bus.read(0x41, &[2, 1]).is_err());
        assert!(!bus.state().refused);
    }
}
