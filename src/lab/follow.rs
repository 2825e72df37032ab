//! Following one job from its topics: what has arrived, what is missing, when all is there.

mod past;

pub use past::ended_before;

use super::LabError;
use super::client::{Client, Message};
use super::sheet::phase_name;
use super::target::Board;
use crate::record::Stamped;
use crate::record::job::{State, Tokens, Trace};
use crate::record::result::JobResult;
use crate::workload::JobState;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long records may take that belong to a final job.
pub(super) const REST_WITHIN: Duration = Duration::from_secs(30);
/// A job publishes its phases; between two of them may lie a long prefill, or another job.
const FAR_AHEAD: Duration = Duration::from_secs(365 * 86_400);

/// What has arrived of one job.
#[derive(Debug, Default)]
pub struct Collected {
    pub state: Option<State>,
    pub result: Option<Stamped<JobResult>>,
    /// The result as it came, with fields that this version does not know.
    pub result_json: String,
    /// By attempt and `seq`, so that a record that comes twice counts once.
    tokens: BTreeMap<(u32, u64), Tokens>,
    /// By attempt, rail and `seq`.
    trace: BTreeMap<(u32, String, u64), Trace>,
}

impl Collected {
    /// Takes a message of the job's topic `…/<leaf>`. Unknown leaves are left alone.
    ///
    /// Errors: why the payload is not the record that the topic promises.
    pub fn take(&mut self, leaf: &str, payload: &[u8]) -> Result<(), serde_json::Error> {
        // An empty payload clears a retained record.
        if payload.is_empty() {
            return Ok(());
        }
        match leaf {
            "state" => {
                let state: State = serde_json::from_slice(payload)?;
                if self.state.as_ref().is_none_or(|old| state.rev >= old.rev) {
                    self.state = Some(state);
                }
            }
            "tokens" => {
                let tokens: Tokens = serde_json::from_slice(payload)?;
                self.tokens.insert((tokens.attempt, tokens.seq), tokens);
            }
            "trace" => {
                let chunk: Trace = serde_json::from_slice(payload)?;
                let key = (chunk.attempt, chunk.rail.clone(), chunk.seq);
                self.trace.insert(key, chunk);
            }
            "result" => {
                self.result = Some(serde_json::from_slice(payload)?);
                self.result_json = String::from_utf8_lossy(payload).into_owned();
            }
            _ => {}
        }
        Ok(())
    }

    /// Token records of the attempt that the result is about.
    pub fn tokens(&self) -> Vec<&Tokens> {
        let attempt = self.attempt();
        self.tokens
            .values()
            .filter(|tokens| tokens.attempt == attempt)
            .collect()
    }

    /// Trace chunks of that attempt, in order, rail after rail.
    pub fn trace(&self) -> Vec<&Trace> {
        let attempt = self.attempt();
        self.trace
            .values()
            .filter(|chunk| chunk.attempt == attempt)
            .collect()
    }

    fn attempt(&self) -> u32 {
        match (&self.result, &self.state) {
            (Some(result), _) => result.body.attempt,
            (None, Some(state)) => state.attempt,
            (None, None) => 0,
        }
    }

    /// Whether the job is final and its result is here, or none will come: a job that was
    /// cancelled in the queue has no attempt to tell of.
    pub(super) fn has_ended(&self) -> bool {
        let never_ran = |state: &State| state.attempt == 0;
        let state = self.state.as_ref();
        state.is_some_and(|state| {
            state.state.is_final() && (self.result.is_some() || never_ran(state))
        })
    }

    /// What the result announces and has not arrived, in words.
    pub fn missing(&self) -> Option<String> {
        let records = self.result.as_ref()?.body.records;
        let tokens = records.tokens.saturating_sub(self.tokens().len() as u64);
        let trace = records.trace.saturating_sub(self.trace().len() as u64);
        (tokens + trace > 0)
            .then(|| format!("{tokens} token records and {trace} trace records did not arrive"))
    }

    /// Tokens of the newest repetition that has any: `(rep, tokens)`.
    fn newest_tokens(&self) -> Option<(u32, usize)> {
        let attempt = self.state.as_ref()?.attempt;
        let of_attempt = || self.tokens.values().filter(|t| t.attempt == attempt);
        let rep = of_attempt().map(|tokens| tokens.rep).max()?;
        let count = of_attempt()
            .filter(|t| t.rep == rep)
            .map(|t| t.tokens.len());
        Some((rep, count.sum()))
    }
}

/// Which records to wait for once the job has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    Result,
    /// Also every token and trace record that the result announces.
    EveryRecord,
}

/// Subscribes to everything about job `id`. Do this before the job is submitted.
pub async fn subscribe(client: &mut Client, board: &Board, id: &str) -> Result<(), LabError> {
    client.subscribe(&board.job_filter(id)).await
}

/// Waits for the job to end and shows its progress meanwhile.
pub async fn follow(
    client: &mut Client,
    board: &Board,
    id: &str,
    until: Until,
    display: &Display,
) -> Result<Collected, LabError> {
    let mut collected = Collected::default();
    let mut deadline = Instant::now() + FAR_AHEAD;
    loop {
        let Some(message) = client.next(deadline).await? else {
            break;
        };
        let was_final = is_final(&collected);
        if !heard(&mut collected, &message, board, id)? {
            continue;
        }
        display.show(&collected);
        if is_final(&collected) && !was_final {
            deadline = Instant::now() + REST_WITHIN;
        }
        let all_here = until == Until::Result || collected.missing().is_none();
        if collected.has_ended() && all_here {
            break;
        }
    }
    display.done();
    Ok(collected)
}

