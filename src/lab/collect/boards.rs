//! What boards are asked, and what they answer: their jobs, page by page, after each connection
//! and every few minutes, and records that are missing. Nothing here does I/O or reads a clock.

use super::connection::Question;
use super::staging::{Gap, Listed, Outcome};
use crate::record::answer::Refusal;
use crate::record::device::{Presence, Status};
use crate::units::{MonoNs, Span};
use crate::workload::{JobId, JobState};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// Who writes to `status` could make up boards; no lab has more.
const MOST_BOARDS: usize = 10_000;
/// Replays that wait for their answers, of all boards. A broker keeps 1,000 messages for a slow
/// client, and drops the rest.
const MOST_REPLAYS: usize = 8;
/// Questions for jobs that wait for their answers, of all boards: a fleet that comes back at once
/// is asked bit by bit.
const MOST_LISTS: usize = 16;
/// As many as fit into one answer.
const PAGE: u32 = 500;
/// Between the pages of one board.
const PAGE_PAUSE: Span = Span::from_millis(500);
const LIST_EVERY: Span = Span::from_millis(180_000);
/// An answer that takes longer will not come. Questions expire at the broker then.
pub const ANSWER_WITHIN: Span = Span::from_millis(20_000);
/// Where a refusal does not say how long.
const SOME_TIME: Span = Span::from_millis(10_000);

/// A board's answer, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    records: u64,
    #[serde(default)]
    jobs: Vec<Row>,
    #[serde(default)]
    newest: u64,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Row {
    id: JobId,
    attempt: u32,
    state: JobState,
    reason: Option<String>,
    arrival: u64,
}

/// What an answer means.
#[derive(Debug, PartialEq)]
pub enum Said {
    Jobs {
        device: String,
        jobs: Vec<Listed>,
    },
    Replay {
        gap: Gap,
        outcome: Outcome,
    },
    /// The board refuses to list its jobs, and why.
    Refused {
        device: String,
        why: String,
    },
}

#[derive(Debug)]
enum Pending {
    Jobs { device: String, after: u64 },
    Replay(Gap),
}

#[derive(Debug)]
struct Board {
    online: bool,
    /// Whether a job runs there.
    runs: bool,
    /// Whether one ran since that was asked for.
    ran: bool,
    /// The arrival up to which all jobs have ended and are noted.
    settled: u64,
    /// Where the present round of pages goes on.
    after: u64,
    /// Whether every job up to `after` has ended.
    all_ended: bool,
    list_at: MonoNs,
    /// Whether more pages of this round follow.
    has_more: bool,
    /// It refused commands as too many.
    quiet_until: MonoNs,
}

impl Board {
    fn list_anew(&mut self, now: MonoNs) {
        (self.settled, self.after, self.all_ended) = (0, 0, true);
        (self.list_at, self.has_more) = (now, false);
    }

    /// The next round begins after the last job before one that goes on.
    fn end_round(&mut self, now: MonoNs) {
        (self.after, self.all_ended) = (self.settled, true);
        (self.list_at, self.has_more) = (now + LIST_EVERY, false);
    }
}

/// The boards of a broker.
#[derive(Debug)]
pub struct Boards {
    prefix: String,
    answers: String,
    boards: BTreeMap<String, Board>,
    pending: BTreeMap<String, (MonoNs, Pending)>,
    /// In correlation data: tells apart questions, also those of earlier runs.
    run: String,
    asked: u64,
}

