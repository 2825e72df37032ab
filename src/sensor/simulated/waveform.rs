//! Currents whose integral is known in closed form, so that anybody can compute what the
//! simulated chip saw. Time zero is zero of CLOCK_MONOTONIC.

use super::cpu_load::CpuLoad;
use crate::units::{Amps, MonoNs};
use std::str::FromStr;

/// A current over time, in amperes and seconds.
#[derive(Debug)]
pub enum Waveform {
    Constant {
        level_a: f64,
    },
    /// Each period begins with `duty` of it at `high_a`.
    Square {
        low_a: f64,
        high_a: f64,
        period: Period,
        duty: f64,
    },
    /// A sawtooth: from `low_a` up to `high_a` in each period, then back at once.
    Ramp {
        low_a: f64,
        high_a: f64,
        period: Period,
    },
    Sine {
        mean_a: f64,
        amplitude_a: f64,
        period: Period,
    },
    /// Between two levels with this machine's CPU use: no closed form.
    Cpu {
        idle_a: f64,
        busy_a: f64,
        load: CpuLoad,
    },
    /// Any other, which a configuration can't state: for tests and benches.
    Drawn(Box<dyn Charge>),
}

/// A current by its charge.
pub trait Charge: std::fmt::Debug + Send {
    /// Ampere-seconds from time zero to `t`.
    fn until(&self, t: MonoNs) -> f64;
    /// The largest magnitude that the current reaches.
    fn peak(&self) -> Amps;
}

/// A period in whole nanoseconds, which keeps phases exact after any uptime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(u64);

impl Period {
    fn seconds(self) -> f64 {
        self.0 as f64 * 1e-9
    }

    /// Whole periods since zero and seconds into the present one.
    fn phase(self, t: MonoNs) -> (u64, f64) {
        (t.0 / self.0, (t.0 % self.0) as f64 * 1e-9)
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is no waveform; write constant:A, square:LOW_A,HIGH_A,PERIOD_S,DUTY, \
     ramp:LOW_A,HIGH_A,PERIOD_S, sine:MEAN_A,AMPLITUDE_A,PERIOD_S or cpu:IDLE_A,BUSY_A, with a \
     period of 0.00001 to 1000000 s and a duty of 0 to 1"
)]
pub struct WaveformError(String);

impl FromStr for Waveform {
    type Err = WaveformError;

