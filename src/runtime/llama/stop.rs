//! The request to stop, set by the thread that reads stdin and read by llama.cpp's abort
//! callback within the computation.

use crate::runtime::protocol::StopReason;
use std::sync::atomic::{AtomicU8, Ordering};

const GO_ON: u8 = 0;
const CANCELLED: u8 = 1;
const TIMEOUT: u8 = 2;

#[derive(Debug, Default)]
pub struct StopFlag(AtomicU8);

impl StopFlag {
    pub fn request(&self, reason: StopReason) {
        let value = match reason {
            StopReason::Timeout => TIMEOUT,
            StopReason::Cancelled | StopReason::Length | StopReason::Eog => CANCELLED,
        };
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn clear(&self) {
        self.0.store(GO_ON, Ordering::Relaxed);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) != GO_ON
    }

    pub fn requested(&self) -> Option<StopReason> {
        match self.0.load(Ordering::Relaxed) {
            GO_ON => None,
            TIMEOUT => Some(StopReason::Timeout),
            _ => Some(StopReason::Cancelled),
        }
    }
}
