//! The two text formats: OpenMetrics 1.0 as prometheus-client writes it, and Prometheus' older
//! one (0.0.4), made of the same lines.

use super::families::{Board, Families, truth};
use super::request::Format;
use super::snapshot::Snapshot;
use crate::units::Span;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

const PREFIX: &str = "jouled";

/// What is known, in both formats, but for the times.
#[derive(Debug)]
pub struct Body {
    openmetrics: String,
    classic: String,
}

/// What is of the scrape.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub snapshot_age: Span,
    pub uptime: Span,
    pub held: bool,
}

impl Body {
    pub fn of(snapshot: Snapshot) -> Self {
        let openmetrics = encoded(Board(snapshot));
        Self {
            classic: classic(&openmetrics),
            openmetrics,
        }
    }

    /// The whole answer.
    pub fn with(&self, times: Times, format: Format) -> String {
        let times = encoded(times);
        match format {
            Format::OpenMetrics => format!("{}{times}# EOF\n", self.openmetrics),
            Format::Text => format!("{}{}", self.classic, classic(&times)),
        }
    }
}

impl Collector for Times {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        families.value(
            "snapshot_age",
            Some(Unit::Seconds),
            "Since the rails were read for these metrics.",
            Some(self.snapshot_age.as_secs_f64()),
        )?;
        families.value(
            "snapshot_held",
            None,
            "Whether an attempt is measured undisturbed: until its end these metrics stand still.",
            Some(truth(self.held)),
        )?;
        families.value(
            "uptime",
            Some(Unit::Seconds),
            "Since the daemon started, by the monotonic clock: the zero of all counters.",
            Some(self.uptime.as_secs_f64()),
        )
    }
}

fn encoded(collector: impl Collector) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(collector));
    let mut text = String::new();
    text::encode_registry(&mut text, &registry).expect("a String takes every text");
    text
}

/// In the older format a family is called like its samples, infos are gauges, and units are
/// comments.
fn classic(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = "";
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            // Its name depends on the type, which comes next.
            help = rest;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(split) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                kind => ("", kind),
            };
            let help = split(help).map_or("", |(_, help)| help);
            text += &format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
        } else if !line.starts_with('#') {
            text += line;
            text.push('\n');
        }
    }
    text
}

fn split(line: &str) -> Option<(&str, &str)> {
    line.split_once(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_families_like_their_samples() {
        let openmetrics = "# HELP jouled_jobs Jobs by state.\n# TYPE jouled_jobs counter\n\
            jouled_jobs_total{state=\"failed\"} 2\n\
            # HELP jouled_board The # board.\n# TYPE jouled_board info\n\
            jouled_board_info{device=\"a b\"} 1\n\
            # HELP jouled_x_volts X.\n# TYPE jouled_x_volts gauge\n# UNIT jouled_x_volts volts\n\
            jouled_x_volts 5.0\n";
        assert_eq!(
            classic(openmetrics),
            "# HELP jouled_jobs_total Jobs by state.\n# TYPE jouled_jobs_total counter\n\
             jouled_jobs_total{state=\"failed\"} 2\n\
             # HELP jouled_board_info The # board.\n# TYPE jouled_board_info gauge\n\
             jouled_board_info{device=\"a b\"} 1\n\
             # HELP jouled_x_volts X.\n# TYPE jouled_x_volts gauge\n\
             jouled_x_volts 5.0\n"
        );
    }
}
