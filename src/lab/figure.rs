//! Figures as people read them: a unit with a fitting prefix, as many digits as the
//! uncertainty allows, and a dash with the reason where there is none.

use crate::record::Reason;
use crate::record::result::Reasons;

/// A figure with its expanded uncertainty, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figure {
    Value { value: f64, u95: Option<f64> },
    Missing(Option<Reason>),
}

impl Figure {
    /// `field` is looked up in `reasons` when the value is missing.
    pub fn new(value: Option<f64>, u95: Option<f64>, reasons: &Reasons, field: &str) -> Self {
        Self::because(value, u95, reasons.get(field).copied())
    }

    pub fn because(value: Option<f64>, u95: Option<f64>, reason: Option<Reason>) -> Self {
        match value {
            Some(value) => Self::Value { value, u95 },
            None => Self::Missing(reason),
        }
    }

    pub fn exact(value: f64) -> Self {
        Self::Value { value, u95: None }
    }

    /// In `unit` with an SI prefix: `40.5 ± 0.6 mJ`, `– too-coarse`.
    pub fn show(self, unit: &str) -> String {
        match self {
            Self::Value { value, u95 } => {
                let (factor, prefix) = prefix(value, unit);
                let number = number(value * factor, u95.map(|u95| u95 * factor));
                format!("{number} {prefix}{unit}").trim_end().to_owned()
            }
            Self::Missing(reason) => missing(reason),
        }
    }

    /// In `unit` as it is: for rates, where a prefix would hinder comparing.
    pub fn show_plain(self, unit: &str) -> String {
        match self {
            Self::Value { value, u95 } => format!("{} {unit}", number(value, u95)),
            Self::Missing(reason) => missing(reason),
        }
    }

    pub fn is_missing(self) -> bool {
        matches!(self, Self::Missing(_))
    }
}

/// The wire name of a reason, such as `too-coarse`.
pub fn reason_name(reason: Reason) -> String {
    match serde_json::to_value(reason) {
        Ok(serde_json::Value::String(name)) => name,
        _ => unreachable!("a reason serialises as its name"),
    }
}

fn missing(reason: Option<Reason>) -> String {
    match reason {
        Some(reason) => format!("– {}", reason_name(reason)),
        None => "–".to_owned(),
    }
}

/// The factor and the SI prefix that suit a value. Rates have none, where it would hinder
/// comparing, nor ratios and a unit that has one already.
pub fn prefix(value: f64, unit: &str) -> (f64, &'static str) {
    if unit.is_empty() || unit.contains('/') || unit == "mWh" {
        return (1.0, "");
    }
    match value.abs() {
        size if size == 0.0 || (0.1..1e4).contains(&size) => (1.0, ""),
        size if size >= 1e4 => (1e-3, "k"),
        size if size >= 1e-4 => (1e3, "m"),
        _ => (1e6, "µ"),
    }
}

/// The uncertainty has two significant digits, the value as many decimals; without an
/// uncertainty the value has four significant digits.
fn number(value: f64, u95: Option<f64>) -> String {
    match u95 {
        Some(u95) if u95.is_finite() && u95 > 0.0 => {
            let decimals = decimals_for(u95, 2);
            format!("{value:.decimals$} ± {u95:.decimals$}")
        }
        _ => {
            let decimals = decimals_for(value, 4);
            format!("{value:.decimals$}")
        }
    }
}

/// Decimals that show so many significant digits of a value.
pub fn decimals_for(value: f64, significant: i32) -> usize {
    if value == 0.0 || !value.is_finite() {
        return 1;
    }
    // Rounding may carry into the next decade: 0.0996 with two digits is 0.10.
    let rounded: f64 = format!("{:.*e}", (significant - 1) as usize, value.abs())
        .parse()
        .unwrap_or(value.abs());
    let decade = rounded.log10().floor() as i32;
    (significant - 1 - decade).clamp(0, 9) as usize
}

fn significant(value: f64, digits: i32) -> String {
    let decimals = decimals_for(value, digits);
    format!("{value:.decimals$}")
}

/// A stated limit or step: three digits, without zeros that say nothing: `10 mA`.
pub fn stated(value: f64, unit: &str) -> String {
    let (factor, prefix) = prefix(value, unit);
    format!("{} {prefix}{unit}", short(value * factor))
}

/// A stated share in percent: `0.5 %`.
pub fn share(value: f64) -> String {
    format!("{} %", short(100.0 * value))
}

fn short(value: f64) -> String {
    let number = significant(value, 3);
    match number.contains('.') {
        true => number
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
        false => number,
    }
}

/// A duration with three significant digits: `35.1 ms`, `4.87 s`.
pub fn seconds(value: f64) -> String {
    let (factor, prefix) = prefix(value, "s");
    let value = value * factor;
    let decimals = decimals_for(value, 3);
    format!("{value:.decimals$} {prefix}s")
}

/// A count with thin groups of three: `11 120`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// The median: the mean of the middle two of an even number; `None` of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        n if n.is_multiple_of(2) => Some((values[half - 1] + values[half]) / 2.0),
        _ => Some(values[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_follow_the_uncertainty() {
        let show = |value, u95| Figure::because(Some(value), Some(u95), None).show("J");
        assert_eq!(show(0.040512, 0.000612), "40.51 ± 0.61 mJ");
        assert_eq!(show(33.04, 0.5), "33.04 ± 0.50 J");
        assert_eq!(show(33.04, 0.0996), "33.04 ± 0.10 J");
        assert_eq!(show(15_234.0, 120.0), "15.23 ± 0.12 kJ");
        assert_eq!(Figure::exact(0.0351).show("s"), "35.10 ms");
        assert_eq!(Figure::exact(422.16).show_plain("tok/s"), "422.2 tok/s");
        assert_eq!(Figure::exact(0.0).show("J"), "0.0 J");
        assert_eq!(Figure::exact(0.09471).show(""), "0.09471");
        assert_eq!(Figure::exact(0.01313).show("mWh"), "0.01313 mWh");
        assert_eq!(Figure::exact(0.0521).show("tok/s"), "0.05210 tok/s");
    }

    #[test]
    fn what_is_missing_says_why() {
        let missing = Figure::because(None, None, Some(Reason::TooCoarse));
        assert_eq!(missing.show("J"), "– too-coarse");
        assert_eq!(Figure::Missing(None).show("J"), "–");
    }

    #[test]
    fn limits_have_no_empty_digits() {
        assert_eq!(stated(0.010, "A"), "10 mA");
        assert_eq!(stated(0.0024, "W"), "2.4 mW");
        assert_eq!((share(0.01), share(0.005)), ("1 %".into(), "0.5 %".into()));
        assert_eq!(share(1.0), "100 %");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(7), "7");
        assert_eq!(count(11_120), "11\u{202f}120");
        assert_eq!(count(123_456), "123\u{202f}456");
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    proptest! {
        #[test]
        fn every_number_can_be_shown(value: f64, u95: Option<f64>) {
            prop_assert!(Figure::because(Some(value), u95, None).show("J").ends_with('J'));
        }
    }
}
