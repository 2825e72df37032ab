//! `joulectl tune`: finds the configuration of a model on a board that costs least, by short
//! interleaved benchmark jobs over MQTT (docs/tune.md).
//!
//! - `tuner`: all decisions, without I/O; it names the next job and is told what became of it.
//!   `space` what is tried, `goal` what is to be least, `sizes` how long jobs are, `series`
//!   rounds and paired ratios, `rung` who goes
//! - `drive`: runs the jobs; `journal` keeps what became of each, so that the same command goes
//!   on where it ended
//! - `report`, `text`, `verdict`, `plan`, `progress`: what is said

mod board;
mod candidate;
mod drive;
mod fate;
mod goal;
mod journal;
mod measured;
mod options;
mod order;
mod plan;
mod progress;
mod report;
mod rung;
mod series;
mod sizes;
mod space;
mod study;
mod text;
mod tuner;
mod verdict;

pub use options::Options;

use super::client::{Client, random_hex};
use super::interrupt::interrupted;
use super::sign::Signing;
use super::target::Target;
use super::{LabError, alone, table, whole};
use board::Facts;
use drive::{Drive, replay, stopped};
use journal::{Entry, Journal};
use progress::Progress;
use report::{Report, Verdict};
use std::cell::RefCell;
use std::fs;
use std::path::Path;
use study::Study;

pub async fn run(target: &Target, options: &Options, signing: &Signing) -> Result<(), LabError> {
    let mut client = Client::connect(target).await?;
    let facts = Facts::ask(&mut client, target).await?;
    let mut study = options.study(&facts)?;
    if options.plan {
        show_plan(&study, facts.cpus(), options.json);
        return Ok(());
    }
    let folder = options.folder(facts.board.name());
    let _alone = alone::lock(&folder, ".lock", "joulectl tune works")?;
    let past = begin(&mut study, &folder, options.fresh)?;
    let mut tuner = replay(&study, &past)?;
    let results = folder.join("results");
    fs::create_dir_all(&results)
        .map_err(|error| LabError::Failed(format!("{}: {error}", results.display())))?;
    let progress = match options.json {
        true => Progress::nowhere(),
        false => Progress::on_stderr(),
    };
    if !past.is_empty() && tuner.next().is_some() {
        progress.line(&format!(
            "going on after {} jobs of {}",
            past.len(),
            Journal::path(&folder).display()
        ));
    }
    let running = RefCell::new(None);
    let sensor = past.iter().find(|entry| entry.sensor.is_some());
    let mut drive = Drive {
        client: &mut client,
        board: facts.board.clone(),
        study: &study,
        signing,
        journal: Journal::write(&folder, &study, &past)?,
        results,
        sensor: sensor.map(|entry| entry.sensor.clone()),
        progress: &progress,
        running: &running,
    };
    let ended = tokio::select! {
        biased;
        () = interrupted() => Err(stopped(running.borrow().as_deref(), &facts.board, &folder)),
        ended = drive.run_all(&mut tuner) => ended,
    };
    progress.done();
    ended?;
    finish(&Report::of(&study, &tuner), &folder, options.json)
}

/// What `folder` holds of this very tuning.
fn begin(study: &mut Study, folder: &Path, fresh: bool) -> Result<Vec<Entry>, LabError> {
    if fresh {
        set_aside(folder)?;
        study.salt = random_hex(8);
        return Ok(Vec::new());
    }
    match Journal::read(folder)? {
        None => Ok(Vec::new()),
        Some((other, entries)) => {
            study.salt.clone_from(&other.salt);
            if other != *study {
                return Err(LabError::Usage(format!(
                    "{} holds another tuning (other options, board or model file): name another \
                     folder with --out, or begin anew with --fresh",
                    folder.display()
                )));
            }
            Ok(entries)
        }
    }
}

/// Keeps an earlier tuning under its own name.
fn set_aside(folder: &Path) -> Result<(), LabError> {
    let earlier = match Journal::read(folder) {
        Ok(None) => return Ok(()),
        Ok(Some((study, _))) => study.name(),
        Err(_) => format!("unreadable-{}", random_hex(8)),
    };
    let kept = [
        (Journal::path(folder), format!("journal-{earlier}.jsonl")),
        (folder.join("results"), format!("results-{earlier}")),
    ];
    for (path, name) in kept {
        match fs::rename(&path, folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(LabError::Failed(format!("{}: {error}", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

fn show_plan(study: &Study, cpus: u32, as_json: bool) {
    let plan = plan::plan(&study.rules, cpus);
    match as_json {
        true => println!(
            "{}",
            serde_json::json!({"v": 1, "study": study, "plan": plan})
        ),
        false => print!("{}", text::render_plan(study, &plan, table::width())),
    }
}

fn finish(report: &Report, folder: &Path, as_json: bool) -> Result<(), LabError> {
    let json = text::json(report);
    whole::write(&folder.join("tune.json"), &format!("{json:#}\n"))?;
    if as_json {
        println!("{json}");
    } else {
        print!("{}", text::render(report, table::width()));
        eprintln!(
            "wrote {}; `joulectl report {}` shows every job",
            folder.join("tune.json").display(),
            folder.join("results").display()
        );
    }
    match report.verdict {
        Verdict::BoundsNotMet => Err(LabError::Failed(match report.nothing_was_tried() {
            true => "the defaults do not keep the bounds, and nothing else was tried".to_owned(),
            false => "no configuration that was tried keeps the bounds".to_owned(),
        })),
        Verdict::Gain | Verdict::WithinBounds | Verdict::NoGainShown | Verdict::ExceedsBounds => {
            Ok(())
        }
    }
}

#[cfg(test)]
mod synthetic;
#[cfg(test)]
mod trouble;
