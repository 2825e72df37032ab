//! Commands that have come and wait for their turn. A client that floods the board with them
//! gets its answers one after the other, at the pace at which they leave.

use super::link::InMessage;
use std::collections::VecDeque;

/// The broker was told how many it may send before the first is acknowledged, but mosquitto
/// 2.0.11 sends all that it has to a board that comes back.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// For what a message needs beside its payload.
const MESSAGE_BYTES: usize = 1024;

#[derive(Default)]
pub(super) struct Inbox {
    waiting: VecDeque<InMessage>,
    bytes: usize,
    left_behind: bool,
}

impl Inbox {
    /// What there is no room for is left behind, and what comes after it, so that the order
    /// stays. The broker keeps it, since nobody acknowledges it, and sends it again over the
    /// next connection.
    pub fn push(&mut self, message: InMessage) {
        let bytes = bytes(&message);
        if self.left_behind || self.bytes + bytes > MOST_BYTES {
            self.left_behind |= message.must_be_acknowledged();
            return;
        }
        self.bytes += bytes;
        self.waiting.push_back(message);
    }

    /// Whether all has been taken, and the rest waits for another connection.
    pub fn is_to_be_fetched_again(&self) -> bool {
        self.left_behind && self.is_empty()
    }

    pub fn pop(&mut self) -> Option<InMessage> {
        let message = self.waiting.pop_front()?;
        self.bytes -= bytes(&message);
        Some(message)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

fn bytes(message: &InMessage) -> usize {
    let correlation = message.correlation.as_ref().map_or(0, Vec::len);
    MESSAGE_BYTES + message.payload.len() + correlation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_behind_with_what_follows() {
        let mut inbox = Inbox::default();
        let fit = MOST_BYTES / (128 * MESSAGE_BYTES);
        for _ in 0..fit + 2 {
            inbox.push(InMessage::of_payload(vec![0; 127 * MESSAGE_BYTES]));
        }
        inbox.push(InMessage::of_payload(Vec::new()));
        assert!(!inbox.is_to_be_fetched_again());
        let taken = std::iter::from_fn(|| inbox.pop()).count();
        assert_eq!((taken, inbox.bytes), (fit, 0));
        assert!(inbox.is_to_be_fetched_again());
    }
}
