//! Power waveforms with known integrals, sampled into ideal windows, for the tests of this
//! module.

use super::Trace;
use crate::sensor::{ErrorLimits, Quality, Window};
use crate::units::{MonoNs, Volts, Watts};

/// The integral of a power from time 0, in joules, at a time in seconds.
pub type Integral<'a> = &'a dyn Fn(f64) -> f64;

pub fn window(t0: u64, t1: u64, watts: f64) -> Window {
    Window {
        t0: MonoNs(t0),
        t1: MonoNs(t1),
        power: Watts(watts),
        voltage: Some(Volts(5.0)),
        current: None,
        quality: Quality::Good,
        lost: 0,
    }
}

/// `low` for the first part of each period, then `high`.
pub fn square(low: f64, high: f64, period: f64, duty_low: f64) -> impl Fn(f64) -> f64 {
    move |t| {
        let (whole, rest) = ((t / period).floor(), (t / period).fract() * period);
        let split = duty_low * period;
        whole * (low * split + high * (period - split))
            + low * rest.min(split)
            + high * (rest - split).max(0.0)
    }
}

/// Rises from `low` by `slope` a second.
pub fn ramp(low: f64, slope: f64) -> impl Fn(f64) -> f64 {
    move |t| low * t + 0.5 * slope * t * t
}

pub fn sine(mean: f64, amplitude: f64, period: f64) -> impl Fn(f64) -> f64 {
    let omega = std::f64::consts::TAU / period;
    move |t| mean * t + amplitude / omega * (1.0 - (omega * t).cos())
}

/// Contiguous ideal windows of `width` ns that begin at `origin`.
pub fn sampled(integral: Integral, origin: u64, width: u64, windows: u64) -> Trace {
    let mut trace = Trace::new(ErrorLimits::default());
    for k in 0..windows {
        let (a, b) = (k * width, (k + 1) * width);
        let joules = integral(b as f64 * 1e-9) - integral(a as f64 * 1e-9);
        trace.push(&window(
            origin + a,
            origin + b,
            joules / (width as f64 * 1e-9),
        ));
    }
    trace
}

/// splitmix64 (Steele, Lea, Flood 2014): a seeded source of uniform numbers in [0, 1).
pub struct Uniform(pub u64);

impl Uniform {
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) as f64 / 2f64.powi(64)
    }

    pub fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.next()
    }
}
