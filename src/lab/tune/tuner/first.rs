//! The first job, of the defaults: it tells speeds, and whether there is energy.

use super::{At, TRIES, Tuner, because};
use crate::lab::tune::order::{Outcome, TuneError};
use crate::lab::tune::rung::beyond;
use crate::lab::tune::sizes::Pace;
use crate::lab::tune::space::Resolved;
use crate::record::Reason;

impl Tuner {
    pub(super) fn take_first(
        &mut self,
        outcome: Outcome,
        took_s: f64,
        (repeated, failures): (u32, u32),
    ) -> Result<(), TuneError> {
        let again = |failures| At::First {
            repeated: repeated + 1,
            failures,
        };
        let measured = match outcome {
            Outcome::Measured(measured) | Outcome::LeftOut { measured, .. } => measured,
            // Once may be an accident.
            Outcome::Failed { .. } if failures == 0 => {
                self.counts.repeated += 1;
                self.at = again(1);
                return Ok(());
            }
            Outcome::Failed { reason } => return Err(TuneError::DefaultsFail(reason)),
            Outcome::Cancelled => {
                self.at = again(failures);
                return Ok(());
            }
        };
        let goal = &self.rules.goal;
        let lacks_energy = measured.prompt_token.is_none() || measured.output_token.is_none();
        if goal.objective.needs_energy() && lacks_energy {
            match measured.reason {
                // Longer jobs help against too few windows.
                Some(Reason::TooCoarse) if measured.window_s.is_some() => {}
                _ if repeated - failures + 1 < TRIES => {
                    self.counts.repeated += 1;
                    self.at = again(failures);
                    return Ok(());
                }
                reason => return Err(TuneError::NoEnergy(because(reason))),
            }
        }
        self.pace = Some(Pace::of(goal, &measured, took_s).ok_or(TuneError::NoSpeed)?);
        self.defaults_beyond = beyond(&[&measured], goal).first().copied();
        self.resolved = Some(Resolved {
            threads: measured.engine.threads,
            flash_attn: measured.engine.flash_attn,
        });
        self.begin_stage(0);
        Ok(())
    }
}
