//! Each rail of the attempt: what it is, its timeline and its total.

use crate::energy::{self, Measured};
use crate::measure::figures::{Noted, contributions};
use crate::measure::meter::Recorded;
use crate::measure::observed::Observed;
use crate::record::Reason;
use crate::record::result::{Interval, Lag, Limits, Rail, Total};
use crate::sensor::{ErrorLimits, RailSpec};

pub(super) fn timeline(observed: &Observed, rail: &Recorded) -> Vec<energy::Part> {
    energy::timeline(&rail.trace, observed.t0, observed.t1, &observed.phases)
}

pub(super) fn interval(observed: &Observed, part: &energy::Part) -> Interval {
    let energy = part.energy_j.ok();
    Interval {
        phase: part.span.phase,
        rep: part.span.rep,
        t0_ns: part.span.t0.since(observed.t0).0,
        t1_ns: part.span.t1.since(observed.t0).0,
        energy_j: energy.map(|e| e.value),
        energy_j_u95: energy.map(|e| e.u95()),
        coverage: part.measured.coverage,
        reason: part.energy_j.err(),
    }
}

pub(super) fn whole(observed: &Observed, rail: &Recorded) -> Measured {
    rail.trace.measure(observed.t0, observed.t1)
}

pub(super) fn total(observed: &Observed, rail: &Recorded) -> Total {
    let energy = whole(observed, rail).share_j();
    Total {
        energy_j: energy.ok().map(|e| e.value),
        energy_j_u95: energy.ok().map(|e| e.u95()),
        budget: contributions(Some(&rail.trace), energy),
        reason: energy.err(),
    }
}

pub(super) fn rail_facts(observed: &Observed, rail: &Recorded) -> Rail {
    let spec = &rail.spec;
    let whole = whole(observed, rail);
    let delivered_s = whole.span().as_secs_f64() * whole.coverage;
    let rate_hz = (delivered_s > 0.0).then(|| whole.windows as f64 / delivered_s);
    let coverage = (rail.trace.windows() > 0).then_some(whole.coverage);
    let mut noted = Noted::default();
    Rail {
        name: spec.name.clone(),
        boundary: spec.boundary,
        boundary_basis: spec.boundary_basis,
        contained_in: spec.contained_in.clone(),
        excludes: spec.excludes.clone(),
        source: spec.source.to_owned(),
        simulated: spec.simulated,
        mode: spec.mode.clone(),
        range_mv: spec.range_mv,
        shunt_ohm: spec.shunt.map(|shunt| shunt.0),
        voltage_at: spec.voltage_at,
        feeds: spec.feeds,
        calibration_date: spec.calibration_date.clone(),
        duty: spec.duty,
        coverage: noted.value("coverage", coverage.ok_or(Reason::NoData)),
        windows: whole.windows,
        lost_windows: whole.lost,
        saturated_windows: whole.saturated,
        rate_hz: noted.value("rate_hz", rate_hz.ok_or(Reason::NoData)),
        missed_deadlines: rail.missed_deadlines,
        limits: limits(&spec.limits),
        lag: noted.value("lag", lag(spec).ok_or(Reason::NotMeasured)),
        reasons: noted.reasons,
    }
}

fn lag(spec: &RailSpec) -> Option<Lag> {
    let lag = spec.lag.as_ref()?;
    Some(Lag {
        lag_s: lag.lag_s,
        lag_s_u95: lag.lag_s_u95,
        scatter_s: lag.scatter_s,
        date: lag.date.clone(),
        corrected: spec.corrected_lag().is_some(),
    })
}

fn limits(limits: &ErrorLimits) -> Limits {
    let named = |&(name, limit): &(&str, f64)| (name.to_owned(), limit);
    Limits {
        scale: limits.scale.iter().map(named).collect(),
        current_offset_a: limits.current_offset.0,
        current_step_a: limits.current_step.0,
        voltage_step_v: limits.voltage_step.0,
        power_offset_w: limits.power_offset.0,
        power_step_w: limits.power_step.0,
        energy_step_j: limits.energy_step.0,
        refresh_s: limits.refresh.as_secs_f64(),
        blind_share: limits.blind_share,
    }
}
