//! The power management chip of the Raspberry Pi 5, which the firmware reads: `vcgencmd
//! pmic_read_adc` tells the current and the voltage of each rail behind it.
//!
//! The total is the sum over the pairs. It is no board power: the 5 V input's own current,
//! USB, PCIe, the HAT's 5 V, the fan and the regulators' loss are not among them. A rail that
//! draws less than the ADC's floor (the memory's at idle) reads exactly 0 A, and is taken so.
//! How old the ADC's values are is not documented. Each sweep is a process, so two a second
//! is the usual rate.

mod exchange;
mod parse;
mod source;

pub use parse::{Adc, Channel, parse};
pub(super) use source::check;
pub use source::open;
