//! The lines of a raw file, each an object with one field that says what it is.

use crate::measure::context::Context;
use crate::measure::observed::Observed;
use crate::measure::tokens::Extent;
use crate::record::result::Build;
use crate::sensor::{ErrorLimits, Quality, RailSpec, Window};
use crate::units::{MonoNs, Volts, Watts};
use serde::{Deserialize, Serialize};

/// What the header says the file is.
pub const FORMAT: &str = "jouled-raw";
/// Of the lines, not of what they hold: that follows the version of jouled.
pub const VERSION: u32 = 1;

/// Windows of a line: about 100 kB.
pub(super) const CHUNK: usize = 4_096;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Line {
    Header(Header),
    Context(Box<Context>),
    Observed(Box<Observed>),
    Live(Vec<Extent>),
    /// A rail, whose windows follow.
    Rail(Box<Rail>),
    Windows(Windows),
    End(End),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    pub format: String,
    pub v: u32,
    pub jouled: Build,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rail {
    pub spec: RailSpec,
    pub missed_deadlines: u64,
    /// The error limits when the recording began.
    pub limits: ErrorLimits,
}

/// What the file holds, at its end: a file without it is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct End {
    pub rails: u64,
    pub windows: u64,
}

/// Windows that follow one another. Lists of pairs are by the index of the window in this
/// line, and name only those windows that have such a thing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Windows {
    /// When the first began.
    t0_ns: MonoNs,
    dt_ns: Vec<u64>,
    power_w: Vec<f64>,
    /// Empty where no window told its voltage, which is kept with the precision of an `f32`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    voltage_v: Vec<Option<f32>>,
    /// Time before a window in which nothing was delivered, but before the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gap_ns: Vec<(usize, u64)>,
    /// What is not `good`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    quality: Vec<(usize, Quality)>,
    /// Conversions known to be lost before a window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lost: Vec<(usize, u32)>,
}

impl Windows {
    /// Of at least one window, in order.
    pub fn pack(windows: &[Window]) -> Self {
        let mut packed = Self {
            t0_ns: windows.first().map_or(MonoNs(0), |first| first.t0),
            ..Self::default()
        };
        let mut end = packed.t0_ns;
        for (index, window) in windows.iter().enumerate() {
            let gap = window.t0.since(end).0;
            if gap > 0 {
                packed.gap_ns.push((index, gap));
            }
            packed.dt_ns.push(window.t1.since(window.t0).0);
            packed.power_w.push(window.power.0);
            packed.voltage_v.push(window.voltage.map(|v| v.0 as f32));
            if window.quality != Quality::Good {
                packed.quality.push((index, window.quality));
            }
            if window.lost > 0 {
                packed.lost.push((index, window.lost));
            }
            end = window.t1;
        }
        if packed.voltage_v.iter().all(Option::is_none) {
            packed.voltage_v.clear();
        }
        packed
    }

    /// Errors: what doesn't fit together.
    pub fn unpack(self) -> Result<Vec<Window>, &'static str> {
        let n = self.dt_ns.len();
        if n > CHUNK {
            return Err("it holds more than a line ever does");
        }
        if self.power_w.len() != n || ![0, n].contains(&self.voltage_v.len()) {
            return Err("its lists differ in length");
        }
        let mut windows: Vec<Window> = self
            .power_w
            .iter()
            .map(|power| Window {
                t0: MonoNs(0),
                t1: MonoNs(0),
                power: Watts(*power),
                voltage: None,
                current: None,
                quality: Quality::Good,
                lost: 0,
            })
            .collect();
        for (window, volts) in windows.iter_mut().zip(self.voltage_v) {
            window.voltage = volts.map(|volts| Volts(volts.into()));
        }
        let outside = "it describes a window that it does not hold";
        for (index, quality) in self.quality {
            windows.get_mut(index).ok_or(outside)?.quality = quality;
        }
        for (index, lost) in self.lost {
            windows.get_mut(index).ok_or(outside)?.lost = lost;
        }
        let mut gaps = self.gap_ns.into_iter().peekable();
        let mut at = self.t0_ns.0;
        for (index, (window, dt)) in windows.iter_mut().zip(self.dt_ns).enumerate() {
            let gap = gaps.next_if(|(before, _)| *before == index);
            let start = at.checked_add(gap.map_or(0, |(_, gap)| gap));
            let end = start.and_then(|start| start.checked_add(dt));
            let (Some(start), Some(end)) = (start, end) else {
                return Err("its times reach beyond the clock's");
            };
            (window.t0, window.t1) = (MonoNs(start), MonoNs(end));
            at = end;
        }
        match gaps.next() {
            Some(_) => Err(outside),
            None => Ok(windows),
        }
    }
}
