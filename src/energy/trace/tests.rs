//! Closed forms and properties of a trace.

use super::*;
use crate::energy::signal::{Integral, Uniform, ramp, sampled, sine, square, window};
use crate::sensor::ReadingKind;
use crate::units::{Amps, Span, Volts};
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn joules(trace: &Trace, t0: u64, t1: u64) -> f64 {
    trace.joules(MonoNs(t0), MonoNs(t1)).0
}

#[test]
fn a_window_takes_64_bytes() {
    assert_eq!(size_of::<Slot>() + size_of::<i128>(), 64);
}

#[test]
fn straddled_windows_are_split_in_proportion_and_gaps_bridged() {
    let mut trace = Trace::default();
    trace.push(&window(0, 10 * MS, 2.0));
    trace.push(&window(10 * MS, 20 * MS, 4.0));
    trace.push(&window(30 * MS, 40 * MS, 8.0));
    assert!((joules(&trace, 5 * MS, 15 * MS) - 0.030).abs() < 1e-12);
    assert!((joules(&trace, 20 * MS, 30 * MS) - 0.060).abs() < 1e-12);
    assert!((joules(&trace, 0, 40 * MS) - 0.200).abs() < 1e-12);
    let bridged = trace.bridged(MonoNs(15 * MS), MonoNs(25 * MS));
    assert_eq!(bridged.ns, 5 * MS);
    assert!((bridged.joules - 0.030).abs() < 1e-12);
}

#[test]
fn overlapping_backward_and_impossible_windows_do_no_harm() {
    let mut trace = Trace::default();
    trace.push(&window(0, 10, 1.0));
    trace.push(&window(5, 20, 3.0));
    assert_eq!(
        trace.iter().nth(1),
        Some((MonoNs(10), MonoNs(20), Watts(3.0)))
    );
    trace.push(&window(0, 20, 9.0));
    trace.push(&window(30, 25, 9.0));
    trace.push(&window(30, 40, f64::NAN));
    trace.push(&window(30, 40, f64::INFINITY));
    trace.push(&Window {
        quality: Quality::Stale,
        ..window(30, 40, 1.0)
    });
    assert_eq!(trace.windows(), 2);
}

#[test]
fn small_energies_survive_hours_before_them() {
    let mut trace = Trace::default();
    // Eleven days at 100 W: 1e8 J, whose f64 has steps of 15 nJ.
    let start = 1_000_000_000_000_000;
    trace.push(&window(0, start, 100.0));
    let mut random = Uniform(7);
    for k in 0..1000 {
        let t = start + k * MS;
        trace.push(&window(t, t + MS, random.within(0.5, 8.0)));
    }
    let end = start + 1000 * MS;
    let decode = joules(&trace, start, end);
    let mut tokens = 0.0;
    let mut t = start;
    while t < end {
        let next = end.min(t + random.within(1e6, 9e6) as u64);
        tokens += joules(&trace, t, next);
        t = next;
    }
    assert!(((tokens - decode) / decode).abs() < 1e-12);
}

#[test]
fn mean_voltage_is_weighted_by_time_and_unknown_before_it_was_told() {
    let mut trace = Trace::default();
    let told = |t0, t1, volts: Option<f64>| Window {
        voltage: volts.map(Volts),
        ..window(t0, t1, 1.0)
    };
    trace.push(&told(0, 10, None));
    trace.push(&told(10, 20, Some(4.0)));
    trace.push(&told(20, 50, Some(8.0)));
    assert_eq!(trace.mean_volts(MonoNs(0), MonoNs(10)), None);
    let mean = trace.mean_volts(MonoNs(0), MonoNs(50)).unwrap();
    assert!((mean - 7.0).abs() < 1e-9);
}

#[test]
fn a_trace_gives_its_windows_back_with_all_that_was_told() {
    let told = |t0, quality, volts: Option<f64>, lost| Window {
        voltage: volts.map(Volts),
        quality,
        lost,
        ..window(t0, t0 + 10, 1.0)
    };
    let windows = [
        told(0, Quality::Good, None, 3),
        told(10, Quality::Saturated, Some(5.25), 0),
        told(30, Quality::NearFullScale, None, 1),
        told(40, Quality::Good, Some(5.5), 0),
    ];
    let mut trace = Trace::default();
    windows.iter().for_each(|window| trace.push(window));
    assert!(trace.iter_windows().eq(windows));
}

