//! Who is killed next and when, and what happens to the line and the broker meanwhile.

use super::Chaos;
use super::support::proxy::{Cut, Direction, Flow};
use rustix::process::{Signal, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

/// A moment that doesn't come is not waited for longer.
const MOMENT_WITHIN: Duration = Duration::from_secs(3);

/// What the next kill waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    AnyTime,
    Accepted,
    WorkerStarts,
    WorkerEnds,
    TokensArrive,
}

const MOMENTS: [Moment; 5] = [
    Moment::AnyTime,
    Moment::Accepted,
    Moment::WorkerStarts,
    Moment::WorkerEnds,
    Moment::TokensArrive,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Daemon,
    Worker,
    /// The daemon, but with SIGTERM.
    Politely,
}

/// A kill that is to come.
pub struct Plan {
    pub victim: Victim,
    pub moment: Moment,
    pub then: Duration,
    pub armed: Instant,
    /// Set once the moment has come.
    pub due: Option<Instant>,
}

impl Chaos {
    pub fn came(&mut self, moment: Moment) {
        if self.plan.moment == moment && self.plan.due.is_none() {
            self.plan.due = Some(Instant::now() + self.plan.then);
        }
    }

    pub fn plan_next(&mut self) {
        let victim = match self.random.u32(..100) {
            0..20 => Victim::Worker,
            20..25 => Victim::Politely,
            _ => Victim::Daemon,
        };
        let moment = match victim {
            Victim::Worker => Moment::WorkerStarts,
            _ => MOMENTS[self.random.usize(..MOMENTS.len())],
        };
        // Right at it, or some time in what follows. A worker lives for a fifth of a second.
        let most = match victim {
            Victim::Worker => 200,
            _ if self.chance(0.5) => 20,
            _ => 400,
        };
        let then = self.random_ms(most);
        let armed = Instant::now();
        let due = (moment == Moment::AnyTime).then(|| armed + self.random_ms(2_000));
        self.plan = Plan {
            victim,
            moment,
            then,
            armed,
            due,
        };
    }

    pub fn strike_when_due(&mut self) {
        let now = Instant::now();
        let late = self.plan.armed + MOMENT_WITHIN;
        if self.plan.due.unwrap_or(late) > now || self.daemon_at.is_some() {
            return;
        }
        self.trouble_the_line(now);
        match self.plan.victim {
            Victim::Worker => {
                // It may have ended by itself.
                let worker = self.daemon.workers().first().copied();
                if worker.is_some_and(|worker| kill_process(worker, Signal::KILL).is_ok()) {
                    self.totals.worker_kills += 1;
                }
            }
            Victim::Politely => {
                let (status, _) = self.daemon.terminate();
                // It may be too young to have heard of anything.
                let young = status.signal() == Some(Signal::TERM.as_raw());
                assert!(status.success() || young, "{status}");
                self.totals.stops += 1;
                self.daemon_at = Some(now + self.random_ms(200));
            }
            Victim::Daemon => {
                self.daemon.kill();
                self.totals.daemon_kills += 1;
                self.daemon_at = Some(now + self.random_ms(200));
            }
        }
        self.plan_next();
    }

    fn trouble_the_line(&mut self, now: Instant) {
        if self.broker_at.is_some() {
            return;
        }
        match self.random.u32(..100) {
            0..25 => {
                let how = if self.chance(0.5) {
                    Cut::Reset
                } else {
                    Cut::Finish
                };
                self.proxy.cut(how);
                self.totals.cuts += 1;
            }
            25..35 => {
                let flow = if self.chance(0.5) {
                    Flow::Swallow
                } else {
                    Flow::Block
                };
                let direction = if self.chance(0.5) {
                    Direction::Up
                } else {
                    Direction::Down
                };
                self.proxy.flow(direction, flow);
                self.heal_at = Some(now + self.random_ms(1_500));
                self.totals.stalls += 1;
            }
            35..40 => {
                self.proxy.refuse();
                self.proxy.cut(Cut::Reset);
                self.heal_at = Some(now + self.random_ms(1_500));
                self.totals.cuts += 1;
            }
            40..43 => {
                self.broker.kill();
                self.totals.broker_kills += 1;
                self.broker_at = Some(now + self.random_ms(400));
            }
            43..46 => {
                self.broker.terminate();
                self.totals.broker_restarts += 1;
                self.broker_at = Some(now + self.random_ms(400));
            }
            _ => {}
        }
    }
}
