//! The records that the lab's tests show and store.

#[path = "../../tests/common/canned.rs"]
mod canned;
#[path = "../../tests/common/studied.rs"]
mod studied;

use crate::record::Stamped;
use crate::record::result::JobResult;
pub use canned::{tokens, trace};

pub const DEVICE: &str = "pi5-01";
pub const ID: &str = "smol-1";

pub fn result() -> Stamped<JobResult> {
    canned::result(DEVICE, ID)
}

pub fn studied() -> Vec<Stamped<JobResult>> {
    studied::studied(&result())
}
