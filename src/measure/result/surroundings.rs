//! Memory, heat, other load, and what the daemon itself used.

use crate::board::{self, Absence, Finding};
use crate::measure::context::Context;
use crate::measure::figures::Noted;
use crate::measure::meter::Recorded;
use crate::measure::observed::Observed;
use crate::record::Reason;
use crate::record::result::{Contention, Memory, Own, Thermal};

pub(super) fn memory(context: &Context, observed: &Observed) -> Memory {
    let mut noted = Noted::default();
    let moments = &observed.moments;
    let before = moments.before.as_ref();
    let before = before.map(|moment| moment.mem_available_bytes);
    let mut available = |name, seen| noted.value(name, seen_or_not_reached(seen));
    let available_before_bytes = available("available_before_bytes", before);
    let available_min_bytes = available("available_min_bytes", moments.least_available_bytes());
    let process = observed.process_memory.unwrap_or_default();
    let engine = observed.worker_memory;
    let unknown = if_loaded(observed, Reason::NotReported);
    let not_reported = |bytes: Option<u64>| bytes.ok_or(unknown);
    Memory {
        rss_peak_bytes: noted.value("rss_peak_bytes", not_reported(process.rss_peak_bytes)),
        anon_bytes: noted.value("anon_bytes", not_reported(process.anon_bytes)),
        file_bytes: noted.value("file_bytes", not_reported(process.file_bytes)),
        swap_bytes: noted.value("swap_bytes", not_reported(process.swap_bytes)),
        kv_bytes: noted.value("kv_bytes", not_reported(engine.kv_bytes)),
        compute_bytes: noted.value("compute_bytes", not_reported(engine.compute_bytes)),
        model_bytes: noted.value("model_bytes", not_reported(engine.model_bytes)),
        device_bytes: noted.value("device_bytes", not_reported(engine.device_bytes)),
        unified: noted.value(
            "unified",
            context.board.memory_unified.ok_or(Reason::NotReported),
        ),
        available_before_bytes,
        available_min_bytes,
        repack_bytes: noted.value("repack_bytes", not_reported(engine.repack_bytes)),
        // Before it has loaded, an engine has had nothing to report.
        repack_reason: (engine.repack_bytes.is_none() && observed.loaded.is_some())
            .then(|| "not reported by the engine".to_owned()),
        reasons: noted.reasons,
    }
}

/// Why something about the run is not known.
fn if_loaded(observed: &Observed, reason: Reason) -> Reason {
    match observed.loaded {
        Some(_) => reason,
        None => Reason::NotReached,
    }
}

pub(super) fn thermal(observed: &Observed) -> Thermal {
    let mut noted = Noted::default();
    let moments = &observed.moments;
    let before = moments.before.as_ref().map(|moment| moment.temperature_c);
    Thermal {
        before_c: noted.value("before_c", seen_or_not_reached(before)),
        max_c: noted.value("max_c", seen_or_not_reached(moments.hottest_c())),
        throttled: noted.value("throttled", found(observed.throttling.as_ref())),
        under_voltage: noted.value("under_voltage", found(observed.under_voltage.as_ref())),
        reasons: noted.reasons,
    }
}

fn seen_or_not_reached<T>(seen: Option<Result<T, Absence>>) -> Result<T, Reason> {
    seen.ok_or(Reason::NotReached)?.map_err(Reason::from)
}

fn found(finding: Option<&Finding>) -> Result<bool, Reason> {
    match finding {
        Some(Finding::Seen(_)) => Ok(true),
        Some(Finding::NotSeen) => Ok(false),
        Some(Finding::Unclear) => Err(Reason::Unclear),
        Some(Finding::NoEvidence) => Err(Reason::NotSupported),
        None => Err(Reason::NotReached),
    }
}

pub(super) fn contention(observed: &Observed) -> Contention {
    let mut noted = Noted::default();
    // Too short an interval for the kernel's 10 ms ticks, or no /proc/stat.
    let unknown = if_loaded(observed, Reason::TooCoarse);
    let seen = observed.contention.ok_or(unknown);
    let psi = |of: fn(&board::Contention) -> Option<f64>| {
        seen.and_then(|seen| of(&seen).ok_or(Reason::NotSupported))
    };
    Contention {
        foreign_cpu: noted.value("foreign_cpu", seen.map(|seen| seen.foreign_cpu)),
        steal: noted.value("steal", seen.map(|seen| seen.steal)),
        psi_some: noted.value("psi_some", psi(|seen| seen.psi_some)),
        psi_memory_some: noted.value("psi_memory_some", psi(|seen| seen.psi_memory_some)),
        psi_io_some: noted.value("psi_io_some", psi(|seen| seen.psi_io_some)),
        contended: noted.value("contended", seen.map(|seen| seen.contended)),
        reasons: noted.reasons,
    }
}

/// The power of sampling counts where it was measured on the rail that is primary now.
pub(super) fn own(context: &Context, observed: &Observed, primary: Option<&Recorded>) -> Own {
    let mut noted = Noted::default();
    let measured = context
        .sampler_power
        .as_ref()
        .filter(|cost| primary.is_some_and(|rail| rail.spec.name == cost.rail))
        .ok_or(Reason::NotMeasured);
    Own {
        cpu_s: observed
            .own_cpu_s
            .iter()
            .map(|(phase, seconds)| (phase.as_str().to_owned(), *seconds))
            .collect(),
        sampler_power_w: noted.value("sampler_power_w", measured.map(|cost| cost.power_w)),
        sampler_power_w_u95: measured.ok().map(|cost| cost.power_w_u95),
        reasons: noted.reasons,
    }
}
