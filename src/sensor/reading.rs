//! The trait that every source implements and the types that it yields.

use super::Lag;
use super::config::VoltageAt;
use super::interned::{self, Name};
use crate::units::{Amps, Joules, MonoNs, Ohms, Span, Volts, Watts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a rail encloses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Boundary {
    Wall,
    BoardInput,
    Module,
    Package,
    Rail,
    /// A sum that fits none of the others.
    Partial,
}

impl std::fmt::Display for Boundary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Wall => "wall",
            Self::BoardInput => "board-input",
            Self::Module => "module",
            Self::Package => "package",
            Self::Rail => "rail",
            Self::Partial => "partial",
        })
    }
}

/// Who says what the rail encloses: the user's configuration or a shipped board profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BoundaryBasis {
    Declared,
    Profile,
}

/// The state of one reading, from best to worst.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Quality {
    Good,
    /// An averaged mean above 80 % of the range: clipped parts would be hidden.
    NearFullScale,
    /// The ADC stood at full scale.
    Saturated,
    /// Nothing new was delivered.
    Stale,
    /// The source failed.
    Failed,
}

/// Mean power from `t0` to `t1`. Windows of a rail are in order and don't overlap; time
/// between them was not delivered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    pub t0: MonoNs,
    pub t1: MonoNs,
    pub power: Watts,
    /// `None` where the source tells only power.
    pub voltage: Option<Volts>,
    pub current: Option<Amps>,
    /// `Good`, `NearFullScale` or `Saturated`.
    pub quality: Quality,
    /// Conversions known to be lost between the window before and this one.
    pub lost: u32,
}

/// How a source reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadingKind {
    /// The mean over a conversion cycle (INA219).
    Window,
    /// A point in time (hwmon, PMIC, Modbus, tegrastats): integrated by trapezoid.
    Point,
    /// A cumulative counter (RAPL, kWh).
    Counter,
}

/// Half-widths of the errors of a rail, each a rectangular distribution's limit, from the
/// data sheet or the user. A limit of 0 means that the source has no such error.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ErrorLimits {
    /// Named relative errors of power, constant over time: shunt tolerance, gain, bus gain,
    /// time base.
    #[serde(deserialize_with = "interned::named")]
    pub scale: Vec<(Name, f64)>,
    /// Constant error of current; times the bus voltage it is one of power.
    pub current_offset: Amps,
    /// One ADC step of current.
    pub current_step: Amps,
    /// One ADC step of voltage, where power is computed from it.
    pub voltage_step: Volts,
    /// Offset and step for sources that tell power only.
    pub power_offset: Watts,
    pub power_step: Watts,
    /// One step of a counter.
    pub energy_step: Joules,
    /// How old a point may be when it is read: the source refreshes it no more often.
    pub refresh: Span,
    /// How old it is, where that was measured and is corrected for: instead of `refresh`.
    pub delay: Option<Delay>,
    /// Share of a window in which the source doesn't look, and takes the rest's mean for it.
    pub blind_share: f64,
}

/// By how much the readings of a rail are moved earlier, and what that leaves unknown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Delay {
    pub mean_s: f64,
    /// Standard uncertainty of the mean, the same error throughout.
    pub u_s: f64,
    /// Standard deviation of one reading's delay around it.
    pub scatter_s: f64,
}

impl Delay {
    /// How far from a moment what is left unknown reaches.
    pub fn reach(&self) -> Span {
        Span::from_secs_f64(2.0 * self.u_s.hypot(self.scatter_s))
    }
}

impl ErrorLimits {
    /// The smallest step of power, at `voltage` where the step is one of current, and the
    /// coarser of the two where a source has both. `None` where there is no step, or its
    /// voltage is not known.
    pub fn power_step(&self, voltage: Option<Volts>) -> Option<Watts> {
        let own = Some(self.power_step).filter(|step| *step > Watts(0.0));
        let of_current = voltage
            .filter(|_| self.current_step > Amps(0.0))
            .map(|voltage| voltage * self.current_step);
        match (own, of_current) {
            (Some(a), Some(b)) => Some(if a > b { a } else { b }),
            (a, b) => a.or(b),
        }
    }
}

/// What is known about a rail before it is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RailSpec {
    pub name: String,
    pub boundary: Boundary,
    pub boundary_basis: BoundaryBasis,
    pub contained_in: Option<String>,
    /// What the boundary leaves out, in words.
    pub excludes: Vec<String>,
    /// `ina219`, `rapl`, `hwmon`, `simulated` ...
    #[serde(deserialize_with = "interned::name")]
    pub source: Name,
    pub simulated: bool,
    pub kind: ReadingKind,
    /// `avg8/12bit`; `None` for a source without modes.
    pub mode: Option<String>,
    pub range_mv: Option<u32>,
    pub shunt: Option<Ohms>,
    /// On which side of the shunt the voltage counts; `None` for a source without one.
    pub voltage_at: Option<VoltageAt>,
    /// Supplies of the board, as the user states: what comes in by another one is not seen.
    pub feeds: Option<u32>,
    /// The day of the unit's calibration; `None` where the data sheet's limits hold.
    pub calibration_date: Option<String>,
    /// Share of a cycle in which current is converted.
    pub duty: Option<f64>,
    pub nominal_rate_hz: f64,
    pub limits: ErrorLimits,
    /// How late it shows the load on this rig; `None` where that was not measured.
    pub lag: Option<Lag>,
}

impl RailSpec {
    /// What the readings are to be moved earlier by: of point sources alone. Windows and
    /// counters have their time from the converter or the counter itself.
    pub fn corrected_lag(&self) -> Option<&Lag> {
        self.lag
            .as_ref()
            .filter(|_| self.kind == ReadingKind::Point)
    }
}

/// How fast a source is asked to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At most 15 readings a second: no attempt is running.
    Idle,
    /// The configured rate.
    Full,
}

/// A poll failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// Try again at the next deadline; what was missed is a gap.
    #[error("{0}")]
    Retry(String),
    /// Reopen the source before the next poll.
    #[error("{0}")]
    Fatal(String),
}

/// Where a source puts its windows.
pub trait Sink {
    /// `rail` is the index into [`Source::rails`].
    fn push(&mut self, rail: usize, window: Window);
}

/// One sensor, read by one thread.
pub trait Source: Send {
    /// The sensor's configured name.
    fn name(&self) -> &str;
    /// The bus that it shares with others: sources of one bus are read by one thread.
    fn bus(&self) -> Option<&str> {
        None
    }
    /// Fixed for the life of the source, but for mode, duty and rate, which follow the pace.
    fn rails(&self) -> &[RailSpec];
    /// What the user should know about how the source can be read here, in sentences.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
    /// Switches the rate. The cycle under way is lost: a gap, not an error.
    fn set_pace(&mut self, pace: Pace) -> Result<(), PollError>;
    /// Reads what is ready and says when to come again.
    fn poll(&mut self, sink: &mut dyn Sink) -> Result<MonoNs, PollError>;
    /// Starts over after a fatal error: opens the device and configures it.
    fn reset(&mut self) -> Result<(), PollError>;
    /// A reset and a poll after it have ended by then, well or not, whatever the device does.
    /// An adapter gives up on a transfer within a second or so.
    fn patience(&self) -> Span {
        Span::from_millis(10_000)
    }
}