impl Boards {
    /// Answers are to come to the topic `answers`.
    pub fn new(prefix: &str, answers: &str, run: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            answers: answers.to_owned(),
            boards: BTreeMap::new(),
            pending: BTreeMap::new(),
            run: run.to_owned(),
            asked: 0,
        }
    }

    pub fn online(&self) -> usize {
        self.boards.values().filter(|board| board.online).count()
    }

    /// What a board, or its last will, says on `status`.
    pub fn status(&mut self, device: &str, payload: &[u8], now: MonoNs) {
        let Ok(status) = serde_json::from_slice::<Status>(payload) else {
            return;
        };
        let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fine = (1..=63).contains(&device.len()) && device.bytes().all(is_name);
        let known = self.boards.contains_key(device);
        if !fine || !known && self.boards.len() >= MOST_BOARDS {
            return;
        }
        let board = self.boards.entry(device.to_owned()).or_insert(Board {
            online: false,
            runs: false,
            ran: false,
            settled: 0,
            after: 0,
            all_ended: true,
            list_at: now,
            has_more: false,
            quiet_until: MonoNs(0),
        });
        let online = status.state == Presence::Online;
        if online && !board.online {
            board.list_anew(now);
        }
        board.online = online;
        board.runs = status.job_running.is_some();
        board.ran |= board.runs;
    }

    /// After a new connection: nobody knows what was missed.
    pub fn connected(&mut self, now: MonoNs) {
        for board in self.boards.values_mut() {
            board.list_anew(now);
        }
    }

    /// Boards that can be asked for records now, and for how many attempts. One that runs a job
    /// is left in peace: it sends nothing before an attempt that wishes to be undisturbed ends.
    pub fn reachable(&self, now: MonoNs) -> (Vec<String>, usize) {
        let reachable = |(_, board): &(&String, &Board)| {
            board.online && !board.runs && board.quiet_until <= now
        };
        let boards = self.boards.iter().filter(reachable);
        let replays = self.pending.values();
        let replays = replays.filter(|(_, pending)| matches!(pending, Pending::Replay(_)));
        let room = MOST_REPLAYS.saturating_sub(replays.count());
        (boards.map(|(name, _)| name.clone()).collect(), room)
    }

    /// Boards on which a job ran since the last call.
    pub fn have_run(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        for (name, board) in &mut self.boards {
            if std::mem::replace(&mut board.ran, board.runs) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Boards that are online.
    pub fn names(&self) -> Vec<String> {
        let online = self.boards.iter().filter(|(_, board)| board.online);
        online.map(|(name, _)| name.clone()).collect()
    }

    /// Whether no answer is awaited, no list is due, and no job runs.
    pub fn at_rest(&self, now: MonoNs) -> bool {
        let lists = |board: &Board| board.has_more || board.list_at <= now;
        let works = |board: &Board| board.online && (board.runs || lists(board));
        self.pending.is_empty() && !self.boards.values().any(works)
    }

    /// Questions for jobs that are due.
    pub fn questions(&mut self, now: MonoNs) -> Vec<Question> {
        let late = |at: MonoNs| at + ANSWER_WITHIN <= now;
        self.pending.retain(|_, (at, _)| !late(*at));
        let lists = self.pending.values();
        let lists = lists.filter(|(_, pending)| matches!(pending, Pending::Jobs { .. }));
        let room = MOST_LISTS.saturating_sub(lists.count());
        let due = self.boards.iter_mut();
        let due = due.filter(|(_, board)| board.online && board.list_at <= now);
        let mut due: Vec<(&String, &mut Board)> = due.collect();
        due.sort_by_key(|(_, board)| board.list_at);
        let due: Vec<(String, u64)> = due
            .into_iter()
            .take(room)
            .map(|(name, board)| {
                // Where no answer comes.
                board.list_at = now + ANSWER_WITHIN + SOME_TIME;
                (name.clone(), board.after)
            })
            .collect();
        due.into_iter()
            .map(|(device, after)| {
                let body = json!({"after": after, "limit": PAGE});
                let pending = Pending::Jobs {
                    device: device.clone(),
                    after,
                };
                self.question(&device, "jobs", &body, pending, now)
            })
            .collect()
    }

    /// The question for what an attempt misses.
    pub fn replay(&mut self, gap: Gap, now: MonoNs) -> Question {
        let mut body = json!({"id": gap.id, "attempt": gap.attempt});
        if let Some(seq) = gap.from_seq {
            body["from_seq"] = json!(seq);
        }
        let device = gap.device.clone();
        self.question(&device, "replay", &body, Pending::Replay(gap), now)
    }

    fn question(
        &mut self,
        device: &str,
        verb: &str,
        body: &serde_json::Value,
        pending: Pending,
        now: MonoNs,
    ) -> Question {
        self.asked += 1;
        let correlation = format!("{}-{}", self.run, self.asked);
        self.pending.insert(correlation.clone(), (now, pending));
        Question {
            topic: format!("{}/{device}/cmd/{verb}", self.prefix),
            payload: body.to_string(),
            response_topic: self.answers.clone(),
            correlation,
        }
    }

    /// What came to the topic of answers. `None` where nothing like it was asked: an answer that
    /// came twice, or of an earlier run.
    pub fn answer(&mut self, correlation: &[u8], payload: &[u8], now: MonoNs) -> Option<Said> {
        let correlation = std::str::from_utf8(correlation).ok()?;
        let (_, pending) = self.pending.remove(correlation)?;
        let answer = serde_json::from_slice::<Answer>(payload);
        match pending {
            Pending::Replay(gap) => {
                let outcome = self.outcome(&gap.device, answer.ok(), now);
                Some(Said::Replay { gap, outcome })
            }
            Pending::Jobs { device, after } => {
                let why = match answer {
                    Ok(answer) if answer.ok => {
                        let jobs = self.page(&device, after, answer, now);
                        return Some(Said::Jobs { device, jobs });
                    }
                    Ok(answer) => answer.error.map_or_else(
                        || "it gives no reason".to_owned(),
                        |refusal| refusal.message,
                    ),
                    Err(error) => error.to_string(),
                };
                let board = self.boards.get_mut(&device)?;
                board.end_round(now);
                Some(Said::Refused { device, why })
            }
        }
    }

    fn outcome(&mut self, device: &str, answer: Option<Answer>, now: MonoNs) -> Outcome {
        let Some(answer) = answer else {
            return Outcome::Later(SOME_TIME);
        };
        if answer.ok {
            return Outcome::Sends(answer.records);
        }
        let Some(refusal) = answer.error else {
            return Outcome::Later(SOME_TIME);
        };
        match refusal.code.as_str() {
            "unknown-job" => Outcome::Unknown,
            "rate-limited" => {
                let wait = wait_in(&refusal.message).unwrap_or(SOME_TIME);
                if let Some(board) = self.boards.get_mut(device) {
                    board.quiet_until = now + wait;
                }
                Outcome::Later(wait)
            }
            _ => Outcome::Later(SOME_TIME),
        }
    }

    /// A page of jobs: those before the first that goes on are not asked for again.
    fn page(&mut self, device: &str, after: u64, answer: Answer, now: MonoNs) -> Vec<Listed> {
        let last = answer.jobs.last().map(|row| row.arrival);
        if let Some(board) = self
            .boards
            .get_mut(device)
            .filter(|board| board.after == after)
        {
            for row in &answer.jobs {
                board.all_ended &= row.state.is_final();
                if board.all_ended {
                    board.settled = board.settled.max(row.arrival);
                }
            }
            match last {
                // A list that does not get on would go on for ever.
                Some(last) if last > after && last < answer.newest => {
                    board.after = last;
                    (board.list_at, board.has_more) = (now + PAGE_PAUSE, true);
                }
                // Its store began anew.
                None if answer.newest < after => board.list_anew(now),
                _ => board.end_round(now),
            }
        }
        let rows = answer.jobs.into_iter();
        rows.map(|row| Listed {
            id: row.id.into(),
            attempt: row.attempt,
            state: row.state,
            reason: row.reason,
        })
        .collect()
    }
}

/// The time in `…; try again in 7 s`.
fn wait_in(message: &str) -> Option<Span> {
    let (_, rest) = message.rsplit_once(" in ")?;
    let seconds: u64 = rest.split(' ').next()?.parse().ok()?;
    Some(Span::from_millis(seconds.min(3_600) * 1_000))
}

#[cfg(test)]
mod tests;
