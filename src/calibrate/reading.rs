//! The mean current over some seconds of whole cycles.

use super::CalibrateError;
use crate::clock::Clock;
use crate::sensor::{Pace, PollError, Quality, Sink, Source, Window};
use crate::units::Span;

/// Until the driver follows the chip's clock.
const SETTLE: Span = Span::from_millis(300);
/// Below this share of the time something else reads the sensor, or it fails.
const LEAST_COVERAGE: f64 = 0.9;
const FEWEST: usize = 10;
const RETRY: Span = Span::from_millis(20);

/// Current in amperes, as the source delivers it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    pub mean_a: f64,
    /// Of the windows.
    pub sd_a: f64,
    pub windows: usize,
}

impl Reading {
    /// The mean's standard error.
    pub fn sem_a(&self) -> f64 {
        self.sd_a / (self.windows as f64).sqrt()
    }

    fn of(windows: &[Window]) -> Reading {
        let current = |window: &Window| window.current.map_or(f64::NAN, |amps| amps.0);
        let n = windows.len() as f64;
        let mean_a = windows.iter().map(current).sum::<f64>() / n;
        let squares: f64 = windows
            .iter()
            .map(|window| (current(window) - mean_a).powi(2))
            .sum();
        Reading {
            mean_a,
            sd_a: (squares / (n - 1.0)).sqrt(),
            windows: windows.len(),
        }
    }
}

#[derive(Default)]
struct FirstRail(Vec<Window>);

impl Sink for FirstRail {
    fn push(&mut self, rail: usize, window: Window) {
        if rail == 0 {
            self.0.push(window);
        }
    }
}

/// Reads the source's first rail at its full pace for `span`. `progress` is told the share
/// that is done.
pub fn read(
    source: &mut dyn Source,
    clock: &impl Clock,
    span: Span,
    progress: &mut dyn FnMut(f64),
) -> Result<Reading, CalibrateError> {
    let broken = |error: PollError| CalibrateError::Sensor(error.to_string());
    source.set_pace(Pace::Full).map_err(broken)?;
    let begin = clock.now() + SETTLE;
    let end = begin + span;
    let mut windows = FirstRail::default();
    while clock.now() < end {
        let deadline = match source.poll(&mut windows) {
            Ok(deadline) => deadline,
            Err(PollError::Retry(_)) => clock.now() + RETRY,
            Err(error) => return Err(broken(error)),
        };
        clock.sleep_until(deadline.min(end));
        progress(clock.now().since(begin).as_secs_f64() / span.as_secs_f64());
    }
    let mut windows = windows.0;
    windows.retain(|window| window.t0 >= begin);
    let covered: f64 = windows
        .iter()
        .map(|window| window.t1.since(window.t0).as_secs_f64())
        .sum();
    let coverage = covered / span.as_secs_f64();
    if windows.len() < FEWEST || coverage < LEAST_COVERAGE {
        return Err(CalibrateError::Gaps {
            share: coverage * 100.0,
        });
    }
    if windows.iter().any(|window| window.quality != Quality::Good) {
        return Err(CalibrateError::Saturated);
    }
    Ok(Reading::of(&windows))
}
