//! From the words of one answer to watts, volts and amperes. Pure: what a meter can't tell is
//! an absence with its reason, never a number.

use super::map::{Block, MeterMap, Variant};
use super::register::{Kind, Register, WordOrder};
use crate::units::{Amps, Volts, Watts};

/// Values beyond these come from wrong registers or a wrong word order, not from a board.
const MOST_POWER_W: f64 = 1e6;
const MOST_VOLTAGE_V: f64 = 1e5;
const MOST_CURRENT_A: f64 = 1e5;

/// What one answer told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub power: Result<Watts, Absence>,
    pub voltage: Option<Volts>,
    pub current: Option<Amps>,
}

/// Why a register holds no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Absence {
    #[error("the meter says that it has no value for power: is something connected to it?")]
    NotAvailable,
    #[error("the meter's power is not a finite number: is the meter map the right one?")]
    NotFinite,
    #[error(
        "the meter's power is beyond anything that a board draws: is the meter map the right \
         one, with the right order of words?"
    )]
    Implausible,
    #[error(
        "the meter shows 0 W, which it does for any power below its starting current: the load \
         is too small for this meter"
    )]
    BelowStart,
    #[error(
        "the meter tells the model number {0}, which its map does not know: is it another meter?"
    )]
    UnknownModel(u16),
    #[error("the answer does not hold the register of power")]
    NotInAnswer,
}

/// Reads `words`, the answer to a request for `block`.
pub(super) fn reading(map: &MeterMap, block: Block, words: &[u16]) -> Reading {
    let answer = Answer {
        order: map.words,
        block,
        words,
    };
    let variant = match answer.variant(map) {
        Ok(variant) => variant,
        Err(absence) => {
            return Reading {
                power: Err(absence),
                voltage: None,
                current: None,
            };
        }
    };
    let power_factor = variant.map_or(1.0, |variant| variant.power);
    let power = answer.value(&map.power, power_factor, MOST_POWER_W);
    let other = |register: Option<&Register>, factor: Option<f64>, most| {
        answer.value(register?, factor?, most).ok()
    };
    let voltage_factor = variant.map_or(Some(1.0), |variant| variant.voltage);
    let current_factor = variant.map_or(Some(1.0), |variant| variant.current);
    Reading {
        power: match power {
            Ok(0.0) if map.starts_w > 0.0 => Err(Absence::BelowStart),
            other => other.map(Watts),
        },
        voltage: other(map.voltage.as_ref(), voltage_factor, MOST_VOLTAGE_V).map(Volts),
        current: other(map.current.as_ref(), current_factor, MOST_CURRENT_A).map(Amps),
    }
}

/// The smallest step of power that the answer's register can tell; `None` for a float.
pub(super) fn power_step(map: &MeterMap, block: Block, words: &[u16]) -> Option<Watts> {
    let answer = Answer {
        order: map.words,
        block,
        words,
    };
    let register = &map.power;
    let factor = answer.variant(map).ok()?.map_or(1.0, |found| found.power);
    let scale = answer.scale(register).ok()?;
    (register.kind != Kind::F32).then_some(Watts((scale * factor).abs()))
}

struct Answer<'a> {
    order: WordOrder,
    block: Block,
    words: &'a [u16],
}