#[test]
fn the_age_of_readings_counts_up_to_the_end_of_the_trace() {
    let mut trace = Trace::new(ErrorLimits {
        refresh: Span::from_millis(300),
        ..ErrorLimits::default()
    });
    assert_eq!(trace.age_limit(MonoNs(0), MonoNs(1)), Joules(0.0));
    trace.push(&window(0, 1000 * MS, 2.0));
    trace.push(&window(1000 * MS, 2000 * MS, 5.0));
    let limit = |t1| trace.age_limit(MonoNs(0), MonoNs(t1)).0;
    assert!((limit(1900 * MS) - 0.9).abs() < 1e-12);
    assert!((limit(2000 * MS) - 0.9).abs() < 1e-12);
}

#[test]
fn noise_of_more_than_a_step_dithers_and_a_load_step_does_not() {
    let limits = ErrorLimits {
        power_step: Watts(0.1),
        ..ErrorLimits::default()
    };
    let dithered = |power: &dyn Fn(u64) -> f64| {
        let mut trace = Trace::new(limits.clone());
        for k in 0..100 {
            trace.push(&window(k * MS, (k + 1) * MS, power(k)));
        }
        trace.dithered(&(0..100))
    };
    assert!(dithered(&|k| if k % 2 == 0 { 1.0 } else { 1.2 }));
    assert!(!dithered(&|k| if k < 50 { 1.0 } else { 9.0 }));
}

/// Energies of random intervals against the closed form: long ones within 0.1 %, all
/// within ΔP·w/2.
fn against_closed_form(integral: Integral, swing: f64, mean: f64) {
    let (width, windows) = (1_065_000, 20_000);
    let trace = sampled(integral, 0, width, windows);
    let mut random = Uniform(3);
    for _ in 0..500 {
        let a = random.within(0.0, (width * (windows - 1)) as f64) as u64;
        let b = random.within(a as f64, (width * windows) as f64) as u64;
        let truth = integral(b as f64 * 1e-9) - integral(a as f64 * 1e-9);
        let error = (joules(&trace, a, b) - truth).abs();
        assert!(error <= swing * width as f64 * 1e-9 / 2.0 + 1e-9);
        if (b - a) / width >= (500.0 * swing / mean).ceil() as u64 {
            assert!(error < 1e-3 * truth, "{error} J of {truth} J");
        }
    }
}

#[test]
fn closed_forms() {
    against_closed_form(&square(2.0, 8.0, 0.073, 0.4), 6.0, 5.6);
    against_closed_form(&ramp(2.0, 0.3), 6.4, 5.0);
    against_closed_form(&sine(5.0, 3.0, 0.051), 6.0, 5.0);
}

#[test]
fn a_blind_part_counts_where_power_changes() {
    let trace = |blind_share, steps: &[f64]| {
        let mut trace = Trace::new(ErrorLimits {
            blind_share,
            ..ErrorLimits::default()
        });
        for (k, watts) in (0..).zip(steps) {
            trace.push(&window(k * 10 * MS, (k + 1) * 10 * MS, *watts));
        }
        trace
    };
    let steps = [2.0, 2.0, 2.0, 8.0, 8.0, 8.0, 8.0, 2.0, 2.0, 2.0];
    let blind_u = |trace: Trace, t0, t1| trace.blind_u(MonoNs(t0), MonoNs(t1)).0;
    assert_eq!(blind_u(trace(0.0, &steps), 0, 100 * MS), 0.0);
    assert_eq!(blind_u(trace(0.5, &steps), 40 * MS, 60 * MS), 0.0);
    assert_eq!(blind_u(trace(0.5, &steps), 200 * MS, 300 * MS), 0.0);
    // One step of 6 W, half of whose window of 10 ms is not seen, also comes late.
    let step = 0.5 * 0.06 * (1.0 / 2.5f64).sqrt().hypot(0.5);
    assert!((blind_u(trace(0.5, &steps), 0, 50 * MS) - step).abs() < 1e-12);
    // Up and down again: late or not, the energy is the same.
    let both = 0.5 * 0.06 * (2.0 / 2.5f64).sqrt();
    assert!((blind_u(trace(0.5, &steps), 0, 100 * MS) - both).abs() < 1e-12);
}

