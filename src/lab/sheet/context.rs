//! What stands around the figures: idling, loading, the whole attempt, and what measured it.

use super::{Row, Section, Value, row};
use crate::lab::figure::{Figure, count, seconds};
use crate::record::Reason;
use crate::record::result::{IdlePhase, Interval, JobResult, Rail};
use crate::sensor::BoundaryBasis;

pub fn surroundings(result: &JobResult) -> Section {
    let idle = |phase: Option<&IdlePhase>| match phase {
        Some(phase) => (
            Value::of(
                Figure::because(phase.power_w, phase.power_w_u95, phase.reason),
                "W",
            ),
            format!(
                "over {}, {}",
                seconds(phase.duration_s),
                if phase.settled {
                    "settled"
                } else {
                    "NOT settled"
                }
            ),
        ),
        None => (
            Value::of(Figure::Missing(None), "W"),
            "not part of the job".to_owned(),
        ),
    };
    let (before, before_note) = idle(result.idle.before.as_ref());
    let (after, after_note) = idle(result.idle.after.as_ref());
    let mut rows = vec![
        row("Idle before", vec![before], before_note),
        row("Idle after", vec![after], after_note),
    ];
    if let Some(load) = &result.load {
        let figure = Figure::new(load.energy_j, load.energy_j_u95, &load.reasons, "energy_j");
        let cold = match load.cold {
            Some(true) => ", cold",
            Some(false) => ", warm",
            None => "",
        };
        let note = format!("in {}{cold}", seconds(load.duration_s));
        rows.push(row("Load", vec![Value::of(figure, "J")], note));
    }
    if let Some(total) = result
        .primary_rail
        .as_ref()
        .and_then(|rail| result.total.get(rail))
    {
        let figure = Figure::because(total.energy_j, total.energy_j_u95, total.reason);
        let note = match span_s(result) {
            Some(span) => format!("the whole attempt, {}", seconds(span)),
            None => "the whole attempt".to_owned(),
        };
        rows.push(row("Total", vec![Value::of(figure, "J")], note));
    }
    Section {
        heading: "Around it".to_owned(),
        columns: vec!["± u95".to_owned()],
        rows,
    }
}

fn span_s(result: &JobResult) -> Option<f64> {
    let timeline: &Vec<Interval> = result.timeline.get(result.primary_rail.as_ref()?)?;
    let end = timeline.iter().map(|interval| interval.t1_ns).max()?;
    Some(end as f64 * 1e-9)
}

pub fn provenance(result: &JobResult) -> Section {
    let mut rows = Vec::new();
    for rail in &result.rails {
        let primary = result.primary_rail.as_ref() == Some(&rail.name);
        rows.push(row(
            if primary { "Rail" } else { "Other rail" },
            vec![Value::text(rail.name.clone())],
            format!(
                "encloses {} ({})",
                rail.boundary,
                match rail.boundary_basis {
                    BoundaryBasis::Declared => "as declared",
                    BoundaryBasis::Profile => "by the board profile",
                }
            ),
        ));
        if primary {
            rows.extend(sampling(rail));
        }
    }
    if result.primary_rail.is_none() {
        let missing = Figure::Missing(Some(Reason::NoPrimaryRail));
        rows.push(row("Rail", vec![Value::of(missing, "")], ""));
    }
    if let Some(engine) = &result.engine {
        rows.push(row(
            "Engine",
            vec![Value::text(engine.name.clone())],
            format!(
                "{}, {} threads on {}",
                engine.revision,
                engine.threads,
                engine.devices.join(", ")
            ),
        ));
    }
    Section {
        heading: "Measured by".to_owned(),
        columns: vec![String::new()],
        rows,
    }
}

fn sampling(rail: &Rail) -> Vec<Row> {
    let mut source = Vec::new();
    if rail.simulated {
        source.push("SIMULATED".to_owned());
    }
    source.extend(rail.mode.clone());
    source.extend(rail.range_mv.map(|range| format!("range {range} mV")));
    source.extend(
        rail.shunt_ohm
            .map(|shunt| format!("shunt {} mΩ", shunt * 1e3)),
    );
    let coverage = match rail.coverage {
        Some(share) => Value::text(format!("{:.2} %", share * 100.0)),
        None => Value::of(Figure::Missing(Some(Reason::NoData)), ""),
    };
    let lost = format!(
        "{} lost, {} saturated, {} late",
        count(rail.lost_windows),
        count(rail.saturated_windows),
        count(rail.missed_deadlines)
    );
    vec![
        row(
            "Source",
            vec![Value::text(rail.source.clone())],
            source.join(", "),
        ),
        row(
            "Windows",
            vec![Value::plain(
                Figure::because(rail.rate_hz, None, Some(Reason::NoData)),
                "Hz",
            )],
            format!("{} windows", count(rail.windows)),
        ),
        row("Coverage", vec![coverage], lost),
    ]
}
