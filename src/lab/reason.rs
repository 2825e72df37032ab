//! Why a figure is missing and what to do about it, in a sentence for the person at the
//! terminal.

use crate::record::Reason;

/// One sentence, without a stop.
pub fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::TooCoarse => {
            "the interval has fewer than 3 windows of the sensor: make it longer (more tokens), \
             or the sensor faster"
        }
        Reason::Coverage => {
            "more than 1 % of the interval lies outside what the sensor delivered: see its lost \
             windows and missed deadlines, free the CPU or the bus, or read it more slowly"
        }
        Reason::Saturated => {
            "the sensor stood at full scale: raise max_current_a, or take a smaller shunt"
        }
        Reason::NoData => {
            "the rail delivered nothing: see what `jouled probe` says about its sensor"
        }
        Reason::InPrefill => {
            "the first output token ends prefill and has no energy of its own: read prefill's"
        }
        Reason::SharedStep => {
            "it became known together with others: the last of them has the energy of all"
        }
        Reason::NoBaseline => {
            "there is no idle power to subtract: give the job idle.before_s or idle.after_s"
        }
        Reason::BelowNoise => {
            "what is left is smaller than its noise: let work and idle differ more, measure \
             longer, or calibrate the sensor"
        }
        Reason::NotDefined => "this kind of job has no such figure",
        Reason::NoPrimaryRail => {
            "no rail is primary: name one as [energy] primary in jouled's configuration"
        }
        Reason::NotAsked => "the job asked to leave it out",
        Reason::NotReached => "the attempt ended before: see its state and its reason",
        Reason::NotMeasured => "nobody has measured it here: see docs/calibration.md",
        Reason::NotReported => "the engine does not tell",
        Reason::NotPermitted => {
            "the kernel forbids this user to look: see perf_event_paranoid and the permissions \
             of jouled's user"
        }
        Reason::NotSupported => "this machine can't tell",
        Reason::Unclear => "what was read fits more than one answer",
        Reason::TooLarge => {
            "the record would have been larger than 128 KiB: run fewer repetitions a job, or \
             recompute it from raw data"
        }
        Reason::NotStored => "the board's disk did not take it: see its warnings and free space",
        Reason::TooFew => "there are fewer values than the figure needs: run more repetitions",
    }
}