/// Steps anywhere, converters that look for a part of each window only, random intervals.
#[test]
fn the_blind_part_is_covered() {
    let mut random = Uniform(99);
    let (width, windows, trials) = (4 * MS, 60u64, 2000);
    let mut covered = 0;
    for _ in 0..trials {
        let blind_share = random.within(0.05, 0.7);
        let seconds = width as f64 * 1e-9;
        let truth = square(
            random.within(0.5, 4.0),
            random.within(4.0, 12.0),
            random.within(3.0, 30.0) * seconds,
            random.within(0.3, 0.7),
        );
        let mut trace = Trace::new(ErrorLimits {
            blind_share,
            ..ErrorLimits::default()
        });
        for k in 0..windows {
            let (a, b) = ((k * width) as f64 * 1e-9, ((k + 1) * width) as f64 * 1e-9);
            let looked = a + (1.0 - blind_share) * (b - a);
            let mean = (truth(looked) - truth(a)) / (looked - a);
            trace.push(&window(k * width, (k + 1) * width, mean));
        }
        let a = random.within(0.0, (20 * width) as f64) as u64;
        let b = a + random.within((4 * width) as f64, (35 * width) as f64) as u64;
        let estimate = trace.measure(MonoNs(a), MonoNs(b)).raw;
        let energy = truth(b as f64 * 1e-9) - truth(a as f64 * 1e-9);
        covered += u32::from((estimate.value - energy).abs() <= estimate.u95() + 1e-12);
    }
    assert!(covered >= trials * 95 / 100, "{covered} of {trials}");
}

#[test]
fn an_interval_shrinks_to_its_whole_windows() {
    let trace = sampled(&|t| t, 5, 10, 4);
    let whole = |t0, t1| trace.whole_windows(MonoNs(t0), MonoNs(t1));
    assert_eq!(whole(0, 100), Some((MonoNs(5), MonoNs(45))));
    assert_eq!(whole(5, 45), Some((MonoNs(5), MonoNs(45))));
    assert_eq!(whole(6, 44), Some((MonoNs(15), MonoNs(35))));
    assert_eq!(whole(6, 24), None);
    assert_eq!(whole(100, 200), None);
}

#[derive(Debug, Clone)]
struct AnyWindow(Window);

fn any_window() -> impl Strategy<Value = AnyWindow> {
    let power = prop_oneof![
        8 => -5.0..50.0f64,
        1 => Just(f64::NAN),
        1 => proptest::num::f64::ANY
    ];
    let time = prop_oneof![8 => 0..100_000u64, 1 => any::<u64>()];
    let quality = prop_oneof![
        8 => Just(Quality::Good),
        1 => Just(Quality::NearFullScale),
        1 => Just(Quality::Saturated),
        1 => Just(Quality::Failed)
    ];
    let volts = proptest::option::of(-1.0..30.0f64);
    (time, 0..10_000u64, power, quality, volts, any::<u32>()).prop_map(
        |(t0, width, watts, quality, volts, lost)| {
            AnyWindow(Window {
                voltage: volts.map(Volts),
                quality,
                lost,
                ..window(t0, t0.saturating_add(width), watts)
            })
        },
    )
}

/// Windows in order with some gaps, as (gap before, width, power).
fn orderly() -> impl Strategy<Value = Vec<(u64, u64, f64)>> {
    let gap = prop_oneof![3 => Just(0u64), 1 => 1..5_000u64];
    prop::collection::vec((gap, 1..20_000u64, 0.0..20.0f64), 1..60)
}

fn built(parts: &[(u64, u64, f64)], origin: u64) -> (Trace, u64) {
    let mut trace = Trace::default();
    let mut t = origin;
    for &(gap, width, watts) in parts {
        t += gap;
        trace.push(&window(t, t + width, watts));
        t += width;
    }
    (trace, t)
}

/// A rail of points that is late by a known delay.
fn late(lag_s: f64, u: f64, scatter_s: f64) -> RailSpec {
    RailSpec {
        kind: ReadingKind::Point,
        limits: ErrorLimits {
            refresh: Span::from_millis(300),
            ..ErrorLimits::default()
        },
        lag: Some(Lag {
            date: "2026-11-21".to_owned(),
            lag_s,
            lag_s_u95: 2.0 * u,
            scatter_s,
            steps: 30,
            step_w: 6.0,
        }),
        ..crate::measure::testing::rail("module")
    }
}

