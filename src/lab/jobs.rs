//! `joulectl jobs` and `joulectl cancel`.

use super::LabError;
use super::client::Client;
use super::submit::{Accepted, refused};
use super::target::Target;
use crate::record::job::State;
use crate::workload::QueueMode;
use console::style;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A board's answer to `jobs`: the queue and the last jobs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listing {
    pub jobs: Vec<State>,
    /// `None` from a board of an older version.
    #[serde(default)]
    pub queue: Option<QueueMode>,
    /// Jobs that did not fit into the answer.
    #[serde(default)]
    pub left_out: u32,
}

pub async fn list(target: &Target, as_json: bool) -> Result<(), LabError> {
    let mut client = Client::connect(target).await?;
    let board = client.board(target).await?;
    let listing: Listing = client
        .request(&board, "jobs", &json!({}))
        .await?
        .map_err(|refusal| refused(&board, &refusal))?;
    if as_json {
        println!(
            "{}",
            json!({"device": board.name(), "queue": listing.queue, "jobs": listing.jobs,
                   "left_out": listing.left_out})
        );
        return Ok(());
    }
    if let Some(mode) = listing.queue.filter(|mode| *mode != QueueMode::Open) {
        eprintln!("the queue of board {} is {}", board.name(), mode.as_str());
    }
    if listing.left_out > 0 {
        eprintln!("{} more jobs are not listed", listing.left_out);
    }
    if listing.jobs.is_empty() {
        eprintln!("board {} has no jobs", board.name());
        return Ok(());
    }
    print!("{}", render(&listing.jobs));
    Ok(())
}

fn render(jobs: &[State]) -> String {
    let id_width = jobs
        .iter()
        .map(|job| job.id.len())
        .max()
        .unwrap_or(0)
        .max(2);
    let heading = format!(
        "{:<id_width$}  {:<9}  {:>7}  note",
        "id", "state", "attempt"
    );
    let mut out = format!("{}\n", style(heading).underlined());
    for job in jobs {
        let mut notes = Vec::new();
        if !job.state.is_final() {
            notes.extend(
                job.phase
                    .map(|phase| super::sheet::phase_name(phase).to_owned()),
            );
            notes.extend(job.progress.map(|share| format!("{:.0} %", share * 100.0)));
        }
        notes.extend(job.reason.clone());
        let line = format!(
            "{:<id_width$}  {:<9}  {:>7}  {}",
            job.id,
            job.state.as_str(),
            job.attempt,
            notes.join(", ")
        );
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

pub async fn cancel(target: &Target, id: &str, as_json: bool) -> Result<(), LabError> {
    let mut client = Client::connect(target).await?;
    let board = client.board(target).await?;
    let answer: Accepted = client
        .request(&board, "cancel", &json!({"id": id}))
        .await?
        .map_err(|refusal| refused(&board, &refusal))?;
    if as_json {
        let state = answer.state;
        println!(
            "{}",
            json!({"device": board.name(), "id": answer.id, "state": state})
        );
    } else {
        println!("{}  {}", answer.id, answer.state.as_str());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_what_matters_about_each_job() {
        let jobs: Vec<State> = serde_json::from_value(json!([
            {"id": "smol-1", "attempt": 1, "rev": 4, "state": "running", "phase": "decode",
             "progress": 0.42, "reason": null},
            {"id": "b", "attempt": 2, "rev": 9, "state": "failed", "phase": "decode",
             "progress": 0.5, "reason": "worker killed by SIGKILL"}
        ]))
        .unwrap();
        let text = render(&jobs);
        let text = console::strip_ansi_codes(&text);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "smol-1  running          1  decode, 42 %");
        assert_eq!(
            lines[2],
            "b       failed           2  worker killed by SIGKILL"
        );
    }
}
