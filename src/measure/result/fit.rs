//! A record holds at most 128 KiB. A result with many repetitions or rails gives up detail
//! that raw data can bring back, in a fixed order, and says so.

use crate::record::Reason;
use crate::record::result::{JobResult, Moment, Reasons};

/// What the result itself may take. The rest is for the stamp and for what is only known
/// once the result is made: the name of its raw data. So the same figures always fit the same.
const MOST_BYTES: usize = 128 * 1024 - 1024;

/// Empties a field.
type LeaveOut = fn(&mut JobResult);

/// Leaves out what has to be left out, so that the record can leave the board.
pub fn fitted(mut result: JobResult) -> JobResult {
    let steps: [(&str, LeaveOut); 6] = [
        // The end of the repetition before says the same.
        ("start", |result| {
            for rep in result.reps.iter_mut().skip(1) {
                leave_out_moment(&mut rep.start, "start", &mut rep.reasons);
            }
        }),
        ("budget", |result| {
            result.reps.iter_mut().for_each(|rep| rep.budget.clear());
        }),
        ("timeline", |result| {
            let primary = result.primary_rail.clone();
            let timeline = &mut result.timeline;
            timeline.retain(|rail, _| Some(rail) == primary.as_ref());
        }),
        ("tpot_distribution_s", |result| {
            for rep in &mut result.reps {
                if rep.tpot_distribution_s.take().is_some() {
                    let field = "tpot_distribution_s".to_owned();
                    rep.reasons.insert(field, Reason::TooLarge);
                }
            }
        }),
        ("hardware", |result| {
            let phases = result.reps.iter_mut().flat_map(|rep| {
                let phases = [&mut rep.prefill, &mut rep.decode];
                phases.into_iter().flatten()
            });
            for counters in phases.map(|phase| &mut phase.counters) {
                if counters.hardware.take().is_some() {
                    let field = "hardware".to_owned();
                    counters.reasons.insert(field, Reason::TooLarge);
                }
            }
        }),
        ("end", |result| {
            for rep in &mut result.reps {
                leave_out_moment(&mut rep.end, "end", &mut rep.reasons);
            }
        }),
    ];
    for (field, leave_out) in steps {
        let json = serde_json::to_vec(&result).expect("a record has only JSON-able fields");
        if json.len() <= MOST_BYTES {
            break;
        }
        leave_out(&mut result);
        result.reasons.insert(field.to_owned(), Reason::TooLarge);
        result.warnings.push(format!(
            "{field}: left out, since the record would be larger than 128 KiB"
        ));
    }
    result
}

fn leave_out_moment(moment: &mut Option<Moment>, field: &str, reasons: &mut Reasons) {
    if moment.take().is_some() {
        reasons.insert(field.to_owned(), Reason::TooLarge);
    }
}
