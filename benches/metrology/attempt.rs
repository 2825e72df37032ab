//! An invented attempt: what a board draws while a model is loaded, waits, reads a prompt,
//! generates tokens and waits again, each time with other powers, lengths and edges.

use super::power::Power;
use std::f64::consts::TAU;

/// The sensor is read for so long before the attempt, as it always runs.
const BEFORE_S: (f64, f64) = (0.20, 0.25);
const LOAD_S: (f64, f64) = (0.3, 0.5);
const IDLE_BEFORE_S: (f64, f64) = (0.8, 1.2);
const PREFILL_S: (f64, f64) = (0.25, 0.5);
const IDLE_AFTER_S: (f64, f64) = (0.8, 1.2);
const AFTER_S: f64 = 0.05;
const TOKENS: std::ops::Range<u32> = 16..25;
const PROMPT_TOKENS: std::ops::Range<u32> = 8..64;
const TOKEN_S: (f64, f64) = (0.05, 0.08);
/// Tokens of one attempt differ in length by so much.
const TOKEN_JITTER: f64 = 0.1;
const IDLE_W: (f64, f64) = (2.4, 3.6);
/// Idle power after less before.
const DRIFT_W: (f64, f64) = (-0.06, 0.06);
/// Amplitude and frequency of what never rests.
const RIPPLE_W: (f64, f64) = (0.02, 0.08);
const RIPPLE_HZ: (f64, f64) = (20.0, 90.0);
const LOAD_W: (f64, f64) = (4.0, 6.0);
const PREFILL_W: (f64, f64) = (7.5, 10.0);
const DECODE_W: (f64, f64) = (6.0, 8.0);
/// Each token begins with the layers, at so much more, and ends with the output matrix and
/// sampling, at as much less.
const TOKEN_SWING_W: (f64, f64) = (0.2, 0.9);
const TOKEN_HIGH: (f64, f64) = (0.5, 0.8);

fn within((low, high): (f64, f64), random: &mut fastrand::Rng) -> f64 {
    low + (high - low) * random.f64()
}

/// When everything was, in true seconds, and what it drew.
#[derive(Debug)]
pub struct Attempt {
    /// Beginning, power, and energy up to it.
    steps: Vec<(f64, f64, f64)>,
    ripple_w: f64,
    ripple_hz: f64,
    pub load: (f64, f64),
    pub idle_before: (f64, f64),
    pub prefill: (f64, f64),
    pub prompt_tokens: u32,
    /// When each output token was known; the first ends prefill.
    pub tokens: Vec<f64>,
    pub idle_after: (f64, f64),
    pub end: f64,
    idle: [f64; 2],
    /// The true baseline less the straight line between the idle phases.
    bulge_w: f64,
}

impl Attempt {
    pub fn invent(random: &mut fastrand::Rng) -> Self {
        let before_w = within(IDLE_W, random);
        let after_w = before_w + within(DRIFT_W, random);
        let decode_w = within(DECODE_W, random);
        let swing_w = within(TOKEN_SWING_W, random);
        let high = within(TOKEN_HIGH, random);
        let token_s = within(TOKEN_S, random);

        let mut steps = Steps::default();
        steps.push(within(BEFORE_S, random), before_w);
        let load = steps.push(within(LOAD_S, random), within(LOAD_W, random));
        let idle_before = steps.push(within(IDLE_BEFORE_S, random), before_w);
        let prefill = steps.push(within(PREFILL_S, random), within(PREFILL_W, random));
        let mut tokens = vec![prefill.1];
        for _ in 0..random.u32(TOKENS) {
            let length = token_s * (1.0 + TOKEN_JITTER * (2.0 * random.f64() - 1.0));
            steps.push(high * length, decode_w + (1.0 - high) * swing_w);
            let (_, known) = steps.push((1.0 - high) * length, decode_w - high * swing_w);
            tokens.push(known);
        }
        let idle_after = steps.push(within(IDLE_AFTER_S, random), after_w);
        steps.push(AFTER_S, after_w);
        Self {
            ripple_w: within(RIPPLE_W, random),
            ripple_hz: within(RIPPLE_HZ, random),
            load,
            idle_before,
            prefill,
            prompt_tokens: random.u32(PROMPT_TOKENS),
            tokens,
            idle_after,
            end: steps.t,
            idle: [before_w, after_w],
            bulge_w: 0.5 * (after_w - before_w) * (2.0 * random.f64() - 1.0),
            steps: steps.steps,
        }
    }

    pub fn decode(&self) -> (f64, f64) {
        (self.tokens[0], self.tokens[self.tokens.len() - 1])
    }

    pub fn gross_j(&self, (t0, t1): (f64, f64)) -> f64 {
        self.joules(t1) - self.joules(t0)
    }

    /// What the work took besides the board's own idling, which went from one level to the
    /// other on some way between.
    pub fn net_j(&self, (t0, t1): (f64, f64)) -> f64 {
        let middle = |(a, b): (f64, f64)| 0.5 * (a + b);
        let (from, to) = (middle(self.idle_before), middle(self.idle_after));
        let share = (middle((t0, t1)) - from) / (to - from);
        let idle = self.idle[0] + share * (self.idle[1] - self.idle[0]) + self.bulge_w;
        self.gross_j((t0, t1)) - idle * (t1 - t0)
    }
}

impl Power for Attempt {
    fn joules(&self, t: f64) -> f64 {
        let at = self.steps.partition_point(|step| step.0 <= t).max(1) - 1;
        let (t0, watts, energy) = self.steps[at];
        let omega = TAU * self.ripple_hz;
        energy + watts * (t - t0) + self.ripple_w / omega * (1.0 - (omega * t).cos())
    }

    fn peak_w(&self) -> f64 {
        let steps = self.steps.iter().map(|step| step.1);
        steps.fold(0.0, f64::max) + self.ripple_w
    }
}

#[derive(Default)]
struct Steps {
    steps: Vec<(f64, f64, f64)>,
    t: f64,
    energy: f64,
}

impl Steps {
    fn push(&mut self, length: f64, watts: f64) -> (f64, f64) {
        let t0 = self.t;
        self.steps.push((t0, watts, self.energy));
        self.t += length;
        self.energy += watts * length;
        (t0, self.t)
    }
}
