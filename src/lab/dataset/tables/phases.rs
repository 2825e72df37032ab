//! A row an interval of a rail's timeline. A rail's intervals follow one another, and their
//! energies add up to the rail's total.

use super::super::column::{Columns, wire};
use crate::record::result::{Interval, JobResult};

pub struct Intervals {
    id: String,
    attempt: u32,
    pub rows: Vec<Row>,
}

pub struct Row {
    rail: String,
    primary: bool,
    boundary: Option<String>,
    simulated: Option<bool>,
    interval: Interval,
}

impl Intervals {
    pub fn of(result: &JobResult) -> Self {
        let rows = result.timeline.iter().flat_map(|(name, intervals)| {
            let rail = result.rails.iter().find(|rail| rail.name == *name);
            intervals.iter().map(move |interval| Row {
                rail: name.clone(),
                primary: result.primary_rail.as_ref() == Some(name),
                boundary: rail.map(|rail| wire(rail.boundary)),
                simulated: rail.map(|rail| rail.simulated),
                interval: interval.clone(),
            })
        });
        Self {
            id: result.id.clone(),
            attempt: result.attempt,
            rows: rows.collect(),
        }
    }
}

pub fn columns() -> Columns<Intervals> {
    let mut c = Columns::<Intervals>::new();
    c.text("id", "job", |r, _| Some(r.id.as_str().into()));
    c.always();
    c.int("attempt", "from 1", |r, _| Some(r.attempt.into()));
    c.always();
    c.time();
    c.text("rail", "its name", |r, n| {
        Some(r.rows[n].rail.as_str().into())
    });
    c.always();
    c.bool(
        "is_primary",
        "whether the headline figures are of this rail",
        |r, n| Some(r.rows[n].primary),
    );
    c.always();
    c.text("boundary", "what the rail encloses", |r, n| {
        r.rows[n].boundary.as_deref().map(Into::into)
    });
    c.bool("simulated", "whether the rail is simulated", |r, n| {
        r.rows[n].simulated
    });
    c.text("phase", "part of the attempt", |r, n| {
        Some(r.rows[n].interval.phase.as_str().into())
    });
    c.always();
    c.int("rep", "from 1; null outside of repetitions", |r, n| {
        r.rows[n].interval.rep.map(Into::into)
    });
    c.int("t0_ns", "begin, from the attempt's start", |r, n| {
        Some(r.rows[n].interval.t0_ns)
    });
    c.always();
    c.int("t1_ns", "end, from the attempt's start", |r, n| {
        Some(r.rows[n].interval.t1_ns)
    });
    c.always();
    c.float("energy_j", "of the rail", |r, n| {
        r.rows[n].interval.energy_j
    });
    c.reason("energy_j", |r, n| r.rows[n].interval.reason);
    c.float("energy_j_u95", "its expanded uncertainty", |r, n| {
        r.rows[n].interval.energy_j_u95
    });
    c.float(
        "coverage",
        "share of it inside delivered windows",
        |r, n| Some(r.rows[n].interval.coverage),
    );
    c.always();
    c
}
