//! Memory, heat, other load, and what the daemon itself used.

use crate::board::Throttling;
use crate::measure::figures::Noted;
use crate::measure::observed::Observed;
use crate::record::Reason;
use crate::record::result::{Contention, Memory, Own, Reasons, Thermal};

pub(super) fn memory(observed: &Observed) -> Memory {
    let mut noted = Noted::default();
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
        unified: noted.value("unified", Err(Reason::NotReported)),
        available_before_bytes: noted.value("available_before_bytes", Err(Reason::NotMeasured)),
        available_min_bytes: noted.value("available_min_bytes", Err(Reason::NotMeasured)),
        repack_bytes: noted.value("repack_bytes", not_reported(engine.repack_bytes)),
        repack_reason: engine
            .repack_bytes
            .is_none()
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
    let unknown = if_loaded(observed, Reason::NotSupported);
    let throttled = match &observed.throttling {
        Some(Throttling::Seen(_)) => Ok(true),
        Some(Throttling::NotSeen) => Ok(false),
        Some(Throttling::Unclear) => Err(Reason::Unclear),
        Some(Throttling::NoEvidence) => Err(Reason::NotSupported),
        None => Err(Reason::NotReached),
    };
    Thermal {
        max_c: noted.value("max_c", observed.hottest_c.ok_or(unknown)),
        throttled: noted.value("throttled", throttled),
        under_voltage: noted.value("under_voltage", Err(Reason::NotMeasured)),
        reasons: noted.reasons,
    }
}

pub(super) fn contention(observed: &Observed) -> Contention {
    let mut noted = Noted::default();
    // Too short an interval for the kernel's 10 ms ticks, or no /proc/stat.
    let unknown = if_loaded(observed, Reason::TooCoarse);
    let seen = observed.contention.ok_or(unknown);
    let psi = seen.and_then(|seen| seen.psi_some.ok_or(Reason::NotSupported));
    Contention {
        foreign_cpu: noted.value("foreign_cpu", seen.map(|seen| seen.foreign_cpu)),
        steal: noted.value("steal", seen.map(|seen| seen.steal)),
        psi_some: noted.value("psi_some", psi),
        psi_memory_some: noted.value("psi_memory_some", Err(Reason::NotMeasured)),
        psi_io_some: noted.value("psi_io_some", Err(Reason::NotMeasured)),
        contended: noted.value("contended", seen.map(|seen| seen.contended)),
        reasons: noted.reasons,
    }
}

pub(super) fn own(observed: &Observed) -> Own {
    Own {
        cpu_s: observed
            .own_cpu_s
            .iter()
            .map(|(phase, seconds)| (phase.as_str().to_owned(), *seconds))
            .collect(),
        sampler_power_w: None,
        sampler_power_w_u95: None,
        reasons: Reasons::from([("sampler_power_w".to_owned(), Reason::NotMeasured)]),
    }
}
