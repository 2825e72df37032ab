pub mod broker;
pub mod client;
mod error;
pub mod interrupt;
mod process;
pub mod target;
pub use error::LabError;
