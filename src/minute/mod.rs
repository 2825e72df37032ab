//! The last minute of a power, in watts, as both `jouled probe --follow` and `joulectl watch`
//! show it: kept in bins, drawn as bars. What was not read is a gap.

#[cfg(feature = "tui")]
mod chart;
mod history;

#[cfg(feature = "tui")]
pub use chart::Chart;
pub use history::History;
