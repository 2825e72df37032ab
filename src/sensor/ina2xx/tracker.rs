//! Follows the phase and the period of the chip's conversion cycles.
//!
//! The chip's clock is up to 10 % off the data sheet's and cannot be read; what can be seen
//! is whether the conversion-ready flag stood at the moment of a poll. A poll that finds it
//! clear and one that finds it set bracket the edge. Brackets feed an alpha-beta filter with
//! the growing-memory gains of a least-squares line (Brookner, Tracking and Kalman
//! Filtering Made Easy, ch. 1), held at [`MEMORY`] so that it keeps following the chip.
//! Now and then the first poll comes a little before the predicted edge, so that it is
//! bracketed; in the other cycles one poll just after it is enough.

use crate::units::{MonoNs, Span};

/// Cycles with a bracket after which the gains stop shrinking.
const MEMORY: f64 = 32.0;
/// Once the tracker has settled, an edge is bracketed this often: each bracket takes two more
/// wake-ups of a core that a model would use, and a chip's clock wanders slowly ...
const PROBE_EVERY: Span = Span::from_millis(64);
/// ... but within so many cycles.
const CYCLES_BETWEEN_PROBES: std::ops::RangeInclusive<f64> = 4.0..=16.0;
/// Brackets that may be missed in a row before the tracker goes on without.
const MISSES: u32 = 4;
/// Brackets before the tracker counts as settled.
const SETTLED: f64 = 8.0;
/// Brackets that still count after an edge that came far from its prediction.
const RELEARN: f64 = 12.0;
/// How far the chip's period may be off the typical one, with a margin over the data sheet's 10 %.
const CLOCK_ERROR: f64 = 0.13;
/// Spacing of two edges, in periods, above which cycles were lost between them.
const LATE: f64 = 1.5;
/// Early polls in a row that found the flag set: cycles may have become shorter.
const TOO_EARLY: u32 = 3;
/// Spacing above which the edge before was misplaced.
const LONG: f64 = 1.1;
/// Spacing below which it was no cycle.
const SHORT: f64 = 0.75;
/// Two polls are never closer than this: a wake-up costs more than it tells.
const SHORTEST_STEP_NS: f64 = 25_000.0;

/// The cycle that a ready flag belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cycle {
    pub start: MonoNs,
    pub end: MonoNs,
    /// Cycles that ended before this one and were never seen.
    pub lost: u32,
    /// The flag came far from where it was expected: worth a look at the configuration.
    pub surprising: bool,
    /// `false` when far less than a cycle passed since the edge before: the tracker was off, and
    /// the stretch is no cycle.
    pub whole: bool,
}

#[derive(Debug, Clone)]
pub struct Tracker {
    typical_ns: f64,
    /// The chip's period over the typical one: kept when the mode changes.
    ratio: f64,
    /// Times are relative to this, so that they fit a float exactly.
    origin: MonoNs,
    /// The last edge, as far as it is known.
    edge_ns: f64,
    /// Brackets that the filter remembers.
    brackets: f64,
    /// How long before the predicted edge a bracketing poll is due.
    lead_ns: f64,
    until_probe: u32,
    probing: bool,
    /// Cycles since the last bracket.
    unmeasured: f64,
    /// The flag was known to be clear at this moment of the present cycle.
    clear_at_ns: f64,
    /// Edges after `edge_ns` whose flag was cleared unseen.
    swallowed: f64,
    /// Bracketing polls in a row that came too late to see the flag clear.
    misses: u32,
}

impl Tracker {
    /// Conversions of `typical` length begin now.
    pub fn new(typical: Span, now: MonoNs) -> Tracker {
        let typical_ns = typical.0 as f64;
        Tracker {
            typical_ns,
            ratio: 1.0,
            origin: now,
            edge_ns: 0.0,
            brackets: 0.0,
            lead_ns: CLOCK_ERROR * typical_ns,
            until_probe: 0,
            probing: true,
            unmeasured: 0.0,
            clear_at_ns: 0.0,
            swallowed: 0.0,
            misses: 0,
        }
    }