#[test]
fn a_late_rail_of_points_is_asked_later_and_keeps_its_windows() {
    let ms = 1_000_000;
    // 2 W until 1 s, then 8 W, shown 250 ms late.
    let filled = |mut trace: Trace| {
        for k in 0..40u64 {
            let watts = if k < 25 { 2.0 } else { 8.0 };
            trace.push(&window(k * 50 * ms, (k + 1) * 50 * ms, watts));
        }
        trace
    };
    let spec = late(0.25, 0.01, 0.02);
    let trace = filled(Trace::of(&spec));
    let second = MonoNs(1000 * ms);
    let before = trace.measure(MonoNs(0), second);
    assert!((before.raw.value - 2.0).abs() < 1e-9);
    assert_eq!((before.t0, before.t1), (MonoNs(0), second));
    assert_eq!(trace.end(), Some(MonoNs(1750 * ms)));
    assert_eq!(trace.iter().next().unwrap().0, MonoNs(0));
    // A step of 6 W times what is left of the delay, not times the refresh.
    let scatter = 2f64.sqrt() * 6.0 * 0.02;
    assert!((before.raw.age - scatter).abs() < 1e-9, "{before:?}");
    assert!((before.raw.lag - 6.0 * 0.01).abs() < 1e-9, "{before:?}");
    assert_eq!(before.raw.boundary, 0.0);
    let across = trace.measure(MonoNs(500 * ms), MonoNs(1500 * ms)).raw;
    assert!((across.lag - 6.0 * 0.01).abs() < 1e-9, "{across:?}");
    assert!((across.age - scatter).abs() < 1e-9, "{across:?}");
    // Steady power may be read at any time.
    let steady = trace.measure(MonoNs(200 * ms), MonoNs(600 * ms)).raw;
    assert_eq!((steady.age, steady.lag), (0.0, 0.0));

    // A window source is only reported, and a rail without a lag has its refresh age.
    let mut reported = spec.clone();
    reported.kind = ReadingKind::Window;
    for spec in [reported, RailSpec { lag: None, ..spec }] {
        let trace = filled(Trace::of(&spec));
        let before = trace.measure(MonoNs(0), second).raw;
        assert!((before.value - 2.0).abs() < 1e-9);
        assert!(
            (before.age - 6.0 * 0.3 / 3f64.sqrt()).abs() < 1e-9,
            "{before:?}"
        );
        assert_eq!(trace.end(), Some(MonoNs(2000 * ms)));
    }
}

/// A meter with a delay of its own at each reading; the mean delay was measured, a little
/// wrong. Intervals that begin and end anywhere in a square wave.
#[test]
fn what_a_corrected_delay_leaves_covers_the_truth() {
    let mut random = Uniform(4_711);
    let (width, windows, trials) = (20_000_000u64, 400u64, 1000);
    let (u, scatter) = (0.02, 0.03);
    let mut covered = 0;
    for _ in 0..trials {
        let truth = square(
            random.within(0.5, 4.0),
            random.within(4.0, 12.0),
            random.within(0.5, 3.0),
            random.within(0.3, 0.7),
        );
        // Rectangular, of the standard deviation that is stated.
        let limit = 3f64.sqrt() * u;
        let stated = 0.2 + random.within(-limit, limit);
        let mut trace = Trace::of(&late(stated, u, scatter));
        let step = 3f64.sqrt() * scatter;
        // A register that is renewed: its age moves slowly and starts again.
        let mut delay = 0.2;
        for k in 10..windows {
            if k % 5 == 0 {
                delay = 0.2 + random.within(-step, step);
            }
            let (a, b) = ((k * width) as f64 * 1e-9, ((k + 1) * width) as f64 * 1e-9);
            let mean = (truth(b - delay) - truth(a - delay)) / (b - a);
            trace.push(&window(k * width, (k + 1) * width, mean));
        }
        let a = random.within(0.5e9, 3e9) as u64;
        let b = a + random.within(3e8, 4e9) as u64;
        let estimate = trace.measure(MonoNs(a), MonoNs(b)).raw;
        let energy = truth(b as f64 * 1e-9) - truth(a as f64 * 1e-9);
        covered += u32::from((estimate.value - energy).abs() <= estimate.u95() + 1e-12);
    }
    assert!(covered >= trials * 94 / 100, "{covered} of {trials}");
}

