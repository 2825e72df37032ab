//! Thousands of chips, each drawn from the data sheet's limits and measuring an attempt of
//! its own: whether the stated uncertainties are those that the chips show.

use super::attempt::Attempt;
use super::rig::Rig;
use jouled::energy::{
    Baseline, Estimate, Figure, Figures, IdleLevel, PhaseEnergy, RepEnergy, Trace, attribute,
};
use jouled::sensor::ErrorLimits;
use jouled::sensor::ina219::AdcMode;
use jouled::sensor::simulated::Unit;
use jouled::units::{MonoNs, Span, Volts};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The chip's clock, in the tracker's hands and in no figure.
const CLOCK_RATIO: f64 = 0.1;
/// Before what the bus gain adds.
const BUS_V: (f64, f64) = (4.9, 5.2);
/// Every chip's idle phases count whole.
const IDLE_MINIMUM: Span = Span::from_millis(5_000);

/// The stated 95 % interval covers the truth at least so often.
pub const COVERED: f64 = 0.94;
/// The stated uncertainty of a gross phase is so near to the observed one.
pub const NEAR: f64 = 0.10;
/// Everywhere else the observed one is at most so many times the stated.
pub const MOST: f64 = 1.1;

/// What a figure is, which says what is demanded of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    GrossPhase,
    Net,
    PerToken,
}

/// (Group, name in the record).
pub type Name = (Group, &'static str);

/// Errors and stated uncertainties of one figure.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub figures: u64,
    /// Withheld by a rule.
    pub withheld: u64,
    covered: u64,
    error: f64,
    error_squared: f64,
    stated_squared: f64,
    truth: f64,
}

impl Tally {
    fn add(&mut self, figure: Figure, truth: f64) {
        let Ok(estimate) = figure else {
            self.withheld += 1;
            return;
        };
        let Estimate { value, .. } = estimate;
        // Relative: attempts are of different sizes.
        let (error, u) = ((value - truth) / truth, estimate.u() / truth);
        self.figures += 1;
        self.covered += u64::from((value - truth).abs() <= estimate.u95());
        self.error += error;
        self.error_squared += error * error;
        self.stated_squared += u * u;
        self.truth += truth;
    }

    fn merge(&mut self, other: Self) {
        self.figures += other.figures;
        self.withheld += other.withheld;
        self.covered += other.covered;
        self.error += other.error;
        self.error_squared += other.error_squared;
        self.stated_squared += other.stated_squared;
        self.truth += other.truth;
    }

    fn n(&self) -> f64 {
        self.figures as f64
    }

    pub fn mean_truth(&self) -> f64 {
        self.truth / self.n()
    }

    pub fn covered(&self) -> f64 {
        self.covered as f64 / self.n()
    }

    /// Mean error, relative.
    pub fn bias(&self) -> f64 {
        self.error / self.n()
    }

    /// Standard deviation of the errors, relative.
    pub fn observed(&self) -> f64 {
        (self.error_squared / self.n() - self.bias().powi(2)).sqrt()
    }

    /// Root mean square of the stated standard uncertainties, relative.
    pub fn stated(&self) -> f64 {
        (self.stated_squared / self.n()).sqrt()
    }

    pub fn ratio(&self) -> f64 {
        self.observed() / self.stated()
    }

    /// Whether the demands on its group are met.
    pub fn holds(&self, group: Group) -> bool {
        let near = match group {
            Group::GrossPhase => (self.stated() / self.observed() - 1.0).abs() <= NEAR,
            Group::Net | Group::PerToken => self.ratio() <= MOST,
        };
        self.figures > 0 && self.withheld == 0 && self.covered() >= COVERED && near
    }
}

pub type Tallies = BTreeMap<Name, Tally>;

/// Measures with `chips` chips on as many threads as there are processors. The chips are
/// those of `seed`, whoever measures them.
pub fn measure(chips: u64, seed: u64) -> Tallies {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let share = |thread| {
        let mut tallies = Tallies::new();
        for chip in (thread..chips).step_by(threads as usize) {
            one(&mut tallies, seed.wrapping_add(chip));
        }
        tallies
    };
    let mut all = Tallies::new();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || share(thread)))
            .collect();
        for thread in running {
            for (name, tally) in thread.join().expect("no chip panics") {
                all.entry(name).or_default().merge(tally);
            }
        }
    });
    all
}

