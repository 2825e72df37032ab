//! The text of `pmic_read_adc`.

use crate::units::{Amps, Volts};

/// Every channel by its name, in the order of first appearance.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Adc(pub Vec<Channel>);

/// One rail: `VDD_CORE` of `VDD_CORE_A` and `VDD_CORE_V`.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    pub name: String,
    pub current: Option<Amps>,
    pub voltage: Option<Volts>,
}

impl Adc {
    /// The rails that tell power. `EXT5V` and `BATT` have a voltage only.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, Amps, Volts)> {
        self.0
            .iter()
            .filter_map(|channel| Some((channel.name.as_str(), channel.current?, channel.voltage?)))
    }

    pub fn pair(&self, name: &str) -> Option<(Amps, Volts)> {
        self.pairs()
            .find(|pair| pair.0 == name)
            .map(|(_, current, voltage)| (current, voltage))
    }

    fn channel(&mut self, name: &str) -> &mut Channel {
        let known = self.0.iter().position(|channel| channel.name == name);
        let index = known.unwrap_or_else(|| {
            self.0.push(Channel {
                name: name.to_owned(),
                current: None,
                voltage: None,
            });
            self.0.len() - 1
        });
        &mut self.0[index]
    }
}

/// Reads lines like `VDD_CORE_A current(7)=0.98765432A` and `VDD_CORE_V volt(15)=0.720V`. The
/// numbers in brackets differ between the two of a rail: only the name pairs them. Lines of
/// another form are left out. The firmware's mailbox ends lines with NUL, `vcgencmd` with a
/// newline.
pub fn parse(text: &str) -> Adc {
    let mut adc = Adc::default();
    for line in text.split(['\n', '\0']) {
        let Some((label, what, value)) = reading(line) else {
            continue;
        };
        if let (Some(name), "current", Some(value)) =
            (label.strip_suffix("_A"), what, number(value, 'A'))
        {
            adc.channel(name).current.get_or_insert(Amps(value));
        }
        if let (Some(name), "volt", Some(value)) =
            (label.strip_suffix("_V"), what, number(value, 'V'))
        {
            adc.channel(name).voltage.get_or_insert(Volts(value));
        }
    }
    adc
}

/// Label, `current` or `volt`, and the value with its unit.
fn reading(line: &str) -> Option<(&str, &str, &str)> {
    let (label, rest) = line.trim().split_once(char::is_whitespace)?;
    let (what, value) = rest.trim_start().split_once('=')?;
    let (what, index) = what.split_once('(')?;
    index.strip_suffix(')')?.parse::<u32>().ok()?;
    Some((label, what, value))
}

/// Plain digits only, and few enough for a number: `f64` would also take `inf` and `nan`, and
/// make infinity of too many digits.
fn number(text: &str, unit: char) -> Option<f64> {
    let digits = text.strip_suffix(unit)?;
    let plain = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
    let number: f64 = digits.parse().ok()?;
    (plain && number.is_finite()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn currents_and_voltages_are_paired_by_name() {
        let adc = parse(
            "   3V7_WL_SW_A current(0)=0.00390372A\n\
             \x20  DDR_VDD2_A current(4)=0.00000000A\n\
             \x20  VDD_CORE_A current(7)=0.50000000A\n\
             \x20  3V7_WL_SW_V volt(8)=3.70000000V\n\
             \x20  DDR_VDD2_V volt(12)=1.10000000V\n\
             \x20  VDD_CORE_V volt(15)=0.75000000V\n\
             \x20  EXT5V_V volt(24)=5.10000000V\n\
             \x20  BATT_V volt(25)=0.00683760V\n",
        );
        let names: Vec<&str> = adc.pairs().map(|pair| pair.0).collect();
        assert_eq!(names, ["3V7_WL_SW", "DDR_VDD2", "VDD_CORE"]);
        assert_eq!(adc.pair("VDD_CORE"), Some((Amps(0.5), Volts(0.75))));
        // The ADC's floor: a reading, no absence.
        assert_eq!(adc.pair("DDR_VDD2"), Some((Amps(0.0), Volts(1.1))));
        assert_eq!(adc.pair("EXT5V"), None);
        assert_eq!(adc.0.len(), 5);
    }

    #[test]
    fn the_mailbox_ends_lines_with_nul() {
        let adc = parse("HDMI_A current(22)=0.02A\0HDMI_V volt(23)=5.1V\0");
        assert_eq!(adc.pair("HDMI"), Some((Amps(0.02), Volts(5.1))));
    }

    #[test]
    fn what_is_no_reading_is_left_out() {
        for line in [
            "error=1 error_msg=\"Command not registered\"",
            "HDMI_A current(22)=A",
            "HDMI_A current(22)=nanA",
            "HDMI_A current(22)=1.2.3A",
            "HDMI_A current(22)=0.02V",
            "HDMI_A volt(22)=0.02A",
            "HDMI_A current(x)=0.02A",
            "HDMI_A current(22)=0.0",
        ] {
            assert_eq!(parse(line), Adc::default(), "{line}");
        }
        let endless = format!("HDMI_A current(22)={}A", "9".repeat(400));
        assert_eq!(parse(&endless), Adc::default());
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "[ -~\\n\\x00]{0,200}") {
            parse(&text);
        }

        #[test]
        fn any_pair_comes_back(amps in -9.0..9.0f64, volts in 0.0..30.0f64, n in 0..99u32) {
            let text = format!("X_1_A current({n})={amps:.8}A\nX_1_V volt(3)={volts:.8}V");
            let (current, voltage) = parse(&text).pair("X_1").unwrap();
            prop_assert!((current.0 - amps).abs() < 1e-8 && (voltage.0 - volts).abs() < 1e-8);
        }
    }
}
