//! Several jobs of one command: sent one after the other, awaited together.

use super::dispatch::{Dispatch, Listen, Placed};
use super::{After, save, told};
use crate::lab::LabError;
use crate::lab::client::Client;
use crate::lab::figure::Figure;
use crate::lab::follow::{Collected, REST_WITHIN, ended_before};
use crate::lab::interrupt::interrupted;
use crate::lab::sheet::phase_name;
use crate::lab::sign::Signing;
use crate::record::result::Statistic;
use crate::workload::JobState;
use console::style;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// Between two records of a job may lie a long prefill, or all other jobs.
const FAR_AHEAD: Duration = Duration::from_secs(365 * 86_400);

/// What a broker keeps of a job that had ended before comes at once; its board is asked for the rest.
const KEPT_WITHIN: Duration = Duration::from_secs(2);

pub async fn send_all(
    client: &mut Client,
    dispatch: &mut Dispatch,
    jobs: &[Value],
    signing: &Signing,
    after: &After,
) -> Result<(), LabError> {
    let wait = after.wait || after.out.is_some();
    let listen = match wait {
        true => Listen::Outcome,
        false => Listen::Nothing,
    };
    let mut followed = Vec::new();
    for (n, job) in jobs.iter().enumerate() {
        let placed = match dispatch.place(client, job, signing, listen).await {
            Ok(placed) => placed,
            Err(error) => return Err(stopped(error, n, jobs.len())),
        };
        // With --json standard output is for the results.
        match (wait, after.json) {
            (false, _) => println!("{}", told(&placed, dispatch, after.json)),
            (true, false) => eprintln!("{}", told(&placed, dispatch, false)),
            (true, true) => {}
        }
        followed.push(Followed::new(placed));
    }
    if !wait {
        return Ok(());
    }
    // A board that has lost its store runs a known id again, and the broker still has the
    // result of the first time.
    client.forget_retained_of(|topic| {
        followed.iter().any(|job| {
            let Placed {
                id,
                board,
                accepted,
            } = &job.placed;
            !accepted.state.is_final() && board.job_leaf(id, topic).is_some()
        })
    });
    tokio::select! {
        biased;
        () = interrupted() => Err(LabError::Interrupted(
            "stopped waiting; the jobs go on. The same submit with --wait shows their results, \
             if each job has an id of its own in the file"
                .to_owned(),
        )),
        outcome = follow(client, followed, after) => outcome,
    }
}

fn stopped(error: LabError, sent: usize, all: usize) -> LabError {
    let with = |text: String| format!("{text}\n{sent} of {all} jobs were sent before");
    match error {
        LabError::Failed(text) => LabError::Failed(with(text)),
        LabError::Usage(text) => LabError::Usage(with(text)),
        LabError::Unreachable(text) => LabError::Unreachable(with(text)),
        LabError::Interrupted(text) => LabError::Interrupted(with(text)),
    }
}

/// A job that is awaited.
struct Followed {
    placed: Placed,
    collected: Collected,
    /// By when the result of a job that has ended is to be here.
    due: Option<Instant>,
    done: bool,
    shown: String,
}

impl Followed {
    fn new(placed: Placed) -> Self {
        let known = placed.accepted.state.is_final();
        Self {
            placed,
            collected: Collected::default(),
            due: known.then(|| Instant::now() + KEPT_WITHIN),
            done: false,
            shown: String::new(),
        }
    }

    fn state(&self) -> Option<JobState> {
        self.collected.state.as_ref().map(|state| state.state)
    }

    fn succeeded(&self) -> bool {
        self.state() == Some(JobState::Succeeded) && self.collected.result.is_some()
    }

    /// `running`, or the phase.
    fn phase(&self) -> String {
        let Some(state) = &self.collected.state else {
            return JobState::Queued.as_str().to_owned();
        };
        match state.phase.filter(|_| state.state == JobState::Running) {
            Some(phase) => phase_name(phase).to_owned(),
            None => state.state.as_str().to_owned(),
        }
    }
}

async fn follow(
    client: &mut Client,
    mut jobs: Vec<Followed>,
    after: &After,
) -> Result<(), LabError> {
    let bar = match after.json {
        true => ProgressBar::hidden(),
        false => bar(jobs.len()),
    };
    let lines = !after.json && bar.is_hidden();
    while jobs.iter().any(|job| !job.done) {
        let dues = jobs
            .iter()
            .filter(|job| !job.done)
            .filter_map(|job| job.due);
        let due = dues.min().unwrap_or_else(|| Instant::now() + FAR_AHEAD);
        let Some(message) = client.next(due).await? else {
            for job in jobs
                .iter_mut()
                .filter(|job| job.due.is_some_and(|due| due <= Instant::now()))
            {
                job.done = true;
            }
            continue;
        };
        let found = jobs.iter_mut().find_map(|job| {
            let leaf = job.placed.board.job_leaf(&job.placed.id, &message.topic)?;
            Some((job, leaf))
        });
        let Some((job, leaf)) = found.filter(|(job, _)| !job.done) else {
            continue;
        };
        job.collected
            .take(leaf, &message.payload)
            .map_err(|error| {
                LabError::Failed(format!(
                    "board {} published a {leaf} record that joulectl does not understand \
                 ({error}); are both of the same version?",
                    job.placed.board.name()
                ))
            })?;
        if job.state().is_some_and(JobState::is_final) && job.due.is_none() {
            job.due = Some(Instant::now() + REST_WITHIN);
        }
        if job.collected.has_ended() {
            job.done = true;
            ended(job, after)?;
        }
        if lines && job.phase() != job.shown {
            job.shown = job.phase();
            eprintln!("{}: {}", job.placed.id, job.shown);
        }
        show(&bar, &jobs);
    }
    // What the broker keeps no more of jobs that had ended before, their boards send again. Records
    // of others would be lost meanwhile.
    let known = |job: &&mut Followed| job.placed.accepted.state.is_final();
    for job in jobs.iter_mut().filter(known) {
        if !job.collected.has_ended() {
            let Placed {
                id,
                board,
                accepted,
            } = &job.placed;
            job.collected = ended_before(client, board, id, accepted.state).await?;
            ended(job, after)?;
        }
    }
    bar.finish_and_clear();
    if !after.json {
        print!("{}", render(&jobs));
    }
    let failed: Vec<&str> = jobs
        .iter()
        .filter(|job| !job.succeeded())
        .map(|job| job.placed.id.as_str())
        .collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(LabError::Failed(format!(
            "{} of {} jobs did not succeed: {}",
            failed.len(),
            jobs.len(),
            failed.join(", ")
        ))),
    }
}

