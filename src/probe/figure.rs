//! Figures as people read them: a dash for what is missing, never a zero.

use crate::sensor::Quality;

/// What stands for a missing figure.
pub const MISSING: &str = "–";

/// `text` of a value that may be missing.
pub fn or_missing<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or_else(|| MISSING.to_owned(), text)
}

/// Four or five digits: `0.512 W`, `5.123 W`, `123.4 W`.
pub fn watts(value: f64) -> String {
    digits(value, "W")
}

pub fn volts(value: f64) -> String {
    digits(value, "V")
}

pub fn amps(value: f64) -> String {
    digits(value, "A")
}

/// `123.4 J`, and from 10 kJ on `12.34 kJ`.
pub fn joules(value: f64) -> String {
    if value.abs() >= 10_000.0 {
        digits(value / 1000.0, "kJ")
    } else {
        digits(value, "J")
    }
}

/// `208.7/s`.
pub fn rate(hz: f64) -> String {
    match hz {
        _ if hz >= 999.95 => format!("{hz:.0}/s"),
        _ if hz >= 9.995 => format!("{hz:.1}/s"),
        _ => format!("{hz:.2}/s"),
    }
}

/// `99.7 %`. Only what is whole is 100 %.
pub fn share(value: f64) -> String {
    let tenths = (value * 1000.0).round();
    if tenths >= 1000.0 && value < 1.0 {
        return "99.9 %".to_owned();
    }
    format!("{:.1} %", tenths / 10.0)
}

/// Two significant digits with a prefix: `10 mW`, `61 µJ`.
pub fn step(value: f64, unit: &str) -> String {
    let (scale, prefix) = match value.abs() {
        size if size >= 1.0 => (1.0, ""),
        size if size >= 1e-3 => (1e3, "m"),
        size if size >= 1e-6 => (1e6, "µ"),
        _ => (1e9, "n"),
    };
    let scaled = value * scale;
    let decimals = usize::from(scaled.abs() < 9.95);
    let number = format!("{scaled:.decimals$}");
    let number = number.strip_suffix(".0").unwrap_or(&number);
    format!("{number} {prefix}{unit}")
}

/// `1:05` or `2:01:05`.
#[cfg(any(feature = "tui", test))]
pub fn elapsed(span: crate::units::Span) -> String {
    let whole = span.as_secs_f64() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// As on the wire.
pub fn quality(quality: Quality) -> &'static str {
    match quality {
        Quality::Good => "good",
        Quality::NearFullScale => "near-full-scale",
        Quality::Saturated => "saturated",
        Quality::Stale => "stale",
        Quality::Failed => "failed",
    }
}

fn digits(value: f64, unit: &str) -> String {
    let decimals = match value.abs() {
        size if size >= 999.95 => 0,
        size if size >= 99.995 => 1,
        size if size >= 9.9995 => 2,
        _ => 3,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_follow_the_size() {
        assert_eq!(watts(0.0005), "0.001 W");
        assert_eq!(watts(5.1234), "5.123 W");
        assert_eq!(watts(-12.345), "-12.35 W");
        assert_eq!(watts(123.45), "123.5 W");
        assert_eq!(joules(12_345.0), "12.35 kJ");
        assert_eq!(rate(940.0), "940.0/s");
        assert_eq!(rate(1602.3), "1602/s");
        assert_eq!(rate(0.98), "0.98/s");
    }

    #[test]
    fn steps_have_prefixes() {
        assert_eq!(step(0.0102, "W"), "10 mW");
        assert_eq!(step(61e-6, "J"), "61 µJ");
        assert_eq!(step(0.4, "W"), "400 mW");
        assert_eq!(step(1.5, "W"), "1.5 W");
        assert_eq!(step(1e-6, "W"), "1 µW");
    }

    #[test]
    fn hours_appear_when_there_are_any() {
        assert_eq!(elapsed(crate::units::Span::from_millis(65_900)), "1:05");
        assert_eq!(
            elapsed(crate::units::Span::from_millis(7_265_000)),
            "2:01:05"
        );
    }

    #[test]
    fn nearly_all_is_not_all() {
        assert_eq!(share(1.0), "100.0 %");
        assert_eq!(share(0.99999), "99.9 %");
        assert_eq!(share(0.874), "87.4 %");
    }
}
