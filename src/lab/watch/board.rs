//! What is known of one board, from its records and when they came. Times are those of this
//! machine's monotonic clock; labels of the board's wall clock are shown, never subtracted.

use super::heard::Record;
use super::outcome::Outcome;
use super::tokens::LiveTokens;
use crate::minute::History;
use crate::record::answer::Event;
use crate::record::device::{Health, Info, Presence, RailInfo, RailRecord, Status};
use crate::record::job::State;
use crate::units::{MonoNs, Span, Watts};
use std::collections::{BTreeMap, VecDeque};

/// Rails come once a second; a longer gap is no reading.
const LONGEST_GAP: Span = Span::from_millis(2_500);
/// What of a board is kept; a board that publishes more has no claim to more memory.
const MOST_EVENTS: usize = 200;
const MOST_JOBS: usize = 300;
const MOST_RAILS: usize = 64;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Board {
    pub name: String,
    pub status: Option<Status>,
    /// When it went on- or offline, where that was seen.
    pub changed: Option<MonoNs>,
    pub info: Option<Info>,
    pub health: Option<KnownHealth>,
    /// The newest that came, in °C.
    pub temperature: Option<(MonoNs, f64)>,
    pub rails: BTreeMap<String, Rail>,
    pub jobs: BTreeMap<String, Job>,
    /// The queue's order, as the board told it last.
    pub listed: Vec<String>,
    pub run: Option<Run>,
    pub last: Option<Outcome>,
    /// The newest last.
    pub events: VecDeque<Noted>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct KnownHealth {
    pub at: MonoNs,
    pub health: Health,
    /// Deadlines missed since the health before, by sensor.
    pub missed: u64,
    /// How often in a row the outbox was fuller than before.
    pub growing: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rail {
    pub at: MonoNs,
    pub record: RailRecord,
    pub history: History,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub state: State,
    /// RFC 3339: when the state was made.
    pub time: String,
}

/// The job that the board says it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub id: String,
    /// When it was first heard of.
    pub seen: MonoNs,
    /// Whether it ran already when it was first heard of.
    pub before: bool,
    /// When a record of the attempt itself came last: only live ones publish any.
    pub spoke: Option<MonoNs>,
    pub tokens: LiveTokens,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Noted {
    /// RFC 3339, of the board.
    pub time: String,
    pub event: Event,
}

impl Board {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    pub fn is_online(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| status.state == Presence::Online)
    }

    pub fn rail_info(&self, name: &str) -> Option<&RailInfo> {
        let info = self.info.as_ref()?;
        info.rails.iter().find(|rail| rail.name == name)
    }

    /// The rail of the headline figures.
    pub fn primary(&self) -> Option<&Rail> {
        let info = self.info.as_ref()?;
        self.rails.get(info.primary_rail.as_ref()?)
    }

    /// Whether figures that are shown in one line for this board are of a simulated rail.
    pub fn is_simulated(&self) -> bool {
        match self.primary() {
            Some(rail) => rail.record.simulated,
            None => self.last.as_ref().is_some_and(|last| last.simulated),
        }
    }

    /// Takes a record; `false` when it says nothing new. `retained`: it was published before
    /// this watch began or connected again.
    pub fn take(&mut self, record: Record, time: &str, retained: bool, now: MonoNs) -> bool {
        match record {
            Record::Status(status) => self.status(status, retained, now),
            Record::Info(info) => self.info = Some(*info),
            Record::Health(health) => self.health(*health, now),
            Record::Rail(rail) => self.rail(rail, now),
            Record::Event(event) => {
                self.events.push_back(Noted {
                    time: time.to_owned(),
                    event,
                });
                if self.events.len() > MOST_EVENTS {
                    self.events.pop_front();
                }
            }
            Record::State(state) => return self.state(state, time, now),
            Record::Tokens(tokens) => {
                if let Some(run) = self.run.as_mut().filter(|run| run.id == tokens.id) {
                    run.tokens.add(&tokens);
                    run.spoke = Some(now);
                }
            }
            Record::Result(result) => {
                let newer = self.last.as_ref().is_none_or(|last| time >= &*last.time);
                if newer {
                    self.last = Some(Outcome::of(&result, time));
                }
                return newer;
            }
            Record::JobGone(id) => return self.jobs.remove(&id).is_some(),
            // The fleet drops the board.
            Record::BoardGone => {}
        }
        true
    }

    fn status(&mut self, status: Status, retained: bool, now: MonoNs) {
        let before = self.status.as_ref().map(|status| status.state);
        if before.is_some_and(|before| before != status.state) {
            self.changed = Some(now);
        }
        match &status.job_running {
            None => self.run = None,
            Some(id) if self.run.as_ref().is_some_and(|run| run.id == *id) => {}
            Some(id) => {
                self.run = Some(Run {
                    id: id.clone(),
                    seen: now,
                    before: retained,
                    spoke: None,
                    tokens: LiveTokens::default(),
                });
            }
        }
        self.status = Some(status);
    }

    fn health(&mut self, health: Health, now: MonoNs) {
        let missed = |health: &Health| -> u64 {
            let sensors = health.sensors.values();
            sensors.map(|sensor| sensor.missed_deadlines).sum()
        };
        let before = self.health.take();
        let pending = health.outbox.pending;
        self.temperature = health
            .temperature_c
            .map(|celsius| (now, celsius))
            .or(self.temperature);
        self.health = Some(KnownHealth {
            at: now,
            missed: before.as_ref().map_or(0, |before| {
                missed(&health).saturating_sub(missed(&before.health))
            }),
            growing: before
                .filter(|before| pending > before.health.outbox.pending)
                .map_or(0, |before| before.growing + 1),
            health,
        });
    }

    fn rail(&mut self, record: RailRecord, now: MonoNs) {
        let known = self.rails.remove(&record.rail);
        if known.is_none() && self.rails.len() >= MOST_RAILS {
            return;
        }
        let (before, mut history) = match known {
            Some(rail) => (Some(rail.at), rail.history),
            None => (None, History::default()),
        };
        if let Some(power) = record.power_w {
            let t0 = before.filter(|before| now.since(*before) <= LONGEST_GAP);
            let t0 = t0.unwrap_or(now - Span::from_millis(1_000));
            history.add(t0, now, Watts(power));
        }
        let name = record.rail.clone();
        let rail = Rail {
            at: now,
            record,
            history,
        };
        self.rails.insert(name, rail);
    }

    fn state(&mut self, state: State, time: &str, now: MonoNs) -> bool {
        let known = self.jobs.get(&state.id);
        if known.is_some_and(|known| known.state.rev >= state.rev) {
            return false;
        }
        // The first state of an attempt leaves before it begins; live ones tell more.
        if let Some(run) = self.run.as_mut().filter(|run| run.id == state.id)
            && state.progress.is_some()
        {
            run.spoke = Some(now);
        }
        let job = Job {
            time: time.to_owned(),
            state,
        };
        self.jobs.insert(job.state.id.clone(), job);
        if self.jobs.len() > MOST_JOBS {
            self.forget_the_oldest_job();
        }
        true
    }

    fn forget_the_oldest_job(&mut self) {
        let ended = self.jobs.values().filter(|job| job.state.state.is_final());
        let oldest = ended.min_by(|a, b| a.time.cmp(&b.time));
        if let Some(id) = oldest.map(|job| job.state.id.clone()) {
            self.jobs.remove(&id);
        }
    }

    /// Jobs as the board lists them, which knows the order of its queue. It tells no phases.
    pub fn listed(&mut self, jobs: Vec<State>, now: MonoNs) {
        self.listed = jobs.iter().map(|job| job.id.clone()).collect();
        for state in jobs {
            self.state(state, "", now);
        }
    }

    /// The running one first, then those that wait in their order, then the newest.
    pub fn jobs_in_order(&self) -> Vec<&Job> {
        let place = |id: &str| self.listed.iter().position(|listed| listed == id);
        let mut jobs: Vec<&Job> = self.jobs.values().collect();
        let running = |job: &Job| self.run.as_ref().is_some_and(|run| run.id == job.state.id);
        jobs.sort_by(|a, b| {
            let class = |job: &Job| match job.state.state {
                _ if running(job) => 0,
                state if state.is_final() => 2,
                _ => 1,
            };
            let order = class(a).cmp(&class(b));
            order.then_with(|| match class(a) {
                1 => {
                    let (a_place, b_place) = (place(&a.state.id), place(&b.state.id));
                    // Those that came after the list was asked for are behind it.
                    let a_key = (a_place.is_none(), a_place, &a.time);
                    a_key.cmp(&(b_place.is_none(), b_place, &b.time))
                }
                _ => b.time.cmp(&a.time),
            })
        });
        jobs
    }

    /// The job that ended last and has a result.
    pub fn newest_result(&self) -> Option<&Job> {
        let ended = self.jobs.values().filter(|job| {
            job.state.state.is_final() && job.state.attempt > 0 && !job.time.is_empty()
        });
        ended.max_by(|a, b| a.time.cmp(&b.time))
    }
}
