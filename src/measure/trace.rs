//! The power trace of each rail, in chunks that fit a record.

use super::context::Context;
use super::meter::Recorded;
use super::observed::Observed;
use crate::record::Stamped;
use crate::record::job::Trace;

/// Windows of a chunk: 46 bytes of JSON each at most, some 30 in practice.
const MOST_WINDOWS: usize = 2_500;

/// Chunks of every rail, with one run of `seq` a rail, over the whole attempt. A gap is a
/// window of `null` power, also before a rail's first window and after its last. Windows are
/// as measured, not moved by the rail's lag.
pub fn chunks(context: &Context, observed: &Observed, rails: &[Recorded]) -> Vec<Stamped<Trace>> {
    rails
        .iter()
        .flat_map(|rail| rail_chunks(context, observed, rail))
        .collect()
}

fn rail_chunks(context: &Context, observed: &Observed, rail: &Recorded) -> Vec<Stamped<Trace>> {
    let mut steps = Vec::new();
    let first = rail.trace.iter().next();
    let start = first.map_or(observed.t1, |(t0, ..)| t0);
    let mut end = observed.t0.min(start);
    for (t0, t1, power) in rail.trace.iter() {
        if t0 > end {
            steps.push((end, t0, None));
        }
        steps.push((t0, t1, Some(power.0)));
        end = t1;
    }
    if observed.t1 > end {
        steps.push((end, observed.t1, None));
    }
    let chunks = steps.len().div_ceil(MOST_WINDOWS);
    steps
        .chunks(MOST_WINDOWS)
        .enumerate()
        .map(|(seq, part)| {
            context.stamped(Trace {
                id: context.job.id.to_string(),
                attempt: context.attempt,
                rail: rail.spec.name.clone(),
                simulated: rail.spec.simulated,
                seq: seq as u64,
                last: seq + 1 == chunks,
                t0_mono_ns: part[0].0.0,
                dt_ns: part.iter().map(|(t0, t1, _)| t1.since(*t0).0).collect(),
                power_w: part.iter().map(|(_, _, power)| *power).collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{context, job};
    use super::*;

    #[test]
    fn the_longest_chunk_fits_a_record() {
        let context = context(job(|job| job["id"] = "i".repeat(64).into()));
        let chunk = context.stamped(Trace {
            id: context.job.id.to_string(),
            attempt: u32::MAX,
            rail: "r".repeat(256),
            simulated: false,
            seq: u64::MAX,
            last: false,
            t0_mono_ns: u64::MAX,
            dt_ns: vec![u64::MAX; MOST_WINDOWS],
            power_w: vec![Some(-1.234_567_890_123_456_7e-300); MOST_WINDOWS],
        });
        let bytes = chunk.to_json().len();
        assert!(bytes < 128 * 1024, "{bytes}");
    }
}
