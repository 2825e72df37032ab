//! Runs the jobs that the decisions ask for, one after the other, and writes down what became
//! of each before the next.

use super::journal::{Entry, Journal};
use super::measured::{Measured, marks, sensor};
use super::order::{Order, Outcome, TuneError};
use super::progress::Progress;
use super::study::Study;
use super::tuner::Tuner;
use crate::lab::LabError;
use crate::lab::client::Client;
use crate::lab::follow::{self, Collected, Display, Until};
use crate::lab::sign::{Signing, sign};
use crate::lab::submit::send;
use crate::lab::target::Board;
use crate::lab::whole;
use crate::workload::JobState;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use tokio::time::Instant;

/// One tuning on its way.
pub struct Drive<'d> {
    pub client: &'d mut Client,
    pub board: Board,
    pub study: &'d Study,
    pub signing: &'d Signing,
    pub journal: Journal,
    /// Where the result records go.
    pub results: PathBuf,
    /// The sensor that the first job was measured with.
    pub sensor: Option<Option<String>>,
    pub progress: &'d Progress,
    /// The job that runs, for whoever stops the tuning.
    pub running: &'d RefCell<Option<String>>,
}

/// Lets the decisions be made again that led to what the journal holds.
pub fn replay(study: &Study, entries: &[Entry]) -> Result<Tuner, LabError> {
    let mut tuner = Tuner::new(study.rules.clone());
    for entry in entries {
        let expected = tuner.next().map(|order| study.id(&order));
        if expected.as_deref() != Some(entry.id.as_str()) {
            return Err(LabError::Usage(format!(
                "the journal has job {} where this joulectl would have run {}; it was written \
                 by another version: --fresh begins anew",
                entry.id,
                expected.as_deref().unwrap_or("none")
            )));
        }
        let taken = tuner.take(entry.outcome.clone(), entry.took_s);
        taken.map_err(|error| {
            LabError::Failed(format!(
                "{error}. So its jobs ended when this command ran before; --fresh begins anew"
            ))
        })?;
    }
    Ok(tuner)
}

impl Drive<'_> {
    /// Returns when nothing is left to run.
    pub async fn run_all(&mut self, tuner: &mut Tuner) -> Result<(), LabError> {
        while let Some(order) = tuner.next() {
            self.progress.begins(&order, tuner);
            let entry = self.job(&order).await?;
            self.journal.add(&entry)?;
            let decided = tuner.entries().len();
            tuner
                .take(entry.outcome.clone(), entry.took_s)
                .map_err(|error| failed(&error))?;
            self.progress.ended(&order, &entry.outcome);
            for entry in &tuner.entries()[decided..] {
                self.progress.decided(entry);
            }
            if entry.outcome == Outcome::Cancelled {
                return Err(LabError::Failed(format!(
                    "job {} was cancelled on board {}: the tuning stops here, and the same \
                     command goes on with that job",
                    entry.id,
                    self.board.name()
                )));
            }
        }
        Ok(())
    }

    async fn job(&mut self, order: &Order) -> Result<Entry, LabError> {
        let id = self.study.id(order);
        let mut job = self.study.job(order);
        sign(&mut job, &self.board, self.signing)?;
        *self.running.borrow_mut() = Some(id.clone());
        let topics = ["state", "result"].map(|leaf| self.board.of_job(&id, leaf));
        for topic in &topics {
            self.client.subscribe(topic).await?;
        }
        let sent = Instant::now();
        let accepted = send(self.client, &self.board, &job).await?;
        let known = accepted.state.is_final();
        let collected = match known {
            true => follow::ended_before(self.client, &self.board, &id, accepted.state).await?,
            false => {
                // Of a board that has lost its store, which runs a known id again.
                self.client
                    .forget_retained_of(|topic| topics.iter().any(|mine| mine == topic));
                let silent = Display::nowhere();
                follow::follow(self.client, &self.board, &id, Until::Result, &silent).await?
            }
        };
        let took_s = sent.elapsed().as_secs_f64();
        for topic in &topics {
            self.client.unsubscribe(topic).await?;
        }
        *self.running.borrow_mut() = None;
        self.entry(id, &collected, took_s, known)
    }

    fn entry(
        &mut self,
        id: String,
        collected: &Collected,
        took_s: f64,
        known: bool,
    ) -> Result<Entry, LabError> {
        let state = collected.state.as_ref().map(|state| state.state);
        let result = collected.result.as_ref().map(|result| &result.body);
        let reason = collected
            .state
            .as_ref()
            .and_then(|state| state.reason.clone())
            // The state has expired before the result.
            .or_else(|| result.and_then(|result| result.reason.clone()));
        if result.is_some() {
            let path = self.results.join(format!("{id}.json"));
            whole::write(&path, &format!("{}\n", collected.result_json))?;
        }
        let sensor = result.and_then(sensor);
        let outcome = match (state, result) {
            (Some(JobState::Succeeded), Some(result)) => {
                self.same_sensor(&sensor)?;
                let measured = Box::new(Measured::of(result));
                match marks(result).filter(|_| !self.study.include_marked) {
                    Some(why) => Outcome::LeftOut { why, measured },
                    None => Outcome::Measured(measured),
                }
            }
            (Some(JobState::Cancelled), _) => Outcome::Cancelled,
            (Some(JobState::Failed), _) => Outcome::Failed {
                reason: reason.unwrap_or_else(|| "no reason given".to_owned()),
            },
            _ => {
                return Err(LabError::Failed(format!(
                    "job {id} ended, but its result did not arrive; the same command asks for \
                     it again, --fresh has jobs of its own"
                )));
            }
        };
        let took_s = match &outcome {
            // It ran while nobody waited for it.
            Outcome::Measured(measured) | Outcome::LeftOut { measured, .. } if known => {
                measured.work_s + measured.load_s
            }
            _ => took_s,
        };
        Ok(Entry {
            id,
            took_s,
            sensor,
            outcome,
        })
    }

    /// A gain cancels between jobs of one sensor only.
    fn same_sensor(&mut self, sensor: &Option<String>) -> Result<(), LabError> {
        let first = self.sensor.get_or_insert_with(|| sensor.clone());
        if first == sensor || !self.study.rules.goal.objective.needs_energy() {
            return Ok(());
        }
        Err(LabError::Failed(
            "the power sensor or its calibration is another one than at the beginning of this \
             tuning, so that its jobs can't be compared; --fresh begins anew"
                .to_owned(),
        ))
    }
}

