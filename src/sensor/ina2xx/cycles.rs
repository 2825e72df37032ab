//! What the driver needs to know of a chip that converts in cycles and raises a flag at the
//! end of each.

use super::Correction;
use crate::sensor::ErrorLimits;
use crate::sensor::i2c::TransferError;
use crate::units::{Ohms, Span, Volts};
use std::fmt::Display;

/// One rail's results of one cycle.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// The shunt's voltage, as indicated.
    pub drop: Volts,
    pub bus: Volts,
    /// The converter stood at an end of its range.
    pub saturated: bool,
}

/// How many register accesses a cycle takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfers {
    /// Until the results are read.
    pub until_read: u32,
    /// Until the next cycle can be awaited.
    pub in_all: u32,
}

/// A chip's setting of range, resolution and averaging.
pub trait CycleMode: Copy + PartialEq + Display + Send {
    /// Typical length of a cycle.
    fn cycle(self) -> Span;
    /// Share of a cycle in which current is converted.
    fn duty(self) -> f64;
    /// Full scale of the shunt's voltage.
    fn range(self) -> Volts;
    /// Whether a mean can hide clipped parts.
    fn averages(self) -> bool;
    /// How long after a cycle's end its results stand in the registers.
    fn results_stand(self) -> Span;
    fn transfers(self) -> Transfers;
    /// The slow mode between attempts, with the same range.
    fn idle(self) -> Self;
    /// The next slower mode; `None` at the slowest.
    fn slower(self) -> Option<Self>;
    fn limits(self, shunt: Ohms, shunt_tolerance: f64, correction: &Correction) -> ErrorLimits;

    fn rate_hz(self) -> f64 {
        1.0 / self.cycle().as_secs_f64()
    }
}

/// The registers of one chip.
pub trait CycleChip {
    type Mode: CycleMode;
    type Error: TransferError;
    /// Whether looking at the flag clears it.
    const POLL_CLEARS: bool;

    /// Sets the mode, which restarts the conversions.
    fn configure(&mut self, mode: Self::Mode) -> Result<(), Self::Error>;
    /// Whether the chip still has `mode`: a dip of its supply resets it.
    fn keeps(&mut self, mode: Self::Mode) -> Result<bool, Self::Error>;
    /// Whether a cycle has ended since the flag was cleared.
    fn poll(&mut self) -> Result<bool, Self::Error>;
    /// The same where the flag is expected to stand: what follows may be read in the same
    /// transfer, which clears the flag.
    fn poll_for_results(&mut self) -> Result<bool, Self::Error> {
        self.poll()
    }
    /// Whether the bus is fast enough to read all registers in one transfer.
    fn allow_read_ahead(&mut self, _allowed: bool) {}
    /// The results of the cycle whose flag was seen, one a rail.
    fn results(&mut self, samples: &mut [Sample]) -> Result<(), Self::Error>;
    /// Clears the flag where looking at it doesn't.
    fn clear(&mut self) -> Result<(), Self::Error>;
}
