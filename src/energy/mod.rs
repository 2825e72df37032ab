//! The measuring core: from power windows and token times to energies with their
//! uncertainty. Pure: no I/O, no clock. METROLOGY.md's rules, by name.

mod reason;

pub use reason::Reason;
