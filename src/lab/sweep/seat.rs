//! A board of a study: what it can run, and in which order it would.

use super::order::{Slot, sequence};
use super::study::Study;
use std::collections::BTreeMap;

/// Why a board can't run a point; by the point, `None` of the baseline.
pub type Unfit = BTreeMap<Option<usize>, String>;

#[derive(Debug, Clone)]
pub struct Seat {
    pub device: String,
    pub unfit: Unfit,
    /// All rounds of all points.
    pub order: Vec<Slot>,
}

impl Seat {
    pub fn new(study: &Study, device: &str, unfit: Unfit) -> Self {
        Self {
            device: device.to_owned(),
            unfit,
            order: sequence(study, device),
        }
    }

    pub fn fits(&self, point: Option<usize>) -> bool {
        !self.unfit.contains_key(&point)
    }
}
