//! A row a repetition. Energies are of the primary rail.

use super::super::column::{Columns, wire};
use crate::record::Reason;
pub use crate::record::result::JobResult;
use crate::record::result::{PhaseFigures, Rail, Rep};

pub fn columns() -> Columns<JobResult> {
    let mut c = Columns::<JobResult>::new();
    c.text("id", "job", |r, _| Some(r.id.as_str().into()));
    c.always();
    c.int("attempt", "from 1", |r, _| Some(r.attempt.into()));
    c.always();
    c.int("rep", "repetition, from 1", |r, n| {
        Some(r.reps[n].rep.into())
    });
    c.always();
    c.time();
    c.text("model_name", "file name of the model", |r, _| {
        r.model.as_ref().map(|model| model.name.as_str().into())
    });
    c.bool(
        "counted",
        "whether summaries over several attempts count it",
        |r, _| Some(r.left_out.is_empty()),
    );
    c.always();
    c.text("rail", "the primary rail", |r, _| {
        r.primary_rail.as_deref().map(Into::into)
    });
    c.text("boundary", "what it encloses", |r, _| {
        primary(r).map(|rail| wire(rail.boundary).into())
    });
    c.bool("simulated", "whether it is simulated", |r, _| {
        primary(r).map(|rail| rail.simulated)
    });
    c.int("output_tokens", "tokens that were sampled", |r, n| {
        Some(r.reps[n].output_tokens.into())
    });
    c.text(
        "stop_reason",
        "`length`, `eog`, `cancelled` or `timeout`",
        |r, n| Some(wire(r.reps[n].stop_reason).into()),
    );
    c.always();
    c.bool(
        "resolved",
        "whether each decode token has 10 complete windows",
        |r, n| Some(r.reps[n].resolved),
    );
    c.always();
    c.float(
        "u_sys_rel",
        "systematic standard uncertainty, relative",
        |r, n| r.reps[n].u_sys_rel,
    );
    c.reason("u_sys_rel", |r, n| rep_reason(&r.reps[n], "u_sys_rel"));
    c.float("ttft_s", "time to first token", |r, n| r.reps[n].ttft_s);
    c.reason("ttft_s", |r, n| rep_reason(&r.reps[n], "ttft_s"));
    prefill(&mut c);
    decode(&mut c);
    figures(&mut c);
    surroundings(&mut c);
    c
}

/// The rail that the headline figures are of.
pub fn primary(result: &JobResult) -> Option<&Rail> {
    let name = result.primary_rail.as_ref()?;
    result.rails.iter().find(|rail| rail.name == *name)
}

fn rep_reason(rep: &Rep, field: &str) -> Option<Reason> {
    rep.reasons.get(field).copied()
}

/// Why a figure of a phase is missing: of itself, or since the phase is.
fn phase_reason(
    rep: &Rep,
    phase: Option<&PhaseFigures>,
    name: &str,
    field: &str,
) -> Option<Reason> {
    match phase {
        Some(phase) => phase.reasons.get(field).copied(),
        None => rep_reason(rep, name),
    }
}

