//! Simulated rails with a known delay: what is found covers the truth as often as it says.

use super::super::signal::Uniform;
use super::*;
use crate::units::{MonoNs, Span, Watts};
use proptest::prelude::*;

const ORIGIN: MonoNs = MonoNs(5_000_000_000_000);
const IDLE_W: f64 = 3.0;
const STEP_W: f64 = 4.0;

/// Irregular stretches of 0.4 to 1.2 s.
fn steps(n: usize, random: &mut Uniform) -> LoadSteps {
    let mut load = LoadSteps::default();
    let mut at = ORIGIN;
    for _ in 0..n {
        load.push(at, Span(0));
        at = at + Span::from_secs_f64(random.within(0.4, 1.2));
    }
    load
}

/// About normal: twelve uniform numbers.
fn normal(random: &mut Uniform) -> f64 {
    (0..12).map(|_| random.next()).sum::<f64>() - 6.0
}

fn at(seconds: f64) -> MonoNs {
    MonoNs((ORIGIN.0 as f64 + seconds * 1e9) as u64)
}

fn window(t0: f64, t1: f64, power: f64) -> Window {
    Window {
        t0: at(t0),
        t1: at(t1),
        power: Watts(power),
        voltage: None,
        current: None,
        quality: Quality::Good,
        lost: 0,
    }
}

/// Ideal means over contiguous windows that begin anywhere.
fn windows(
    load: &LoadSteps,
    width: f64,
    lag: f64,
    noise: f64,
    random: &mut Uniform,
) -> Vec<Window> {
    let begin = -1.0 - random.within(0.0, width);
    let end = load.at.last().unwrap() + 1.5;
    let n = ((end - begin) / width) as usize;
    (0..n)
        .map(|k| {
            let (t0, t1) = (begin + k as f64 * width, begin + (k + 1) as f64 * width);
            let busy = (load.busy_s(t1 - lag) - load.busy_s(t0 - lag)) / width;
            window(t0, t1, IDLE_W + STEP_W * busy + noise * normal(random))
        })
        .collect()
}

/// Trapezoids between points that a register tells, renewed every `refresh` s with what was
/// `lag` s before.
fn points(
    load: &LoadSteps,
    every: f64,
    refresh: f64,
    lag: f64,
    noise: f64,
    random: &mut Uniform,
) -> Vec<Window> {
    let is_on = |t: f64| load.at.partition_point(|at| *at <= t) % 2 == 1;
    let (phase, begin) = (
        random.within(0.0, refresh),
        -1.0 - random.within(0.0, every),
    );
    let end = load.at.last().unwrap() + 1.5;
    let mut read = Vec::new();
    let mut t = begin;
    while t < end {
        let renewed = ((t - phase) / refresh).floor() * refresh + phase;
        let power = IDLE_W + STEP_W * f64::from(u8::from(is_on(renewed - lag)));
        read.push((t, power + noise * normal(random)));
        // As the real sources do, so that readings don't beat with what they sample.
        t += every * random.within(0.8, 1.2);
    }
    read.windows(2)
        .map(|pair| window(pair[0].0, pair[1].0, 0.5 * (pair[0].1 + pair[1].1)))
        .collect()
}

/// How many of 50 are covered, of a simulation that tells its true delay. Each `lag` has
/// random numbers of its own.
fn covered(lag: f64, simulate: impl Fn(&LoadSteps, &mut Uniform) -> (f64, Vec<Window>)) -> u64 {
    (0..50)
        .filter(|seed| {
            let mut random = Uniform(lag.to_bits() + seed);
            let load = steps(30, &mut random);
            let (truth, windows) = simulate(&load, &mut random);
            let found = delay(&load, &windows).unwrap();
            assert!((found.step_w - STEP_W).abs() < 0.3 * STEP_W, "{found:?}");
            assert!((found.lag_s - truth).abs() < 0.1, "{found:?} for {truth}");
            (found.lag_s - truth).abs() <= found.lag_s_u95
        })
        .count() as u64
}

#[test]
fn the_delay_of_ideal_windows_is_found_to_the_resolution() {
    for lag in [0.0, 0.003, 0.030, 0.250] {
        for width in [0.0048, 0.05] {
            let mut random = Uniform(7);
            let load = steps(30, &mut random);
            let found = delay(&load, &windows(&load, width, lag, 0.0, &mut random)).unwrap();
            assert!((found.lag_s - lag).abs() < 1e-5, "{found:?} for {lag}");
            assert!(found.lag_s_u95 < 5e-5, "{found:?}");
            assert_eq!(found.steps, 30);
        }
    }
}

#[test]
fn noisy_windows_cover_the_delay() {
    let lags = [0.0, 0.003, 0.030, 0.250];
    let covered: u64 = lags
        .map(|lag| {
            covered(lag, |load, random| {
                (lag, windows(load, 0.0293, lag, 0.3 * STEP_W, random))
            })
        })
        .iter()
        .sum();
    assert!(covered >= 188, "{covered} of 200");
}

