//! What one job has measured, as far as a decision needs it.

use crate::energy::Shared;
use crate::lab::compare::group::systematic;
use crate::lab::lookup::{self, Path};
use crate::record::Reason;
use crate::record::result::{JobResult, LeftOut, Rail};
use crate::workload::job::hex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

/// Means over the job's repetitions; `None` where the record has none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measured {
    pub prefill_tok_s: Option<f64>,
    pub decode_tok_s: Option<f64>,
    pub prompt_token: Option<TokenEnergy>,
    pub output_token: Option<TokenEnergy>,
    /// Why an energy is missing.
    pub reason: Option<Reason>,
    pub simulated: bool,
    pub engine: EngineFacts,
    /// How long a window of the primary rail is.
    pub window_s: Option<f64>,
    /// Measured seconds of all repetitions, and of loading.
    pub work_s: f64,
    pub load_s: f64,
}

/// Energy of a token on the primary rail, with systematic standard uncertainties as shares of
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct TokenEnergy {
    pub value_j: f64,
    pub scale: f64,
    pub offset: f64,
    pub other: f64,
}

/// What the engine made of the job's parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EngineFacts {
    pub threads: u32,
    pub flash_attn: Option<bool>,
    pub layers_offloaded: u32,
}

impl Measured {
    pub fn of(result: &JobResult) -> Self {
        let prompt = energy(result, "j_per_prompt_token");
        let output = energy(result, "j_per_output_token");
        let rail = primary(result);
        let phases = result
            .reps
            .iter()
            .flat_map(|rep| [&rep.prefill, &rep.decode])
            .flatten();
        Self {
            prefill_tok_s: speed(result, "prefill_tok_s"),
            decode_tok_s: speed(result, "decode_tok_s"),
            prompt_token: prompt.as_ref().ok().copied(),
            output_token: output.as_ref().ok().copied(),
            reason: [prompt, output].into_iter().find_map(Result::err).flatten(),
            simulated: rail.is_some_and(|rail| rail.simulated),
            engine: result
                .engine
                .as_ref()
                .map_or_else(EngineFacts::default, |engine| EngineFacts {
                    threads: engine.threads,
                    flash_attn: engine.flash_attn,
                    layers_offloaded: engine.layers_offloaded,
                }),
            window_s: rail
                .and_then(|rail| rail.rate_hz)
                .filter(|rate| *rate > 0.0)
                .map(f64::recip),
            work_s: phases.map(|phase| phase.duration_s).sum(),
            load_s: result.load.as_ref().map_or(0.0, |load| load.duration_s),
        }
    }
}

/// Why a job does not count: `contended`, `throttled`; `None` where it does.
pub fn marks(result: &JobResult) -> Option<String> {
    let name = |mark: &LeftOut| match mark {
        LeftOut::NotSucceeded => "not-succeeded",
        LeftOut::Contended => "contended",
        LeftOut::Throttled => "throttled",
        LeftOut::SettingChanged => "setting-changed",
    };
    let marks: Vec<&str> = result.left_out.iter().map(name).collect();
    (!marks.is_empty()).then(|| marks.join(", "))
}

/// What has to stay the same for a sensor's gain to cancel: rail, sensor, calibration.
/// `None` without a rail.
pub fn sensor(result: &JobResult) -> Option<String> {
    let rail = primary(result)?;
    let what = json!([
        rail.name,
        rail.source,
        rail.range_mv,
        rail.shunt_ohm,
        rail.calibration_date,
        rail.limits,
    ]);
    Some(hex(&Sha256::digest(what.to_string()))[..16].to_owned())
}

fn primary(result: &JobResult) -> Option<&Rail> {
    let name = result.primary_rail.as_ref()?;
    result.rails.iter().find(|rail| rail.name == *name)
}

fn speed(result: &JobResult, name: &str) -> Option<f64> {
    let path = Path::Summary(name.to_owned());
    let found = lookup::find(result, &path).ok()?;
    Some(found.value()).filter(|speed| *speed > 0.0)
}

fn energy(result: &JobResult, name: &str) -> Result<TokenEnergy, Option<Reason>> {
    let path = Path::Summary(name.to_owned());
    let found = lookup::find(result, &path).map_err(|absent| match absent {
        lookup::Absent::Because(reason) => reason,
        lookup::Absent::Unknown => None,
    })?;
    let Shared {
        scale,
        offset,
        other,
    } = systematic(result, &path, &found);
    Ok(TokenEnergy {
        value_j: found.value(),
        scale,
        offset,
        other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::testing;

    #[test]
    fn figures_come_from_the_summary_with_their_reasons() {
        let result = testing::result().body;
        let measured = Measured::of(&result);
        assert!((measured.decode_tok_s.unwrap() - 138.12 * 1.001).abs() < 1e-9);
        assert!(measured.output_token.unwrap().value_j > 0.04);
        // The canned record has no prompt energy.
        assert_eq!(measured.prompt_token, None);
        assert_eq!(measured.reason, Some(Reason::TooCoarse));
        assert!(measured.simulated);
        assert_eq!(measured.engine.threads, 2);
        assert!((measured.window_s.unwrap() - 1.0 / 1599.6).abs() < 1e-12);
        assert!(measured.work_s > 2.0 && measured.load_s == 0.4);
        assert_eq!(marks(&result).as_deref(), Some("contended"));
    }

    #[test]
    fn another_calibration_is_another_sensor() {
        let mut result = testing::result().body;
        let before = sensor(&result);
        assert!(before.is_some());
        result.rails[0].windows += 1;
        assert_eq!(sensor(&result), before);
        result.rails[0].calibration_date = Some("2026-11-01".to_owned());
        assert_ne!(sensor(&result), before);
        result.primary_rail = None;
        assert_eq!(sensor(&result), None);
    }
}
