//! The board before, between and after the repetitions, and what a record says of it.
//!
//! The daemon learns of a repetition's end when the worker may have begun the next one
//! already, so the end of one is the start of the next: one reading between them.

use super::figures::{Noted, six_digits};
use super::observed::Observed;
use crate::board::{Absence, Moment};
use crate::energy::Trace;
use crate::record::Reason;
use crate::record::result::{self, Rep};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was read of the board, and when.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    /// Before the worker was spawned.
    pub before: Option<Moment>,
    /// When the model was loaded.
    pub loaded: Option<Moment>,
    /// By how many repetitions had ended. At 0 the worker was about to begin the first one,
    /// warmed up where it tells the end of its warm-up at once.
    pub reps: BTreeMap<u32, Moment>,
    /// When the work had ended, or was cut off.
    pub worked: Option<Moment>,
}

impl Moments {
    /// From the loaded model on.
    fn under_way(&self) -> impl Iterator<Item = &Moment> {
        let between = self.loaded.iter().chain(self.reps.values());
        between.chain(&self.worked)
    }

    /// The hottest that was seen from the loaded model on.
    pub fn hottest_c(&self) -> Option<Result<f64, Absence>> {
        let seen = self.under_way().map(|moment| moment.temperature_c);
        // Any temperature is greater than none.
        seen.reduce(|a, b| match (a, b) {
            (Ok(a), Ok(b)) => Ok(a.max(b)),
            (Ok(a), Err(_)) | (Err(_), Ok(a)) => Ok(a),
            (Err(a), Err(_)) => Err(a),
        })
    }

    /// The least memory that was available from the loaded model on.
    pub fn least_available_bytes(&self) -> Option<Result<u64, Absence>> {
        let seen = self.under_way().map(|moment| moment.mem_available_bytes);
        seen.reduce(|a, b| match (a, b) {
            (Ok(a), Ok(b)) => Ok(a.min(b)),
            (Ok(a), Err(_)) | (Err(_), Ok(a)) => Ok(a),
            (Err(a), Err(_)) => Err(a),
        })
    }
}

impl From<Absence> for Reason {
    fn from(absence: Absence) -> Self {
        match absence {
            Absence::NotSupported => Self::NotSupported,
            Absence::NotPermitted => Self::NotPermitted,
            Absence::NotReported => Self::NotReported,
        }
    }
}

/// Writes into a repetition's record what surrounded it. `trace` is the primary rail's.
pub fn surround(rep: &mut Rep, observed: &Observed, trace: Option<&Trace>) {
    let mut noted = Noted {
        reasons: std::mem::take(&mut rep.reasons),
    };
    let moments = &observed.moments.reps;
    let moment = |ended: u32| moments.get(&ended).map(on_the_wire);
    let started = rep.rep.checked_sub(1).and_then(moment);
    rep.start = noted.value("start", started.ok_or(Reason::NotReached));
    rep.end = noted.value("end", moment(rep.rep).ok_or(Reason::NotReached));
    let supply = supply_min_v(observed, rep.rep, trace);
    rep.supply_min_v = noted.value("supply_min_v", supply);
    rep.reasons = noted.reasons;
}

/// From the beginning of `prepare` to the end of `decode`, by the rule of any stretch: what
/// was not measured may have been lower.
fn supply_min_v(observed: &Observed, rep: u32, trace: Option<&Trace>) -> Result<f64, Reason> {
    let trace = trace.ok_or(Reason::NoPrimaryRail)?;
    let phases = observed.phases.iter();
    let mut phases = phases.filter(|span| span.rep == Some(rep));
    let first = phases.next().ok_or(Reason::NotReached)?;
    let end = phases.next_back().unwrap_or(first).t1;
    trace.measure(first.t0, end).share_j()?;
    let volts = trace.min_volts(first.t0, end).ok_or(Reason::NotSupported)?;
    Ok(six_digits(volts.0))
}