    /// Conversions begin anew, with another typical length; what was learnt about the
    /// chip's clock still holds.
    pub fn restart(&mut self, typical: Span, now: MonoNs) {
        let settled = self.brackets >= SETTLED;
        let ratio = self.ratio;
        *self = Tracker::new(typical, now);
        if settled {
            self.ratio = ratio;
            self.brackets = SETTLED;
            self.lead_ns = 0.02 * self.typical_ns;
        }
    }

    fn period_ns(&self) -> f64 {
        self.typical_ns * self.ratio
    }

    fn cycles_between_probes(&self) -> u32 {
        let cycles = PROBE_EVERY.0 as f64 / self.period_ns();
        let (least, most) = (CYCLES_BETWEEN_PROBES.start(), CYCLES_BETWEEN_PROBES.end());
        cycles.clamp(*least, *most) as u32 - 1
    }

    /// Distance of two polls that look for an edge.
    fn step_ns(&self) -> f64 {
        (self.period_ns() / 32.0).max(SHORTEST_STEP_NS)
    }

    fn relative(&self, t: MonoNs) -> f64 {
        t.0 as f64 - self.origin.0 as f64
    }

    fn absolute(&self, ns: f64) -> MonoNs {
        MonoNs(self.origin.0 + ns.max(0.0).round() as u64)
    }

    /// The next edge that can set the flag.
    fn expected_ns(&self) -> f64 {
        self.edge_ns + (self.swallowed + 1.0) * self.period_ns()
    }

    /// When to poll for the next edge.
    pub fn deadline(&self) -> MonoNs {
        let edge = self.expected_ns();
        self.absolute(if self.probing {
            edge - self.lead_ns
        } else {
            edge + self.step_ns() / 2.0
        })
    }

    /// Whether the flag should stand already when the next poll comes, the first of its cycle.
    /// After one that found it clear the edge is near, and reading on could clear it unseen.
    pub fn expects_flag(&self) -> bool {
        let looked = self.clear_at_ns > self.expected_ns() - self.period_ns() / 2.0;
        !self.probing && !looked && self.brackets >= SETTLED
    }

    /// A poll that began at `before` found the flag clear. Returns when to poll again.
    pub fn not_ready(&mut self, before: MonoNs, now: MonoNs) -> MonoNs {
        self.clear_at_ns = self.clear_at_ns.max(self.relative(before));
        let now_ns = self.relative(now);
        let expected = self.expected_ns();
        // Far too early (a spurious wake-up): back to the plan.
        let again = (now_ns + self.step_ns()).max(expected - self.lead_ns.max(self.step_ns()));
        self.absolute(again)
    }

    /// Whether the flag is so late at `now` that the chip must have stopped.
    pub fn overdue(&self, now: MonoNs) -> bool {
        let patience = 4.0 * self.period_ns() + 20e6;
        self.relative(now) > self.expected_ns() + patience
            && self.clear_at_ns > self.expected_ns() + patience / 2.0
    }

    /// The flag was cleared by a read between `before` and `after`. Edges that passed until
    /// then never show: the cycles that they ended are lost.
    pub fn cleared(&mut self, before: MonoNs, after: MonoNs) {
        self.clear_at_ns = self.clear_at_ns.max(self.relative(before));
        let passed = (self.relative(after) - self.edge_ns) / self.period_ns();
        self.swallowed = passed.floor().max(0.0);
    }

    /// Conversions of the cycle after the one reported last begin at its end; by `span`
    /// later, registers may already hold their results.
    pub fn holds_until(&self, span: Span) -> MonoNs {
        let doubt = self.step_ns() / 2.0;
        self.absolute(self.edge_ns + span.0 as f64 * self.ratio - doubt)
    }

