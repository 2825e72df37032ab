//! The decisions of a tuning, without I/O: it names the next job and is told what became of it.
//! The same outcomes lead to the same jobs, so that a tuning goes on from its journal.
//!
//! The first job runs the defaults and tells speeds. Each stage then is a successive halving:
//! rungs of growing jobs, after each of which goes whoever is shown to be worse, and the worse
//! half where time forces it. What a stage ends with is where the next begins. Last, a check on
//! fresh jobs sets the choice against the defaults.

mod first;
mod halving;

use super::candidate::Candidate;
use super::fate::{Beyond, Entry, Fate, Interval};
use super::order::{Counts, Order, Outcome, Part, Rules, TuneError};
use super::series::{DEFAULTS, Place, Series};
use super::sizes::{self, Pace, Speeds};
use super::space::{Resolved, Stage};
use crate::lab::figure::reason_name;
use crate::record::Reason;

/// Runs of a job that does not count, before its place stays empty.
const TRIES: u32 = 3;

pub struct Tuner {
    rules: Rules,
    at: At,
    pace: Option<Pace>,
    resolved: Option<Resolved>,
    best: Candidate,
    /// Of candidates whose jobs ran.
    speeds: Vec<(Candidate, Speeds)>,
    entries: Vec<Entry>,
    counts: Counts,
    spent_s: f64,
    simulated: bool,
    /// Which of their bounds the defaults were farthest beyond when last seen.
    defaults_beyond: Option<Beyond>,
    out_of_time: bool,
}

enum At {
    First {
        repeated: u32,
        failures: u32,
    },
    Rung {
        stage: Stage,
        rung: u32,
        series: Series,
    },
    Check(Series),
    Done(Option<Series>),
}

