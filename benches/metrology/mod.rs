//! What the two proofs of the measuring core share, and the proofs themselves: `accuracy`
//! asks how far energies of known waveforms are off, `monte_carlo` whether the stated
//! uncertainty is what ten thousand chips show.
//!
//! The sensor is the simulated INA219 at the level of its registers, read by the driver that
//! reads real ones, in virtual time: a minute of measuring takes a fraction of a second, and
//! the same seed gives the same windows. benches/accuracy and benches/monte_carlo print the
//! tables; tests/metrology.rs runs smaller sizes of both in the test suite.

pub mod accuracy;
pub mod attempt;
pub mod cases;
pub mod chips;
pub mod power;
pub mod rig;