proptest! {
    #[test]
    fn no_sequence_of_windows_panics(
        windows in prop::collection::vec(any_window(), 0..40),
        cuts in prop::collection::vec(any::<u64>(), 2..6),
        lag_s in -1.0..5.0f64,
    ) {
        for mut trace in [Trace::default(), Trace::of(&late(lag_s, 0.01, 0.1))] {
            for AnyWindow(window) in &windows {
                trace.push(window);
            }
            for pair in cuts.windows(2) {
                let measured = trace.measure(MonoNs(pair[0]), MonoNs(pair[1]));
                prop_assert!(measured.raw.value.is_finite());
                prop_assert!(measured.raw.u().is_finite());
                prop_assert!((0.0..=1.0).contains(&measured.coverage));
                prop_assert!(measured.windows <= measured.touched);
            }
        }
    }

    #[test]
    fn a_trace_made_of_its_own_windows_is_the_same_trace(
        windows in prop::collection::vec(any_window(), 0..60),
        orderly in orderly(),
        limits in prop_oneof![
            Just(ErrorLimits::default()),
            Just(ErrorLimits {
                current_step: Amps(0.1),
                refresh: Span::from_micros(3),
                ..ErrorLimits::default()
            }),
        ],
    ) {
        let mut trace = Trace::new(limits.clone());
        let mut t = 0;
        for (AnyWindow(window), (gap, width, watts)) in windows.iter().zip(orderly.iter().cycle()) {
            // Most in order, some as odd as they come.
            t += gap;
            let ordered = Window {
                t0: MonoNs(t),
                t1: MonoNs(t + width),
                power: Watts(*watts),
                ..*window
            };
            t += width;
            trace.push(if window.lost % 8 == 0 { window } else { &ordered });
        }
        let mut again = Trace::new(limits);
        trace.iter_windows().for_each(|window| again.push(&window));
        prop_assert_eq!(&again, &trace);
        prop_assert_eq!(trace.iter_windows().count() as u64, trace.windows());
    }

    #[test]
    fn any_split_adds_up(
        parts in orderly(),
        origin in prop_oneof![Just(0u64), 1u64 << 50..1u64 << 60],
        cuts in prop::collection::vec(0.0..1.0f64, 0..50),
    ) {
        let (trace, end) = built(&parts, origin);
        let mut cuts: Vec<u64> = cuts
            .iter()
            .map(|share| origin + (share * (end - origin) as f64) as u64)
            .chain([origin, end])
            .collect();
        cuts.sort_unstable();
        let whole = joules(&trace, origin, end);
        let sum: f64 = cuts.windows(2).map(|cut| joules(&trace, cut[0], cut[1])).sum();
        prop_assert!((sum - whole).abs() <= 1e-9 * whole.abs());
        // And in time: what is bridged in the parts is what is bridged in the whole.
        let bridged: u64 = cuts
            .windows(2)
            .map(|cut| trace.bridged(MonoNs(cut[0]), MonoNs(cut[1])).ns)
            .sum();
        prop_assert_eq!(bridged, trace.bridged(MonoNs(origin), MonoNs(end)).ns);
    }

    #[test]
    fn a_shift_in_time_changes_nothing(
        parts in orderly(),
        shift in 1u64..1u64 << 62,
        a in 0u64..200_000,
        b in 0u64..200_000,
    ) {
        let (here, _) = built(&parts, 0);
        let (there, _) = built(&parts, shift);
        let m = here.measure(MonoNs(a), MonoNs(b));
        let n = there.measure(MonoNs(a + shift), MonoNs(b + shift));
        prop_assert_eq!(m.raw, n.raw);
        prop_assert_eq!(
            (m.coverage, m.windows, m.touched, m.boundary),
            (n.coverage, n.windows, n.touched, n.boundary)
        );
    }

    #[test]
    fn what_came_before_changes_nothing(
        before in orderly(),
        parts in prop::collection::vec((Just(0u64), 1..20_000u64, 0.0..20.0f64), 8..40),
        a in 0.0..1.0f64,
        b in 0.0..1.0f64,
    ) {
        let (_, start) = built(&before, 0);
        let (with, end) = built(&[before.clone(), parts.clone()].concat(), 0);
        let (without, _) = built(&parts, start);
        // Neighbours say how far off a split or a bridge may be: some belong to the interval.
        let from = start + parts[..5].iter().map(|part| part.1).sum::<u64>();
        let at = |share: f64| MonoNs(from + (share * (end - from) as f64) as u64);
        let (t0, t1) = (at(a.min(b)), at(a.max(b)));
        let (m, n) = (with.measure(t0, t1), without.measure(t0, t1));
        prop_assert_eq!(m.raw.value, n.raw.value);
        prop_assert_eq!((m.windows, m.touched, m.lost), (n.windows, n.touched, n.lost));
        prop_assert_eq!((m.coverage, m.boundary), (n.coverage, n.boundary));
        prop_assert!((m.raw.u95() - n.raw.u95()).abs() <= 1e-9 * n.raw.u95());
    }

    #[test]
    fn a_known_delay_is_a_shift_in_time(
        parts in orderly(),
        lag_us in 0u64..200,
        a in 200_000u64..400_000,
        b in 200_000u64..400_000,
    ) {
        let (here, _) = built(&parts, 300_000);
        let mut there = Trace::of(&late(lag_us as f64 * 1e-6, 0.0, 0.0));
        for (t0, t1, power) in here.iter() {
            let shift = Span::from_micros(lag_us);
            there.push(&window((t0 + shift).0, (t1 + shift).0, power.0));
        }
        let m = here.measure(MonoNs(a), MonoNs(b));
        let n = there.measure(MonoNs(a), MonoNs(b));
        prop_assert_eq!(m.raw.value, n.raw.value);
        prop_assert_eq!(
            (m.coverage, m.windows, m.touched, m.boundary),
            (n.coverage, n.windows, n.touched, n.boundary)
        );
        prop_assert_eq!((n.age, n.delay_u), (Joules(0.0), Joules(0.0)));
    }

    #[test]
    fn a_longer_gap_never_raises_the_coverage(
        parts in orderly(),
        at in any::<prop::sample::Index>(),
    ) {
        let (whole, end) = built(&parts, 0);
        let missing = at.index(parts.len());
        let mut less = Trace::default();
        for (k, (t0, t1, power)) in whole.iter().enumerate() {
            if k != missing {
                less.push(&window(t0.0, t1.0, power.0));
            }
        }
        let coverage = |trace: &Trace| trace.measure(MonoNs(0), MonoNs(end)).coverage;
        prop_assert!(coverage(&less) < coverage(&whole));
    }

    /// What is told while the trace still grows is what is told when it is whole.
    #[test]
    fn what_has_settled_never_changes(
        steps in prop::collection::vec((0_u64..9, 1_u64..9, 0.5..9.0f64, 0_u32..3), 1..40),
        seen in any::<prop::sample::Index>(),
        cuts in (0_u64..400, 0_u64..400),
        refresh in prop_oneof![Just(0), 0_u64..30],
    ) {
        let mut at = 20;
        let windows: Vec<Window> = steps
            .iter()
            .map(|&(gap, length, watts, lost)| {
                // Mostly without one.
                let t0 = at + gap.saturating_sub(6);
                at = t0 + length;
                Window { lost, ..window(t0 * MS, at * MS, watts) }
            })
            .collect();
        let limits = ErrorLimits {
            refresh: Span(refresh * MS),
            power_step: Watts(0.5),
            blind_share: 0.3,
            ..ErrorLimits::default()
        };
        let (mut growing, mut whole) = (Trace::new(limits.clone()), Trace::new(limits));
        windows[..=seen.index(windows.len())].iter().for_each(|w| growing.push(w));
        windows.iter().for_each(|w| whole.push(w));
        let (t0, t1) = (MonoNs(cuts.0.min(cuts.1) * MS / 2), MonoNs(cuts.0.max(cuts.1) * MS / 2));
        if growing.has_settled(t1) {
            prop_assert_eq!(growing.measure(t0, t1), whole.measure(t0, t1));
        }
    }
}

#[test]
fn the_lowest_voltage_is_that_of_the_windows_that_told_one() {
    let at = |t0: u64, volts: Option<f64>| Window {
        voltage: volts.map(Volts),
        ..window(t0 * MS, (t0 + 10) * MS, 1.0)
    };
    let mut trace = Trace::default();
    trace.push(&at(0, None));
    let min = |trace: &Trace, t0: u64, t1: u64| {
        let volts = trace.min_volts(MonoNs(t0 * MS), MonoNs(t1 * MS))?;
        Some((volts.0 * 1e3).round())
    };
    assert_eq!(min(&trace, 0, 10), None);
    for (t0, volts) in [
        (10, Some(5.1)),
        (20, Some(4.75)),
        (30, None),
        (40, Some(5.05)),
    ] {
        trace.push(&at(t0, volts));
    }
    // The windows at both ends count, a window that tells nothing is as the one before.
    assert_eq!(min(&trace, 0, 60), Some(4750.0));
    assert_eq!(min(&trace, 12, 15), Some(5100.0));
    assert_eq!(min(&trace, 32, 50), Some(4750.0));
    assert_eq!(min(&trace, 40, 50), Some(5050.0));
    assert_eq!(min(&trace, 50, 60), None);
}