pub fn stopped(running: Option<&str>, board: &Board, folder: &Path) -> LabError {
    let job = match running {
        Some(id) => format!(
            "job {id} goes on (`joulectl cancel {id} --device {}` ends it)",
            board.name()
        ),
        None => "no job runs".to_owned(),
    };
    LabError::Interrupted(format!(
        "stopped; {job}. The same command goes on from {}",
        Journal::path(folder).display()
    ))
}

fn failed(error: &TuneError) -> LabError {
    LabError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::study::tests::study;
    use super::*;

    #[test]
    fn a_journal_leads_to_where_it_ended() {
        let study = study();
        let measured = Measured {
            prefill_tok_s: Some(100.0),
            decode_tok_s: Some(20.0),
            reason: Some(crate::record::Reason::TooCoarse),
            window_s: Some(0.005),
            ..Measured::default()
        };
        let first = study.id(&Tuner::new(study.rules.clone()).next().unwrap());
        let mut entry = Entry {
            id: first,
            took_s: 3.0,
            sensor: None,
            outcome: Outcome::Measured(Box::new(measured)),
        };
        let tuner = replay(&study, std::slice::from_ref(&entry)).unwrap();
        let next = study.id(&tuner.next().unwrap());
        assert!(next.ends_with("-accelerator.1-1.1"), "{next}");
        let failed = |again: &str| Entry {
            id: format!("{}{again}", entry.id),
            outcome: Outcome::Failed {
                reason: "the worker was killed".to_owned(),
            },
            ..entry.clone()
        };
        let twice = [failed(""), failed("-again1")];
        let tuner = replay(&study, &twice[..1]).unwrap();
        assert_eq!(study.id(&tuner.next().unwrap()), twice[1].id);
        let error = replay(&study, &twice).err().unwrap();
        let said = error.to_string();
        assert!(
            said.contains("was killed") && said.contains("--fresh"),
            "{said}"
        );
        entry.id = "tune-other".to_owned();
        let error = replay(&study, &[entry]).err().unwrap().to_string();
        assert!(
            error.contains("tune-other") && error.contains("--fresh"),
            "{error}"
        );
    }
}