#[test]
fn points_with_a_refresh_cover_the_delay() {
    let rigs = [
        (0.0, 0.05, 0.001),
        (0.003, 0.05, 0.02),
        (0.030, 0.1, 0.1),
        (0.250, 0.1, 0.2),
    ];
    let covered: u64 = rigs
        .map(|(lag, every, refresh)| {
            covered(lag, |load, random| {
                let windows = points(load, every, refresh, lag, 0.05 * STEP_W, random);
                // What a register tells is half of its refresh old on average.
                (lag + refresh / 2.0, windows)
            })
        })
        .iter()
        .sum();
    assert!(covered >= 188, "{covered} of 200");
}

#[test]
fn the_scatter_is_that_of_single_readings() {
    let mut random = Uniform(3);
    let load = steps(200, &mut random);
    let windows = points(&load, 0.1, 0.001, 0.03, 0.0, &mut random);
    let found = delay(&load, &windows).unwrap();
    // A step comes at any phase of a trapezoid: a rectangular distribution of its width.
    let expected = 0.1 / 12f64.sqrt();
    assert!((found.scatter_s / expected - 1.0).abs() < 0.15, "{found:?}");
}

#[test]
fn how_long_a_step_took_is_uncertainty_of_the_delay() {
    let mut random = Uniform(7);
    let mut load = LoadSteps::default();
    for at in steps(30, &mut random).at {
        load.push(self::at(at), Span::from_millis(6));
    }
    let windows = windows(&load, 0.005, 0.03, 0.0, &mut random);
    let found = delay(&load, &windows).unwrap();
    assert!(
        (found.lag_s_u95 - 2.0 * 0.006 / 3f64.sqrt()).abs() < 1e-4,
        "{found:?}"
    );
}

#[test]
fn a_delay_that_the_configuration_refuses_is_not_told() {
    let mut random = Uniform(7);
    let load = steps(60, &mut random);
    for lag in [5.03, -1.02] {
        let found = delay(&load, &windows(&load, 0.005, lag, 0.0, &mut random));
        let beyond = |lag_s: f64| (lag_s - lag).abs() < 0.01;
        assert!(
            matches!(found, Err(Untold::Implausible { lag_s, .. }) if beyond(lag_s)),
            "{found:?} for {lag}"
        );
    }
    let inside = delay(&load, &windows(&load, 0.005, 4.97, 0.0, &mut random));
    assert!(inside.is_ok_and(|found| found.lag_s <= 5.0));
}

#[test]
fn what_can_not_be_told_is_refused() {
    let mut random = Uniform(9);
    let few = steps(19, &mut random);
    let of_few = windows(&few, 0.01, 0.0, 0.0, &mut random);
    assert_eq!(delay(&few, &of_few), Err(Untold::TooFewSteps(19)));

    let load = steps(30, &mut random);
    assert_eq!(delay(&load, &[]), Err(Untold::TooFewSteps(0)));
    let slow = windows(&load, 0.5, 0.0, 0.0, &mut random);
    assert!(matches!(delay(&load, &slow), Err(Untold::TooCoarse { .. })));

    let deaf: Vec<Window> = windows(&load, 0.02, 0.0, 0.0, &mut random)
        .iter()
        .map(|w| Window {
            power: Watts(IDLE_W + 0.5 * normal(&mut random)),
            ..*w
        })
        .collect();
    assert!(matches!(
        delay(&load, &deaf),
        Err(Untold::BelowNoise { .. })
    ));
    let steady: Vec<Window> = deaf
        .iter()
        .map(|w| Window {
            power: Watts(IDLE_W),
            ..*w
        })
        .collect();
    assert!(matches!(
        delay(&load, &steady),
        Err(Untold::BelowNoise { .. })
    ));

    let stopped: Vec<Window> = windows(&load, 0.02, 0.0, 0.0, &mut random)
        .into_iter()
        .filter(|w| w.t1 < at(load.at[12]))
        .collect();
    assert!(matches!(delay(&load, &stopped), Err(Untold::TooFewSteps(n)) if n < 20));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever the rail's level, its step and the windows' width.
    #[test]
    fn any_delay_of_ideal_windows_is_found(
        lag in 0.0..2.0f64,
        width in 0.004..0.15f64,
        seed in 0u64..1_000_000,
    ) {
        let mut random = Uniform(seed);
        let load = steps(24, &mut random);
        let windows = windows(&load, width, lag, 0.0, &mut random);
        // The windows end 1.5 s after the last step: of a long delay they lack the last ones.
        let found = delay(&load, &windows).unwrap();
        prop_assert!((found.lag_s - lag).abs() <= found.lag_s_u95.max(2e-5), "{:?}", found);
    }
}
