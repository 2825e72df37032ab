//! Looks every second whether every part goes on, and tells systemd: what the service does, and
//! that it lives.
//!
//! | part | its sign of life | overdue |
//! |---|---|---|
//! | main loop | this look itself | nothing is told |
//! | MQTT thread | each round of its loop, and each try to connect | nothing is told |
//! | runner | each step of its work; a job has its `timeout_s` | nothing is told |
//! | sampler thread | each poll of a sensor, well or not | its sensors are failed; between jobs nothing is told, but where it waits in the kernel out of any signal's reach |
//!
//! When nothing is told for as long as the unit's WatchdogSec, systemd starts the service anew.
//! That can't help a thread that no signal reaches: its process could not even end, and would
//! keep the store from the next one. So the daemon goes on without that sensor and says so.

use super::Shared;
use super::notify;
use super::progress::{Beats, Progress};
use crate::clock;
use crate::mqtt::MqttHandle;
use crate::pulse::Pulse;
use crate::units::Span;

const HANGS: &str = "nothing comes back from its driver or file";
const OUT_OF_REACH: &str = "its driver hangs in the kernel and no signal reaches it: unbind the \
                            device or power-cycle its bus; until then its figures are missing";

pub struct Watchdog {
    progress: Progress,
    /// `None` where nobody waits for a sign of life.
    beats: Option<Beats>,
    looks_every: Span,
    told: String,
    complained: bool,
}

impl Watchdog {
    pub fn new(looks_every: Span) -> Self {
        Self {
            progress: Progress::default(),
            beats: notify::watchdog().map(|patience| Beats::new(patience, clock::now())),
            looks_every,
            told: String::new(),
            complained: false,
        }
    }

    /// Called about every second.
    pub fn look(&mut self, shared: &Shared, mqtt: &MqttHandle) {
        let now = clock::now();
        let sampler = shared.meter.sampler();
        let threads = sampler.threads();
        let parts = [("MQTT", mqtt.pulse()), ("job runner", &shared.runner)];
        let pulses = parts.iter().map(|(_, pulse)| *pulse);
        let pulses = pulses.chain(threads.iter().map(|thread| thread.pulse()));
        let due: Vec<_> = pulses.map(Pulse::due).collect();
        let hangs = self.progress.hangs(now, &due);
        let (of_parts, of_threads) = hangs.split_at(parts.len());
        let hanging = parts.iter().zip(of_parts).filter(|(_, hangs)| **hangs);
        let mut stuck: Vec<String> = hanging.map(|((name, _), _)| (*name).to_owned()).collect();
        for (thread, hangs) in threads.iter().zip(of_threads) {
            let lost = *hangs && thread.is_out_of_reach();
            thread.set_stalled(hangs.then_some(if lost { OUT_OF_REACH } else { HANGS }));
            // A job goes on with the other sensors.
            if *hangs && !lost && !shared.queue.is_running() {
                stuck.push(format!("reading {}", thread.names()));
            }
        }
        self.tell(shared, mqtt, &stuck.join(", "));
    }

    fn tell(&mut self, shared: &Shared, mqtt: &MqttHandle, stuck: &str) {
        let beat_is_due = |beats: &mut Beats| beats.due(clock::now(), self.looks_every);
        if stuck.is_empty() {
            self.complained = false;
            if self.beats.as_mut().is_some_and(beat_is_due) {
                notify::alive();
            }
        } else if !self.complained {
            self.complained = true;
            tracing::error!("this hangs: {stuck}");
        }
        let status = match stuck {
            "" => standing(shared, mqtt),
            stuck => format!("hangs: {stuck}"),
        };
        if status != self.told {
            notify::status(&status);
            self.told = status;
        }
    }
}

/// What the service does, for a person.
fn standing(shared: &Shared, mqtt: &MqttHandle) -> String {
    let broker = match (mqtt.connected(), mqtt.trouble()) {
        (true, _) => "connected".to_owned(),
        (false, None) => "connecting".to_owned(),
        (false, Some(reason)) => format!("not connected: {reason}"),
    };
    let job = match shared.queue.running() {
        Some(id) => format!("job {id} runs"),
        None => "no job runs".to_owned(),
    };
    format!("{job}; {broker}")
}