impl Answer<'_> {
    /// The registers from `address` on; `None` where they were not asked for.
    fn words(&self, address: u16, count: u16) -> Option<&[u16]> {
        let offset = usize::from(address.checked_sub(self.block.address)?);
        self.words.get(offset..offset + usize::from(count))
    }

    /// The number of the register's width, high word first, with zeros above.
    fn raw(&self, register: &Register) -> Option<u64> {
        let words = self.words(register.address, register.kind.words())?;
        let join = |number: u64, word: &u16| number << 16 | u64::from(*word);
        Some(match self.order {
            WordOrder::HighFirst => words.iter().fold(0, join),
            WordOrder::LowFirst => words.iter().rev().fold(0, join),
        })
    }

    fn variant<'m>(&self, map: &'m MeterMap) -> Result<Option<&'m Variant>, Absence> {
        let Some(models) = &map.model else {
            return Ok(None);
        };
        let words = self.words(models.address, 1);
        let id = *words.and_then(<[u16]>::first).ok_or(Absence::NotInAnswer)?;
        models
            .variant
            .iter()
            .find(|variant| (variant.ids[0]..=variant.ids[1]).contains(&id))
            .map(Some)
            .ok_or(Absence::UnknownModel(id))
    }

    /// What one step of the register is worth in W, V or A.
    fn scale(&self, register: &Register) -> Result<f64, Absence> {
        let scale = register.scale * register.unit.factor();
        let Some(address) = register.exponent else {
            return Ok(scale);
        };
        let words = self.words(address, 1);
        let exponent = *words.and_then(<[u16]>::first).ok_or(Absence::NotInAnswer)? as i16;
        // SunSpec allows -10 to 10; 0x8000 says "not implemented".
        if !(-10..=10).contains(&exponent) {
            return Err(Absence::NotAvailable);
        }
        Ok(scale * 10f64.powi(i32::from(exponent)))
    }

    /// The register's value in W, V or A; `factor` is the model's on the register's own scale.
    fn value(&self, register: &Register, factor: f64, most: f64) -> Result<f64, Absence> {
        let raw = self.raw(register).ok_or(Absence::NotInAnswer)?;
        let bits = 16 * u32::from(register.kind.words());
        let mask = u64::MAX >> (64 - bits);
        if register.nan.iter().any(|code| *code as u64 & mask == raw) {
            return Err(Absence::NotAvailable);
        }
        let number = match register.kind {
            Kind::U16 | Kind::U32 | Kind::U64 => raw as f64,
            Kind::I16 => f64::from(raw as u16 as i16),
            Kind::I32 => f64::from(raw as u32 as i32),
            Kind::I64 => raw as i64 as f64,
            Kind::F32 => f64::from(f32::from_bits(raw as u32)),
        };
        let value = number * self.scale(register)? * factor;
        if !value.is_finite() {
            return Err(Absence::NotFinite);
        }
        if value.abs() > most {
            return Err(Absence::Implausible);
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::map::Models;
    use super::super::register::Unit;
    use super::*;
    use proptest::prelude::*;

    const BLOCK: Block = Block {
        address: 100,
        count: 8,
    };

    fn map(kind: &str, rest: &str) -> MeterMap {
        toml::from_str(&format!(
            "function = 3\n{rest}\n\
             power = {{ address = 102, type = \"{kind}\", unit = \"W\", scale = 0.1, nan = [-1] }}"
        ))
        .unwrap()
    }

    fn power(map: &MeterMap, at_102: &[u16]) -> Result<Watts, Absence> {
        let mut words = vec![0x7777, 0x7777];
        words.extend(at_102);
        words.resize(8, 0x7777);
        reading(map, BLOCK, &words).power
    }

    fn close(power: Result<Watts, Absence>, to: f64) {
        let power = power.unwrap();
        assert!((power.0 - to).abs() < 1e-6 * to.abs().max(1.0), "{power:?}");
    }

    #[test]
    fn every_kind_in_either_order() {
        close(power(&map("u16", ""), &[500]), 50.0);
        close(power(&map("i16", ""), &[0xfff6]), -1.0);
        close(power(&map("u32", ""), &[1, 2]), 6553.8);
        let low = "words = \"low-first\"";
        close(power(&map("u32", low), &[2, 1]), 6553.8);
        close(power(&map("i32", low), &[0xff9c, 0xffff]), -10.0);
        close(power(&map("i64", ""), &[0, 0, 0, 123]), 12.3);
        close(power(&map("u64", low), &[123, 0, 0, 0]), 12.3);
        let bits = 42.5f32.to_bits();
        let (high, low_word) = ((bits >> 16) as u16, bits as u16);
        close(power(&map("f32", ""), &[high, low_word]), 4.25);
        close(power(&map("f32", low), &[low_word, high]), 4.25);
    }

    #[test]
    fn no_value_is_absent_with_its_reason() {
        assert_eq!(
            power(&map("u16", ""), &[0xffff]),
            Err(Absence::NotAvailable)
        );
        let all = [0xffff; 4];
        assert_eq!(power(&map("i64", ""), &all), Err(Absence::NotAvailable));
        let mut max = map("i32", "");
        max.power.nan = vec![0x7fff_ffff];
        assert_eq!(power(&max, &[0x7fff, 0xffff]), Err(Absence::NotAvailable));
        // The other half of the word order's NaN.
        assert_eq!(
            power(&map("f32", ""), &[0x7fc0, 0]),
            Err(Absence::NotFinite)
        );
        assert_eq!(
            power(&map("f32", ""), &[0xff80, 0]),
            Err(Absence::NotFinite)
        );
        assert_eq!(
            power(&map("f32", ""), &[0x7f00, 0]),
            Err(Absence::Implausible)
        );
        assert_eq!(
            power(&map("u16", "starts_w = 5.0"), &[0]),
            Err(Absence::BelowStart)
        );
        assert_eq!(power(&map("u16", ""), &[0]), Ok(Watts(0.0)));
        let short = reading(&map("u32", ""), BLOCK, &[1, 2, 3]);
        assert_eq!(short.power, Err(Absence::NotInAnswer));
    }

    #[test]
    fn an_exponent_scales_and_tells_the_step() {
        let mut map = map("i16", "");
        map.power.scale = 1.0;
        map.power.exponent = Some(103);
        close(power(&map, &[425, 0xffff]), 42.5);
        close(power(&map, &[425, 1]), 4250.0);
        assert_eq!(power(&map, &[425, 0x8000]), Err(Absence::NotAvailable));
        let words = [0, 0, 425, 0xfffe, 0, 0, 0, 0];
        let step = power_step(&map, BLOCK, &words).unwrap();
        assert!((step.0 - 0.01).abs() < 1e-12);
    }

    #[test]
    fn a_model_decides_over_scales_and_an_unknown_one_is_not_read() {
        let mut map = map("u16", "");
        map.power.scale = 1.0;
        map.voltage = Some(Register {
            unit: Unit::V,
            address: 103,
            ..map.power.clone()
        });
        map.current = Some(Register {
            unit: Unit::A,
            address: 104,
            ..map.power.clone()
        });
        let variant = Variant {
            name: "P".into(),
            ids: [60, 69],
            power: 0.001,
            voltage: Some(0.01),
            current: None,
        };
        map.model = Some(Models {
            address: 100,
            variant: vec![variant],
        });
        let told = reading(&map, BLOCK, &[65, 0, 4250, 500, 77, 0, 0, 0]);
        close(told.power, 4.25);
        assert_eq!(told.voltage, Some(Volts(5.0)));
        assert_eq!(told.current, None);
        // A model's factor leads to nothing implausible either.
        map.model.as_mut().unwrap().variant[0].power = 1e9;
        let told = reading(&map, BLOCK, &[65, 0, 4250, 500, 77, 0, 0, 0]);
        assert_eq!(told.power, Err(Absence::Implausible));
        let told = reading(&map, BLOCK, &[70, 0, 4250, 500, 77, 0, 0, 0]);
        assert_eq!(told.power, Err(Absence::UnknownModel(70)));
        assert_eq!(told.voltage, None);
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        prop::sample::select(vec![
            Kind::U16,
            Kind::I16,
            Kind::U32,
            Kind::I32,
            Kind::U64,
            Kind::I64,
            Kind::F32,
        ])
    }

    proptest! {
        /// Whatever a meter sends: a finite and plausible number, or an absence.
        #[test]
        fn any_answer_is_a_number_or_an_absence(
            kind in kinds(),
            low_first: bool,
            address in 0u16..200,
            exponent in prop::option::of(0u16..200),
            words in prop::collection::vec(any::<u16>(), 0..20),
        ) {
            let mut map = map("u16", if low_first { "words = \"low-first\"" } else { "" });
            map.power.kind = kind;
            map.power.address = address;
            map.power.exponent = exponent;
            if let Ok(power) = reading(&map, BLOCK, &words).power {
                prop_assert!(power.0.abs() <= MOST_POWER_W);
            }
        }

        /// A value survives being written in either order.
        #[test]
        fn words_are_put_together_as_they_were_taken_apart(value: i32, low_first: bool) {
            let order = if low_first { "words = \"low-first\"" } else { "" };
            let mut map = map("i32", order);
            map.power.nan.clear();
            map.power.scale = 1e-6;
            let (high, low) = ((value >> 16) as u16, value as u16);
            let words = if low_first { [low, high] } else { [high, low] };
            let told = power(&map, &words).unwrap();
            prop_assert!((told.0 - f64::from(value) * 1e-6).abs() < 1e-9);
        }
    }
}