/// Whether the message is about the job; then it is taken.
fn heard(
    collected: &mut Collected,
    message: &Message,
    board: &Board,
    id: &str,
) -> Result<bool, LabError> {
    let Some(leaf) = board.job_leaf(id, &message.topic) else {
        return Ok(false);
    };
    collected.take(leaf, &message.payload).map_err(|error| {
        LabError::Failed(format!(
            "board {} published a {leaf} record that joulectl does not understand ({error}); are \
             both of the same version?",
            board.name()
        ))
    })?;
    Ok(true)
}

fn is_final(collected: &Collected) -> bool {
    let state = collected.state.as_ref();
    state.is_some_and(|state| state.state.is_final())
}

/// Where progress is shown: a bar on a terminal, a line per change elsewhere, or nowhere.
pub struct Display {
    bar: ProgressBar,
    lines: bool,
    last: std::cell::RefCell<String>,
}

impl Display {
    /// On standard error.
    pub fn on_stderr() -> Self {
        let bar = ProgressBar::new(1000);
        let style = ProgressStyle::with_template("{spinner} {elapsed:>4} [{bar:24}] {msg}")
            .expect("the template is right")
            .progress_chars("=> ");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(120));
        let lines = bar.is_hidden();
        Self {
            bar,
            lines,
            last: std::cell::RefCell::default(),
        }
    }

    pub fn nowhere() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            lines: false,
            last: std::cell::RefCell::default(),
        }
    }

    fn show(&self, collected: &Collected) {
        let Some(state) = &collected.state else {
            return;
        };
        let mut text = state.state.as_str().to_owned();
        if state.state == JobState::Running
            && let Some(phase) = state.phase
        {
            text = phase_name(phase).to_owned();
        }
        if let Some(reason) = &state.reason {
            // The bar prints by itself.
            text = format!("{text}: {}", crate::print::harmless(reason));
        }
        if self.lines {
            let mut last = self.last.borrow_mut();
            if *last != text {
                eprintln!("{}: {text}", state.id);
                *last = text;
            }
            return;
        }
        if let Some(progress) = state.progress {
            self.bar.set_position((progress * 1000.0) as u64);
        }
        if let Some((rep, tokens)) = collected.newest_tokens() {
            text = format!("{text}, repetition {rep}: {tokens} tokens");
        }
        self.bar.set_message(text);
    }

    fn done(&self) {
        self.bar.finish_and_clear();
    }
}

/// Turns the end of a job into the end of the command.
pub fn outcome(collected: &Collected, board: &Board, id: &str) -> Result<(), LabError> {
    let Some(state) = &collected.state else {
        return Err(LabError::Failed(format!(
            "nothing arrived about job {id} on board {}",
            board.name()
        )));
    };
    if state.state == JobState::Succeeded && collected.result.is_some() {
        return Ok(());
    }
    let why = state.reason.as_deref().unwrap_or("no reason given");
    Err(LabError::Failed(match state.state {
        JobState::Succeeded => format!(
            "job {id} succeeded, but its result did not arrive within {} s",
            REST_WITHIN.as_secs()
        ),
        other => format!("job {id} {}: {why}", other.as_str()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::testing::{self, DEVICE, ID};
    use serde_json::json;

    fn state(rev: u64, state: &str) -> Vec<u8> {
        json!({"id": ID, "attempt": 1, "rev": rev, "state": state, "phase": null,
            "progress": null, "reason": null})
        .to_string()
        .into_bytes()
    }

    #[test]
    fn the_newest_state_counts() {
        let mut job = Collected::default();
        job.take("state", &state(3, "succeeded")).unwrap();
        job.take("state", &state(2, "running")).unwrap();
        assert_eq!(job.state.unwrap().state, JobState::Succeeded);
    }

    #[test]
    fn all_is_there_when_the_announced_records_are() {
        let mut job = Collected::default();
        job.take("state", &state(3, "succeeded")).unwrap();
        assert!(!job.has_ended());
        job.take("result", &testing::result().to_json()).unwrap();
        assert!(job.has_ended());
        for _ in 0..2 {
            // Delivered twice, counted once.
            for tokens in testing::tokens(DEVICE, ID) {
                job.take("tokens", &tokens.to_json()).unwrap();
            }
        }
        assert!(job.missing().unwrap().starts_with("0 token records"));
        for chunk in testing::trace(DEVICE, ID) {
            job.take("trace", &chunk.to_json()).unwrap();
        }
        assert_eq!(job.missing(), None);
        assert_eq!(job.tokens().len(), 3);
    }

    #[test]
    fn records_of_a_lost_attempt_are_left_out() {
        let mut job = Collected::default();
        let mut early = testing::tokens(DEVICE, ID).remove(0);
        early.body.attempt = 0;
        job.take("tokens", &early.to_json()).unwrap();
        job.take("result", &testing::result().to_json()).unwrap();
        assert!(job.tokens().is_empty());
    }

    #[test]
    fn a_job_that_never_ran_has_no_result_to_wait_for() {
        let mut job = Collected::default();
        let cancelled = json!({"id": ID, "attempt": 0, "rev": 2, "state": "cancelled",
            "phase": null, "progress": null, "reason": "cancelled by the client"});
        job.take("state", cancelled.to_string().as_bytes()).unwrap();
        assert!(job.has_ended());
    }

    #[test]
    fn a_cleared_record_is_no_error() {
        let mut job = Collected::default();
        job.take("result", b"").unwrap();
        assert!(job.result.is_none());
        assert!(job.take("result", b"{").is_err());
    }
}
