//! Rows as what they mean.

use super::Row;
use jiff::Timestamp;

/// A token of the primary rail. Figures are as in the record.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenSample {
    pub rep: u32,
    pub i: u32,
    /// From the repetition's start.
    pub t_s: f64,
    pub energy_j: Option<f64>,
    pub energy_j_u95: Option<f64>,
    /// Random part, a standard uncertainty.
    pub u_ran_j: Option<f64>,
    pub power_w: Option<f64>,
    /// Tokens that became known together, when there was more than one.
    pub step_n: Option<u32>,
    pub reason: Option<String>,
}

impl TokenSample {
    pub(super) const COLUMNS: &[&str] = &[
        "id",
        "attempt",
        "rep",
        "i",
        "t_s",
        "energy_j",
        "energy_j_u95",
        "u_ran_j",
        "power_w",
        "step_n",
        "energy_j_reason",
    ];

    /// `None` where a number is out of its type's range.
    pub(super) fn of(row: &Row<'_>) -> Option<Self> {
        Some(Self {
            rep: small(row, 2)?,
            i: small(row, 3)?,
            t_s: row.value(4).float()?,
            energy_j: row.value(5).float(),
            energy_j_u95: row.value(6).float(),
            u_ran_j: row.value(7).float(),
            power_w: row.value(8).float(),
            step_n: small(row, 9),
            reason: row.value(10).text().map(str::to_owned),
        })
    }
}

fn small(row: &Row<'_>, column: usize) -> Option<u32> {
    row.value(column).int()?.try_into().ok()
}

/// A window of a rail's power trace.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSample {
    pub rail: String,
    /// The window's start, on the clock of the result's `t0_mono_ns`.
    pub t_mono_ns: u64,
    pub dt_ns: u64,
    /// `None`: nothing was measured.
    pub power_w: Option<f64>,
}

impl TraceSample {
    pub(super) const COLUMNS: &[&str] = &["id", "attempt", "rail", "t_mono_ns", "dt_ns", "power_w"];

    pub(super) fn of(row: &Row<'_>) -> Option<Self> {
        Some(Self {
            rail: row.value(2).text()?.to_owned(),
            t_mono_ns: row.value(3).int()?,
            dt_ns: row.value(4).int()?,
            power_w: row.value(5).float(),
        })
    }
}

/// A rail's live record.
#[derive(Debug, Clone, PartialEq)]
pub struct RailSample {
    pub device: String,
    pub rail: String,
    pub simulated: bool,
    pub time: Timestamp,
    pub power_w: Option<f64>,
    pub voltage_v: Option<f64>,
    pub current_a: Option<f64>,
    /// Since the daemon started.
    pub energy_wh: Option<f64>,
}

impl RailSample {
    pub(super) const COLUMNS: &[&str] = &[
        "boot_id",
        "mono_ns",
        "rail",
        "simulated",
        "time",
        "power_w",
        "voltage_v",
        "current_a",
        "energy_wh",
    ];

    /// With the boot and the monotonic time, which tell it apart from others.
    pub(super) fn of(device: &str, row: &Row<'_>) -> Option<((String, u64), Self)> {
        let moment = (row.value(0).text()?.to_owned(), row.value(1).int()?);
        let sample = Self {
            device: device.to_owned(),
            rail: row.value(2).text()?.to_owned(),
            simulated: row.value(3).bool()?,
            time: row.value(4).time()?,
            power_w: row.value(5).float(),
            voltage_v: row.value(6).float(),
            current_a: row.value(7).float(),
            energy_wh: row.value(8).float(),
        };
        Some((moment, sample))
    }
}
