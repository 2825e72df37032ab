//! One line of tegrastats, L4T 32 to 39, as far as it tells power.
//!
//! A rail is `NAME CURRENT/AVERAGE` or `NAME CURRENT/AVERAGE/MAXIMUM`, in mW, since L4T 34
//! with the unit. Average and maximum run since tegrastats started, so they say nothing
//! about a window and are never used. Nothing else in a line has this shape but the memory
//! fields (`RAM 1923/3964MB`): temperatures are joined by `@`, loads and clocks have no `/`.
//! So a rail called `CPU` (AGX Xavier) is told from `CPU [5%@1224]` and `CPU@40C`.

/// What a rail took when the line was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rail<'a> {
    /// As tegrastats calls it: `VDD_IN`.
    pub label: &'a str,
    /// Negative where the sensor's offset is larger than the load.
    pub milliwatts: i32,
}

/// Why a line has no power in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("the line has no power rails")]
    NoPower,
    #[error("it is no line of tegrastats")]
    Foreign,
}

/// A channel with nothing connected; there can be several.
const NOT_CONNECTED: &str = "NC";
/// Fields of memory. Where a line was cut off, only their unit is missing to look like a rail.
const MEMORY: [&str; 3] = ["RAM", "SWAP", "IRAM"];
/// 1 kW. No module takes a tenth of it.
const MOST_MILLIWATTS: i32 = 1_000_000;

/// The power rails in the order of `line`; rails of one name follow one another as they
/// stand there. What is not connected is left out.
pub fn rails(line: &str) -> Result<Vec<Rail<'_>>, LineError> {
    let mut rails = Vec::new();
    let mut heads = 0;
    let mut name = "";
    for token in line.split_ascii_whitespace() {
        if name == "RAM" && is_memory(token) {
            heads += 1;
        } else if is_label(name)
            && let Some(power) = Power::parse(token)
            // Without a unit only the rest of the line tells what a pair of numbers is.
            && (power.has_unit || heads > 0)
            && name != NOT_CONNECTED
        {
            rails.push(Rail {
                label: name,
                milliwatts: power.milliwatts,
            });
        }
        name = token;
    }
    match heads {
        // Two lines have run into one: which of them a rail belongs to is not known.
        2.. => Err(LineError::Foreign),
        0 if rails.is_empty() => Err(LineError::Foreign),
        _ if rails.is_empty() => Err(LineError::NoPower),
        _ => Ok(rails),
    }
}

/// `1923/3964MB`
fn is_memory(token: &str) -> bool {
    let Some((used, total)) = token.split_once('/') else {
        return false;
    };
    let unit = total.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &total[..total.len() - unit.len()];
    is_digits(used) && is_digits(digits) && matches!(unit, "MB" | "kB" | "GB")
}

/// Names come from the device tree: a capital, then capitals, digits and `_` as far as seen.
/// What begins with a digit or a sign is a number with its unit.
fn is_label(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte))
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && !MEMORY.contains(&name)
}

struct Power {
    milliwatts: i32,
    has_unit: bool,
}

impl Power {
    /// `4915mW/4915mW`, `6140/5510`, `7953mW/8332mW/8710mW`
    fn parse(token: &str) -> Option<Power> {
        let mut parts = token.split('/');
        let current = parts.next()?;
        let statistics = [parts.next(), parts.next()];
        let known = |part: Option<&str>| part.is_none_or(|part| is_integer(without_unit(part)));
        if statistics[0].is_none() || !statistics.into_iter().all(known) || parts.next().is_some() {
            return None;
        }
        let number = without_unit(current);
        let milliwatts = number.parse().ok().filter(|_| is_integer(number))?;
        (-MOST_MILLIWATTS..=MOST_MILLIWATTS)
            .contains(&milliwatts)
            .then_some(Power {
                milliwatts,
                has_unit: number.len() < current.len(),
            })
    }
}

fn without_unit(part: &str) -> &str {
    part.strip_suffix("mW").unwrap_or(part)
}

