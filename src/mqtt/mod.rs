//! The board's side of the MQTT 5 contract: who is online, commands in, records out.
//!
//! One thread owns the connection. Other threads hand it records through [`MqttHandle`] and
//! never wait for the network; records of an attempt come from the outbox of the store and
//! are marked there when the broker has acknowledged them. A command is acknowledged to the
//! broker only after its handler has returned, so one that a crash cut short arrives again.
//!
//! - [`config`]: `[mqtt]` of the configuration
//! - [`topics`]: topic names, and which response topics are safe to write to
//! - [`command`]: commands and their answers
//! - `board`: what waits in memory: status, info, live records, events, rails
//! - `backoff`: how long to wait before the next try; `rival`: who else wants this place
//! - `link`: one connection, the only file here that speaks through the MQTT library;
//!   `loss` and [`reason`]: why there is none
//! - [`tls`], [`credential`]: certificates, keys and passwords, for the lab's tools too
//! - `session`, `incoming`, `pump`: what is said over one connection
//! - `departures`, `waits`: which record of the outbox leaves next
//! - `connection`: connections one after the other

pub(crate) mod backoff;
mod board;
pub mod command;
pub mod config;
mod connection;
pub mod credential;
mod departures;
mod handle;
mod inbox;
mod incoming;
mod link;
mod loss;
mod pump;
pub mod reason;
mod rival;
mod session;
pub mod tls;
mod told;
pub mod topics;
mod waits;

pub use board::LiveRecord;
pub use command::{Command, CommandHandler};
pub use config::MqttConfig;
pub use handle::{DeviceIdentity, MqttHandle};
pub use topics::Topics;

/// Largest payload that is sent or executed.
pub const MAX_PAYLOAD: usize = 128 * 1024;

/// Why the connection can't be used at all. The daemon stops with it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MqttError {
    #[error(
        "{topic} on {broker} belongs to the board with machine id {other}: two boards must not \
         share a name. Set another [device] name; if this board replaces that one, clear the \
         topic with `mosquitto_pub -r -n -t {topic}`"
    )]
    NameTaken {
        topic: String,
        broker: String,
        other: String,
    },
    #[error("the MQTT thread can't be started: {0}")]
    Thread(String),
    #[error("the MQTT thread ended by itself; its last log lines say why; restart jouled")]
    Ended,
    #[error(transparent)]
    Config(#[from] config::ConfigError),
}
