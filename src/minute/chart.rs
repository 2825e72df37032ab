//! The last minute of a rail as bars.

use super::History;
use crate::probe::figure;
use crate::units::MonoNs;
use ratatui::style::{Color, Style};
use ratatui::widgets::Sparkline;

/// Below this share of the power the bars would show nothing but noise.
const SMALLEST_SPAN: f64 = 0.05;

/// The last minute as bars between its lowest and its highest power.
pub struct Chart {
    bars: Vec<Option<u64>>,
    levels: u64,
    low: Option<f64>,
    high: Option<f64>,
    color: Color,
}

impl Chart {
    pub fn new(history: &History, color: Color, now: MonoNs, width: u16, height: u16) -> Chart {
        let columns = history.columns(now, usize::from(width));
        let known = || columns.iter().flatten().copied();
        let low = known().reduce(f64::min);
        let high = known().reduce(f64::max);
        let levels = 8 * u64::from(height.max(1));
        let (base, span) = match (low, high) {
            (Some(low), Some(high)) => {
                let span = (high - low).max(SMALLEST_SPAN * high.abs()).max(1e-9);
                ((low + high - span) / 2.0, span)
            }
            _ => (0.0, 1.0),
        };
        let blank = usize::from(width).saturating_sub(columns.len());
        // The lowest power is the lowest bar, not none; the nudge keeps a constant, which lies
        // right between two levels, on one.
        let level = |power: f64| 1 + ((power - base) / span * (levels - 1) as f64 + 1e-6) as u64;
        let bars = columns.iter().map(|power| power.map(level));
        Chart {
            bars: std::iter::repeat_n(None, blank).chain(bars).collect(),
            levels,
            low,
            high,
            color,
        }
    }

    /// `2.95 – 5.10 W`.
    pub fn bounds(&self) -> String {
        match (self.low, self.high) {
            (Some(low), Some(high)) => {
                let high = figure::watts(high);
                let decimals = high
                    .split_once('.')
                    .map_or(0, |(_, digits)| digits.trim_end_matches(" W").len());
                format!("{low:.decimals$}–{}", high)
            }
            _ => figure::MISSING.to_owned(),
        }
    }

    pub fn bars(&self) -> Sparkline<'static> {
        Sparkline::default()
            .data(self.bars.clone())
            .max(self.levels)
            .absent_value_symbol(" ")
            .style(Style::new().fg(self.color))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Watts;

    #[test]
    fn a_gap_is_blank_and_a_constant_is_flat() {
        let at = |s: u64| MonoNs(s * 1_000_000_000);
        let mut history = History::default();
        history.add(at(440), at(470), Watts(5.0));
        let chart = Chart::new(&history, Color::Cyan, at(500), 60, 1);
        assert!(
            chart.bars[1..30].iter().all(|bar| *bar == Some(4)),
            "{:?}",
            chart.bars
        );
        assert!(chart.bars[31..].iter().all(Option::is_none));
        assert_eq!(chart.bounds(), "5.000–5.000 W");
    }
}
