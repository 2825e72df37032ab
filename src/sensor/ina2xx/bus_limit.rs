//! How many cycles a second the bus can follow: at 100 kHz a register takes 0.48 ms on the
//! wire, half of the INA219's fastest cycle of 12 bit.

use super::cycles::{CycleMode, Transfers};
use crate::clock::Clock;
use crate::units::Span;

/// The fastest of so many is the wire's: a busy machine only makes some slower.
const READS: usize = 8;
/// The chip's clock may be 10 % fast.
const FAST_CLOCK: f64 = 0.9;
/// From the flag to the poll that sees it, when that came just too early.
const LATE_LOOK: f64 = 25e-6;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BusLimit {
    transfer: Span,
}

impl BusLimit {
    /// Times a few reads.
    pub fn measure<E>(
        clock: &impl Clock,
        mut read: impl FnMut() -> Result<(), E>,
    ) -> Result<BusLimit, E> {
        let mut transfer = Span(u64::MAX);
        for _ in 0..READS {
            let before = clock.now();
            read()?;
            transfer = transfer.min(clock.now().since(before));
        }
        Ok(BusLimit { transfer })
    }

    /// One register access.
    pub fn transfer(self) -> Span {
        self.transfer
    }

    /// The most cycles a second that can be read completely in modes such as `mode`.
    pub fn most_cycles_hz<M: CycleMode>(self, mode: M) -> f64 {
        FAST_CLOCK / self.seconds(mode.transfers().in_all)
    }

    fn seconds(self, transfers: u32) -> f64 {
        f64::from(transfers) * self.transfer.as_secs_f64() + LATE_LOOK
    }

    fn has_time(self, mode: impl CycleMode, transfers: Transfers) -> bool {
        self.seconds(transfers.until_read) <= FAST_CLOCK * mode.results_stand().as_secs_f64()
            && self.seconds(transfers.in_all) <= FAST_CLOCK * mode.cycle().as_secs_f64()
    }

    /// Whether every cycle's results can be read before the next ones take their place.
    pub fn follows(self, mode: impl CycleMode) -> bool {
        self.has_time(mode, mode.transfers())
    }

    /// Whether each cycle leaves time for two more accesses.
    pub fn has_time_to_verify(self, mode: impl CycleMode) -> bool {
        let Transfers { until_read, in_all } = mode.transfers();
        let in_all = in_all + 2;
        self.has_time(mode, Transfers { until_read, in_all })
    }

    /// Whether the results still stand when all registers have been read, with averaging the
    /// configuration among them, before the first of them is looked at.
    pub fn has_time_to_read_ahead(self, mode: impl CycleMode) -> bool {
        let in_all = mode.transfers().in_all + u32::from(mode.averages());
        let until_read = in_all;
        self.has_time(mode, Transfers { until_read, in_all })
    }

    /// `wanted`, or the fastest slower mode that the bus can follow.
    pub fn fit<M: CycleMode>(self, wanted: M) -> M {
        let mut mode = wanted;
        while !self.follows(mode) {
            match mode.slower() {
                Some(slower) => mode = slower,
                None => break,
            }
        }
        mode
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::ina219::{AdcMode, Mode};

    fn fitted(transfer_us: u64, shunt: AdcMode) -> String {
        let transfer = Span::from_micros(transfer_us);
        let mode = Mode::new(shunt, AdcMode::Bits12, 0.04).unwrap();
        BusLimit { transfer }.fit(mode).to_string()
    }

    #[test]
    fn the_bus_chooses_the_fastest_mode_that_it_can_follow() {
        // 400 kHz, with what the kernel adds.
        assert_eq!(fitted(150, AdcMode::Bits12), "12bit/12bit");
        assert_eq!(fitted(150, AdcMode::Bits9), "12bit/12bit");
        assert_eq!(fitted(150, AdcMode::Avg8), "avg8/12bit");
        // 100 kHz.
        assert_eq!(fitted(480, AdcMode::Bits12), "avg4/12bit");
        assert_eq!(fitted(520, AdcMode::Avg8), "avg8/12bit");
        // So slow a bus is at fault; the slowest mode is as good as it gets.
        assert_eq!(fitted(90_000, AdcMode::Avg8), "avg128/12bit");
    }

    #[test]
    fn the_limit_is_told_in_cycles() {
        let limit = BusLimit {
            transfer: Span::from_micros(480),
        };
        let mode = Mode::new(AdcMode::Bits12, AdcMode::Bits12, 0.04).unwrap();
        assert!((600.0..640.0).contains(&limit.most_cycles_hz(mode)));
        assert!(!limit.has_time_to_verify(mode));
    }
}
