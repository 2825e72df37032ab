//! `jouled calibrate lag`: steps of the load, and how late each rail shows them.

use super::bar::Bar;
use super::load::Load;
use super::rig::Rig;
use super::{CalibrateError, file, today};
use crate::clock;
use crate::config::Config;
use crate::energy::lag::{LEAST_STEPS, LoadDelay, LoadSteps, Untold, delay};
use crate::sensor::{Lag, Pace, RailSpec, ReadingKind};
use crate::units::Span;
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::Path;

/// From the idle pace to the full one, and for the machine to come to rest.
const LEAD: Span = Span::from_millis(1_500);
/// For what comes after the last step. Rails that are later lose some of the last steps.
const TAIL: Span = Span::from_millis(2_000);
/// A thread that gets no CPU for so long never had the load on.
const SWITCHED_WITHIN: Span = Span::from_millis(2_000);
const LOOK_EVERY: Span = Span::from_millis(2);

/// What the series is like.
#[derive(Debug, Clone)]
pub struct Series {
    /// Changes of the load.
    pub steps: usize,
    /// Mean stretch between two. Each is 0.5 to 1.5 times as long, at random, so that the
    /// load resembles itself at no other delay.
    pub stretch: Span,
    /// Sensors by name; all, where there is none.
    pub sensors: Vec<String>,
}

/// What was found for each sensor.
pub type Found = BTreeMap<String, BTreeMap<String, Lag>>;

/// Measures every rail, prints and stores what was found. Returns what was written.
pub fn lag(main: &Path, config: &Config, series: &Series) -> Result<Found, CalibrateError> {
    if series.steps < LEAST_STEPS {
        return Err(CalibrateError::Target(format!(
            "--steps {}: at least {LEAST_STEPS} are needed",
            series.steps
        )));
    }
    let mut rig = Rig::open(config, &series.sensors)?;
    warn_of_moving_clocks(&rig);
    let load = measure(&mut rig, series)?;
    let results: Vec<Result<LoadDelay, Untold>> = rig
        .windows
        .iter()
        .map(|windows| delay(&load, windows))
        .collect();
    print(&rig.rails, &results);

    let mut found = Found::new();
    let mut results = results.iter();
    for sensor in rig.sensors() {
        for (rail, result) in sensor.rails.iter().zip(results.by_ref()) {
            if let Ok(delay) = result {
                let lags = found.entry(sensor.name.clone()).or_default();
                lags.insert(rail.name.clone(), stored(delay));
            }
        }
    }
    if found.is_empty() {
        return Err(CalibrateError::Target(
            "no rail's lag can be told; nothing was changed".to_owned(),
        ));
    }
    for (sensor, lags) in &found {
        let path = file::store_lag(main, sensor, lags)?;
        println!("written to {}", path.display());
    }
    println!("a running jouled takes it up when restarted");
    Ok(found)
}

/// Switches the load on and off and takes every rail's windows meanwhile.
fn measure(rig: &mut Rig, series: &Series) -> Result<LoadSteps, CalibrateError> {
    let broken = |error: std::io::Error| CalibrateError::Target(format!("no load: {error}"));
    let random = RandomState::new();
    let stretches: Vec<Span> = (0..series.steps)
        .map(|step| {
            let share = random.hash_one(step) as f64 / u64::MAX as f64;
            Span::from_secs_f64(series.stretch.as_secs_f64() * (0.5 + share))
        })
        .collect();
    let load = Load::start().map_err(broken)?;
    let mut bar = Bar::new("load steps");
    rig.sampler.set_pace(Pace::Full);
    rig.collect_until(clock::now() + LEAD, |_| {});
    // Of the idle pace, and of before the machine was at rest.
    for windows in &mut rig.windows {
        let whole = windows.len();
        windows.drain(..whole / 2);
    }
    let begin = clock::now();
    let all = stretches.iter().fold(TAIL, |sum, stretch| sum + *stretch);
    let mut steps = LoadSteps::default();
    for (step, stretch) in stretches.iter().enumerate() {
        let order = clock::now();
        load.switch(step % 2 == 0);
        rig.collect_until(order + *stretch, |now| {
            bar.show(now.since(begin).as_secs_f64() / all.as_secs_f64());
        });
        let give_up = clock::now() + SWITCHED_WITHIN;
        let (at, within) = loop {
            match load.changed_since(order) {
                Some(changed) => break changed,
                None if clock::now() > give_up => {
                    return Err(CalibrateError::Target(
                        "the load gets no CPU; stop what else runs on this machine".to_owned(),
                    ));
                }
                None => clock::sleep(LOOK_EVERY),
            }
        };
        steps.push(at, within);
    }
    load.switch(false);
    rig.collect_until(clock::now() + TAIL, |now| {
        bar.show(now.since(begin).as_secs_f64() / all.as_secs_f64());
    });
    Ok(steps)
}

/// A governor that raises the clock late makes the load itself late.
fn warn_of_moving_clocks(rig: &Rig) {
    let governor = crate::board::Board::read(&rig.host).governor;
    if let Some(governor) = governor.filter(|governor| governor != "performance") {
        eprintln!(
            "the CPU's clock moves with the load (governor {governor}), which counts as lag: fix \
             it (cpupower frequency-set -g performance; on a Jetson, jetson_clocks)"
        );
    }
}

fn stored(delay: &LoadDelay) -> Lag {
    let rounded = |value: f64| super::rounded(value, 1e-6);
    Lag {
        date: today(),
        lag_s: rounded(delay.lag_s),
        lag_s_u95: rounded(delay.lag_s_u95),
        scatter_s: rounded(delay.scatter_s),
        steps: delay.steps,
        step_w: rounded(delay.step_w),
    }
}

fn print(rails: &[RailSpec], results: &[Result<LoadDelay, Untold>]) {
    let names = rails.iter().map(|rail| rail.name.len());
    let width = names.max().unwrap_or(0).max(4);
    println!(
        "{:width$}  kind     {:>22}  {:>9}  {:>9}  moved by it",
        "rail", "lag", "scatter", "step"
    );
    for (rail, result) in rails.iter().zip(results) {
        let kind = match rail.kind {
            ReadingKind::Window => "window",
            ReadingKind::Point => "point",
            ReadingKind::Counter => "counter",
        };
        let simulated = if rail.simulated { " (simulated)" } else { "" };
        let name = &rail.name;
        match result {
            Ok(found) => {
                let lag = format!("{:.2} ± {:.2} ms", 1e3 * found.lag_s, 1e3 * found.lag_s_u95);
                let scatter = format!("{:.1} ms", 1e3 * found.scatter_s);
                let step = format!("{:.2} W", found.step_w);
                let moved = match rail.kind {
                    ReadingKind::Point => "yes",
                    ReadingKind::Window | ReadingKind::Counter => "no, only reported",
                };
                println!(
                    "{name:width$}  {kind:7}  {lag:>22}  {scatter:>9}  {step:>9}  \
                     {moved}{simulated}"
                );
            }
            Err(why) => println!("{name:width$}  {kind:7}  not told: {why}{simulated}"),
        }
    }
}
