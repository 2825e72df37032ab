//! Times and counts as people read them.

/// `1 job`, `2 jobs`.
pub fn plural(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

/// `8 s`, `3 min 20 s`, `4 h 10 min`, `2 d 3 h`: two units, the second rounded.
pub fn lasting(seconds: f64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let whole = seconds.max(0.0).round() as u64;
    let largest = UNITS.iter().position(|(_, length)| whole >= *length);
    let Some(at) = largest.filter(|at| at + 1 < UNITS.len()) else {
        return format!("{whole} s");
    };
    let (second, step) = UNITS[at + 1];
    let steps = (whole + step / 2) / step;
    let (first, length) = UNITS[at];
    let per = length / step;
    match (steps / per, steps % per) {
        (count, 0) => format!("{count} {first}"),
        (count, rest) => format!("{count} {first} {rest} {second}"),
    }
}

/// A share as a signed percentage: `+1.2 %`.
pub fn percent(share: f64) -> String {
    format!("{:+.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_two_units() {
        let told = [
            0.4, 8.0, 60.0, 200.0, 3_599.0, 3_660.0, 15_029.0, 86_400.0, 183_000.0,
        ];
        assert_eq!(
            told.map(lasting),
            [
                "0 s",
                "8 s",
                "1 min",
                "3 min 20 s",
                "59 min 59 s",
                "1 h 1 min",
                "4 h 10 min",
                "1 d",
                "2 d 3 h"
            ]
        );
        assert_eq!(
            (plural(1, "job"), plural(0, "job")),
            ("1 job".into(), "0 jobs".into())
        );
        assert_eq!(percent(-0.0123), "-1.2 %");
    }
}
