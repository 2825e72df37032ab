//! From readings to the record.

use super::find::{Board, Candidate, Reach};
use super::read::{Outcome, Reading};
use super::tally::Tally;
use super::{advice, block};
use crate::record::VERSION;
use crate::record::device::SensorState;
use crate::record::probe::{ProbeReport, ProbeState, ProbedBoard, ProbedRail, ProbedSensor};
use crate::sampler::SensorReport;
use crate::sensor::{BoundaryBasis, Quality, RailSpec, SensorKind};
use crate::units::{Joules, MonoNs};

/// Everything that was found and read.
pub fn report(board: &Board, readings: &[Reading]) -> ProbeReport {
    ProbeReport {
        v: VERSION,
        board: ProbedBoard {
            profile: board.profile.clone(),
            model: board.model.clone(),
            notes: board.notes.clone(),
        },
        sensors: readings.iter().map(sensor).collect(),
    }
}

fn sensor(reading: &Reading) -> ProbedSensor {
    let candidate = &reading.candidate;
    let unread = ProbedSensor {
        name: candidate.config.name.clone(),
        kind: candidate.kind.clone(),
        device: candidate.device.clone(),
        state: ProbeState::Failed,
        reason: None,
        configured: candidate.configured,
        simulated: candidate.config.kind == SensorKind::Simulated,
        missed_deadlines: None,
        errors: None,
        note: candidate.note.clone(),
        warnings: Vec::new(),
        config: config(candidate, &[]),
        rails: Vec::new(),
    };
    match &reading.outcome {
        Outcome::Closed(why) => ProbedSensor {
            state: match candidate.reach {
                Reach::Incomplete(_) => ProbeState::Found,
                Reach::Open | Reach::Expected | Reach::Closed(_) => ProbeState::Failed,
            },
            reason: Some(advice::explained(
                &candidate.kind,
                candidate.device.as_deref(),
                why,
            )),
            ..unread
        },
        Outcome::Read {
            report,
            rails,
            until,
        } => {
            let delivered = rails.iter().any(|(_, tally)| tally.windows > 0);
            let nothing = || {
                let reason = report.reason.as_deref().unwrap_or("it delivered nothing");
                advice::explained(&candidate.kind, candidate.device.as_deref(), reason)
            };
            ProbedSensor {
                state: match delivered {
                    true => ProbeState::Ok,
                    false => ProbeState::Failed,
                },
                reason: (!delivered).then(nothing),
                missed_deadlines: Some(report.missed_deadlines),
                errors: Some(report.errors),
                warnings: match delivered {
                    true => advice::of_sensor(&candidate.config, report)
                        .into_iter()
                        .chain(candidate.warnings.iter().cloned())
                        .collect(),
                    false => Vec::new(),
                },
                config: config(candidate, &report.rails),
                rails: rails
                    .iter()
                    .map(|(spec, tally)| ProbedRail {
                        // The sensor's reason says it all.
                        warnings: match delivered {
                            true => advice::of_rail(&candidate.config, spec, tally, *until),
                            false => Vec::new(),
                        },
                        ..rail(report, spec, tally, *until)
                    })
                    .collect(),
                ..unread
            }
        }
    }
}

/// The block to paste, unless the configuration has it or nothing could make it work.
fn config(candidate: &Candidate, rails: &[RailSpec]) -> Option<String> {
    let is_there = match candidate.reach {
        Reach::Open | Reach::Incomplete(_) => true,
        Reach::Expected => !rails.is_empty(),
        Reach::Closed(_) => false,
    };
    if candidate.configured || !is_there {
        return None;
    }
    let of_a_kind = matches!(candidate.config.kind, SensorKind::Rapl | SensorKind::Pmic);
    let profile = |rail: &RailSpec| rail.boundary_basis == BoundaryBasis::Profile;
    let boundary_known = of_a_kind || (!rails.is_empty() && rails.iter().all(profile));
    Some(block::block(&candidate.config, boundary_known))
}

fn rail(report: &SensorReport, spec: &RailSpec, tally: &Tally, until: MonoNs) -> ProbedRail {
    let nothing = match report.state {
        SensorState::Failed => Quality::Failed,
        SensorState::Ok => Quality::Stale,
    };
    let energy_step = spec.limits.energy_step;
    ProbedRail {
        name: spec.name.clone(),
        boundary: spec.boundary,
        boundary_basis: spec.boundary_basis,
        contained_in: spec.contained_in.clone(),
        excludes: spec.excludes.clone(),
        power_w: tally.power().map(|power| power.0),
        voltage_v: tally.voltage().map(|voltage| voltage.0),
        current_a: tally.current().map(|current| current.0),
        quality: tally.quality().unwrap_or(nothing),
        rate_hz: tally.rate_hz(),
        coverage: tally.coverage(until),
        resolution_w: spec.limits.power_step(tally.voltage()).map(|step| step.0),
        resolution_j: (energy_step > Joules(0.0)).then_some(energy_step.0),
        mode: spec.mode.clone(),
        range_mv: spec.range_mv,
        shunt_ohm: spec.shunt.map(|shunt| shunt.0),
        duty: spec.duty,
        warnings: Vec::new(),
    }
}
