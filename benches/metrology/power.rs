//! Powers over time whose energy is known in closed form.

use std::f64::consts::TAU;
use std::fmt::Debug;

/// A power by its energy.
pub trait Power: Debug + Send + Sync {
    /// Joules from time zero to `t` seconds.
    fn joules(&self, t: f64) -> f64;
    fn peak_w(&self) -> f64;
}

#[derive(Debug)]
pub struct Constant(pub f64);

impl Power for Constant {
    fn joules(&self, t: f64) -> f64 {
        self.0 * t
    }

    fn peak_w(&self) -> f64 {
        self.0
    }
}

/// Each period begins with `duty` of it at `high`; the first began `ahead` of a period ago.
#[derive(Debug)]
pub struct Square {
    pub low: f64,
    pub high: f64,
    pub period: f64,
    pub duty: f64,
    pub ahead: f64,
}

impl Square {
    /// When the period in which `t` is began, and how long it is high.
    pub fn period_at(&self, t: f64) -> (f64, f64) {
        let whole = (t / self.period + self.ahead).floor() - self.ahead;
        (whole * self.period, self.duty * self.period)
    }
}

impl Power for Square {
    fn joules(&self, t: f64) -> f64 {
        let until = |periods: f64| {
            let (whole, rest) = (periods.floor(), periods.fract());
            let high = whole * self.duty + rest.min(self.duty);
            self.period * (self.low * periods + (self.high - self.low) * high)
        };
        until(t / self.period + self.ahead) - until(self.ahead)
    }

    fn peak_w(&self) -> f64 {
        self.high
    }
}

/// A sawtooth: up from `low` to `high` in each period, then back at once.
#[derive(Debug)]
pub struct Ramp {
    pub low: f64,
    pub high: f64,
    pub period: f64,
}

impl Power for Ramp {
    fn joules(&self, t: f64) -> f64 {
        let (whole, rest) = ((t / self.period).floor(), (t / self.period).fract());
        let risen = 0.5 * (self.high - self.low) * (whole + rest * rest);
        self.low * t + risen * self.period
    }

    fn peak_w(&self) -> f64 {
        self.high
    }
}

#[derive(Debug)]
pub struct Sine {
    pub mean: f64,
    pub amplitude: f64,
    pub period: f64,
}

impl Power for Sine {
    fn joules(&self, t: f64) -> f64 {
        let omega = TAU / self.period;
        self.mean * t + self.amplitude / omega * (1.0 - (omega * t).cos())
    }

    fn peak_w(&self) -> f64 {
        self.mean + self.amplitude
    }
}

/// What somebody measured, each reading held until the next, over and over again.
#[derive(Debug)]
pub struct Recorded {
    /// When each reading begins, its power, and the energy up to it.
    steps: Vec<(f64, f64, f64)>,
    period: f64,
    energy: f64,
}

impl Recorded {
    /// From lines of `seconds,watts`, with each power times `factor`. The last line says
    /// only when the one before ends.
    pub fn parse(csv: &str, factor: f64) -> Self {
        let readings: Vec<(f64, f64)> = csv
            .lines()
            .skip(1)
            .map(|line| {
                let (t, watts) = line.split_once(',').expect("seconds,watts");
                let number = |text: &str| text.trim().parse::<f64>().expect("a number");
                (number(t), number(watts) * factor)
            })
            .collect();
        let start = readings[0].0;
        let mut energy = 0.0;
        let mut steps = Vec::with_capacity(readings.len());
        for pair in readings.windows(2) {
            steps.push((pair[0].0 - start, pair[0].1, energy));
            energy += pair[0].1 * (pair[1].0 - pair[0].0);
        }
        Self {
            steps,
            period: readings[readings.len() - 1].0 - start,
            energy,
        }
    }

    pub fn mean_w(&self) -> f64 {
        self.energy / self.period
    }

    pub fn swing_w(&self) -> f64 {
        let least = self.steps.iter().map(|s| s.1).fold(f64::INFINITY, f64::min);
        self.peak_w() - least
    }

    /// Changes of power in a second.
    pub fn steps_hz(&self) -> f64 {
        let changes = self.steps.windows(2).filter(|pair| pair[0].1 != pair[1].1);
        changes.count() as f64 / self.period
    }
}

impl Power for Recorded {
    fn joules(&self, t: f64) -> f64 {
        let whole = (t / self.period).floor();
        let rest = t - whole * self.period;
        let at = self.steps.partition_point(|step| step.0 <= rest).max(1) - 1;
        let (t0, watts, energy) = self.steps[at];
        whole * self.energy + energy + watts * (rest - t0)
    }

    fn peak_w(&self) -> f64 {
        self.steps.iter().map(|step| step.1).fold(0.0, f64::max)
    }
}
