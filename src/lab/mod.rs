//! The lab side: everything behind `joulectl`. Boards are talked to over MQTT only, by the
//! published contract. `explain`, `compare`, `export` and `recompute` read records and raw data
//! from files; `models get` and `models quantize` make files here. Two may run on the measured
//! board: `demo`, and `recompute --storage`, which reads the storage directory of a jouled there,
//! its SQLite and its raw data.

mod alone;
pub mod broker;
pub mod client;
pub mod collect;
pub mod compare;
pub mod dataset;
pub mod demo;
mod error;
pub mod explain;
pub mod export;
pub mod figure;
mod file;
mod fleet;
pub mod follow;
mod hashed;
pub mod interrupt;
pub mod jobs;
mod lookup;
pub mod model;
pub mod models;
pub mod page;
pub mod plot;
mod process;
pub mod queue;
pub mod reason;
pub mod recompute;
pub mod report;
pub mod sheet;
pub mod sign;
pub mod submit;
pub mod sweep;
pub mod table;
pub mod target;
#[cfg(test)]
mod testing;
pub mod tune;
pub mod watch;
mod wheel;
mod whole;

pub use error::LabError;
