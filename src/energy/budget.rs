//! The uncertainty budget of one rail: scale errors (shunt, gain, bus gain, time base),
//! offset, quantisation of current and voltage, what the correction of its delay leaves,
//! boundary split, refresh age, duty, bridged time. docs/metrology.md has the formulas.

use super::estimate::{Estimate, rectangular};
use super::measured::Measured;
use crate::sensor::ErrorLimits;
use crate::units::{Joules, Volts};

/// Where power steps at a boundary itself, as it does between phases, a share x of the
/// straddled window lies before both, and the split in proportion is off by ΔP·w·x(1 − x):
/// by its limit ΔP·w/4 at most, by this share of the limit's square in mean square ...
const SPLIT: f64 = 8.0 / 15.0;
/// ... and by two thirds of it in the mean, always towards the side with less power. What
/// rises at one end and falls at the other loses at both, and twice (2/3)² is the share of
/// the product.
const BOTH_SPLIT: f64 = 8.0 / 9.0;
/// A smaller share of an uncertainty is a rounding error of a difference.
const NEGLIGIBLE: f64 = 1e-6;

/// Standard uncertainties of a rail's power.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget<'a> {
    limits: &'a ErrorLimits,
    scale_rel: f64,
}

impl<'a> Budget<'a> {
    pub fn new(limits: &'a ErrorLimits) -> Self {
        let squares: f64 = limits.scale.iter().map(|(_, limit)| limit * limit).sum();
        Self {
            limits,
            scale_rel: rectangular(squares.sqrt()),
        }
    }

    /// All scale errors together, relative.
    pub fn scale_rel(&self) -> f64 {
        self.scale_rel
    }

    /// Offset of power in watts. Where the voltage is not known a current offset can't be
    /// told in watts; sources with one tell the voltage.
    fn offset_w(&self, volts: f64) -> f64 {
        let current = self.limits.current_offset.0 * volts;
        rectangular(current.hypot(self.limits.power_offset.0))
    }

    /// Quantisation of one reading in watts: half a step to either side.
    fn quantum_w(&self, volts: f64) -> f64 {
        let current = self.limits.current_step.0 * volts;
        rectangular(0.5 * current.hypot(self.limits.power_step.0))
    }

    /// Quantisation of the voltage, relative to it and so to the power.
    fn voltage_quantum_rel(&self, volts: f64) -> f64 {
        if volts > 0.0 {
            rectangular(0.5 * self.limits.voltage_step.0) / volts
        } else {
            0.0
        }
    }

    /// `energy` with the uncertainty of what was measured with it.
    pub fn estimate(&self, energy: Joules, measured: &Measured) -> Estimate {
        let seconds = measured.span().as_secs_f64();
        let volts = measured.volts.unwrap_or(Volts(0.0)).0.abs();
        let quantum = self.quantum_w(volts) * seconds;
        let of_voltage = self.voltage_quantum_rel(volts) * energy.0.abs();
        let (quantisation, noise) = if measured.dithered {
            (of_voltage, quantum / (measured.touched as f64).sqrt())
        } else {
            (quantum.hypot(of_voltage), 0.0)
        };
        // A counter is off by up to half a step at either end, wherever the windows are.
        let counter = rectangular(0.5 * self.limits.energy_step.0);
        let [start, end] = measured.boundary.map(|limit| limit.0);
        let split = SPLIT * (start * start + end * end) + BOTH_SPLIT * (-start * end).max(0.0);
        Estimate {
            value: energy.0,
            scale: self.scale_rel * energy.0,
            offset: self.offset_w(volts) * seconds,
            quantisation,
            noise,
            lag: measured.delay_u.0,
            boundary: (split + 2.0 * counter * counter).sqrt(),
            age: rectangular(measured.age.0),
            duty: measured.blind_u.0,
            bridged: measured.bridged_u.0,
            ..Estimate::ZERO
        }
    }

