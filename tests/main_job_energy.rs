//! The energies of a whole job against the closed form of what the simulated chips saw.
//!
//! The current is a function of CLOCK_MONOTONIC and the timeline has absolute times, so
//! anybody can integrate what a phase must have used.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

mod support;

use jouled::sensor::simulated::Waveform;
use jouled::units::MonoNs;
use serde_json::{Value, json};
use support::rig::{Rig, job};

const BUS_V: f64 = 5.0;
const SHUNT_OHM: f64 = 0.01;

/// The default mode: 8 shunt conversions of 532.5 µs, then one of the bus of 532 µs.
const WINDOW_S: f64 = 4.792e-3;
const DUTY: f64 = 4.26 / 4.792;

/// A rail and how far its current swings, in amperes.
const RAILS: [(&str, &str, f64); 4] = [
    ("steady", "constant:1", 0.0),
    ("square", "square:0.8,1.2,1.7,0.5", 0.4),
    ("ramp", "ramp:0.8,1.2,1.3", 0.4),
    ("sine", "sine:1,0.2,0.9", 0.4),
];

/// Jumps of the current that a phase of so many seconds holds at most.
fn jumps(rail: &str, seconds: f64) -> f64 {
    match rail {
        "square" => (seconds / 0.85).ceil() + 1.0,
        "ramp" => (seconds / 1.3).ceil() + 1.0,
        _ => 0.0,
    }
}

#[test]
fn the_energies_of_a_job_are_those_of_the_closed_form() {
    let sensors: String = RAILS
        .iter()
        .map(|(name, waveform, _)| {
            format!(
                "[[sensor]]\nname = \"{name}\"\nkind = \"simulated\"\nboundary = \"rail\"\n\
                 waveform = \"{waveform}\"\nbus_v = {BUS_V:.1}\nshunt_ohm = {SHUNT_OHM}\n\
                 max_current_a = 2.0\n"
            )
        })
        .collect();
    let mut rig = Rig::start(&format!("{sensors}[energy]\nprimary = \"steady\"\n"));
    let changes = json!({
        "n_predict": 1_500, "repetitions": 2, "idle": {"before_s": 4.0, "after_s": 1.0},
    });
    let result = rig.run(&job("closed", changes));
    assert_eq!(result["state"], "succeeded", "{result}");
    let mut compared = 0;
    for (rail, waveform, swing_a) in RAILS {
        let waveform: Waveform = waveform.parse().unwrap();
        let parts = result["timeline"][rail].as_array().unwrap();
        let facts = result["rails"].as_array().unwrap();
        let facts = facts.iter().find(|facts| facts["name"] == rail).unwrap();
        let range = facts["range_mv"].as_f64().unwrap();
        // 10 µV for 40 mV of range. The bus voltage is a whole number of steps.
        let step_w = 10e-6 * range / 40.0 / SHUNT_OHM * BUS_V;
        let swing_w = swing_a * BUS_V;
        let whole = json!({
            "phase": "total",
            "t0_ns": parts[0]["t0_ns"], "t1_ns": parts[parts.len() - 1]["t1_ns"],
            "energy_j": result["total"][rail]["energy_j"],
            "reason": result["total"][rail]["reason"],
            "coverage": facts["coverage"],
        });
        for part in parts.iter().chain([&whole]) {
            let (t0, t1) = (at(&result, part, "t0_ns"), at(&result, part, "t1_ns"));
            let seconds = t1.since(t0).as_secs_f64();
            let Some(energy) = part["energy_j"].as_f64() else {
                assert!(part["reason"].is_string(), "{part}");
                continue;
            };
            let expected = waveform.integral(t0, t1).unwrap() * BUS_V;
            let bridged_s = (1.0 - part["coverage"].as_f64().unwrap()) * seconds;
            let is_long = seconds / WINDOW_S >= 500.0 * swing_a;
            // A jump is seen in the share of the window in which current is converted.
            let seen = jumps(rail, seconds) * swing_w * WINDOW_S * (1.0 - DUTY);
            let bound = if is_long {
                1e-3 * expected
            } else {
                swing_w * WINDOW_S / 2.0 + seen
            };
            let bound = bound + step_w * seconds + swing_w * bridged_s;
            let off = (energy - expected).abs();
            println!(
                "{rail:7} {:12} {seconds:9.6} s {energy:11.7} J, expected {expected:11.7} J: \
                 {:.3} of the bound",
                part["phase"].as_str().unwrap(),
                off / bound
            );
            assert!(
                off <= bound,
                "{rail} {part}: {expected} J expected, ± {bound} J"
            );
            compared += u32::from(is_long);
        }
    }
    assert!(
        compared >= 1,
        "no long phase was covered well enough to have an energy"
    );
}

fn at(result: &Value, part: &Value, field: &str) -> MonoNs {
    MonoNs(result["t0_mono_ns"].as_u64().unwrap() + part[field].as_u64().unwrap())
}
