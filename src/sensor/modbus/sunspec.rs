//! SunSpec: a meter tells itself where its registers are. A marker stands at one of three
//! addresses; from there models follow each other, each with its number and length; the first
//! of a meter's models is read.

use super::map::{Block, MeterMap};

/// Where the marker may stand.
const BASES: [u16; 3] = [40_000, 0, 50_000];
/// "SunS".
const MARKER: [u16; 2] = [0x5375, 0x6e53];
const END: u16 = 0xffff;
/// Devices have about ten; what goes on for longer is not a list of models.
const MOST_MODELS: usize = 64;

/// The answer to a question during discovery: `None` where the meter refused it.
type Answer = Option<Vec<u16>>;

/// Finds the meter's registers through `ask`, whose errors end the search. `Ok(Err(..))` says
/// in words why there is no meter to read.
pub(super) fn discover<E>(
    integers: &MeterMap,
    floats: &MeterMap,
    mut ask: impl FnMut(Block) -> Result<Answer, E>,
) -> Result<Result<MeterMap, String>, E> {
    let mut two = |address| ask(Block { address, count: 2 });
    for base in BASES {
        if two(base)?.as_deref() != Some(&MARKER) {
            continue;
        }
        let mut address = base + 2;
        for _ in 0..MOST_MODELS {
            let header = two(address)?.and_then(|words| <[u16; 2]>::try_from(words).ok());
            let Some([model, length]) = header else {
                break;
            };
            let map = match model {
                201..=204 => Some(integers),
                211..=214 => Some(floats),
                END => break,
                _ => None,
            };
            if let Some(map) = map {
                let past = "its registers would lie past the last address".to_owned();
                return Ok(map.shifted(address).ok_or(past));
            }
            let next = address
                .checked_add(2)
                .and_then(|data| data.checked_add(length));
            match next {
                Some(next) => address = next,
                None => break,
            }
        }
        return Ok(Err(
            "a SunSpec device without a meter model (201 to 204, 211 to 214)".to_owned(),
        ));
    }
    Ok(Err(
        "no SunSpec marker at 40000, 0 or 50000: is it a SunSpec device, is SunSpec switched on, \
         and is the unit right?"
            .to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::meters::{Meter, find};
    use super::*;
    use std::collections::BTreeMap;

    struct Device(BTreeMap<u16, u16>);

    impl Device {
        /// A device with these models after each other from `base` on.
        fn new(base: u16, models: &[(u16, u16)]) -> Device {
            let mut registers = BTreeMap::from([(base, MARKER[0]), (base + 1, MARKER[1])]);
            let mut at = base + 2;
            for (model, length) in models {
                registers.insert(at, *model);
                registers.insert(at + 1, *length);
                at += 2 + length;
            }
            Device(registers)
        }

        fn search(&self) -> Result<MeterMap, String> {
            let Some(Meter::SunSpec { integers, floats }) = find("sunspec") else {
                panic!("sunspec is known");
            };
            discover(&integers, &floats, |block| {
                let addresses = block.address..block.address + block.count;
                let words: Answer = addresses.map(|at| self.0.get(&at).copied()).collect();
                Ok::<_, ()>(words)
            })
            .unwrap()
        }
    }

    #[test]
    fn the_meter_is_found_behind_other_models() {
        for base in BASES {
            let device = Device::new(base, &[(1, 66), (203, 105), (END, 0)]);
            let map = device.search().unwrap();
            let model = base + 2 + 68;
            assert_eq!(map.power.address, model + 18);
            assert_eq!(map.power.exponent, Some(model + 22));
            let device = Device::new(base, &[(1, 65), (213, 124), (END, 0)]);
            assert_eq!(device.search().unwrap().power.address, base + 2 + 67 + 28);
        }
    }

    #[test]
    fn what_has_no_meter_says_so() {
        let text = |device: &Device| device.search().unwrap_err();
        assert!(text(&Device(BTreeMap::new())).contains("no SunSpec marker"));
        let inverter = Device::new(40_000, &[(1, 66), (103, 50), (END, 0)]);
        assert!(text(&inverter).contains("without a meter model"));
        // A list that never ends, and one that runs over the last address.
        let endless = Device::new(0, &[(7, 0); 100]);
        assert!(text(&endless).contains("without a meter model"));
        let beyond = Device::new(50_000, &[(1, 15_000)]);
        assert!(text(&beyond).contains("without a meter model"));
    }
}
