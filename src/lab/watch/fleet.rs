//! All boards below one prefix of a broker, and how the broker is reached. Pure: messages come
//! in with their time.

use super::board::Board;
use super::heard::{self, Heard, Record, Unheard};
use crate::units::MonoNs;
use crate::workload::Phase;
use std::collections::{BTreeMap, BTreeSet};

/// Names cost a stranger nothing.
const MOST_BOARDS: usize = 1_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    prefix: String,
    pub broker: String,
    pub boards: BTreeMap<String, Board>,
    pub link: Link,
    /// The topic and the fault of the newest record that was not understood.
    pub not_understood: Option<(String, String)>,
    /// Whether the broker keeps something from this user.
    pub refused: bool,
}

/// The way to the broker.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    Up {
        since: MonoNs,
    },
    Down {
        since: MonoNs,
        /// Since when it was up before.
        up: MonoNs,
        reason: String,
    },
}

/// From where boards are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    pub now: MonoNs,
    /// Boards could be heard from then...
    pub from: MonoNs,
    /// ... until then: nobody's silence since says anything.
    pub until: MonoNs,
}

/// What a message was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is news: of this device, of this kind.
    New {
        device: String,
        kind: &'static str,
    },
    Nothing,
}

impl Fleet {
    pub fn new(prefix: &str, broker: &str, now: MonoNs) -> Self {
        Self {
            prefix: prefix.to_owned(),
            broker: broker.to_owned(),
            boards: BTreeMap::new(),
            link: Link::Up { since: now },
            not_understood: None,
            refused: false,
        }
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn is_up(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    pub fn sight(&self, now: MonoNs) -> Sight {
        match self.link {
            Link::Up { since } => Sight {
                now,
                from: since,
                until: now,
            },
            Link::Down { since, up, .. } => Sight {
                now,
                from: up,
                until: since,
            },
        }
    }

    /// Connected, again perhaps.
    pub fn connected(&mut self, now: MonoNs) {
        if !self.is_up() {
            self.link = Link::Up { since: now };
        }
    }

    /// The connection is lost, or could not be had again, for `reason`.
    pub fn lost(&mut self, reason: &str, now: MonoNs) {
        let (since, up) = match self.link {
            Link::Up { since } => (now, since),
            Link::Down { since, up, .. } => (since, up),
        };
        self.link = Link::Down {
            since,
            up,
            reason: reason.to_owned(),
        };
    }

    /// Takes a message. `retained`: it was published before the broker was asked for it.
    pub fn take(&mut self, topic: &str, payload: &[u8], retained: bool, now: MonoNs) -> Taken {
        let Heard {
            device,
            record,
            time,
        } = match heard::read(&self.prefix, topic, payload) {
            Ok(heard) => heard,
            Err(Unheard::Other) => return Taken::Nothing,
            Err(Unheard::NotUnderstood(why)) => {
                self.not_understood = Some((topic.to_owned(), why));
                return Taken::Nothing;
            }
        };
        let kind = record.name();
        if record == Record::BoardGone {
            return match self.boards.remove(&device) {
                Some(_) => Taken::New { device, kind },
                None => Taken::Nothing,
            };
        }
        if !self.boards.contains_key(&device) && self.boards.len() >= MOST_BOARDS {
            return Taken::Nothing;
        }
        let board = self
            .boards
            .entry(device.clone())
            .or_insert_with(|| Board::new(&device));
        match board.take(record, time.as_deref().unwrap_or_default(), retained, now) {
            true => Taken::New { device, kind },
            false => Taken::Nothing,
        }
    }

    /// Topics of single jobs that are to be read now: tokens of attempts that publish them
    /// while they run, and of each board the newest result. Not all of them: whoever reads
    /// tokens counts as their taker, and results of a week are many.
    pub fn wanted(&self) -> BTreeSet<String> {
        let mut wanted = BTreeSet::new();
        for (name, board) in &self.boards {
            let mut want = |id: &str, leaf: &str| {
                wanted.insert(format!("{}/{name}/jobs/{id}/{leaf}", self.prefix));
            };
            if let Some(run) = board.run.as_ref().filter(|run| run.spoke.is_some()) {
                // The outbox sends all of them once more when the attempt has ended, to those
                // who keep them: by then this watch must not count as one.
                let state = board.jobs.get(&run.id).map(|job| &job.state);
                let has_all = state.is_some_and(|state| state.phase == Some(Phase::IdleAfter));
                if !has_all {
                    want(&run.id, "tokens");
                }
            }
            if let Some(job) = board.newest_result() {
                let state = &job.state;
                let known = board.last.as_ref().is_some_and(|last| {
                    (&last.id, last.attempt) == (&state.id, state.attempt) || last.time >= job.time
                });
                if !known {
                    want(&state.id, "result");
                }
            }
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::super::activity::Activity;
    use super::super::row::{Row, Sort, rows};
    use super::super::testing::{
        NOW_S, Recorded, at, health, info, lab, rail, result, state, status, tokens,
    };
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const BOARD: &str = "pi5-01";

    fn activity(recorded: &Recorded, s: u64) -> &'static str {
        let fleet = &recorded.fleet;
        fleet.boards[BOARD].activity(fleet.sight(at(s))).name()
    }

    fn row(recorded: &Recorded, s: u64) -> Row<'_> {
        Row::of(&recorded.fleet.boards[BOARD], recorded.fleet.sight(at(s)))
    }

    fn one() -> Recorded {
        let mut recorded = Recorded::new();
        recorded.board(BOARD, "raspberrypi-5", None);
        recorded
    }

    #[test]
    fn a_board_that_stops_talking_while_it_runs_a_job_measures() {
        let mut board = one();
        board.power(BOARD, 100, |_| 3.0);
        assert_eq!(activity(&board, 100), "idle");
        board.say(100, BOARD, "status", &status(Some("a")));
        assert_eq!(activity(&board, 102), "running");
        assert_eq!(activity(&board, 103), "measuring-silently");
        // One that goes on talking runs a live job.
        board.say(104, BOARD, "rails/input", &rail(6.0));
        assert_eq!(activity(&board, 105), "running");
        board.say(110, BOARD, "status", &status(None));
        assert_eq!(activity(&board, 110), "idle");
    }

    #[test]
    fn silence_is_not_told_from_a_broken_connection() {
        let mut board = one();
        board.power(BOARD, 100, |_| 3.0);
        board.say(100, BOARD, "status", &status(Some("a")));
        board.fleet.lost("gone", at(101));
        assert_eq!(activity(&board, 130), "running");
        assert!(row(&board, 130).marks.is_empty());
        board.fleet.connected(at(131));
        assert_eq!(activity(&board, 132), "running");
        assert_eq!(activity(&board, 134), "measuring-silently");
        // What was known before is so still.
        board.fleet.lost("gone", at(135));
        assert_eq!(activity(&board, 170), "measuring-silently");
    }

    #[test]
    fn an_old_state_does_not_come_back() {
        let mut board = one();
        let topic = "jobs/a/state";
        board.say(5, BOARD, topic, &state("a", 7, "succeeded", None, None));
        board.say(6, BOARD, topic, &state("a", 6, "running", None, None));
        let job = &board.fleet.boards[BOARD].jobs["a"];
        assert!(job.state.state.is_final());
    }

    #[test]
    fn only_live_tokens_and_the_newest_result_are_read() {
        let mut board = one();
        for (id, rev) in [("a", 3), ("b", 5), ("c", 4)] {
            let ended = state(id, rev, "succeeded", None, None);
            board.say(5, BOARD, &format!("jobs/{id}/state"), &ended);
        }
        let wanted = |board: &Recorded| board.fleet.wanted().into_iter().collect::<Vec<_>>();
        assert_eq!(wanted(&board), ["jouled/pi5-01/jobs/b/result"]);
        board.say(6, BOARD, "jobs/b/result", &result(BOARD, "b", false));
        assert_eq!(wanted(&board), [""; 0]);
        board.say(7, BOARD, "status", &status(Some("d")));
        // An undisturbed attempt publishes no progress.
        let first = state("d", 2, "running", Some("load"), None);
        board.say(8, BOARD, "jobs/d/state", &first);
        assert_eq!(wanted(&board), [""; 0]);
        let live = state("d", 3, "running", Some("decode"), Some(0.1));
        board.say(9, BOARD, "jobs/d/state", &live);
        assert_eq!(wanted(&board), ["jouled/pi5-01/jobs/d/tokens"]);
        let idle = state("d", 4, "running", Some("idle_after"), Some(1.0));
        board.say(10, BOARD, "jobs/d/state", &idle);
        assert_eq!(wanted(&board), [""; 0]);
        board.say(11, BOARD, "status", &status(None));
        assert_eq!(wanted(&board), [""; 0]);
    }

    #[test]
    fn the_speed_is_that_of_the_running_job_where_it_tells() {
        let mut board = one();
        board.say(
            5,
            BOARD,
            "jobs/a/state",
            &state("a", 3, "succeeded", None, None),
        );
        board.say(5, BOARD, "jobs/a/result", &result(BOARD, "a", false));
        let speed = |board: &Recorded| row(board, 9).speed;
        assert!(!speed(&board).live && speed(&board).tok_s.is_some());
        board.say(6, BOARD, "status", &status(Some("b")));
        board.say(7, BOARD, "jobs/b/tokens", &tokens("b", 1, 20, 0.25));
        assert!(speed(&board).live);
        assert!((speed(&board).tok_s.unwrap() - 26.1).abs() < 1e-6);
        assert!((speed(&board).per_token.unwrap().energy_j - 0.25).abs() < 1e-9);
    }

    #[test]
    fn power_that_is_no_longer_heard_is_missing() {
        let mut board = one();
        board.power(BOARD, 100, |_| 3.0);
        let power = |s| row(&board, s).power_w(at(s));
        assert_eq!((power(104), power(106)), (Some(3.0), None));
    }

    #[test]
    fn what_is_wrong_is_marked() {
        let fleet = lab();
        let marks = |name: &str| -> Vec<String> {
            let row = Row::of(&fleet.boards[name], fleet.sight(at(NOW_S)));
            row.marks.into_iter().map(|mark| mark.text).collect()
        };
        assert_eq!(marks("rock5-01"), ["disk 812 MB", "sensor usb"]);
        assert_eq!(marks("orin-01"), ["input near full scale", "outbox 1204"]);
        assert_eq!(marks("pi5-01"), [""; 0]);
        let mut quiet = one();
        quiet.say(10, BOARD, "health", &health(0, None));
        let late = |s| row(&quiet, s).marks.len();
        assert_eq!((late(45), late(46)), (0, 1));
    }

    #[test]
    fn boards_are_found_and_sorted() {
        let fleet = lab();
        let names = |filter: &str, sort| -> Vec<&str> {
            let rows = rows(&fleet, filter, sort, at(NOW_S));
            rows.iter().map(|row| row.board.name.as_str()).collect()
        };
        assert_eq!(names("JETSON", Sort::Name), ["orin-01", "orin-02"]);
        assert_eq!(names("fig3", Sort::Name), ["pi5-01"]);
        assert_eq!(names("", Sort::Power)[..2], ["orin-01", "pi5-01"]);
        assert_eq!(names("", Sort::Activity)[..2], ["pi5-01", "pi5-02"]);
        assert_eq!(names("", Sort::Activity)[5], "orin-02");
        assert_eq!(names("", Sort::Queue)[0], "orin-01");
        assert_eq!(names("", Sort::Health)[0], "rock5-01");
        let mut sort = Sort::Name;
        for _ in 0..8 {
            assert_eq!(names("", sort).len(), 6);
            sort = sort.next();
        }
        assert_eq!(sort, Sort::Name);
    }

    #[test]
    fn a_cleared_status_takes_the_board_away() {
        let mut board = one();
        let taken = board.fleet.take("jouled/pi5-01/status", b"", false, at(9));
        assert!(matches!(taken, Taken::New { .. }));
        assert!(board.fleet.boards.is_empty());
    }

    #[test]
    fn the_queue_stands_in_the_boards_order() {
        let mut board = one();
        for id in ["a", "b", "c"] {
            board.say(
                5,
                BOARD,
                &format!("jobs/{id}/state"),
                &state(id, 1, "queued", None, None),
            );
        }
        let listed = ["c", "a", "b"].map(|id| {
            serde_json::from_value(json!({"id": id, "attempt": 0, "rev": 1, "state": "queued",
                "reason": null}))
            .unwrap()
        });
        let known = board.fleet.boards.get_mut(BOARD).unwrap();
        known.listed(listed.to_vec(), at(6));
        let ids = known
            .jobs_in_order()
            .into_iter()
            .map(|job| job.state.id.as_str());
        assert_eq!(ids.collect::<Vec<_>>(), ["c", "a", "b"]);
    }

    proptest! {
        /// Whatever comes in whatever order, what is known stays bounded and can be asked for.
        #[test]
        fn records_may_come_in_any_order(
            steps in prop::collection::vec((0..9usize, 0..4u64, 0..5u64), 1..120),
        ) {
            let mut recorded = Recorded::new();
            let mut now = 0;
            for (what, which, wait) in steps {
                now += wait;
                let device = format!("b{}", which % 2);
                let id = format!("j{which}");
                let say = match what {
                    0 => ("status".to_owned(), status(Some(&id))),
                    1 => ("status".to_owned(), status(None)),
                    2 => ("info".to_owned(), info("p", None)),
                    3 => ("health".to_owned(), health(which, Some(40.0))),
                    4 => ("rails/input".to_owned(), rail(which as f64)),
                    5 => (format!("jobs/{id}/state"),
                          state(&id, now % 60, "running", Some("decode"), Some(0.5))),
                    6 => (format!("jobs/{id}/state"), state(&id, now % 60, "failed", None, None)),
                    7 => (format!("jobs/{id}/tokens"), tokens(&id, 1, which as u32, 0.1)),
                    _ => {
                        recorded.fleet.lost("gone", at(now));
                        recorded.fleet.connected(at(now + 1));
                        continue;
                    }
                };
                recorded.say(now, &device, &say.0, &say.1);
                let fleet = &recorded.fleet;
                let rows = rows(fleet, "", Sort::Power, at(now));
                prop_assert_eq!(rows.len(), fleet.boards.len());
                for row in rows {
                    if let Activity::Runs(running) = &row.activity {
                        prop_assert!(row.board.is_online());
                        prop_assert!(running.run.seen <= at(now + 1));
                    }
                }
                prop_assert!(fleet.wanted().len() <= 2 * fleet.boards.len());
            }
        }
    }
}
