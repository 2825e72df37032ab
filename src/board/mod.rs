//! The board around the model: what it is, how warm it gets, and what else its CPUs do.

mod contention;
mod facts;
mod memory;
mod thermal;

pub use contention::{Contention, CpuTimes};
pub use facts::Board;
pub use memory::{available_bytes, disk_free_bytes, disk_free_share, own_rss_bytes};
pub use thermal::hottest_c;
