//! The waveforms that energies are judged by.

use super::power::{Constant, Power, Ramp, Recorded, Sine, Square};
use std::sync::Arc;

/// A W7700's power, see the data's README, as a board's.
const RECORDED_FACTOR: f64 = 0.05;

/// Where the phases of a case lie.
#[derive(Debug, Clone, Copy)]
pub enum Phases {
    Anywhere,
    /// From each rise of the power to the next fall, as prefill and decode lie.
    OnHigh,
}

/// A known power.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub power: Arc<dyn Power>,
    pub swing_w: f64,
    pub mean_w: f64,
    /// Steps, or halves of a swing, in a second.
    pub swings_hz: f64,
    pub phases: Phases,
    pub square: Option<Square>,
    /// Length of a token that follows the power.
    pub token_s: Option<f64>,
}

impl Case {
    fn new(name: String, power: impl Power + 'static, swing_w: f64, mean_w: f64, hz: f64) -> Self {
        Self {
            name,
            power: Arc::new(power),
            swing_w,
            mean_w,
            swings_hz: hz,
            phases: Phases::Anywhere,
            square: None,
            token_s: None,
        }
    }

    fn square(low: f64, high: f64, period: f64, duty: f64, ahead: f64) -> Self {
        let square = || Square {
            low,
            high,
            period,
            duty,
            ahead,
        };
        let name = format!("square {period} s, {:.0} % high", 100.0 * duty);
        let mean = low + duty * (high - low);
        Self {
            square: Some(square()),
            ..Self::new(name, square(), high - low, mean, 2.0 / period)
        }
    }

    /// The same with phases that are its high parts.
    fn on_high(self) -> Self {
        let high = self
            .square
            .as_ref()
            .map_or(self.mean_w, |square| square.high);
        Self {
            name: format!("{}, on it", self.name),
            phases: Phases::OnHigh,
            mean_w: high,
            ..self
        }
    }

    pub fn swing_rel(&self) -> f64 {
        self.swing_w / self.mean_w
    }
}

/// The cases for windows of `width` seconds.
pub fn cases(width: f64) -> Vec<Case> {
    let recorded = || Recorded::parse(include_str!("../accuracy/data/w7700.csv"), RECORDED_FACTOR);
    let token = 12.5 * width;
    let sine = |mean, amplitude, period: f64, name: &str| {
        Case::new(
            format!("sine {:.3} s, {name}", period),
            Sine {
                mean,
                amplitude,
                period,
            },
            2.0 * amplitude,
            mean,
            2.0 / period,
        )
    };
    let ramp = |low: f64, high: f64, period: f64| {
        let power = Ramp { low, high, period };
        let mean = 0.5 * (low + high);
        let name = format!("ramp {period} s");
        Case::new(name, power, high - low, mean, 1.0 / period)
    };
    let r = recorded();
    let measured = Case::new(
        "measured trace".to_owned(),
        recorded(),
        r.swing_w(),
        r.mean_w(),
        r.steps_hz(),
    );
    vec![
        Case::new("constant".to_owned(), Constant(6.3), 0.0, 6.3, 0.0),
        Case::square(2.0, 8.0, 1.731, 0.5, 0.0),
        Case::square(4.0, 7.0, 0.713, 0.3, 0.37),
        Case::square(4.0, 7.0, 0.0937, 0.7, 0.81),
        Case::square(5.0, 7.5, 0.0211, 0.5, 0.11),
        Case::square(5.0, 7.5, 0.0031, 0.5, 0.29),
        Case::square(3.0, 8.0, 6.017, 0.5, 0.21).on_high(),
        Case::square(3.0, 8.0, 0.613, 0.5, 0.73).on_high(),
        ramp(4.0, 8.0, 0.313),
        ramp(2.0, 9.0, 7.1),
        Case {
            token_s: Some(token),
            ..sine(6.0, 2.5, token, "the token rate")
        },
        sine(6.0, 1.0, 0.5713, "slow"),
        measured,
    ]
}
