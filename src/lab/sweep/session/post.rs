//! A board at work: what it has, and whether it takes more.

use crate::lab::sweep::cooling::Cooling;
use crate::lab::sweep::seat::Seat;
use crate::lab::target::Board;
use crate::record::device::{Presence, Status};
use crate::units::MonoNs;
use crate::workload::QueueMode;

/// A job that a board has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub item: usize,
    /// `None` where the board may have it for longer.
    pub since: Option<MonoNs>,
    pub asked: MonoNs,
}

/// A board at work.
pub struct Post {
    pub(super) seat: Seat,
    pub(super) board: Board,
    pub(super) status: Option<Status>,
    pub(super) sent: Vec<Sent>,
    pub(super) cooling: Option<Cooling>,
    pub(super) not_before: MonoNs,
    pub(super) last_end: Option<MonoNs>,
    /// What the person was told of it last.
    pub(super) told: Option<String>,
    pub(super) told_that_blind: bool,
}

impl Post {
    pub fn new(seat: Seat, board: Board, status: Option<Status>) -> Self {
        Self {
            seat,
            board,
            status,
            sent: Vec::new(),
            cooling: None,
            not_before: MonoNs(0),
            last_end: None,
            told: None,
            told_that_blind: false,
        }
    }

    /// Why it takes no job now.
    pub(super) fn away(&self) -> Option<&'static str> {
        let Some(status) = &self.status else {
            return Some("it has never been online");
        };
        match (status.state, status.queue) {
            (Presence::Offline, _) => Some("it is offline"),
            (_, Some(QueueMode::Paused)) => Some("its queue is paused"),
            (_, Some(QueueMode::Draining)) => Some("its queue is draining"),
            (_, Some(QueueMode::Open) | None) => None,
        }
    }

    /// Whether nothing waits or runs there.
    pub(super) fn is_idle(&self) -> bool {
        self.status.as_ref().is_some_and(|status| {
            status.job_running.is_none() && status.jobs_queued.unwrap_or(0) == 0
        })
    }
}