    /// A poll that ended at `after` found the flag set.
    pub fn ready(&mut self, after: MonoNs) -> Cycle {
        let period = self.period_ns();
        let latest = self.relative(after);
        let earliest = self.clear_at_ns.min(latest);
        let cycles = ((latest - self.edge_ns + self.step_ns() / 2.0) / period)
            .floor()
            .max(1.0);
        let predicted = self.edge_ns + cycles * period;
        let width = latest - earliest;
        let bracketed = width < period / 4.0;
        self.unmeasured += cycles;

        let seen = if bracketed {
            earliest + width / 2.0
        } else {
            predicted.clamp(earliest, latest)
        };
        let residual = seen - predicted;
        let surprising =
            residual.abs() > (2.0 * self.step_ns()).max(self.lead_ns) && self.brackets >= SETTLED;
        let gains = |j: f64| {
            let alpha = 2.0 * (2.0 * j + 1.0) / ((j + 1.0) * (j + 2.0));
            let beta = 6.0 / ((j + 1.0) * (j + 2.0));
            (alpha.min(1.0), beta.min(1.0))
        };
        let j = (self.brackets + 1.0).min(MEMORY);
        let (mut alpha, beta) = gains(j);
        // A late thread loses the phase, but the chip's clock is as it was.
        if surprising {
            alpha = 1.0;
            self.brackets = self.brackets.min(RELEARN);
        }
        let mut edge = predicted + residual;
        if bracketed {
            edge = predicted + alpha * residual;
            self.brackets = (self.brackets + 1.0).min(MEMORY);
        }
        // A bound that moved the edge tells about the period too; one that it met does not,
        // nor does one that may belong to another cycle.
        let mut drift = 0.0;
        if bracketed || (residual != 0.0 && cycles == 1.0) {
            drift = beta * residual / self.unmeasured;
            self.unmeasured = 0.0;
        }
        // The bracket is certain, the filter only likely.
        let edge = edge.clamp(earliest, latest);
        self.ratio =
            (self.ratio + drift / self.typical_ns).clamp(1.0 - CLOCK_ERROR, 1.0 + CLOCK_ERROR);
        self.adapt(bracketed, residual);

        let spacing = (edge - self.edge_ns) / self.period_ns();
        let lost = if spacing > LATE {
            spacing.round() as u32 - 1
        } else {
            0
        };
        // A cycle is never longer than one: what else lies before it was not delivered.
        let start = if spacing > LONG {
            edge - self.period_ns()
        } else {
            self.edge_ns
        };
        self.edge_ns = edge;
        self.swallowed = 0.0;
        // Until the flag is cleared nothing is known about the next edge.
        self.clear_at_ns = edge;
        Cycle {
            start: self.absolute(start),
            end: self.absolute(edge),
            lost,
            surprising: surprising || spacing < SHORT || self.misses >= TOO_EARLY,
            whole: spacing >= SHORT,
        }
    }

    /// Decides how the next cycle is polled.
    fn adapt(&mut self, bracketed: bool, residual: f64) {
        let (shortest, longest) = (self.step_ns() / 2.0, self.period_ns() / 4.0);
        if self.probing && !bracketed {
            // Woken too late to see the flag clear: come earlier, and try again at once.
            self.misses += 1;
            self.lead_ns = (self.lead_ns * 1.5).min(longest);
            self.probing = self.misses < MISSES;
        } else {
            if bracketed {
                self.misses = 0;
                let needed = residual.abs() * 2.0 + shortest;
                self.lead_ns += (needed - self.lead_ns) / 4.0;
            }
            self.probing = false;
        }
        self.lead_ns = self.lead_ns.clamp(shortest, longest.max(shortest));
        if self.brackets < SETTLED {
            self.probing = true;
            return;
        }
        if !self.probing {
            if self.until_probe == 0 {
                self.probing = true;
                self.misses = 0;
                self.until_probe = self.cycles_between_probes();
            } else {
                self.until_probe -= 1;
            }
        }
    }
}