fn ended(job: &Followed, after: &After) -> Result<(), LabError> {
    let has_result = job.collected.result.is_some();
    if let Some(dir) = after.out.as_deref().filter(|_| has_result) {
        save(dir, &job.placed.id, &job.collected.result_json)?;
    }
    if after.json {
        match has_result {
            true => println!("{}", job.collected.result_json),
            false => {
                let state = job.collected.state.as_ref();
                let line = json!({"device": job.placed.board.name(), "id": job.placed.id,
                    "state": job.state(), "reason": state.and_then(|state| state.reason.clone())});
                println!("{line}");
            }
        }
    }
    Ok(())
}

fn bar(jobs: usize) -> ProgressBar {
    let bar = ProgressBar::new(jobs as u64 * 1_000);
    let style = ProgressStyle::with_template("{spinner} {elapsed:>4} [{bar:24}] {msg}")
        .expect("the template is right")
        .progress_chars("=> ");
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// One bar over all jobs, with those that run.
fn show(bar: &ProgressBar, jobs: &[Followed]) {
    let done = jobs.iter().filter(|job| job.done).count();
    let progress = |job: &Followed| match (job.done, &job.collected.state) {
        (true, _) => 1_000,
        (false, Some(state)) => (state.progress.unwrap_or(0.0) * 1_000.0) as u64,
        (false, None) => 0,
    };
    bar.set_position(jobs.iter().map(progress).sum());
    let running: Vec<String> = jobs
        .iter()
        .filter(|job| job.state() == Some(JobState::Running) && !job.done)
        .map(|job| format!("{} {}", job.placed.id, job.phase()))
        .collect();
    bar.set_message(format!(
        "{done} of {} done  {}",
        jobs.len(),
        running.join(", ")
    ));
}

/// The results in a table.
fn render(jobs: &[Followed]) -> String {
    let mut rows = vec![["id", "board", "state", "decode", "J/token"].map(str::to_owned)];
    for job in jobs {
        let result = job.collected.result.as_ref();
        let summary = result.and_then(|result| result.body.summary.as_ref());
        let figure = |statistic: Option<&Statistic>, unit: &str, plain: bool| match statistic {
            None => "–".to_owned(),
            Some(value) => {
                let figure = Figure::because(Some(value.median), value.u95, None);
                match plain {
                    true => figure.show_plain(unit),
                    false => figure.show(unit),
                }
            }
        };
        let decode = summary.and_then(|summary| summary.decode_tok_s.as_ref());
        let energy = summary.and_then(|summary| summary.j_per_output_token.as_ref());
        let simulated =
            result.is_some_and(|result| result.body.rails.iter().any(|rail| rail.simulated));
        let mark = if simulated { " SIMULATED" } else { "" };
        let state = job.state().map_or("unknown", JobState::as_str);
        rows.push([
            job.placed.id.clone(),
            job.placed.board.name().to_owned(),
            state.to_owned(),
            figure(decode, "tok/s", true),
            format!("{}{mark}", figure(energy, "J", false)),
        ]);
    }
    aligned(&rows)
}

/// Rows with their columns aligned; the first is the heading.
pub(in crate::lab) fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for (n, row) in rows.iter().enumerate() {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        match n {
            0 => out.push_str(&style(line).underlined().to_string()),
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::submit::Accepted;
    use crate::lab::target::Board;
    use crate::lab::testing::{self, DEVICE, ID};

    #[test]
    fn the_table_has_a_line_a_job_and_says_what_is_missing() {
        let followed = |id: &str| {
            Followed::new(Placed {
                id: id.to_owned(),
                board: Board::new("jouled", DEVICE),
                accepted: Accepted {
                    id: id.to_owned(),
                    state: JobState::Queued,
                },
            })
        };
        let mut good = followed(ID);
        let state = json!({"id": ID, "attempt": 1, "rev": 3, "state": "succeeded",
            "phase": null, "progress": null, "reason": null});
        good.collected
            .take("state", state.to_string().as_bytes())
            .unwrap();
        good.collected
            .take("result", &testing::result().to_json())
            .unwrap();
        assert!(good.succeeded());
        let table = render(&[good, followed("b")]);
        let table = console::strip_ansi_codes(&table).into_owned();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("id      board   state"), "{table}");
        assert!(
            lines[1].contains("succeeded") && lines[1].contains("tok/s"),
            "{table}"
        );
        assert!(
            lines[1].contains("mJ") && lines[1].ends_with("SIMULATED"),
            "{table}"
        );
        assert!(lines[2].contains("unknown    –"), "{table}");
    }
}