    fn from_str(text: &str) -> Result<Waveform, WaveformError> {
        parse(text).ok_or_else(|| WaveformError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Waveform> {
    let (shape, numbers) = text.split_once(':')?;
    let numbers = numbers
        .split(',')
        .map(|number| number.trim().parse().ok().filter(|n: &f64| n.is_finite()))
        .collect::<Option<Vec<f64>>>()?;
    let period = |seconds: f64| {
        (1e-5..=1e6)
            .contains(&seconds)
            .then(|| Period((seconds * 1e9).round() as u64))
    };
    Some(match (shape.trim(), numbers.as_slice()) {
        ("constant", [level_a]) => Waveform::Constant { level_a: *level_a },
        ("square", [low_a, high_a, seconds, duty]) if (0.0..=1.0).contains(duty) => {
            Waveform::Square {
                low_a: *low_a,
                high_a: *high_a,
                period: period(*seconds)?,
                duty: *duty,
            }
        }
        ("ramp", [low_a, high_a, seconds]) => Waveform::Ramp {
            low_a: *low_a,
            high_a: *high_a,
            period: period(*seconds)?,
        },
        ("sine", [mean_a, amplitude_a, seconds]) => Waveform::Sine {
            mean_a: *mean_a,
            amplitude_a: *amplitude_a,
            period: period(*seconds)?,
        },
        ("cpu", [idle_a, busy_a]) => Waveform::Cpu {
            idle_a: *idle_a,
            busy_a: *busy_a,
            load: CpuLoad::default(),
        },
        _ => return None,
    })
}

impl Waveform {
    /// Charge from `t0` to `t1` in ampere-seconds; `None` where there is no closed form.
    pub fn integral(&self, t0: MonoNs, t1: MonoNs) -> Option<f64> {
        match self {
            Self::Constant { level_a } => Some(level_a * (t1.0 as f64 - t0.0 as f64) * 1e-9),
            Self::Square { period, .. } | Self::Ramp { period, .. } | Self::Sine { period, .. } => {
                let ((n0, into0), (n1, into1)) = (period.phase(t0), period.phase(t1));
                let whole = (n1 as f64 - n0 as f64) * self.within_period(period.seconds());
                Some(whole + self.within_period(into1) - self.within_period(into0))
            }
            Self::Cpu { .. } => None,
            Self::Drawn(charge) => Some(charge.until(t1) - charge.until(t0)),
        }
    }

    /// Mean current from `t0` to `t1`: what an ideal converter reads. A waveform without a
    /// closed form gives its present value.
    pub(in crate::sensor) fn mean(&mut self, t0: MonoNs, t1: MonoNs) -> Amps {
        match self {
            Self::Cpu {
                idle_a,
                busy_a,
                load,
            } => Amps(*idle_a + (*busy_a - *idle_a) * load.busy_share(t1)),
            _ => {
                let charge = self.integral(t0, t1).expect("closed form");
                Amps(charge / t1.since(t0).as_secs_f64())
            }
        }
    }

    /// The largest magnitude that the current reaches.
    pub fn peak(&self) -> Amps {
        Amps(match self {
            Self::Drawn(charge) => charge.peak().0,
            Self::Constant { level_a } => level_a.abs(),
            Self::Square { low_a, high_a, .. } | Self::Ramp { low_a, high_a, .. } => {
                low_a.abs().max(high_a.abs())
            }
            Self::Sine {
                mean_a,
                amplitude_a,
                ..
            } => mean_a.abs() + amplitude_a.abs(),
            Self::Cpu { idle_a, busy_a, .. } => idle_a.abs().max(busy_a.abs()),
        })
    }

    /// Charge from the start of a period to `into` seconds of it.
    fn within_period(&self, into: f64) -> f64 {
        match self {
            Self::Square {
                low_a,
                high_a,
                period,
                duty,
            } => {
                let high_s = into.min(duty * period.seconds());
                high_a * high_s + low_a * (into - high_s)
            }
            Self::Ramp {
                low_a,
                high_a,
                period,
            } => low_a * into + (high_a - low_a) * into * into / (2.0 * period.seconds()),
            Self::Sine {
                mean_a,
                amplitude_a,
                period,
            } => {
                let omega = std::f64::consts::TAU / period.seconds();
                mean_a * into + amplitude_a / omega * (1.0 - (omega * into).cos())
            }
            Self::Constant { level_a } => level_a * into,
            Self::Cpu { .. } | Self::Drawn(_) => f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wave(text: &str) -> Waveform {
        text.parse().unwrap()
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn whole_periods_have_the_textbook_mean() {
        let hour = MonoNs(3600 * SECOND);
        let later = MonoNs(3610 * SECOND);
        let charge = |text: &str| wave(text).integral(hour, later).unwrap();
        assert!((charge("constant:1.5") - 15.0).abs() < 1e-9);
        assert!((charge("square:1,3,0.5,0.25") - 15.0).abs() < 1e-9);
        assert!((charge("ramp:1,3,0.1") - 20.0).abs() < 1e-9);
        assert!((charge("sine:2,1,0.2") - 20.0).abs() < 1e-9);
        assert_eq!(wave("cpu:1,2").integral(hour, later), None);
    }

    #[test]
    fn a_square_begins_high() {
        let square = wave("square:1,3,2,0.5");
        assert_eq!(square.integral(MonoNs(0), MonoNs(SECOND)), Some(3.0));
        assert_eq!(
            square.integral(MonoNs(SECOND), MonoNs(2 * SECOND)),
            Some(1.0)
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "constant",
            "constant:",
            "constant:1,2",
            "square:1,2,0,0.5",
            "square:1,2,1,2",
            "ramp:1,2",
            "sine:1,2,-1",
            "constant:nan",
            "triangle:1,2,3",
            "cpu:1",
        ] {
            assert!(text.parse::<Waveform>().is_err(), "{text}");
        }
    }

    fn waveforms() -> impl Strategy<Value = Waveform> {
        let levels = (0.0..5.0f64, 0.0..5.0f64, 1e-4..3.0f64, 0.0..=1.0f64);
        (levels, 0..4u8).prop_map(|((low, span, period, duty), shape)| {
            let high = low + span;
            wave(&match shape {
                0 => format!("constant:{low}"),
                1 => format!("square:{low},{high},{period},{duty}"),
                2 => format!("ramp:{low},{high},{period}"),
                _ => format!("sine:{high},{low},{period}"),
            })
        })
    }

    proptest! {
        #[test]
        fn integrals_add_up_and_never_fall(
            wave in waveforms(),
            start in 0..1_000_000 * SECOND,
            a in 0..5 * SECOND,
            b in 0..5 * SECOND,
        ) {
            let (t0, t1, t2) = (MonoNs(start), MonoNs(start + a), MonoNs(start + a + b));
            let charge = |from, to| wave.integral(from, to).unwrap();
            let sum = charge(t0, t1) + charge(t1, t2);
            prop_assert!((sum - charge(t0, t2)).abs() < 1e-9);
            prop_assert!(charge(t0, t1) >= -1e-9);
            prop_assert!(charge(t0, t1) <= wave.peak().0 * a as f64 * 1e-9 + 1e-9);
        }
    }
}
