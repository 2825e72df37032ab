//! The lab side: everything behind `joulectl`. It talks to boards over MQTT only, by the
//! published contract; nothing of it runs on the measured board but `demo`. `explain` and
//! `compare` read result records from files.

pub mod broker;
pub mod client;
pub mod compare;
pub mod demo;
mod error;
pub mod explain;
pub mod export;
pub mod figure;
mod file;
pub mod follow;
pub mod interrupt;
pub mod jobs;
mod lookup;
pub mod model;
pub mod page;
mod process;
pub mod reason;
pub mod recompute;
pub mod sheet;
pub mod submit;
pub mod table;
pub mod target;
#[cfg(test)]
mod testing;

pub use error::LabError;
