//! How much of what a worker says may lie unread: it can write faster than the daemon takes
//! it in, and for minutes nobody does (the idle phases).

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Room for what nobody has taken in yet, in bytes.
#[derive(Debug)]
pub struct Room {
    all: usize,
    free: Mutex<usize>,
    returned: Condvar,
}

/// Given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    pub fn of(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            all: bytes,
            free: Mutex::new(bytes),
            returned: Condvar::new(),
        })
    }

    /// Waits for a place of `bytes`. What is larger than the room gets all of it.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Place {
        let bytes = bytes.min(self.all);
        let full = |free: &mut usize| *free < bytes;
        let mut free = self
            .returned
            .wait_while(self.free(), full)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= bytes;
        Place {
            room: Arc::clone(self),
            bytes,
        }
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.room.free() += self.bytes;
        self.room.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn what_is_taken_never_exceeds_the_room() {
        let room = Room::of(10);
        let (sender, places) = channel();
        let taker = {
            let room = Arc::clone(&room);
            std::thread::spawn(move || {
                for bytes in [4, 6, 1, 100, 9].repeat(20) {
                    // Nobody listens any more: dropping the queue has returned all places.
                    if sender.send(room.take(bytes)).is_err() {
                        return;
                    }
                }
            })
        };
        for place in places.iter().take(60) {
            assert!(place.bytes <= 10);
            // With this one still in hand.
            assert!(*room.free() <= 10 - place.bytes);
        }
        drop(places);
        taker.join().expect("it does not wait for ever");
        assert_eq!(*room.free(), 10);
    }
}
