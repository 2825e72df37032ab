//! What the integration tests share: a real broker and a lab that talks to it.

pub mod lab;
pub mod mosquitto;