/// A unit as one of those that the limits allow.
fn draw(limits: &ErrorLimits, nominal: &Rig, random: &mut fastrand::Rng) -> Rig {
    let mut within = |limit: f64| limit * (2.0 * random.f64() - 1.0);
    let scale = |name: &str| {
        let found = limits.scale.iter().find(|(known, _)| *known == name);
        found.expect("the data sheet's limits name it").1
    };
    assert_eq!(limits.scale.len(), 4, "a limit that no chip is drawn from");
    // A shunt above its nominal value indicates more.
    let gain = (1.0 + within(scale("shunt"))) * (1.0 + within(scale("gain")));
    let bus_gain = 1.0 + within(scale("bus-gain"));
    let host_ratio = 1.0 + within(scale("time-base"));
    let offset = Volts(within(limits.current_offset.0 * nominal.shunt().0));
    let clock_ratio = 1.0 + within(CLOCK_RATIO);
    Rig {
        unit: Unit {
            clock_ratio,
            offset,
            gain,
            bus_gain,
        },
        bus: Volts(BUS_V.0 + (BUS_V.1 - BUS_V.0) * random.f64()),
        host_ratio,
        ..nominal.clone()
    }
}

fn one(tallies: &mut Tallies, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let nominal = Rig::perfect(AdcMode::Avg8, AdcMode::Bits12);
    let limits = nominal.limits();
    let rig = draw(&limits, &nominal, &mut random);
    let attempt = Arc::new(Attempt::invent(&mut random));
    let mut trace = Trace::new(limits);
    for window in rig.record(attempt.clone(), attempt.end, &mut random) {
        trace.push(&window);
    }
    figures(tallies, &attempt, &trace, rig.host_ratio);
}

/// The figures of the attempt as they are made for a record, beside the truth.
fn figures(tallies: &mut Tallies, attempt: &Attempt, trace: &Trace, host_ratio: f64) {
    let mut add = |group, name, figure, truth| {
        tallies.entry((group, name)).or_default().add(figure, truth);
    };
    let host = |t: f64| MonoNs((t * host_ratio * 1e9).round() as u64);
    let idle = |(t0, t1): (f64, f64)| IdleLevel::measure(trace, host(t0), host(t1), IDLE_MINIMUM);
    let (before, after) = (idle(attempt.idle_before), idle(attempt.idle_after));
    let baseline = Baseline::new(Some(&before), Some(&after));
    let phase = |tokens, (t0, t1): (f64, f64)| {
        PhaseEnergy::measure(trace, baseline.as_ref(), tokens, host(t0), host(t1))
    };
    let output = attempt.tokens.len() as u32;
    let (prefill_s, decode_s) = (attempt.prefill, attempt.decode());
    let prefill = phase(attempt.prompt_tokens, prefill_s);
    let decode = phase(output - 1, decode_s);
    let (gross, net) = (|span| attempt.gross_j(span), |span| attempt.net_j(span));

    let load = phase(0, attempt.load).energy_j.gross;
    add(
        Group::GrossPhase,
        "load energy_j",
        load,
        gross(attempt.load),
    );
    for (span, phase, names) in [
        (
            prefill_s,
            &prefill,
            ["prefill energy_j", "prefill energy_net_j"],
        ),
        (
            decode_s,
            &decode,
            ["decode energy_j", "decode energy_net_j"],
        ),
    ] {
        add(
            Group::GrossPhase,
            names[0],
            phase.energy_j.gross,
            gross(span),
        );
        add(Group::Net, names[1], phase.energy_j.net, net(span));
    }

    let times: Vec<MonoNs> = attempt.tokens.iter().map(|t| host(*t)).collect();
    let tokens = attribute(trace, 0, &times, times[0]).tokens;
    for (pair, token) in attempt.tokens.windows(2).zip(&tokens[1..]) {
        let truth = gross((pair[0], pair[1]));
        add(Group::PerToken, "tokens energy_j", token.energy_j, truth);
    }

    let rep = RepEnergy::generate(trace, baseline.as_ref(), prefill, decode, output);
    let figures = Figures::new(&rep);
    let (out, prompt) = (f64::from(output), f64::from(attempt.prompt_tokens));
    let both = (prefill_s.0, decode_s.1);
    for (figure, span, n, names) in [
        (
            figures.j_per_prompt_token,
            prefill_s,
            prompt,
            ["j_per_prompt_token", "j_per_prompt_token_net"],
        ),
        (
            figures.j_per_output_token,
            decode_s,
            out - 1.0,
            ["j_per_output_token", "j_per_output_token_net"],
        ),
        (
            figures.j_per_output_token_all_in,
            both,
            out,
            ["j_per_output_token_all_in", "j_per_output_token_all_in_net"],
        ),
        (
            figures.j_per_token_all,
            both,
            prompt + out,
            ["j_per_token_all", "j_per_token_all_net"],
        ),
    ] {
        add(Group::PerToken, names[0], figure.gross, gross(span) / n);
        add(Group::PerToken, names[1], figure.net, net(span) / n);
    }
}
