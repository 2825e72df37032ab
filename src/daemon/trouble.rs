//! A store that fails for a while: it is tried again, ever more rarely, and the lab hears of it
//! once.

use crate::mqtt::MqttHandle;
use crate::record::answer::Event;
use crate::store::StoreError;
use std::cell::Cell;
use std::time::Duration;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How the runner's own work with the store goes.
#[derive(Default)]
pub struct Trouble {
    /// `None` while it works.
    wait: Cell<Option<Duration>>,
}

impl Trouble {
    /// Notes a failure, and returns when to try again.
    pub fn failed(&self, error: &StoreError, what: &str, mqtt: &MqttHandle) -> Duration {
        let before = self.wait.get();
        let wait = next(before);
        self.wait.set(Some(wait));
        if before.is_none() {
            tracing::error!(%error, "{what}; it is tried again");
            mqtt.event(Event {
                code: "storage-failed".to_owned(),
                // The error names a file of the board, which is not for the network.
                message: format!("{what}: the board's store failed; it is tried again"),
                id: None,
            });
        }
        wait
    }

    /// Notes that the store works.
    pub fn over(&self, mqtt: &MqttHandle) {
        if self.wait.take().is_some() {
            tracing::info!("the store works again");
            mqtt.event(Event {
                code: "storage-recovered".to_owned(),
                message: "the board's store works again".to_owned(),
                id: None,
            });
        }
    }
}

fn next(before: Option<Duration>) -> Duration {
    before.map_or(FIRST_WAIT, |wait| (2 * wait).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_become_rarer_up_to_once_a_minute() {
        let waits = std::iter::successors(Some(next(None)), |wait| Some(next(Some(*wait))));
        let seconds: Vec<u64> = waits.take(8).map(|wait| wait.as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
