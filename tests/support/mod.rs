//! What the integration tests share: a real broker, clients that talk to it, the daemon.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod authority;
pub mod clients;
pub mod collector;
pub mod daemon;
pub mod disk;
pub mod hostile;
pub mod lab;
pub mod meters;
pub mod mosquitto;
pub mod power_cut;
pub mod proxy;
pub mod rig;
pub mod scripted;
pub mod tiny_gguf;
pub mod tool;