/// The columns of `prefill` or `decode`.
macro_rules! phase {
    ($phase:ident) => {
        fn $phase(c: &mut Columns<JobResult>) {
            macro_rules! name {
                ($field:ident) => {
                    concat!(stringify!($phase), "_", stringify!($field))
                };
            }
            macro_rules! figure {
                ($field:ident, $about:expr) => {
                    c.float(name!($field), $about, |r, n| {
                        r.reps[n].$phase.as_ref().and_then(|p| p.$field)
                    });
                };
            }
            macro_rules! reason {
                ($field:ident) => {
                    c.reason(name!($field), |r, n| {
                        let rep = &r.reps[n];
                        let (name, field) = (stringify!($phase), stringify!($field));
                        phase_reason(rep, rep.$phase.as_ref(), name, field)
                    });
                };
            }
            c.int(name!(tokens), "tokens of the phase", |r, n| {
                r.reps[n].$phase.as_ref().map(|p| p.tokens.into())
            });
            reason!(tokens);
            c.float(name!(duration_s), "its length", |r, n| {
                r.reps[n].$phase.as_ref().map(|p| p.duration_s)
            });
            c.float(name!(tok_s), "tokens a second", |r, n| {
                r.reps[n].$phase.as_ref().map(|p| p.tok_s)
            });
            figure!(energy_j, "gross energy");
            reason!(energy_j);
            figure!(energy_j_u95, "its expanded uncertainty");
            figure!(energy_net_j, "energy above idle");
            reason!(energy_net_j);
            figure!(energy_net_j_u95, "its expanded uncertainty");
            figure!(coverage, "share of the phase inside delivered windows");
        }
    };
}

phase!(prefill);
phase!(decode);

fn figures(c: &mut Columns<JobResult>) {
    macro_rules! figure {
        ($field:ident, $about:expr) => {
            c.float(stringify!($field), $about, |r, n| r.reps[n].figures.$field);
            c.reason(stringify!($field), |r, n| {
                rep_reason(&r.reps[n], stringify!($field))
            });
        };
        ($field:ident, $u95:ident, $about:expr) => {
            figure!($field, $about);
            c.float(stringify!($u95), "its expanded uncertainty", |r, n| {
                r.reps[n].figures.$u95
            });
        };
    }
    figure!(
        j_per_prompt_token,
        j_per_prompt_token_u95,
        "prefill's energy a prompt token"
    );
    figure!(
        j_per_prompt_token_net,
        j_per_prompt_token_net_u95,
        "the same above idle"
    );
    figure!(
        j_per_output_token,
        j_per_output_token_u95,
        "decode's energy a decoded token"
    );
    figure!(
        j_per_output_token_net,
        j_per_output_token_net_u95,
        "the same above idle"
    );
    figure!(
        j_per_output_token_all_in,
        j_per_output_token_all_in_u95,
        "prefill's and decode's energy an output token"
    );
    figure!(
        j_per_output_token_all_in_net,
        j_per_output_token_all_in_net_u95,
        "the same above idle"
    );
    figure!(
        j_per_token_all,
        j_per_token_all_u95,
        "prefill's and decode's energy a token of prompt or output"
    );
    figure!(
        j_per_token_all_net,
        j_per_token_all_net_u95,
        "the same above idle"
    );
    figure!(tpot_s, "time per output token");
    figure!(tok_per_j, "output tokens a joule");
    figure!(mwh_per_token, "milliwatt-hours an output token");
    figure!(edp, "energy-delay product, joule seconds");
    figure!(s_t, "energy a token ÷ tokens a second");
    figure!(mbu, "model bandwidth utilisation");
}

fn surroundings(c: &mut Columns<JobResult>) {
    c.float(
        "tpot_p99_s",
        "99th percentile of the times of decode tokens",
        |r, n| r.reps[n].tpot_distribution_s.as_ref().map(|d| d.p99),
    );
    c.float(
        "start_temperature_c",
        "hottest thermal zone before",
        |r, n| r.reps[n].start.as_ref().and_then(|m| m.temperature_c),
    );
    c.float("end_temperature_c", "hottest thermal zone after", |r, n| {
        r.reps[n].end.as_ref().and_then(|m| m.temperature_c)
    });
    c.float(
        "supply_min_v",
        "lowest voltage of the primary rail's windows",
        |r, n| r.reps[n].supply_min_v,
    );
    c.text("prompt_sha256", "of the prompt's token ids", |r, n| {
        r.reps[n].prompt_sha256.as_deref().map(Into::into)
    });
    c.text("output_sha256", "of the output's token ids", |r, n| {
        r.reps[n].output_sha256.as_deref().map(Into::into)
    });
}
