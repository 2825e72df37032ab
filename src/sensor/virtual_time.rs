//! Invented time for the tests of drivers and simulated chips.

use crate::clock::Clock;
use crate::units::{MonoNs, Span};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that moves only when a test says so. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub(crate) struct VirtualClock(Arc<AtomicU64>);

impl VirtualClock {
    pub fn advance(&self, span: Span) {
        self.0.fetch_add(span.0, Ordering::Relaxed);
    }

    pub fn set(&self, to: MonoNs) {
        self.0.fetch_max(to.0, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> MonoNs {
        MonoNs(self.0.load(Ordering::Relaxed))
    }

    fn sleep_until(&self, deadline: MonoNs) {
        self.set(deadline);
    }
}
