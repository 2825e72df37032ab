//! What a board profile knows about the rails of a sensor, by the labels that the sensor
//! itself gives them. Matched by the exact label: parts of names mislead
//! (`VDD_CPU_GPU_CV` is no CPU rail).

use super::Boundary;
use crate::units::{Ohms, Volts};

/// The rails that a profile knows; empty where there is none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KnownRails {
    pub rails: Vec<KnownRail>,
    pub total: Option<KnownTotal>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct KnownRail {
    pub label: String,
    pub boundary: Boundary,
    /// The label of the rail that encloses this one.
    pub contained_in: Option<String>,
    pub excludes: Vec<String>,
    /// Tells the step of an INA3221 channel, 40 µV over it.
    pub shunt: Option<Ohms>,
    /// To tell a step of current as one of power before anything is read.
    pub nominal_voltage: Option<Volts>,
}

/// The sum that stands for the whole, over rails that don't contain each other.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownTotal {
    pub labels: Vec<String>,
    pub boundary: Boundary,
    pub excludes: Vec<String>,
}

impl KnownRails {
    pub fn rail(&self, label: &str) -> Option<&KnownRail> {
        self.rails.iter().find(|rail| rail.label == label)
    }
}
