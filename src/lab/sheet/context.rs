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
    rows.extend(temperature(result));
    rows.extend(memory_left(result));
    Section {
        heading: "Around it".to_owned(),
        columns: vec!["± u95".to_owned()],
        rows,
    }
}

/// From the start of the first repetition to the end of the last one. A result that says
/// nothing of it, not even why, has no row.
fn temperature(result: &JobResult) -> Option<Row> {
    let start = result.reps.first()?.start.as_ref()?;
    let end = result.reps.last()?.end.as_ref()?;
    let value = match (start.temperature_c, end.temperature_c) {
        (Some(from), Some(to)) => Value::text(format!("{from:.1} → {to:.1} °C")),
        _ => Value::of(
            Figure::Missing(end.reasons.get("temperature_c").copied()),
            "°C",
        ),
    };
    let clocks = end.clocks_mhz.iter().flatten();
    let clocks: Vec<String> = clocks
        .take(MOST_CLOCKS)
        .map(|(domain, mhz)| format!("{domain} {mhz:.0} MHz"))
        .collect();
    Some(row("Temperature", vec![value], clocks.join(", ")))
}

/// As many as there is room for beside a figure.
const MOST_CLOCKS: usize = 3;

fn memory_left(result: &JobResult) -> Option<Row> {
    let memory = &result.memory;
    let least = memory.available_min_bytes;
    let why = memory.reasons.get("available_min_bytes").copied();
    least.map(drop).or(why.map(drop))?;
    let value = match least {
        Some(bytes) => Value::text(gigabytes(bytes)),
        None => Value::of(Figure::Missing(why), "GB"),
    };
    let note = match memory.available_before_bytes {
        Some(before) => format!("at least; {} before the worker", gigabytes(before)),
        None => "at least".to_owned(),
    };
    Some(row("Memory left", vec![value], note))
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 * 1e-9)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::testing;
    use crate::record::result::Moment;

    fn shown(result: &JobResult, label: &str) -> Option<(String, String)> {
        let section = surroundings(result);
        let mut rows = section.rows.into_iter();
        let row = rows.find(|row| row.label == label)?;
        Some((row.values[0].text.clone(), row.note))
    }

    #[test]
    fn heat_clocks_and_memory_stand_around_the_figures() {
        let mut result = testing::result().body;
        assert_eq!(shown(&result, "Temperature"), None, "a result of before");
        assert_eq!(shown(&result, "Memory left"), None);
        let moment = |celsius: Option<f64>| Moment {
            temperature_c: celsius,
            clocks_mhz: Some([("cpu0-3".to_owned(), 2400.0)].into()),
            reasons: [("temperature_c".to_owned(), Reason::NotSupported)].into(),
            ..Moment::default()
        };
        result.reps[0].start = Some(moment(Some(48.21)));
        result.reps[2].end = Some(moment(Some(61.0)));
        result.memory.available_before_bytes = Some(7_516_192_768);
        result.memory.available_min_bytes = Some(5_368_709_120);
        let heat = ("48.2 → 61.0 °C".to_owned(), "cpu0-3 2400 MHz".to_owned());
        assert_eq!(shown(&result, "Temperature"), Some(heat));
        let memory = ("5.37 GB", "at least; 7.52 GB before the worker");
        let memory = (memory.0.to_owned(), memory.1.to_owned());
        assert_eq!(shown(&result, "Memory left"), Some(memory));
        result.reps[2].end = Some(moment(None));
        let (text, _) = shown(&result, "Temperature").expect("it says why");
        assert_eq!(text, "– not-supported");
    }
}
