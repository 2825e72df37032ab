//! RAPL energy counters from `/sys/class/powercap`, in µJ; AMD's processors have the same
//! under the same names.
//!
//! Each package and its DRAM are rails of their own, and their sum the total where there is
//! more than one. `core` and `uncore` are inside their package, `psys` encloses everything
//! and is not read: what it covers is left to the board's maker, and many leave it wrong.
//! Since CVE-2020-8694 only root may read the counters.

mod discover;
mod source;
#[cfg(test)]
mod tests;

pub use discover::{Domain, Place, discover};
pub use source::open;