fn on_the_wire(moment: &Moment) -> result::Moment {
    let mut noted = Noted::default();
    let mut values = |name, values: &Result<BTreeMap<String, f64>, Absence>| {
        let values = values.clone().map_err(Reason::from);
        noted.value(name, values)
    };
    result::Moment {
        clocks_mhz: values("clocks_mhz", &moment.clocks_mhz),
        fan_rpm: values("fan_rpm", &moment.fan_rpm),
        fan_drive: rounded(&moment.fan_drive),
        temperature_c: noted.value("temperature_c", moment.temperature_c.map_err(Reason::from)),
        mem_available_bytes: noted.value(
            "mem_available_bytes",
            moment.mem_available_bytes.map_err(Reason::from),
        ),
        reasons: noted.reasons,
    }
}

fn rounded(values: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let digits = |(name, value): (&String, &f64)| (name.clone(), six_digits(*value));
    values.iter().map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Play, context, job, rail, window};
    use super::super::{Recorded, TokenBatches, records};
    use super::*;
    use crate::measure::Ending;
    use crate::runtime::protocol::StopReason;
    use crate::sensor::{Quality, Window};
    use crate::units::{Span, Volts};
    use crate::workload::Phase;

    fn moment(celsius: Result<f64, Absence>, bytes: Result<u64, Absence>) -> Moment {
        Moment {
            temperature_c: celsius,
            clocks_mhz: Err(Absence::NotSupported),
            fan_rpm: Err(Absence::NotSupported),
            fan_drive: BTreeMap::new(),
            mem_available_bytes: bytes,
        }
    }

    #[test]
    fn one_that_told_is_more_than_those_that_did_not() {
        let none = Err(Absence::NotPermitted);
        let mut moments = Moments {
            before: Some(moment(Ok(90.0), Ok(1))),
            ..Moments::default()
        };
        // Before the load is not under way.
        assert_eq!(moments.hottest_c(), None);
        assert_eq!(moments.least_available_bytes(), None);
        moments.loaded = Some(moment(none, Err(Absence::NotSupported)));
        assert_eq!(moments.hottest_c(), Some(none));
        moments.reps.insert(0, moment(Ok(50.0), Ok(7)));
        moments.reps.insert(1, moment(Ok(61.0), Ok(5)));
        moments.worked = Some(moment(none, Ok(6)));
        assert_eq!(moments.hottest_c(), Some(Ok(61.0)));
        assert_eq!(moments.least_available_bytes(), Some(Ok(5)));
    }

    /// One repetition on a rail whose windows were changed on their way.
    fn rep(change: impl Fn(usize, Window) -> Window) -> Rep {
        let mut play = Play::begin();
        play.generate(1, 4, StopReason::Length);
        let play = play.end(Ending::Succeeded);
        let whole = play.recorded(rail("input"));
        let prefill = play.observed.phase(Phase::Prefill, Some(1));
        let from = prefill.expect("it was played").t0;
        let mut trace = Trace::default();
        for (t0, t1, power) in whole.trace.iter() {
            let plain = window(t0, t1, power.0 * t1.since(t0).as_secs_f64());
            let number = t0.since(from).0 / Span::from_millis(5).0;
            trace.push(&change(number as usize, plain));
        }
        let rails = [Recorded { trace, ..whole }];
        let context = context(job(|_| ()));
        let made = records(&context, &play.observed, &rails, TokenBatches::default());
        let mut reps = made.result.body.reps.into_iter();
        reps.next().expect("there is one")
    }

    #[test]
    fn the_lowest_voltage_is_told_or_the_reason_why_not() {
        let told = |rep: &Rep| (rep.supply_min_v, rep.reasons.get("supply_min_v").copied());
        let sagging = rep(|number, window| match number {
            3 => Window {
                voltage: Some(Volts(4.712_345_678)),
                ..window
            },
            _ => window,
        });
        assert_eq!(told(&sagging), (Some(4.71235), None));
        let silent = rep(|_, window| Window {
            voltage: None,
            ..window
        });
        assert_eq!(told(&silent), (None, Some(Reason::NotSupported)));
        let clipped = rep(|number, window| match number {
            3 => Window {
                quality: Quality::Saturated,
                ..window
            },
            _ => window,
        });
        assert_eq!(told(&clipped), (None, Some(Reason::Saturated)));
        let lost = rep(|number, window| match number {
            3..30 => Window {
                quality: Quality::Failed,
                ..window
            },
            _ => window,
        });
        assert_eq!(told(&lost), (None, Some(Reason::Coverage)));
    }
}