impl Tuner {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            at: At::First {
                repeated: 0,
                failures: 0,
            },
            pace: None,
            resolved: None,
            best: Candidate::default(),
            speeds: Vec::new(),
            entries: Vec::new(),
            counts: Counts::default(),
            spent_s: 0.0,
            simulated: false,
            defaults_beyond: None,
            out_of_time: false,
        }
    }

    /// The next job; `None` at the end.
    pub fn next(&self) -> Option<Order> {
        let (part, series) = match &self.at {
            At::First { repeated, .. } => {
                return Some(Order {
                    part: Part::First,
                    place: Place {
                        round: 1,
                        job: 1,
                        repeated: *repeated,
                    },
                    candidate: Candidate::default(),
                    sizes: sizes::first(&self.rules.goal),
                });
            }
            At::Rung {
                stage,
                rung,
                series,
            } => (
                Part::Rung {
                    stage: *stage,
                    rung: *rung,
                },
                series,
            ),
            At::Check(series) => (Part::Check, series),
            At::Done(_) => return None,
        };
        let (place, candidate) = series.next()?;
        Some(Order {
            part,
            place,
            candidate: candidate.clone(),
            sizes: series.sizes_of(series.arm()?),
        })
    }

    /// Takes what became of the job that [`next`](Self::next) named, `took_s` seconds after it
    /// was sent.
    pub fn take(&mut self, outcome: Outcome, took_s: f64) -> Result<(), TuneError> {
        self.counts.run += 1;
        self.spent_s += took_s;
        if let Outcome::Measured(measured) | Outcome::LeftOut { measured, .. } = &outcome {
            self.simulated |= measured.simulated;
        }
        match &self.at {
            At::First { repeated, failures } => {
                let tried = (*repeated, *failures);
                self.take_first(outcome, took_s, tried)
            }
            At::Rung { .. } | At::Check(_) => {
                if let (Some(pace), Some(series)) = (&mut self.pace, series_of(&self.at)) {
                    pace.learn(&series.sizes, took_s);
                }
                self.take_of_series(outcome)?;
                self.go_on();
                Ok(())
            }
            At::Done(_) => Ok(()),
        }
    }

    fn take_of_series(&mut self, outcome: Outcome) -> Result<(), TuneError> {
        let (goal, n_ctx) = (self.rules.goal, self.rules.n_ctx);
        let (stage, rung, series) = match &mut self.at {
            At::Rung {
                stage,
                rung,
                series,
            } => (Some(*stage), *rung, series),
            At::Check(series) => (None, 0, series),
            At::First { .. } | At::Done(_) => return Ok(()),
        };
        let (Some((place, candidate)), Some(arm)) = (series.next(), series.arm()) else {
            return Ok(());
        };
        let candidate = candidate.clone();
        let again = place.repeated - series.failures() + 1 < TRIES;
        let outcome = match outcome {
            Outcome::Measured(measured) if goal.cost(&measured).is_none() => Outcome::LeftOut {
                why: because(measured.reason),
                measured,
            },
            other => other,
        };
        let mut too_fast = false;
        if let (Outcome::Measured(measured) | Outcome::LeftOut { measured, .. }, Some(pace)) =
            (&outcome, &self.pace)
        {
            let speeds = Speeds::of(measured);
            let sizes = series.sizes_of(arm);
            if goal.cost(measured).is_none() && measured.reason == Some(Reason::TooCoarse) {
                series.resize(arm, pace.lengthened(sizes, &speeds, n_ctx));
                too_fast = pace.is_beyond_the_sensor(&sizes, &speeds, n_ctx);
            }
            self.speeds.retain(|(known, _)| *known != candidate);
            self.speeds.push((candidate.clone(), speeds));
        }
        let gone = match outcome {
            Outcome::LeftOut { .. } if too_fast && arm != DEFAULTS => Fate::TooFast { n_ctx },
            Outcome::Measured(measured) => {
                let asked = candidate.gpu_layers.is_some_and(|layers| layers > 0);
                match asked && measured.engine.layers_offloaded == 0 {
                    true => Fate::NoEffect {
                        why: "no layer was offloaded".to_owned(),
                    },
                    false => {
                        series.take(Some(*measured));
                        return Ok(());
                    }
                }
            }
            Outcome::LeftOut { .. } | Outcome::Cancelled if again => {
                self.counts.repeated += 1;
                series.repeat();
                return Ok(());
            }
            Outcome::LeftOut { why, .. } => {
                self.counts.left_out += 1;
                series.leave_empty(why);
                return Ok(());
            }
            Outcome::Cancelled => {
                self.counts.left_out += 1;
                series.leave_empty("cancelled".to_owned());
                return Ok(());
            }
            // Once may be an accident, such as a worker that was killed.
            Outcome::Failed { .. } if series.failures() == 0 => {
                self.counts.repeated += 1;
                series.repeat_failed();
                return Ok(());
            }
            Outcome::Failed { reason } if arm == DEFAULTS => {
                return Err(TuneError::DefaultsFail(reason));
            }
            Outcome::Failed { reason } => Fate::Failed { reason },
        };
        series.give_up();
        if let Some(stage) = stage {
            self.entries.push(Entry {
                stage,
                label: candidate.label(),
                candidate,
                rung,
                rounds: 0,
                against_defaults: None,
                fate: gone,
            });
        }
        Ok(())
    }

    /// Ends a rung or the check once its jobs have run.
    fn go_on(&mut self) {
        let over = series_of(&self.at).is_some_and(|series| {
            let others = 1..series.arms.len();
            let mut others = others.map(|arm| series.is_broken(arm));
            series.next().is_none() || others.all(|broken| broken)
        });
        if !over {
            return;
        }
        match std::mem::replace(&mut self.at, At::Done(None)) {
            At::Rung {
                stage,
                rung,
                series,
            } => self.end_rung(stage, rung, &series),
            At::Check(series) => self.at = At::Done(Some(series)),
            other => self.at = other,
        }
    }

    /// Seconds until the end of the present rung or check.
    pub fn remaining_s(&self) -> Option<f64> {
        let series = series_of(&self.at)?;
        let job_s = self.pace.as_ref()?.estimate_s(&series.sizes);
        Some(f64::from(series.left()) * job_s)
    }

    /// What the stages have chosen.
    pub fn chosen(&self) -> &Candidate {
        &self.best
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn spent_s(&self) -> f64 {
        self.spent_s
    }

    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    pub fn defaults_beyond(&self) -> Option<Beyond> {
        self.defaults_beyond
    }

    /// Whether the budget has left something out.
    pub fn is_out_of_time(&self) -> bool {
        self.out_of_time
    }

    /// Rounds of the present rung or check.
    pub fn rounds(&self) -> u32 {
        series_of(&self.at).map_or(1, Series::rounds)
    }

    /// The check, once it has run; `None` where nothing was to be checked.
    pub fn check(&self) -> Option<&Series> {
        match &self.at {
            At::Done(check) => check.as_ref(),
            _ => None,
        }
    }

    /// The choice's cost as a multiple of the defaults', by the check.
    pub fn checked(&self) -> Option<Interval> {
        let ratio = self.check()?.ratio(DEFAULTS, 1, &self.rules.goal)?;
        Some(ratio.into())
    }
}

fn because(reason: Option<Reason>) -> String {
    reason.map_or_else(|| "no figure".to_owned(), reason_name)
}

fn series_of(at: &At) -> Option<&Series> {
    match at {
        At::Rung { series, .. } | At::Check(series) => Some(series),
        At::First { .. } | At::Done(_) => None,
    }
}
