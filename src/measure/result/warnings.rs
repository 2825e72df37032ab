//! What a reader of the result must know, in sentences.

use super::rails::whole;
use super::withheld::withheld;
use crate::board::{Finding, Setting};
use crate::measure::context::Context;
use crate::measure::meter::Recorded;
use crate::measure::observed::Observed;

pub(super) fn warnings(context: &Context, observed: &Observed, rails: &[Recorded]) -> Vec<String> {
    let mut warnings = context.warnings.clone();
    for rail in rails {
        let name = &rail.spec.name;
        let whole = whole(observed, rail);
        if rail.spec.simulated {
            warnings.push(format!("{name}: SIMULATED sensor; its joules are not real"));
        }
        if rail.trace.windows() == 0 {
            warnings.push(format!("{name}: delivered nothing"));
        } else if whole.coverage < 1.0 {
            let covered = whole.coverage * 100.0;
            warnings.push(format!(
                "{name}: {covered:.3} % of the attempt was measured"
            ));
        }
        if whole.saturated > 0 {
            let windows = counted(whole.saturated, "window");
            warnings.push(format!(
                "{name}: {windows} at full scale; raise max_current_a"
            ));
        }
        if whole.near_full_scale > 0 {
            let windows = counted(whole.near_full_scale, "averaged window");
            warnings.push(format!(
                "{name}: {windows} near full scale may hide clipping"
            ));
        }
    }
    if let Some(primary) = context.primary.and_then(|primary| rails.get(primary)) {
        warnings.extend(withheld(observed, primary));
    }
    for (phase, settled) in &observed.settled {
        if !settled {
            warnings.push(format!("{}: power did not settle", phase.as_str()));
        }
    }
    let findings = [
        ("throttled", &observed.throttling),
        ("under-voltage", &observed.under_voltage),
    ];
    for (name, finding) in findings {
        if let Some(Finding::Seen(evidence)) = finding {
            warnings.extend(evidence.iter().map(|what| format!("{name}: {what}")));
        }
    }
    if let Some(after) = &observed.setting_after {
        let changes = Setting::of(&context.board).changes(after);
        warnings.extend(changes.iter().map(|what| format!("setting: {what}")));
    }
    if observed.contention.is_some_and(|seen| seen.contended) {
        warnings.push("contended: other processes used the CPU during the run".to_owned());
    }
    if let Some(loaded) = &observed.loaded {
        // The layers of a model, and its output.
        let asked = context
            .job
            .params
            .gpu_layers
            .min(loaded.model.n_layer.saturating_add(1));
        let offloaded = loaded.engine.layers_offloaded;
        if offloaded < asked {
            warnings.push(format!(
                "gpu_layers asks for {asked} layers, the engine offloaded {offloaded} layers"
            ));
        }
    }
    warnings
}

fn counted(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
