//! `joulectl queue`: what a board's queue does, and setting it.

use super::LabError;
use super::client::Client;
use super::submit::refused;
use super::target::{Board, Target};
use crate::record::device::{Presence, Status};
use crate::workload::QueueMode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// A queue may take days to run empty.
const FAR_AHEAD: Duration = Duration::from_secs(365 * 86_400);

/// What to do with the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Action {
    /// Accept jobs and run them
    Open,
    /// Accept jobs and start none; one that runs goes on
    Pause,
    /// Refuse new jobs and run those that wait
    Drain,
}

impl Action {
    fn mode(self) -> QueueMode {
        match self {
            Self::Open => QueueMode::Open,
            Self::Pause => QueueMode::Paused,
            Self::Drain => QueueMode::Draining,
        }
    }
}

/// A board's answer to `queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub mode: QueueMode,
    pub queued: u32,
    pub running: Option<String>,
}

impl Standing {
    fn is_empty(&self) -> bool {
        self.queued == 0 && self.running.is_none()
    }
}

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// What the queue is to do; without it, its mode is shown
    pub action: Option<Action>,
    /// Come back when nothing waits or runs any more
    #[arg(long)]
    pub wait: bool,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(target: &Target, options: &Options) -> Result<(), LabError> {
    let mode = options.action.map(Action::mode);
    let mut client = Client::connect(target).await?;
    let board = client.board(target).await?;
    let mut standing = ask(&mut client, &board, mode).await?;
    if options.wait && !standing.is_empty() {
        if standing.mode == QueueMode::Paused && standing.queued > 0 {
            return Err(LabError::Usage(format!(
                "the queue of board {} is paused, so that its {} jobs never end; \
                 `joulectl queue drain --wait` runs them",
                board.name(),
                standing.queued
            )));
        }
        standing = emptied(&mut client, &board).await?;
    }
    if options.json {
        let Standing {
            mode,
            queued,
            running,
        } = &standing;
        println!(
            "{}",
            json!({"device": board.name(), "mode": mode, "queued": queued, "running": running})
        );
    } else {
        println!("{}", line(&standing));
    }
    Ok(())
}

async fn ask(
    client: &mut Client,
    board: &Board,
    mode: Option<QueueMode>,
) -> Result<Standing, LabError> {
    let body = match mode {
        Some(mode) => json!({ "mode": mode }),
        None => json!({}),
    };
    let answer = client.request(board, "queue", &body).await?;
    answer.map_err(|refusal| refused(board, &refusal))
}

/// Waits until nothing is left in the queue. `status` says when to look; the board's answer
/// counts, since a retained status may be older.
async fn emptied(client: &mut Client, board: &Board) -> Result<Standing, LabError> {
    client.subscribe(&board.status()).await?;
    let deadline = Instant::now() + FAR_AHEAD;
    while let Some(message) = client.next(deadline).await? {
        let says_empty = message.topic == board.status()
            && serde_json::from_slice::<Status>(&message.payload).is_ok_and(|status| {
                status.state == Presence::Online
                    && status.jobs_queued == Some(0)
                    && status.job_running.is_none()
            });
        if says_empty {
            let standing = ask(client, board, None).await?;
            if standing.is_empty() {
                return Ok(standing);
            }
        }
    }
    Err(LabError::Interrupted(
        "stopped waiting for the queue".to_owned(),
    ))
}

fn line(standing: &Standing) -> String {
    let running = standing.running.as_deref();
    let running = running.map_or("none runs".to_owned(), |id| format!("{id} runs"));
    let mode = standing.mode.as_str();
    format!("{mode}  {} wait, {running}", standing.queued)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_waits_and_what_runs() {
        let mut standing = Standing {
            mode: QueueMode::Paused,
            queued: 3,
            running: Some("smol-1".to_owned()),
        };
        assert_eq!(line(&standing), "paused  3 wait, smol-1 runs");
        standing.running = None;
        assert_eq!(line(&standing), "paused  3 wait, none runs");
    }
}
