//! What an attempt's records say beside what was observed in it.

use crate::config::SamplerPower;
use crate::record::result::{Board, Build, Data, LostAttempt, Model};
use crate::record::{Stamp, Stamped};
use crate::workload::Job;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is known before the attempt begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// What measured: a record says so whoever makes it again.
    pub jouled: Build,
    pub device: String,
    pub job: Job,
    pub attempt: u32,
    pub board: Board,
    /// The configuration's facts about the rig.
    pub rig: BTreeMap<String, String>,
    pub model: Option<Model>,
    /// What a job of data read.
    #[serde(default)]
    pub data: Option<Data>,
    /// Index of the primary rail.
    pub primary: Option<usize>,
    /// Whether that rail is simulated.
    #[serde(default)]
    pub simulated: bool,
    /// What sampling takes, where that was measured.
    pub sampler_power: Option<SamplerPower>,
    /// What is wrong already: sensors that don't work, no primary rail.
    pub warnings: Vec<String>,
    /// Earlier attempts of the job that left nothing behind.
    #[serde(default)]
    pub lost_attempts: Vec<LostAttempt>,
}

impl Context {
    pub fn stamped<T>(&self, body: T) -> Stamped<T> {
        Stamped {
            stamp: Stamp::now(&self.device),
            body,
        }
    }
}
