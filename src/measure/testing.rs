//! What tests of this module share.

use crate::sensor::{Boundary, BoundaryBasis, ErrorLimits, RailSpec, ReadingKind};

/// A rail of an INA219 with no errors.
pub fn rail(name: &str) -> RailSpec {
    RailSpec {
        name: name.to_owned(),
        boundary: Boundary::BoardInput,
        boundary_basis: BoundaryBasis::Declared,
        contained_in: None,
        excludes: Vec::new(),
        source: "ina219",
        simulated: false,
        kind: ReadingKind::Window,
        mode: None,
        range_mv: None,
        shunt: None,
        duty: None,
        nominal_rate_hz: 1000.0,
        limits: ErrorLimits::default(),
    }
}