fn is_integer(text: &str) -> bool {
    is_digits(text.strip_prefix('-').unwrap_or(text))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write;

    /// Captures of every module; columns: module, L4T, source, line.
    const CAPTURES: &str = include_str!("../../../tests/data/tegrastats-lines.txt");

    fn power(line: &str) -> Vec<(&str, i32)> {
        let rails = rails(line).unwrap();
        rails
            .iter()
            .map(|rail| (rail.label, rail.milliwatts))
            .collect()
    }

    #[test]
    fn captured_lines() {
        let mut table = String::new();
        for capture in CAPTURES.lines() {
            let (facts, line) = capture.rsplit_once('\t').unwrap();
            let module = facts.split('\t').next().unwrap();
            writeln!(table, "{module}").unwrap();
            for (label, milliwatts) in power(line) {
                writeln!(table, "    {label} {milliwatts}").unwrap();
            }
        }
        insta::assert_snapshot!("captured_lines", table);
    }

    #[test]
    fn the_unit_and_the_maximum_are_optional() {
        assert_eq!(
            power("RAM 1/2MB VDD_IN 6140/5510 VDD_SOC 1074/1051"),
            [("VDD_IN", 6140), ("VDD_SOC", 1074)]
        );
        assert_eq!(
            power("RAM 1/2MB cpu@52.9C/52.9C VDD_IN 7953mW/8332mW/8710mW"),
            [("VDD_IN", 7953)]
        );
        assert_eq!(
            power("VDD_IN 598mW/598 VDD_SOC 1mW/2mW/3"),
            [("VDD_IN", 598), ("VDD_SOC", 1)]
        );
    }

    #[test]
    fn agx_xavier_names_rails_like_other_fields() {
        let line = "RAM 1/2MB (lfb 3x2MB) CPU [0%@1190,off] GPU@30.5C CPU@31.5C CV0@-256C \
                    GPU 463/463 CPU 618/618 SOC 2936/2936 CV 0/0";
        assert_eq!(
            power(line),
            [("GPU", 463), ("CPU", 618), ("SOC", 2936), ("CV", 0)]
        );
    }

    #[test]
    fn engines_and_memory_are_no_rails() {
        let line = "RAM 1343/7620MB (lfb 1x512kB) SWAP 165/3810MB (cached 3MB) \
                    IRAM 0/252kB(lfb 252kB) CPU [0%@1,off] EMC_FREQ 0% GR3D_FREQ @[0,0,0] \
                    NVENC off NVENC1_FREQ @0 VIC_FREQ 115 MTS fg 1% bg 9% APE 174 PMIC@100C \
                    NVDLA0_FREQ @1600 GPU 245MHz/245MHz";
        assert_eq!(rails(line), Err(LineError::NoPower));
    }

    #[test]
    fn rails_may_stand_between_other_fields() {
        let line = "RAM 1/2MB VDD_WIFI 19/19 NVENC 716 NVDEC 716 VDD_DDR 2702/2702 tj@40C";
        assert_eq!(power(line), [("VDD_WIFI", 19), ("VDD_DDR", 2702)]);
    }

    #[test]
    fn a_sensor_offset_makes_power_negative() {
        assert_eq!(power("RAM 1/2MB VDD_GPU -392mW/-12mW"), [("VDD_GPU", -392)]);
    }

    #[test]
    fn what_is_not_connected_is_left_out_and_equal_names_stay_apart() {
        let line = "RAM 1/2MB NC 0mW/0mW VDDQ_VDD2_1V8AO 301mW/301mW NC 0mW/0mW A 1/1 A 2/2";
        assert_eq!(power(line), [("VDDQ_VDD2_1V8AO", 301), ("A", 1), ("A", 2)]);
    }

    #[test]
    fn a_number_with_a_unit_is_no_name() {
        assert_eq!(rails("-256C 0mW/0"), Err(LineError::Foreign));
        assert_eq!(rails("12mW 0mW/0"), Err(LineError::Foreign));
    }

    #[test]
    fn runs_of_whitespace_separate_like_one() {
        let line = "  05-09-2026 18:42:06 RAM\t1/2MB   VDD_IN    5mW/6mW \r\n";
        assert_eq!(power(line), [("VDD_IN", 5)]);
    }

    #[test]
    fn nothing_but_a_rail_is_taken_for_one() {
        for field in [
            "VDD_IN off",
            "VDD_IN 5mW",
            "VDD_IN 5/",
            "VDD_IN /5",
            "VDD_IN 5/6/7/8",
            "VDD_IN 5.5mW/5.5mW",
            "VDD_IN +5/5",
            "VDD_IN --5/5",
            "VDD_IN 5mW/?mW",
            "VDD_IN N/A",
            "VDD_IN 5 mW/5 mW",
            "VDD_IN 5W/5W",
            "VDD_IN 5/5W",
            "VDD_IN 1000001/1",
            "VDD_IN 99999999999999999999/1",
            "VDD_IN@ 5/5",
            "25 5/5",
            "VDD\u{fffd}IN 5/5",
            "SWAP 5/5",
        ] {
            let line = format!("RAM 1/2MB {field}");
            assert_eq!(rails(&line), Err(LineError::NoPower), "{field}");
        }
    }

    #[test]
    fn other_text_is_no_line() {
        for text in [
            "",
            "\0\0",
            "tegrastats: step 3/4 done",
            "RAM 1923/39",
            "RAM 1/2MB VDD_IN 5/5 RAM 1/2MB VDD_IN 5/5",
        ] {
            assert_eq!(rails(text), Err(LineError::Foreign), "{text}");
        }
    }

    fn label() -> impl Strategy<Value = String> {
        "V[A-Z0-9_]{0,12}"
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = rails(&text);
        }

        #[test]
        fn any_mixture_of_fields_gives_only_what_stands_there(
            tokens in prop::collection::vec(
                "RAM|SWAP|NC|CPU|VDD_IN|1/2MB|[0-9-]{1,12}(mW)?(/[0-9-]{0,12}(mW)?){0,3}|\\[off\\]|@|-256C",
                0..20,
            ),
        ) {
            let line = tokens.join(" ");
            for rail in rails(&line).unwrap_or_default() {
                let stands_there = format!("{} {}", rail.label, rail.milliwatts);
                prop_assert!(["CPU", "VDD_IN"].contains(&rail.label), "{}", rail.label);
                // `-0` and `007` are numbers too.
                prop_assert!(
                    line.contains(&stands_there) || line.contains("-0") || line.contains(" 0"),
                    "{line}: {stands_there}"
                );
            }
        }

        #[test]
        fn every_rail_that_is_printed_is_read(
            printed in prop::collection::vec((label(), -50_000..50_000i32, 0..60_000i32), 1..8),
            style in 0..3,
            stamped in any::<bool>(),
        ) {
            let mut line = String::from(if stamped { "07-09-2024 13:31:31 " } else { "" });
            line.push_str("RAM 3168/6851MB (lfb 2x4MB) CPU [23%@1397,off] CPU@46.5C");
            for (label, now, mean) in &printed {
                match style {
                    0 => write!(line, " {label} {now}/{mean}").unwrap(),
                    1 => write!(line, " {label} {now}mW/{mean}mW").unwrap(),
                    _ => write!(line, " {label} {now}mW/{mean}mW/{mean}mW").unwrap(),
                }
            }
            let expected: Vec<(&str, i32)> =
                printed.iter().map(|(label, now, _)| (label.as_str(), *now)).collect();
            prop_assert_eq!(power(&line), expected);
        }
    }
}
