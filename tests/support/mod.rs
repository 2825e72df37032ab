//! What the integration tests share: a real broker and a lab that talks to it.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod lab;
pub mod mosquitto;