    /// What an estimate's uncertainty is made of: standard uncertainties in its unit by
    /// source, all independent, the scale by its own sources. What adds nothing is left out.
    pub fn contributions(&self, estimate: &Estimate) -> Vec<(&'static str, f64)> {
        let squares: f64 = self
            .limits
            .scale
            .iter()
            .map(|(_, limit)| limit * limit)
            .sum();
        let scale = self.limits.scale.iter().map(|&(name, limit)| {
            let share = if squares > 0.0 {
                limit / squares.sqrt()
            } else {
                0.0
            };
            (name, estimate.scale.abs() * share)
        });
        let others = [
            ("offset", estimate.offset.abs()),
            ("quantisation", estimate.quantisation),
            ("baseline", estimate.baseline),
            ("drift", estimate.drift),
            ("lag", estimate.lag),
            ("noise", estimate.noise),
            ("boundary", estimate.boundary),
            ("age", estimate.age),
            ("duty", estimate.duty),
            ("bridged", estimate.bridged),
        ];
        let least = NEGLIGIBLE * estimate.u();
        scale.chain(others).filter(|(_, u)| *u > least).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Trace;
    use super::super::signal::{Uniform, sampled, square, window};
    use super::*;
    use crate::units::{Amps, MonoNs, Span, Watts};
    use proptest::prelude::*;

    /// An INA219 with a 10 mΩ, 1 % shunt on a 5 V supply.
    fn ina219() -> ErrorLimits {
        ErrorLimits {
            scale: vec![("shunt", 0.01), ("gain", 0.005), ("bus gain", 0.005)],
            current_offset: Amps(0.01),
            current_step: Amps(0.001),
            ..ErrorLimits::default()
        }
    }

    fn constant(limits: ErrorLimits, watts: f64) -> Trace {
        let mut trace = Trace::new(limits);
        for k in 0..1000 {
            trace.push(&window(k * 1_000_000, (k + 1) * 1_000_000, watts));
        }
        trace
    }

    #[test]
    fn the_parts_of_a_steady_second_are_as_by_hand() {
        let trace = constant(ina219(), 5.0);
        let e = trace.measure(MonoNs(0), MonoNs(1_000_000_000)).raw;
        let root3 = 3f64.sqrt();
        assert!((e.value - 5.0).abs() < 1e-9);
        assert!((e.scale - 5.0 * 0.00015f64.sqrt() / root3).abs() < 1e-9);
        assert!((e.offset - 0.05 / root3).abs() < 1e-9);
        assert!((e.quantisation - 0.0025 / root3).abs() < 1e-9);
        assert_eq!(e.u_ran(), 0.0);
        assert_eq!(Budget::new(&ina219()).scale_rel(), e.scale / e.value);
    }

    #[test]
    fn a_counter_is_off_by_its_step_at_both_ends() {
        let limits = ErrorLimits {
            energy_step: Joules(0.1),
            ..ErrorLimits::default()
        };
        let e = constant(limits, 5.0)
            .measure(MonoNs(0), MonoNs(1_000_000_000))
            .raw;
        assert!((e.u_ran() - 0.1 / 6f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_split_window_and_a_gap_add_to_the_random_part_alone() {
        let limits = ErrorLimits::default();
        let mut trace = Trace::new(limits);
        for k in (0..100u64).filter(|k| *k != 50) {
            let watts = if k < 50 { 2.0 } else { 8.0 };
            trace.push(&window(k * 1_000_000, (k + 1) * 1_000_000, watts));
        }
        let random = |t0, t1| trace.measure(MonoNs(t0), MonoNs(t1)).raw.u_ran();
        assert_eq!(random(0, 40_000_000), 0.0);
        // 6 W across a gap of 1 ms.
        let bridged = 6.0e-3 / 3f64.sqrt();
        assert!((random(0, 100_000_000) - bridged).abs() < 1e-9);
        let split = 6.0e-3 / 30f64.sqrt();
        assert!((random(49_500_000, 60_000_000) - bridged.hypot(split)).abs() < 1e-9);
    }

    /// A phase that draws more than what is around it loses at both ends, the more so the less
    /// its bounds follow the windows.
    #[test]
    fn a_phase_that_begins_and_ends_with_steps_is_covered() {
        let mut random = Uniform(1_234);
        let (width, trials) = (4_800_000u64, 2000);
        let (mut covered, mut squares, mut stated) = (0, 0.0, 0.0);
        for _ in 0..trials {
            let a = random.within(10.0, 11.0) * width as f64;
            let b = a + random.within(5.0, 15.0) * width as f64;
            let (idle, work) = (random.within(2.0, 4.0), random.within(5.0, 12.0));
            let (from, to) = (a * 1e-9, b * 1e-9);
            let truth = |t: f64| idle * t + (work - idle) * (t.clamp(from, to) - from);
            let trace = sampled(&truth, 0, width, 40);
            let estimate = trace.measure(MonoNs(a as u64), MonoNs(b as u64)).raw;
            let error = (estimate.value - work * (to - from)) / (work - idle);
            covered += u32::from(error.abs() * (work - idle) <= estimate.u95() + 1e-7);
            squares += error * error;
            stated += (estimate.u() / (work - idle)).powi(2);
        }
        assert!(covered >= trials * 95 / 100, "{covered} of {trials}");
        let ratio = (stated / squares).sqrt();
        assert!((0.95..1.1).contains(&ratio), "{ratio} times the observed");
    }

    #[test]
    fn steps_of_the_voltage_count_whether_the_current_is_noisy_or_not() {
        let limits = ErrorLimits {
            voltage_step: Volts(0.1),
            current_step: Amps(0.01),
            ..ErrorLimits::default()
        };
        let of = |noise: f64| {
            let mut trace = Trace::new(limits.clone());
            for k in 0..1000 {
                let watts = 5.0 + if k % 2 == 0 { noise } else { -noise };
                trace.push(&window(k * 1_000_000, (k + 1) * 1_000_000, watts));
            }
            trace.measure(MonoNs(0), MonoNs(1_000_000_000)).raw
        };
        // Half of 2 % of 5 V, and half of 50 mW.
        let (voltage, current) = (0.05 / 3f64.sqrt(), 0.025 / 3f64.sqrt());
        assert!((of(0.0).quantisation - voltage.hypot(current)).abs() < 1e-9);
        assert!((of(0.5).quantisation - voltage).abs() < 1e-9);
    }

    /// Draws the sensor's errors anew in each trial, measures random intervals of a square
    /// wave, and counts how often the truth lies inside ± u95.
    #[test]
    fn the_expanded_uncertainty_covers_the_truth() {
        let mut random = Uniform(20_261_121);
        let limits = ErrorLimits {
            power_offset: Watts(0.01),
            power_step: Watts(0.02),
            current_offset: Amps(0.0),
            current_step: Amps(0.0),
            ..ina219()
        };
        let (width, windows, trials) = (4_800_000u64, 120u64, 1000);
        let mut covered = 0;
        for _ in 0..trials {
            let truth = square(
                random.within(0.5, 4.0),
                random.within(4.0, 12.0),
                random.within(0.02, 0.3),
                random.within(0.1, 0.9),
            );
            let gain: f64 = limits
                .scale
                .iter()
                .map(|(_, limit)| 1.0 + random.within(-limit, *limit))
                .product();
            let offset = random.within(-limits.power_offset.0, limits.power_offset.0);
            let lost = random.within(0.0, windows as f64) as u64;
            let mut trace = Trace::new(limits.clone());
            for k in (0..windows).filter(|k| *k != lost) {
                let (a, b) = (k * width, (k + 1) * width);
                let seconds = width as f64 * 1e-9;
                let mean = (truth(b as f64 * 1e-9) - truth(a as f64 * 1e-9)) / seconds;
                let step = limits.power_step.0;
                let read = ((mean * gain + offset) / step).round() * step;
                trace.push(&window(a, b, read));
            }
            let a = random.within(0.0, 0.8 * (width * windows) as f64) as u64;
            let b = random.within((a + 4 * width) as f64, (width * windows) as f64) as u64;
            let estimate = trace.measure(MonoNs(a), MonoNs(b)).raw;
            let energy = truth(b as f64 * 1e-9) - truth(a as f64 * 1e-9);
            covered += u32::from((estimate.value - energy).abs() <= estimate.u95());
        }

        assert!(covered >= trials * 94 / 100, "{covered} of {trials}");
    }

    /// Boundaries alone: a perfect sensor, intervals of a few windows, steps anywhere.
    #[test]
    fn the_boundary_term_alone_covers_short_intervals() {
        let mut random = Uniform(4_242);
        let (width, windows, trials) = (4_800_000u64, 40u64, 2000);
        let seconds = width as f64 * 1e-9;
        let mut covered = 0;
        for _ in 0..trials {
            let truth = square(
                random.within(0.5, 4.0),
                random.within(4.0, 12.0),
                random.within(4.0, 30.0) * seconds,
                random.within(0.3, 0.7),
            );
            let trace = sampled(&truth, 0, width, windows);
            let a = random.within(0.0, (20 * width) as f64) as u64;
            let b = a + random.within((4 * width) as f64, (12 * width) as f64) as u64;
            let estimate = trace.measure(MonoNs(a), MonoNs(b)).raw;
            let energy = truth(b as f64 * 1e-9) - truth(a as f64 * 1e-9);
            covered += u32::from((estimate.value - energy).abs() <= estimate.u95() + 1e-12);
        }

        assert!(covered >= trials * 94 / 100, "{covered} of {trials}");
    }

    /// A meter that tells what was up to a refresh ago: intervals of some refreshes.
    #[test]
    fn the_refresh_age_covers_a_late_meter() {
        let mut random = Uniform(77);
        let (width, windows, trials) = (100_000_000u64, 100u64, 1000);
        let limits = ErrorLimits {
            refresh: Span::from_millis(300),
            ..ErrorLimits::default()
        };
        let mut covered = 0;
        for _ in 0..trials {
            let truth = square(
                random.within(0.5, 4.0),
                random.within(4.0, 12.0),
                random.within(1.0, 6.0),
                random.within(0.3, 0.7),
            );
            let late = random.within(0.0, limits.refresh.as_secs_f64());
            let mut trace = Trace::new(limits.clone());
            for k in 10..windows {
                let (a, b) = ((k * width) as f64 * 1e-9, ((k + 1) * width) as f64 * 1e-9);
                let mean = (truth(b - late) - truth(a - late)) / (b - a);
                trace.push(&window(k * width, (k + 1) * width, mean));
            }
            let a = random.within(1e9, 4e9) as u64;
            let b = a + random.within(5e8, 5e9) as u64;
            let estimate = trace.measure(MonoNs(a), MonoNs(b)).raw;
            let energy = truth(b as f64 * 1e-9) - truth(a as f64 * 1e-9);
            covered += u32::from((estimate.value - energy).abs() <= estimate.u95() + 1e-12);
        }

        assert!(covered >= trials * 94 / 100, "{covered} of {trials}");
    }

    proptest! {
        #[test]
        fn the_uncertainty_lies_between_its_largest_part_and_their_sum(
            watts in 0.1..100.0f64,
            scale in 0.0..0.05f64,
            offset in 0.0..0.5f64,
            step in 0.0..0.5f64,
        ) {
            let limits = ErrorLimits {
                scale: vec![("gain", scale)],
                power_offset: Watts(offset),
                power_step: Watts(step),
                ..ErrorLimits::default()
            };
            let e = constant(limits, watts).measure(MonoNs(0), MonoNs(1_000_000_000)).raw;
            let parts = [scale * watts, offset, step / 2.0];
            let largest = parts.iter().copied().fold(0.0, f64::max);
            let sum: f64 = parts.iter().sum();
            prop_assert!(e.u95() >= 2.0 * rectangular(largest) - 1e-9);
            prop_assert!(e.u95() <= 2.0 * rectangular(sum) + 1e-9);
        }
    }
}
